package recordfilereceiver

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recordSeparator stands between the records of a file of testdata/traces, on a line of its own.
const recordSeparator = "\n----\n"

var allLanguages = []string{"java", "python", "go", "node"}

// traceCorpus returns the records of each file of testdata/traces.
func traceCorpus(t testing.TB) map[string][]string {
	files, err := filepath.Glob("testdata/traces/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	corpus := make(map[string][]string)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		corpus[filepath.Base(file)] = strings.Split(strings.TrimSuffix(string(text), "\n"), recordSeparator)
	}
	return corpus
}

// collected is the sink of the tests.
type collected struct {
	records          []string
	streams          []string
	empty, undecoded int
}

func (c *collected) begin(first *line) func([]byte) {
	at := len(c.records)
	c.records = append(c.records, "")
	c.streams = append(c.streams, first.stream.String())
	return func(text []byte) { c.records[at] = string(text) }
}
func (c *collected) emptyLine()     { c.empty++ }
func (c *collected) undecodedLine() { c.undecoded++ }

// read cuts a file as the file reader does, with a buffer that grows from bufferBytes, and assembles the chunks.
func read(t testing.TB, format string, languages []string, content []byte, bufferBytes int) collected {
	tr, err := newTracer(languages)
	require.NoError(t, err)
	s := &splitter{tracer: tr, maxBytes: 1 << 20, pool: newDecoderPool(format)}
	a := &assembler{decoder: newDecoder(format), tracer: tr}
	var got collected
	scanner := bufio.NewScanner(bytes.NewReader(content))
	scanner.Buffer(make([]byte, 0, bufferBytes), 1<<20)
	consumed := 0
	scanner.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		advance, token, err := s.split(data, atEOF)
		consumed += advance
		return advance, token, err
	})
	for scanner.Scan() {
		a.assemble(scanner.Bytes(), &got)
	}
	require.NoError(t, scanner.Err())
	// The flush period is over.
	a.assemble(content[consumed:], &got)
	return got
}

// dockerFile writes records as docker does: a JSON object a line, pieces of 16 KiB for longer ones.
func dockerFile(t testing.TB, stream string, lines []string) []byte {
	const piece = 16 << 10
	var file bytes.Buffer
	for i, text := range lines {
		text += "\n"
		for n := 0; len(text) > 0; n++ {
			part := text[:min(piece, len(text))]
			text = text[len(part):]
			file.Write(dockerLine(t, part, stream, i, n))
		}
	}
	return file.Bytes()
}

func dockerLine(t testing.TB, text, stream string, second, nano int) []byte {
	encoded, err := json.Marshal(struct {
		Log    string `json:"log"`
		Stream string `json:"stream"`
		Time   string `json:"time"`
	}{text, stream, fmt.Sprintf("2026-01-02T03:%02d:%02d.%09dZ", second/60%60, second%60, nano)})
	require.NoError(t, err)
	return append(encoded, '\n')
}

func criFile(stream string, lines []string) []byte {
	const piece = 16 << 10
	var file bytes.Buffer
	for i, text := range lines {
		for {
			part := text[:min(piece, len(text))]
			text = text[len(part):]
			tag := "F"
			if text != "" {
				tag = "P"
			}
			fmt.Fprintf(&file, "2026-01-02T03:%02d:%02d.123456789Z %s %s %s\n", i/60%60, i%60, stream, tag, part)
			if text == "" {
				break
			}
		}
	}
	return file.Bytes()
}

// TestTraceCorpus holds that each record of the corpus arrives as one, in each format, whatever the buffer holds when the
// file is cut.
func TestTraceCorpus(t *testing.T) {
	for name, want := range traceCorpus(t) {
		lines := strings.Split(strings.Join(want, "\n"), "\n")
		files := map[string][]byte{
			formatPlain:  []byte(strings.Join(lines, "\n") + "\n"),
			formatDocker: dockerFile(t, "stderr", lines),
			formatCRI:    criFile("stdout", lines),
		}
		for format, content := range files {
			t.Run(name+"/"+format, func(t *testing.T) {
				for _, buffer := range []int{300, 4 << 10, 64 << 10} {
					got := read(t, format, allLanguages, content, buffer)
					require.Equal(t, want, got.records)
					assert.Zero(t, got.undecoded)
				}
			})
		}
	}
}

// TestTracesOff holds that without languages each line is a record.
func TestTracesOff(t *testing.T) {
	for name, records := range traceCorpus(t) {
		var want []string
		for _, text := range strings.Split(strings.Join(records, "\n"), "\n") {
			if text != "" {
				want = append(want, text)
			}
		}
		got := read(t, formatPlain, nil, []byte(strings.Join(want, "\n")+"\n"), 4096)
		assert.Equal(t, want, got.records, name)
	}
}
