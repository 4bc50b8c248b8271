package victorialogs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// memoryStorage is a storage extension whose content can be copied at any time, as a disk is left by a kill.
type memoryStorage struct {
	component.StartFunc
	component.ShutdownFunc

	mu     sync.Mutex
	values map[string][]byte
}

func (m *memoryStorage) copy() *memoryStorage {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memoryStorage{values: maps.Clone(m.values)}
}

func (m *memoryStorage) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return m, nil
}

func (m *memoryStorage) Get(ctx context.Context, key string) ([]byte, error) {
	op := storage.GetOperation(key)
	err := m.Batch(ctx, op)
	return op.Value, err
}

func (m *memoryStorage) Set(ctx context.Context, key string, value []byte) error {
	return m.Batch(ctx, storage.SetOperation(key, value))
}

func (m *memoryStorage) Delete(ctx context.Context, key string) error {
	return m.Batch(ctx, storage.DeleteOperation(key))
}

func (m *memoryStorage) Batch(_ context.Context, ops ...*storage.Operation) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, op := range ops {
		switch op.Type {
		case storage.Get:
			op.Value = m.values[op.Key]
		case storage.Set:
			m.values[op.Key] = bytes.Clone(op.Value)
		case storage.Delete:
			delete(m.values, op.Key)
		}
	}
	return nil
}

func (*memoryStorage) Close(context.Context) error { return nil }

// TestQueueOnDiskAfterAKill kills, as far as anybody can see, an exporter whose request is under way, and starts another
// one with the same queue: what VictoriaLogs has taken is not sent again, and what it has not taken is sent.
func TestQueueOnDiskAfterAKill(t *testing.T) {
	for name, taken := range map[string]bool{"taken": true, "not taken": false} {
		t.Run(name, func(t *testing.T) {
			logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
			released := make(chan struct{})
			release := sync.OnceFunc(func() { close(released) })
			defer release()
			var inserts atomic.Int64
			gate := startGate(t, logs, func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasPrefix(r.URL.Path, "/insert/") {
					return true
				}
				body, err := io.ReadAll(r.Body)
				if err != nil {
					return false
				}
				if taken {
					request, err := http.NewRequestWithContext(r.Context(), r.Method, logs.URL()+r.RequestURI, bytes.NewReader(body))
					if err == nil {
						request.Header = r.Header.Clone()
						if response, err := http.DefaultClient.Do(request); err == nil {
							_ = response.Body.Close()
						}
					}
				}
				inserts.Add(1)
				<-released
				w.WriteHeader(http.StatusBadGateway)
				return false
			})

			const settings = `{sending_queue: {storage: disk}, idempotency: {visibility_delay: 3s}, timeout: 30s}`
			disk := &memoryStorage{values: make(map[string][]byte)}
			id := component.MustNewID("disk")
			killed := startExporterOn(t, hostWith(map[component.ID]component.Component{id: disk}), gate.URL, settings)
			load := numbered(500, nil)
			require.NoError(t, killed.ConsumeLogs(t.Context(), load))
			eventually(t, func() error {
				if inserts.Load() == 0 {
					return fmt.Errorf("nothing under way")
				}
				return nil
			})

			next := startExporterOn(t, hostWith(map[component.ID]component.Component{id: disk.copy()}), logs.URL(), settings)
			result := "absent"
			if taken {
				result = "found"
			}
			eventually(t, func() error {
				if next.metric(t, "verifications", "result", result) == 0 {
					return fmt.Errorf("not verified: found %d, absent %d, partial %d, unsettled %d, failed %d", next.metric(t, "verifications", "result", "found"),
						next.metric(t, "verifications", "result", "absent"), next.metric(t, "verifications", "result", "partial"),
						next.metric(t, "verifications", "result", "unsettled"), next.metric(t, "verifications", "result", "failed"))
				}
				if !taken && next.metric(t, "sent_records") == 0 {
					return fmt.Errorf("not sent")
				}
				return nil
			})
			requireMessages(t, logs, load)
			// The first one was not killed in truth, and asks when its request fails.
			release()
			eventually(t, func() error {
				if killed.metric(t, "verifications", "result", "found") == 0 {
					return fmt.Errorf("not verified")
				}
				return nil
			})
			requireMessages(t, logs, load)
			assert.Zero(t, next.metric(t, "rejected_records"))
		})
	}
}
