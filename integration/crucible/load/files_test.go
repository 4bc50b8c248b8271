package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// files returns what a writer's files hold, the oldest first.
func files(t *testing.T, w *Files) []byte {
	t.Helper()
	var all []byte
	for n := 1; n <= w.rotated; n++ {
		text, err := os.ReadFile(fmt.Sprintf("%s.%d", w.Path(), n))
		require.NoError(t, err)
		all = append(all, text...)
	}
	text, err := os.ReadFile(w.Path())
	require.NoError(t, err)
	return append(all, text...)
}

func TestFilesHoldTheAccount(t *testing.T) {
	formats := map[string]struct {
		format Format
		unwrap func(t *testing.T, line string) (text string, whole bool)
	}{
		"plain": {Plain, func(_ *testing.T, line string) (string, bool) { return line, true }},
		"docker": {DockerJSON, func(t *testing.T, line string) (string, bool) {
			var entry struct{ Log, Stream, Time string }
			require.NoError(t, json.Unmarshal([]byte(line), &entry))
			_, err := time.Parse(time.RFC3339Nano, entry.Time)
			require.NoError(t, err)
			require.Equal(t, "stdout", entry.Stream)
			require.True(t, strings.HasSuffix(entry.Log, "\n"))
			return strings.TrimSuffix(entry.Log, "\n"), true
		}},
		"cri": {CRI, func(t *testing.T, line string) (string, bool) {
			match := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z stdout ([PF]) (.*)$`).FindStringSubmatch(line)
			require.NotNil(t, match, line)
			return match[2], match[1] == "F"
		}},
	}
	rotations := map[string]Rotation{"never": RotateNever, "rename": RotateRename, "copytruncate": RotateCopyTruncate}
	for formatName, format := range formats {
		for rotationName, rotation := range rotations {
			for _, torn := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/torn=%v", formatName, rotationName, torn), func(t *testing.T) {
					opts := FilesOptions{
						Common: Common{Name: "w", Seed: 3, LargeEvery: 100, LargeBytes: 5000},
						Dir:    t.TempDir(), Format: format.format, Rotation: rotation, RotateLines: 70, Torn: torn,
					}
					if format.format == CRI {
						opts.PartialEvery = 20
					}
					w, err := NewFiles(opts)
					require.NoError(t, err)
					for _, n := range []int64{1, 69, 1, 500, 7} {
						require.NoError(t, w.writeLines(t.Context(), n))
						assert.Equal(t, torn && w.lines > 0, !bytes.HasSuffix(files(t, w), []byte("\n")) && len(files(t, w)) > 0)
					}
					require.NoError(t, w.Start())
					accounts, err := w.Stop(t.Context())
					require.NoError(t, err)
					require.Len(t, accounts, 1)
					account := accounts[0]
					assert.EqualValues(t, 578, account.Written)
					assert.EqualValues(t, 578, account.Next)
					assert.Empty(t, account.Unanswered)
					if rotation == RotateNever {
						assert.Zero(t, w.rotated)
					} else {
						assert.Equal(t, 578/70, w.rotated)
					}

					seq, text, pieces := int64(0), "", 0
					for scanner := bufio.NewScanner(bytes.NewReader(files(t, w))); scanner.Scan(); {
						part, whole := format.unwrap(t, scanner.Text())
						text += part
						pieces++
						if !whole {
							continue
						}
						require.Equal(t, account.Record(seq).Text, text)
						writer, number, err := harness.ParseLine(text)
						require.NoError(t, err)
						require.Equal(t, "w", writer)
						require.Equal(t, seq, number)
						if account.Parts != nil && account.Parts(seq) != nil {
							require.Equal(t, 2, pieces)
							require.True(t, strings.HasPrefix(account.Parts(seq)[1], fmt.Sprintf("part=w/%d/1 ", seq)))
						} else {
							require.Equal(t, 1, pieces)
						}
						seq, text, pieces = seq+1, "", 0
					}
					assert.EqualValues(t, 578, seq)
					assert.Greater(t, len(account.Record(99).Text), 5000)
				})
			}
		}
	}
}

func TestRecordsFollowFromTheSeed(t *testing.T) {
	record := func(seed uint64, seq int64) string {
		c := Common{Name: "w", Seed: seed}
		require.NoError(t, c.check())
		return c.line(seq)
	}
	assert.Equal(t, record(1, 5), record(1, 5))
	assert.NotEqual(t, strings.TrimPrefix(record(1, 5), "writer=w seq=5"), strings.TrimPrefix(record(1, 6), "writer=w seq=6"))
	assert.NotEqual(t, record(1, 5), record(2, 5))
}

func TestRateChangesWhileItRuns(t *testing.T) {
	w, err := NewFiles(FilesOptions{Common: Common{Name: "w"}, Dir: t.TempDir()})
	require.NoError(t, err)
	require.NoError(t, w.Start())
	require.Error(t, w.Start(), "only once")
	assert.Zero(t, w.Written(), "no rate, no lines")

	w.SetRate(500)
	assert.Equal(t, 500.0, w.Rate())
	grow := func() {
		before := w.Written()
		require.Eventually(t, func() bool { return w.Written() > before+20 }, 10*time.Second, time.Millisecond)
	}
	grow()
	w.Pause()
	// What had begun before the pause ends within a tick or two; from then on the count stays.
	require.Eventually(t, func() bool {
		before := w.Written()
		time.Sleep(10 * tick)
		return w.Written() == before
	}, 10*time.Second, time.Millisecond)
	w.Resume()
	grow()

	begin, before := time.Now(), w.Written()
	w.SetRate(5000)
	require.Eventually(t, func() bool { return w.Written() > before+2000 }, 10*time.Second, time.Millisecond)
	assert.Greater(t, time.Since(begin), 300*time.Millisecond, "faster than the rate")

	accounts, err := w.Stop(t.Context())
	require.NoError(t, err)
	assert.Equal(t, w.Written(), accounts[0].Written)
	assert.EqualValues(t, accounts[0].Written, bytes.Count(files(t, w), []byte("\n")))
	again, err := w.Stop(t.Context())
	require.NoError(t, err)
	assert.Equal(t, accounts[0].Written, again[0].Written)
}

// TestFullDisk writes to a device that is always full, and stops.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full here")
	}
	w, err := NewFiles(FilesOptions{Common: Common{Name: "w", Rate: 1000}, Dir: t.TempDir()})
	require.NoError(t, err)
	require.NoError(t, w.file.Close())
	w.file = full
	require.NoError(t, w.Start())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	accounts, err := w.Stop(ctx)
	require.NoError(t, err)
	assert.Zero(t, accounts[0].Written)
	if accounts[0].Next > 0 {
		assert.Equal(t, []harness.SeqRange{{First: 0, Last: accounts[0].Next - 1}}, accounts[0].Unanswered)
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	for name, opts := range map[string]FilesOptions{
		"no name":          {Dir: dir},
		"name with space":  {Common: Common{Name: "a b"}, Dir: dir},
		"no directory":     {Common: Common{Name: "w"}},
		"negative rate":    {Common: Common{Name: "w", Rate: -1}, Dir: dir},
		"no jumps":         {Common: Common{Name: "w", JumpEvery: 3}, Dir: dir},
		"pieces, not CRI":  {Common: Common{Name: "w"}, Dir: dir, PartialEvery: 3},
		"missing in a dir": {Common: Common{Name: "w"}, Dir: filepath.Join(os.DevNull, "x")},
	} {
		_, err := NewFiles(opts)
		assert.Error(t, err, name)
	}
	_, err := NewOTLPLogs(OTLPOptions{Common: Common{Name: "w"}})
	require.Error(t, err)
	_, err = NewOTLPMetrics(OTLPOptions{Common: Common{Name: "w"}, BaseURL: "http://x", Step: time.Microsecond})
	require.Error(t, err)
	_, err = NewFluentBit(KafkaOptions{Common: Common{Name: "w"}})
	require.Error(t, err)
}
