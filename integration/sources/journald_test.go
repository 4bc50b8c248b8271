package sources

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// journal writes journal files with systemd-journal-remote.
type journal struct {
	t      *testing.T
	remote string
	dir    string
	begin  time.Time
	n      int // entries so far
	want   []row
}

// write adds a journal file with one entry for each message.
func (j *journal) write(name string, messages ...string) {
	var export bytes.Buffer
	for _, message := range messages {
		j.n++
		at := j.at(j.n)
		fmt.Fprintf(&export, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=0123456789abcdef0123456789abcdef\n"+
			"_MACHINE_ID=fedcba9876543210fedcba9876543210\n_HOSTNAME=edge-9\n_TRANSPORT=stdout\n_SYSTEMD_UNIT=checkout.service\n"+
			"SYSLOG_IDENTIFIER=java\n_PID=%d\nPRIORITY=%d\nMESSAGE\n", at.UnixMicro(), j.n*1000, 1000+j.n, j.n%8)
		export.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(message))))
		export.WriteString(message + "\n\n")
		j.want = append(j.want, row{message: message})
	}
	command := exec.CommandContext(j.t.Context(), j.remote, "--output="+filepath.Join(j.dir, name+".journal"), "-")
	command.Stdin = &export
	output, err := command.CombinedOutput()
	require.NoError(j.t, err, string(output))
}

func (j *journal) at(n int) time.Time { return j.begin.Add(time.Duration(n) * time.Millisecond) }

func testJournald(t *testing.T, s *site) {
	tools := harness.RequireJournal(t)
	dir := filepath.Join(t.TempDir(), "journal")
	require.NoError(t, os.Mkdir(dir, 0o755))
	j := &journal{t: t, remote: tools.Remote, dir: dir, begin: time.Now().Add(-time.Hour).Truncate(time.Microsecond)}
	numbered := func(part string, n int) (messages []string) {
		for i := range n {
			messages = append(messages, fmt.Sprintf("%s %d", part, i))
		}
		return messages
	}
	j.write("before", append(numbered("before", 3000),
		"two\nlines", "not UTF-8: \xff\xfe", "over 4 KiB "+strings.Repeat("x", 10_000), "  blanks \t ")...)
	agent := s.agent(t, map[string]string{"JOURNALD_DIRECTORY": dir}, "journald")
	j.write("running", numbered("running", 500)...)
	s.rows(t, len(j.want))
	require.NoError(t, agent.Stop(t.Context()))
	j.write("stopped", numbered("stopped", 500)...)
	require.NoError(t, agent.Start(t.Context()))
	s.rows(t, len(j.want))
	// What has been taken long ago comes not again after a kill either.
	s.awaitSent(t, agent)
	require.NoError(t, agent.Kill())
	j.write("killed", numbered("killed", 500)...)
	require.NoError(t, agent.Start(t.Context()))
	j.write("end", "end")

	rows := s.requireRows(t, j.want)
	for _, r := range rows {
		assert.Equal(t, `{env="test",host_name="edge-9",service_name="checkout",site_name="journald"}`, r["_stream"])
	}
	r := rowOf(t, rows, "before 6")
	requireFields(t, r, map[string]string{
		"_PID": "1007", "PRIORITY": "7", "severity_text": "debug", "_SYSTEMD_UNIT": "checkout.service", "SYSLOG_IDENTIFIER": "java",
		"_TRANSPORT": "stdout",
	})
	at, err := time.Parse(time.RFC3339Nano, r["_time"])
	require.NoError(t, err)
	assert.True(t, at.Equal(j.at(7)), "%s is not %s", at, j.at(7))
}
