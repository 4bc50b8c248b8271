package recordfilereceiver

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDockerLine(t *testing.T) {
	at := `"time":"2026-01-02T03:04:05.678901234Z"`
	tests := map[string]struct {
		raw  string
		want line
	}{
		"plain":             {`{"log":"text\n","stream":"stdout",` + at + `}`, line{text: []byte("text")}},
		"stderr":            {`{"log":"text\n","stream":"stderr",` + at + `}`, line{text: []byte("text"), stream: stderr}},
		"piece":             {`{"log":"text","stream":"stdout",` + at + `}`, line{text: []byte("text"), partial: true}},
		"ends in backslash": {`{"log":"text\\n","stream":"stdout",` + at + `}`, line{text: []byte(`text\n`), partial: true}},
		"of a terminal":     {`{"log":"text\r\n","stream":"stdout",` + at + `}`, line{text: []byte("text")}},
		"escapes":           {`{"log":"\t\"\\\/\b\f\u0001\u00e9\ud83d\ude00\ud83d\u003c\n","stream":"stdout",` + at + `}`, line{text: []byte("\t\"\\/\b\f\x01é😀\ufffd<")}},
		"attrs":             {`{"log":"text\n","stream":"stdout","attrs":{"env":"a\"}","tag":"b"},` + at + `}`, line{text: []byte("text"), attrs: []byte(`{"env":"a\"}","tag":"b"}`)}},
		"another order":     {`{"stream":"stderr",` + at + `,"log":"text\r\n","attrs":{"env":"a"}}`, line{text: []byte("text"), stream: stderr, attrs: []byte(`{"env":"a"}`)}},
		"empty":             {`{"log":"\n","stream":"stdout",` + at + `}`, line{text: []byte{}}},
	}
	d := &dockerDecoder{}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := d.decode([]byte(test.raw))
			assert.Equal(t, "2026-01-02T03:04:05.678901234Z", string(got.time))
			assert.EqualValues(t, 1767323045678901234, got.unixNano())
			got.time = nil
			assert.Equal(t, test.want, got)
		})
	}
	for _, raw := range []string{"", "text", `{"log":"text\n","stream":"stdout","time":"20`, `{"log":1}`, `["log"]`} {
		assert.Equal(t, line{text: []byte(raw), undecoded: true}, d.decode([]byte(raw)), raw)
	}
}

func TestCRILine(t *testing.T) {
	at := "2026-01-02T03:04:05.678901234Z"
	for raw, want := range map[string]line{
		at + " stdout F text of  words ":                 {text: []byte("text of  words ")},
		at + " stderr P piece\r":                         {text: []byte("piece\r"), stream: stderr, partial: true},
		at + " stdout F text\r":                          {text: []byte("text")},
		at + " stdout F ":                                {text: []byte{}},
		at + " stdout F":                                 {},
		at + " stdout F:more text":                       {text: []byte("text")},
		"2026-01-02T04:04:05.678901234+01:00 stdout F t": {text: []byte("t")},
	} {
		got := criDecoder{}.decode([]byte(raw))
		assert.EqualValues(t, 1767323045678901234, got.unixNano(), raw)
		got.time = nil
		assert.Equal(t, want, got, raw)
	}
	for _, raw := range []string{"", "text", at, at + " stdout", at + " stdin F text", at + " stdout X text", "yesterday stdout F text"} {
		assert.Equal(t, line{text: []byte(raw), undecoded: true}, criDecoder{}.decode([]byte(raw)), raw)
	}
}

// TestLongLines holds that the pieces of a line are joined, before the line is looked at as part of a trace.
func TestLongLines(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 16<<10/16) // one piece of docker
	want := []string{
		long + long + " and more",
		long,
		"java.lang.RuntimeException: " + long + "\n\tat A.b(" + long + ")\n\tat A.c(A.java:1)",
		`quotes " and \ ` + long,
		"end",
	}
	lines := strings.Split(strings.Join(want, "\n"), "\n")
	for _, buffer := range []int{100, 20_000, 64 << 10} {
		assert.Equal(t, want, read(t, formatDocker, allLanguages, dockerFile(t, "stdout", lines), buffer).records)
		assert.Equal(t, want, read(t, formatCRI, allLanguages, criFile("stdout", lines), buffer).records)
	}
}

// TestInterleaved holds that a trace on one stream and lines on the other do not get into each other, and that a stream
// that has gone quiet does not hold back the other.
func TestInterleaved(t *testing.T) {
	var file []byte
	add := func(text, stream string, second, nano int) {
		file = append(file, dockerLine(t, text, stream, second, nano)...)
	}
	add("panic: boom\n", "stderr", 0, 0)
	add("out 1\n", "stdout", 0, 1)
	add("\n", "stderr", 0, 2)
	add("goroutine 1 [running]:\n", "stderr", 0, 3)
	add("out 2 ", "stdout", 0, 4)
	add("main.main()\n", "stderr", 0, 5)
	add("goes on\n", "stdout", 0, 6)
	add("\t/main.go:3 +0x1d\n", "stderr", 0, 7)
	for i := range 100 {
		add("later\n", "stdout", 2+i, 0)
	}
	got := read(t, formatDocker, allLanguages, file, 300)
	require.GreaterOrEqual(t, len(got.records), 3)
	assert.Equal(t, []string{"panic: boom\n\ngoroutine 1 [running]:\nmain.main()\n\t/main.go:3 +0x1d", "out 1", "out 2 goes on"}, got.records[:3])
	assert.Equal(t, []string{"stderr", "stdout", "stdout"}, got.streams[:3])
	assert.Len(t, got.records, 103)

	// Everything but the last second is cut off without waiting for the end.
	tr, err := newTracer(allLanguages)
	require.NoError(t, err)
	s := &splitter{tracer: tr, maxBytes: 1 << 20, pool: newDecoderPool(formatDocker)}
	advance, _, err := s.split(file, false)
	require.NoError(t, err)
	last, err := json.Marshal("later\n")
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(string(file[advance:]), string(last)), "lines that are held back")
}

// TestEmptyAndUndecoded holds that lines without text become no record and are counted, and lines of another form are kept.
func TestEmptyAndUndecoded(t *testing.T) {
	got := read(t, formatPlain, allLanguages, []byte("a\n\n\r\nb\n \n\n"), 64)
	assert.Equal(t, []string{"a", "b", " "}, got.records)
	assert.Equal(t, 3, got.empty)

	got = read(t, formatCRI, allLanguages, []byte("2026-01-02T03:04:05Z stdout F a\nnot of CRI\n2026-01-02T03:04:05Z stdout F \n"), 64)
	assert.Equal(t, []string{"a", "not of CRI"}, got.records)
	assert.Equal(t, 1, got.empty)
	assert.Equal(t, 1, got.undecoded)
}

// TestLimit holds that a record over the limit is cut between lines, and loses none.
func TestLimit(t *testing.T) {
	tr, err := newTracer(allLanguages)
	require.NoError(t, err)
	s := &splitter{tracer: tr, maxBytes: 1000, pool: newDecoderPool(formatPlain)}
	trace := "Error: x\n" + strings.Repeat("    at f (/a.js:1:1)\n", 200)
	var chunks []string
	for rest := trace; rest != ""; {
		data := rest[:min(1000, len(rest))]
		advance, chunk, err := s.split([]byte(data), true)
		require.NoError(t, err)
		if advance == 0 {
			chunks = append(chunks, rest)
			break
		}
		chunks = append(chunks, string(chunk))
		rest = rest[advance:]
	}
	assert.Equal(t, trace, strings.Join(chunks, ""))
	for _, chunk := range chunks {
		assert.LessOrEqual(t, len(chunk), 1000)
		assert.True(t, strings.HasSuffix(chunk, "\n"), chunk)
	}
}
