package harness_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

func newLogWriter(t *testing.T, opts harness.LogWriterOptions) *harness.LogWriter {
	t.Helper()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	w, err := harness.NewLogWriter(opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	return w
}

// readLines returns the lines of all files in a directory.
func readLines(t *testing.T, dir string) (lines []string, files int) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		for line := range strings.Lines(string(data)) {
			require.True(t, strings.HasSuffix(line, "\n"), "only whole lines")
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines, len(paths)
}

func TestLogWriterKnowsWhatItWrote(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newLogWriter(t, harness.LogWriterOptions{
		Name: "w1", Dir: dir, Files: 2, RotateLines: 1000,
		Payload: func(seq int64) string { return "żółw\t\x1b[31m " + strings.Repeat("x", int(seq%7)) },
	})
	require.NoError(t, w.Write(t.Context(), 4500))
	require.NoError(t, w.Write(t.Context(), 1500))
	assert.EqualValues(t, 6000, w.Written())

	lines, files := readLines(t, dir)
	assert.Equal(t, 2+6, files, "two files in use, and each was rotated three times")
	inUse, err := filepath.Glob(w.Glob())
	require.NoError(t, err)
	assert.Len(t, inUse, 2)

	tally := harness.NewTally()
	for _, line := range lines {
		tally.Add(line)
		_, seq, err := harness.ParseLine(line)
		require.NoError(t, err)
		require.Equal(t, w.Line(seq), line)
	}
	report := tally.Compare(w)
	assert.True(t, report.Exact(), report)
	assert.Zero(t, tally.Foreign+tally.Corrupt)
}

func TestLogWriterKeepsItsRate(t *testing.T) {
	t.Parallel()
	w := newLogWriter(t, harness.LogWriterOptions{Rate: 2000})
	begin := time.Now()
	require.NoError(t, w.Write(t.Context(), 1000))
	assert.InDelta(t, 0.5, time.Since(begin).Seconds(), 0.4)
}

func TestLogWriterInTheBackground(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newLogWriter(t, harness.LogWriterOptions{Dir: dir, Rate: 5000})
	require.NoError(t, w.Start())
	require.Error(t, w.Start())
	require.Eventually(t, func() bool { return w.Written() > 100 }, 10*time.Second, time.Millisecond)
	require.NoError(t, w.Stop())
	lines, _ := readLines(t, dir)
	assert.EqualValues(t, len(lines), w.Written())
	require.NoError(t, w.Write(t.Context(), 10), "goes on after Stop")
}

func TestTallyReportsWhatIsWrong(t *testing.T) {
	t.Parallel()
	w := newLogWriter(t, harness.LogWriterOptions{Name: "w1"})
	require.NoError(t, w.Write(t.Context(), 1000))
	tally := harness.NewTally()
	for seq := range int64(1000) {
		switch {
		case seq == 7 || seq >= 500 && seq < 510: // lost
		case seq == 8: // corrupted
			tally.Add(strings.Replace(w.Line(seq), "seq=8", "seq=9", 1))
		case seq == 900: // cut off
			tally.Add(w.Line(seq)[:40])
		case seq == 11: // doubled, twice
			tally.Add(w.Line(seq))
			tally.Add(w.Line(seq))
			fallthrough
		default:
			tally.Add(w.Line(seq))
		}
	}
	tally.Add("something else")
	tally.Add(harness.FormatLine("w1", 1000, "x"))
	tally.Add(harness.FormatLine("w2", 1, "of another writer"))
	assert.Equal(t, harness.TallyReport{
		Writer: "w1", Written: 1000, Found: 987, Lost: 13, Duplicates: 2, Unwritten: 1,
		Missing: []harness.SeqRange{{First: 7, Last: 8}, {First: 500, Last: 509}, {First: 900, Last: 900}},
	}, tally.Compare(w))
	assert.EqualValues(t, 1, tally.Foreign)
	assert.EqualValues(t, 2, tally.Corrupt)
	require.ErrorContains(t, tally.Compare(w).Err(), "lost 13, duplicated 2 (missing 7-8, 500-509, 900)")
}
