package sources

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// pieceBytes is what docker and containerd read of a program at a time, and so the size of a piece.
const pieceBytes = 16 << 10

// logFile writes what a program says as docker, containerd or the program itself does.
type logFile struct {
	t      *testing.T
	path   string
	encode func(text, stream string, last bool) []byte // a piece of a line
	want   []row
	others int // rows of other files of the agent
}

func dockerPiece(text, stream string, last bool) []byte {
	if last {
		text += "\n"
	}
	// The fields, their order and the escapes are those of jsonlog.JSONLogs of docker's json-file driver.
	encoded, err := json.Marshal(struct {
		Log    string `json:"log"`
		Stream string `json:"stream"`
		Time   string `json:"time"`
	}{text, stream, time.Now().UTC().Format(time.RFC3339Nano)})
	if err != nil {
		panic(err)
	}
	return append(encoded, '\n')
}

func criPiece(text, stream string, last bool) []byte {
	tag := "P"
	if last {
		tag = "F"
	}
	return fmt.Appendf(nil, "%s %s %s %s\n", time.Now().Format("2006-01-02T15:04:05.000000000Z07:00"), stream, tag, text)
}

func plainPiece(text, _ string, last bool) []byte {
	if last {
		text += "\n"
	}
	return []byte(text)
}

// write appends a record of one line or of many.
func (f *logFile) write(text, stream string) {
	f.append(f.lines(text, stream))
	f.expect(text, stream)
}

func (f *logFile) expect(text, stream string) { f.want = append(f.want, row{text, stream}) }

func (f *logFile) lines(text, stream string) []byte {
	var content bytes.Buffer
	for _, line := range strings.Split(text, "\n") {
		for {
			piece := line[:min(pieceBytes, len(line))]
			line = line[len(piece):]
			content.Write(f.encode(piece, stream, line == ""))
			if line == "" {
				break
			}
		}
	}
	return content.Bytes()
}

func (f *logFile) append(content []byte) {
	file, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(f.t, err)
	_, err = file.Write(content)
	require.NoError(f.t, err)
	require.NoError(f.t, file.Close())
}

// rename rotates the file as docker and the kubelet do.
func (f *logFile) rename(to string) { require.NoError(f.t, os.Rename(f.path, to)) }

// copyTruncate rotates the file as logrotate does where a program cannot be told to open another one.
func (f *logFile) copyTruncate(to string) {
	content, err := os.ReadFile(f.path)
	require.NoError(f.t, err)
	require.NoError(f.t, os.WriteFile(to, content, 0o600))
	require.NoError(f.t, os.Truncate(f.path, 0))
}

// writeCorpus writes lines on both streams, long lines, empty lines and all stack traces.
func (f *logFile) writeCorpus(name string, streams []string) {
	for i := range 300 {
		f.write(fmt.Sprintf("%s line %d: quotes \" and \\, 漢字 😀, <tag>", name, i), streams[i%len(streams)])
	}
	f.write(name+" long "+strings.Repeat("0123456789abcdef", 3*pieceBytes/16)+" end", streams[0])
	f.append(f.lines("", streams[0]))
	// On one stream: that a line stands alone can depend on the one before it.
	for _, trace := range traces(f.t) {
		f.write(trace, streams[len(streams)-1])
	}
	long := "java.lang.RuntimeException: " + name + " " + strings.Repeat("x", pieceBytes) + "\n\tat A.b(A.java:1)\n\tat A.c(A.java:2)"
	f.write(long, streams[0])
	f.append(f.lines("\n", streams[0]))
}

// throughRestarts writes with the agent stopped with SIGTERM and started again, and killed in the middle of a trace.
func (f *logFile) throughRestarts(s *site, agent *harness.Breakwater, rotate func(), streams []string) {
	f.writeCorpus("first", streams)
	rotate()
	f.writeCorpus("second", streams)
	require.NoError(f.t, agent.Stop(f.t.Context()))
	f.writeCorpus("while stopped", streams)
	require.NoError(f.t, agent.Start(f.t.Context()))
	s.rows(f.t, len(f.want)+f.others)

	// Half a trace, which the agent reads and holds back. Were it held in memory, the kill would lose it.
	half, rest := "java.lang.IllegalStateException: killed\n\tat A.a(A.java:1)", "\tat A.b(A.java:2)"
	f.append(f.lines(half, streams[0]))
	time.Sleep(2 * pollInterval)
	s.awaitSent(f.t, agent)
	require.NoError(f.t, agent.Kill())
	f.append(f.lines(rest, streams[0]))
	f.expect(half+"\n"+rest, streams[0])
	f.write("after the kill", streams[0])
	require.NoError(f.t, agent.Start(f.t.Context()))
	f.write("end", streams[0])
}

// pollInterval is how often the receiver looks at files.
const pollInterval = 200 * time.Millisecond

func testDocker(t *testing.T, s *site) {
	dir := t.TempDir()
	id := strings.Repeat("0123456789abcdef", 4)
	require.NoError(t, os.Mkdir(filepath.Join(dir, id), 0o700))
	// As docker writes it, cut to what matters.
	require.NoError(t, os.WriteFile(filepath.Join(dir, id, "config.v2.json"), []byte(`{"StreamConfig":{},"State":{"Running":true},"ID":"`+id+`",
		"Name":"/shop-web-1","Config":{"Hostname":"web","Image":"shop/web:1.2","Labels":{"com.docker.compose.project":"shop",
		"com.docker.compose.service":"web","team":"checkout"}}}`), 0o600))
	f := &logFile{t: t, path: filepath.Join(dir, id, id+"-json.log"), encode: dockerPiece}
	// Another container, that has ended long ago.
	old := &logFile{t: t, path: filepath.Join(dir, id, "old-json.log"), encode: dockerPiece}
	old.write("older than a day", "stdout")
	yesterday := time.Now().Add(-25 * time.Hour)
	require.NoError(t, os.Chtimes(old.path, yesterday, yesterday))

	agent := s.agent(t, map[string]string{"HOST_NAME": hostName, "DOCKER_LOG_INCLUDE": dir + "/*/*-json.log*"}, "docker")
	f.throughRestarts(s, agent, func() { f.rename(f.path + ".1") }, []string{"stdout", "stderr"})
	rows := s.requireRows(t, f.want)
	for _, r := range rows {
		assert.Equal(t, fmt.Sprintf(`{env="test",host_name="edge-7",service_name="web",service_namespace="shop",site_name="docker",stream=%q}`,
			r["stream"]), r["_stream"])
	}
	requireFields(t, rowOf(t, rows, "end"), map[string]string{
		"container.id": id, "container.name": "shop-web-1", "container.image.name": "shop/web:1.2",
		"container.label.team": "checkout", "container.label.com.docker.compose.project": "shop",
		"log.file.path": f.path, "log.file.name": id + "-json.log", "job": "shop/web",
	})
}

func testMultiline(t *testing.T, s *site) {
	dir := t.TempDir()
	renamed := &logFile{t: t, path: filepath.Join(dir, "renamed.log"), encode: plainPiece}
	truncated := &logFile{t: t, path: filepath.Join(dir, "truncated.log"), encode: plainPiece}
	agent := s.agent(t, map[string]string{"HOST_NAME": hostName, "SERVICE_NAME": "app", "LOG_INCLUDE": dir + "/*.log*"}, "multiline")
	// The copy is made when the first part is read: what is written between the copy and the truncation, no reader can save.
	truncated.writeCorpus("truncated", []string{""})
	renamed.others = len(truncated.want)
	renamed.throughRestarts(s, agent, func() { renamed.rename(renamed.path + ".1") }, []string{""})
	truncated.copyTruncate(truncated.path + ".1")
	truncated.writeCorpus("again", []string{""})
	rows := s.requireRows(t, append(truncated.want, renamed.want...))
	for _, r := range rows {
		assert.Equal(t, `{env="test",host_name="edge-7",service_name="app",site_name="multiline"}`, r["_stream"])
	}
}
