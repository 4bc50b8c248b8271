package durablekafkaexporter

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
)

// disk is a storage whose writes fail while it is full, after what they read has been read: as the file storage does.
type disk struct {
	storage.Extension
	full   atomic.Bool
	broken atomic.Bool // fails before it has read anything
	failed atomic.Int64
	client storage.Client // of the queue
}

func (d *disk) GetClient(ctx context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	client, err := d.Extension.GetClient(ctx, kind, id, name)
	if name == "logs" {
		d.client = client
	}
	return diskClient{client, d}, err
}

type diskClient struct {
	storage.Client
	disk *disk
}

func (c diskClient) Get(ctx context.Context, key string) ([]byte, error) {
	op := storage.GetOperation(key)
	err := c.Batch(ctx, op)
	return op.Value, err
}

func (c diskClient) Set(ctx context.Context, key string, value []byte) error {
	return c.Batch(ctx, storage.SetOperation(key, value))
}

func (c diskClient) Batch(ctx context.Context, ops ...*storage.Operation) error {
	if c.disk.broken.Load() {
		c.disk.failed.Add(1)
		return syscall.EIO
	}
	if !c.disk.full.Load() {
		return c.Client.Batch(ctx, ops...)
	}
	c.disk.failed.Add(1)
	var gets []*storage.Operation
	for _, op := range ops {
		if op.Type == storage.Get {
			gets = append(gets, op)
		}
	}
	return errors.Join(syscall.ENOSPC, c.Client.Batch(ctx, gets...))
}

// site is an exporter with a queue on the disk, before a Kafka that refuses.
type site struct {
	*rig
	disk *disk
	host storages
}

func newSite(t *testing.T) *site {
	s := &site{rig: newRig(t)}
	s.queued(1, 0)
	s.refuse(1<<30, kerr.TopicAuthorizationFailed)
	host, ext := s.storage(t, t.TempDir())
	s.disk = &disk{Extension: ext.(storage.Extension)}
	host[storageID] = s.disk
	s.host = host
	t.Cleanup(func() { assert.NoError(t, ext.Shutdown(context.Background())) })
	return s
}

// keys returns the items that the queue has on the disk, of the first ones.
func (s *site) keys(t *testing.T) (keys []string) {
	for _, key := range number(0, 40) {
		key = key[len("record "):]
		value, err := s.disk.client.Get(t.Context(), key)
		require.NoError(t, err)
		if value != nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// On a full disk exporterhelper's queue deletes what it takes and cannot write that down.
func TestNothingIsLostWhenTheDiskIsFull(t *testing.T) {
	s := newSite(t)
	e, err := NewFactory().CreateLogs(t.Context(), s.settings, s.config)
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context(), s.host))
	want := number(0, 20)
	for _, body := range want {
		require.NoError(t, e.ConsumeLogs(t.Context(), logsOf(body)))
	}
	s.disk.full.Store(true)
	require.Error(t, e.ConsumeLogs(t.Context(), logsOf("refused")), "the caller is told what the queue does not take")
	s.accepting.Store(true)
	bodies := s.bodies(t, len(want))
	slices.Sort(bodies)
	slices.Sort(want)
	assert.Equal(t, want, bodies)
	require.Positive(t, s.disk.failed.Load())

	// What could not be deleted is, when there is room again.
	s.disk.full.Store(false)
	require.NoError(t, e.ConsumeLogs(t.Context(), logsOf("last")))
	assert.Contains(t, s.bodies(t, len(want)+1), "last")
	assert.Eventually(t, func() bool { return len(s.keys(t)) == 0 }, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, e.Shutdown(t.Context()))

	ends, err := kadm.NewClient(s.client(t)).ListEndOffsets(t.Context(), topic)
	require.NoError(t, err)
	messages := int64(0)
	ends.Each(func(o kadm.ListedOffset) { messages += o.Offset })
	assert.EqualValues(t, len(want)+1, messages, "what was refused is not sent without its records")
}

// With a full disk at the start exporterhelper's queue begins anew, or deletes what was on its way.
func TestNothingIsLostWhenTheDiskIsFullAtTheStart(t *testing.T) {
	for name, fail := range map[string]func(*disk) *atomic.Bool{
		"full":   func(d *disk) *atomic.Bool { return &d.full },
		"broken": func(d *disk) *atomic.Bool { return &d.broken },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			first, err := NewFactory().CreateLogs(t.Context(), s.settings, s.config)
			require.NoError(t, err)
			require.NoError(t, first.Start(t.Context(), s.host))
			want := number(0, 20)
			for _, body := range want {
				require.NoError(t, first.ConsumeLogs(t.Context(), logsOf(body)))
			}
			require.Len(t, s.keys(t), len(want))
			require.NoError(t, first.Shutdown(t.Context()))

			failing := fail(s.disk)
			failing.Store(true)
			second, err := NewFactory().CreateLogs(t.Context(), s.settings, s.config)
			require.NoError(t, err)
			before := s.disk.failed.Load()
			startedUp := make(chan error, 1)
			go func() { startedUp <- second.Start(context.Background(), s.host) }()
			require.Eventually(t, func() bool { return s.disk.failed.Load() >= before+2 }, 10*time.Second, time.Millisecond)
			failing.Store(false)
			require.NoError(t, <-startedUp)
			s.accepting.Store(true)
			s.requireAll(t, want)
			assert.Eventually(t, func() bool { return len(s.keys(t)) == 0 }, 10*time.Second, 10*time.Millisecond)
			require.NoError(t, second.Shutdown(t.Context()))
		})
	}
}

// A queue that cannot read what it has ends all the same, and has it after the next start.
func TestABrokenDiskDoesNotHoldUpTheEnd(t *testing.T) {
	s := newSite(t)
	first, err := NewFactory().CreateLogs(t.Context(), s.settings, s.config)
	require.NoError(t, err)
	require.NoError(t, first.Start(t.Context(), s.host))
	want := number(0, 20)
	for _, body := range want {
		require.NoError(t, first.ConsumeLogs(t.Context(), logsOf(body)))
	}
	s.disk.broken.Store(true)
	s.accepting.Store(true) // the one that is on its way is sent, and the next one cannot be read
	require.Eventually(t, func() bool { return s.disk.failed.Load() >= 2 }, 10*time.Second, time.Millisecond)
	require.NoError(t, first.Shutdown(t.Context()))
	s.disk.broken.Store(false)

	second, err := NewFactory().CreateLogs(t.Context(), s.settings, s.config)
	require.NoError(t, err)
	require.NoError(t, second.Start(t.Context(), s.host))
	s.requireAll(t, want) // and the first one again, if it was sent: that could not be written down
	require.NoError(t, second.Shutdown(t.Context()))
}

// The queue counts an item that it has refused for want of room (v0.152.0, putInternal), and takes it all the same.
func TestAnItemThatIsNotThereIsNotTaken(t *testing.T) {
	s := newSite(t)
	host := &queueHost{Host: s.host, logger: zap.NewNop()}
	client, err := host.GetExtensions()[storageID].(storage.Extension).GetClient(t.Context(), component.KindExporter, component.MustNewID("own"), "")
	require.NoError(t, err)
	host.started()
	require.ErrorIs(t, client.Batch(t.Context(), storage.SetOperation("index", []byte("1")), storage.GetOperation("0")), errNoItem)
	require.NoError(t, client.Batch(t.Context(), storage.SetOperation("0", []byte("item"))))
	require.NoError(t, client.Batch(t.Context(), storage.SetOperation("index", []byte("1")), storage.GetOperation("0")))
	nothing, err := client.Get(t.Context(), "no index yet")
	require.NoError(t, err)
	assert.Nil(t, nothing)
	require.NoError(t, client.Close(t.Context()))
}
