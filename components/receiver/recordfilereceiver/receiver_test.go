package recordfilereceiver

import (
	"context"
	"errors"
	"fmt"
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
	mu   sync.Mutex
	data map[string][]byte
}

var memoryID = component.MustNewID("memory")

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
	if m.data == nil {
		m.data = make(map[string][]byte)
	}
	m.data[key] = append([]byte(nil), value...)
	return nil
}

func (m *memory) Delete(context.Context, string) error { return nil }

func (m *memory) Batch(ctx context.Context, ops ...*storage.Operation) error {
	for _, op := range ops {
		switch op.Type {
		case storage.Get:
			op.Value, _ = m.Get(ctx, op.Key)
		case storage.Set:
			_ = m.Set(ctx, op.Key, op.Value)
		default:
		}
	}
	return nil
}

func (m *memory) Close(context.Context) error { return nil }

// next is a pipeline that can be made to refuse.
type next struct {
	mu      sync.Mutex
	refuses bool
	asked   int
	records []plog.LogRecord
	of      []map[string]any // resources
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
			n.records = append(n.records, record)
			n.of = append(n.of, resource.Resource().Attributes().AsRaw())
		}
	}
	return nil
}

func (n *next) refuse(refuses bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refuses, n.asked = refuses, 0
}

func (n *next) bodies() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	bodies := []string{}
	for _, record := range n.records {
		bodies = append(bodies, record.Body().Str())
	}
	return bodies
}

func (n *next) wait(t *testing.T, want []string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Equal(c, want, n.bodies()) }, waitFor, 5*time.Millisecond)
}

func newTestReceiver(t *testing.T, n *next, change func(*Config)) *fileReceiver {
	config := createDefaultConfig().(*Config)
	config.PollInterval = 10 * time.Millisecond
	config.ForceFlushPeriod = 50 * time.Millisecond
	config.RetryOnFailure.InitialInterval = time.Millisecond
	config.ShutdownTimeout = 50 * time.Millisecond
	config.StorageID = &memoryID
	change(config)
	require.NoError(t, config.Validate())
	consume, err := consumer.NewLogs(n.consume)
	require.NoError(t, err)
	r, err := newReceiver(config, receivertest.NewNopSettings(component.MustNewType("record_file")), consume)
	require.NoError(t, err)
	return r
}

func appendTo(t *testing.T, path, text string) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = file.WriteString(text)
	require.NoError(t, errors.Join(err, file.Close()))
}

// TestRestartInATrace holds that a restart in the middle of a trace neither cuts it nor loses its beginning: what is held
// back is not read yet.
func TestRestartInATrace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	host := &memory{}
	n := &next{}
	config := func(c *Config) { c.Include, c.ForceFlushPeriod = []string{path}, time.Minute }
	appendTo(t, path, "before\nError: x\n    at a (/a.js:1:1)\n")
	r := newTestReceiver(t, n, config)
	require.NoError(t, r.Start(t.Context(), host))
	n.wait(t, []string{"before"})
	require.NoError(t, r.Shutdown(t.Context()))
	n.wait(t, []string{"before"})

	appendTo(t, path, "    at b (/b.js:2:2)\nafter\n")
	r = newTestReceiver(t, n, func(c *Config) { c.Include = []string{path} })
	require.NoError(t, r.Start(t.Context(), host))
	n.wait(t, []string{"before", "Error: x\n    at a (/a.js:1:1)\n    at b (/b.js:2:2)", "after"})
	require.NoError(t, r.Shutdown(t.Context()))
}

// TestShutdownUnderBackpressure holds that records which nobody took before the shutdown are read again after it.
func TestShutdownUnderBackpressure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	host := &memory{}
	n := &next{}
	config := func(c *Config) { c.Include = []string{path} }
	var want []string
	write := func(from, to int) {
		for i := from; i < to; i++ {
			want = append(want, fmt.Sprintf("line %d", i))
			appendTo(t, path, want[i]+"\n")
		}
	}
	write(0, 10)
	r := newTestReceiver(t, n, config)
	require.NoError(t, r.Start(t.Context(), host))
	n.wait(t, want)
	n.refuse(true)
	write(10, 500)
	require.Eventually(t, func() bool { n.mu.Lock(); defer n.mu.Unlock(); return n.asked > 2 }, waitFor, time.Millisecond)
	require.NoError(t, r.Shutdown(t.Context()))
	n.refuse(false)

	r = newTestReceiver(t, n, config)
	require.NoError(t, r.Start(t.Context(), host))
	n.wait(t, want)
	require.NoError(t, r.Shutdown(t.Context()))
}

// TestShutdownWaits holds that a shutdown waits for a pipeline that takes the records in time, and then nothing comes twice.
func TestShutdownWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	host := &memory{}
	n := &next{}
	appendTo(t, path, "a\nb\n")
	config := func(c *Config) { c.Include, c.ShutdownTimeout = []string{path}, time.Minute }
	n.refuse(true)
	r := newTestReceiver(t, n, config)
	require.NoError(t, r.Start(t.Context(), host))
	require.Eventually(t, func() bool { n.mu.Lock(); defer n.mu.Unlock(); return n.asked > 2 }, waitFor, time.Millisecond)
	time.AfterFunc(20*time.Millisecond, func() { n.refuse(false) })
	require.NoError(t, r.Shutdown(t.Context()))
	got := n.bodies()
	require.NotEmpty(t, got)

	r = newTestReceiver(t, n, config)
	require.NoError(t, r.Start(t.Context(), host))
	n.wait(t, []string{"a", "b"})
	require.NoError(t, r.Shutdown(t.Context()))
}

// TestDockerSource holds what is known of the container of a file, also after it is renamed and gone.
func TestDockerSource(t *testing.T) {
	id := strings.Repeat("ab", 32)
	dir := filepath.Join(t.TempDir(), id)
	require.NoError(t, os.Mkdir(dir, 0o700))
	path := filepath.Join(dir, id+"-json.log")
	appendTo(t, filepath.Join(dir, "config.v2.json"), `{"ID":"`+id+`","Name":"/shop-web-1","Config":{"Image":"shop/web:1.2",
		"Labels":{"com.docker.compose.project":"shop","com.docker.compose.service":"web","team":"checkout","secret":"x"}}}`)
	s, err := newSources(&Config{Format: formatDocker, ContainerLabels: []string{"com.docker.compose.*", "team"}})
	require.NoError(t, err)
	want := map[string]any{
		"container.id": id, "container.name": "shop-web-1", "container.image.name": "shop/web:1.2",
		"container.label.com.docker.compose.project": "shop", "container.label.com.docker.compose.service": "web",
		"container.label.team": "checkout", "service.name": "web", "service.namespace": "shop",
	}
	assert.Equal(t, want, s.of(path).resource.AsRaw())
	require.NoError(t, os.Remove(filepath.Join(dir, "config.v2.json")))
	s.known[path].checked = time.Time{}
	assert.Equal(t, want, s.of(path).resource.AsRaw())

	s, err = newSources(&Config{Format: formatDocker})
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"container.id": id}, s.of(path).resource.AsRaw())
}

func TestPodSource(t *testing.T) {
	s, err := newSources(&Config{Format: formatCRI})
	require.NoError(t, err)
	want := map[string]any{
		"k8s.namespace.name": "shop", "k8s.pod.name": "web-5d4f-x2x", "k8s.pod.uid": "0a1b-2c", "k8s.container.name": "web",
		"k8s.container.restart_count": int64(3),
	}
	for _, name := range []string{"3.log", "3.log.20260102-030405"} {
		assert.Equal(t, want, s.of("/var/log/pods/shop_web-5d4f-x2x_0a1b-2c/web/"+name).resource.AsRaw())
	}
	assert.Empty(t, s.of("/var/log/elsewhere.log").resource.AsRaw())
}

func TestConfig(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"`include` must not be empty":          func(c *Config) { c.Include = nil },
		"`format` must be":                     func(c *Config) { c.Format = "json" },
		"`multiline`: unknown language `ruby`": func(c *Config) { c.Multiline = []string{"ruby"} },
		"`container_labels`: pattern `[`":      func(c *Config) { c.ContainerLabels = []string{"["} },
		"`exclude_older_than`":                 func(c *Config) { c.ExcludeOlderThan = -1 },
		"`start_at`":                           func(c *Config) { c.StartAt = "middle" },
		"`poll_interval`":                      func(c *Config) { c.PollInterval = 0 },
		"`force_flush_period`":                 func(c *Config) { c.ForceFlushPeriod = 0 },
		"`max_record_bytes`":                   func(c *Config) { c.MaxRecordBytes = 1 },
		"`max_concurrent_files`":               func(c *Config) { c.MaxConcurrentFiles = 1 },
		"`retry_on_failure::enabled`":          func(c *Config) { c.RetryOnFailure.Enabled = false },
		"`shutdown_timeout`":                   func(c *Config) { c.ShutdownTimeout = 0 },
	} {
		config := createDefaultConfig().(*Config)
		config.Include = []string{"/a"}
		require.NoError(t, config.Validate())
		change(config)
		assert.ErrorContains(t, config.Validate(), want)
	}
}
