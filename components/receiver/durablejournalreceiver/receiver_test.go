package durablejournalreceiver

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receivertest"
)

const waitFor = 10 * time.Second

// memory is a storage extension, and a host that has it.
type memory struct {
	component.StartFunc
	component.ShutdownFunc
	storage.Client
	mu   sync.Mutex
	data map[string][]byte
}

var memoryID = component.MustNewID("memory")

func newMemory() *memory {
	return &memory{Client: storage.NewNopClient(), data: make(map[string][]byte)}
}

func (m *memory) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{memoryID: m}
}

func (m *memory) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return m, nil
}

func (m *memory) Get(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.data[key], nil
}

func (m *memory) Set(_ context.Context, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.data[key] = value
	return nil
}

type next struct {
	mu      sync.Mutex
	refuses bool
	asked   int
	bodies  []string
}

func (n *next) consume(_ context.Context, logs plog.Logs) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	if n.refuses {
		return errors.New("refused")
	}
	for _, resource := range logs.ResourceLogs().All() {
		for _, record := range resource.ScopeLogs().At(0).LogRecords().All() {
			n.bodies = append(n.bodies, record.Body().Str())
		}
	}
	return nil
}

func (n *next) taken() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string{}, n.bodies...)
}

// fakeJournalctl writes a program that has the entries 1 to last: it prints those behind the cursor that it is given, and
// then ends, or stays, as journalctl --follow does.
func fakeJournalctl(t *testing.T, last int, stays bool) string {
	path := filepath.Join(t.TempDir(), "journalctl")
	end := "exit 3"
	if stays {
		end = "exec sleep 1000"
	}
	script := fmt.Sprintf(`#!/bin/sh
from=1
for arg; do case $arg in --after-cursor=*) from=$((${arg#--after-cursor=} + 1)) ;; esac; done
i=$from
while [ $i -le %d ]; do printf '__CURSOR=%%d\n__REALTIME_TIMESTAMP=1767323045678901\nMESSAGE=entry %%d\n\n' $i $i; i=$((i + 1)); done
%s
`, last, end)
	require.NoError(t, os.WriteFile(path, []byte(script), 0o700))
	return path
}

func entriesUpTo(last int) []string {
	want := []string{}
	for i := 1; i <= last; i++ {
		want = append(want, fmt.Sprintf("entry %d", i))
	}
	return want
}

func start(t *testing.T, n *next, host component.Host, path string) *journalReceiver {
	config := createDefaultConfig().(*Config)
	config.JournalctlPath = path
	config.MaxBatchRecords = 10
	config.Linger = 5 * time.Millisecond
	config.StorageID = &memoryID
	config.RetryOnFailure.InitialInterval = time.Millisecond
	config.ShutdownTimeout = 50 * time.Millisecond
	require.NoError(t, config.Validate())
	consume, err := consumer.NewLogs(n.consume)
	require.NoError(t, err)
	r, err := newReceiver(config, receivertest.NewNopSettings(component.MustNewType("durable_journal")), consume)
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), host))
	return r
}

// TestRestarts holds that each entry comes once over restarts of the receiver and of journalctl.
func TestRestarts(t *testing.T) {
	host, n := newMemory(), &next{}
	wait := func(last int) {
		require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Equal(c, entriesUpTo(last), n.taken()) }, waitFor, 5*time.Millisecond)
	}
	for _, last := range []int{25, 60} {
		r := start(t, n, host, fakeJournalctl(t, last, true))
		wait(last)
		require.NoError(t, r.Shutdown(t.Context()))
	}
	r := start(t, n, host, fakeJournalctl(t, 75, false))
	wait(75)
	require.Eventually(t, func() bool { return r.reading.Err() == nil }, waitFor, time.Millisecond)
	require.NoError(t, r.Shutdown(t.Context()))
	assert.Equal(t, entriesUpTo(75), n.taken())
}

// TestPlaceIsStoredWhenTaken holds that entries that nobody took are read again.
func TestPlaceIsStoredWhenTaken(t *testing.T) {
	host, n := newMemory(), &next{refuses: true}
	path := fakeJournalctl(t, 25, true)
	r := start(t, n, host, path)
	require.Eventually(t, func() bool { n.mu.Lock(); defer n.mu.Unlock(); return n.asked > 2 }, waitFor, time.Millisecond)
	require.NoError(t, r.Shutdown(t.Context()))
	assert.Empty(t, host.data)
	n.refuses = false
	r = start(t, n, host, path)
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Equal(c, entriesUpTo(25), n.taken()) }, waitFor, 5*time.Millisecond)
	require.NoError(t, r.Shutdown(t.Context()))
	assert.Equal(t, "25", string(host.data[cursorKey]))
}

// TestEntry holds what becomes of the fields of an entry.
func TestEntry(t *testing.T) {
	value := "two\nlines, not UTF-8: \xff"
	export := "__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=1767323045678901\n__MONOTONIC_TIMESTAMP=5\n_HOSTNAME=edge-7\n" +
		"_SYSTEMD_UNIT=ssh.service\nSYSLOG_IDENTIFIER=sshd\nPRIORITY=4\nEMPTY=\nTWICE=a\nTWICE=b=c\nTWICE=d\nMESSAGE\n" +
		string(binary.LittleEndian.AppendUint64(nil, uint64(len(value)))) + value + "\n\n\n" +
		"__CURSOR=s=1;i=3\n_SYSTEMD_UNIT=user@1000.service\nSYSLOG_IDENTIFIER=app\nMESSAGE=b\n\n"
	from := bufio.NewReader(strings.NewReader(export))
	b := newBatch()
	for range 2 {
		e, err := readEntry(from)
		require.NoError(t, err)
		b.add(e, 1)
	}
	_, err := readEntry(from)
	require.ErrorIs(t, err, io.EOF)
	assert.Equal(t, "s=1;i=3", b.cursor)
	require.Equal(t, 2, b.logs.ResourceLogs().Len())
	first := b.logs.ResourceLogs().At(0)
	assert.Equal(t, map[string]any{"host.name": "edge-7", "service.name": "ssh"}, first.Resource().Attributes().AsRaw())
	assert.Equal(t, map[string]any{"service.name": "app"}, b.logs.ResourceLogs().At(1).Resource().Attributes().AsRaw())
	record := first.ScopeLogs().At(0).LogRecords().At(0)
	assert.Equal(t, value, record.Body().Str())
	assert.EqualValues(t, 1767323045678901000, record.Timestamp())
	assert.Equal(t, "warning", record.SeverityText())
	assert.Equal(t, plog.SeverityNumberWarn, record.SeverityNumber())
	assert.Equal(t, map[string]any{
		"_SYSTEMD_UNIT": "ssh.service", "SYSLOG_IDENTIFIER": "sshd", "PRIORITY": "4", "EMPTY": "", "TWICE": []any{"a", "b=c", "d"},
	}, record.Attributes().AsRaw())
}

func TestReadEntryCut(t *testing.T) {
	for _, cut := range []string{"MESSAGE=a", "MESSAGE=a\n", "MESSAGE\n\x05\x00", "MESSAGE\n\x01\x00\x00\x00\x00\x00\x00\x00a", "MESSAGE\n\x01\x00\x00\x00\x00\x00\x00\x00ab\n\n"} {
		_, err := readEntry(bufio.NewReader(strings.NewReader(cut)))
		require.Error(t, err, cut)
	}
	_, err := readEntry(bufio.NewReader(strings.NewReader("MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xff")))
	require.ErrorContains(t, err, "more than journald takes")
}

func TestArgs(t *testing.T) {
	c := &Config{Directory: "/j", Units: []string{"a.service"}, Identifiers: []string{"b"}, Merge: true, StartAt: startAtEnd}
	assert.Equal(t, []string{"--output=export", "--follow", "--no-pager", "--quiet", "--lines=0", "--directory=/j", "--merge", "--unit=a.service", "--identifier=b"}, c.args(""))
	assert.Equal(t, []string{"--output=export", "--follow", "--no-pager", "--quiet", "--no-tail", "--after-cursor=x"}, (&Config{StartAt: startAtEnd}).args("x"))
}

func TestConfig(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"`journalctl_path`":           func(c *Config) { c.JournalctlPath = "" },
		"`start_at`":                  func(c *Config) { c.StartAt = "middle" },
		"`max_batch_records`":         func(c *Config) { c.MaxBatchRecords = 0 },
		"`linger`":                    func(c *Config) { c.Linger = 0 },
		"`retry_on_failure::enabled`": func(c *Config) { c.RetryOnFailure.Enabled = false },
		"`shutdown_timeout`":          func(c *Config) { c.ShutdownTimeout = 0 },
	} {
		config := createDefaultConfig().(*Config)
		require.NoError(t, config.Validate())
		change(config)
		assert.ErrorContains(t, config.Validate(), want)
	}
}
