package durablekafkareceiver

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/breakwater-otel/breakwater/components/internal/deadletter"
	"github.com/breakwater-otel/breakwater/components/internal/durability"
	"github.com/breakwater-otel/breakwater/components/receiver/durablekafkareceiver/internal/ledger"
	"github.com/breakwater-otel/breakwater/components/receiver/durablekafkareceiver/internal/metadata"
)

// statusHost notes what the component reports.
type statusHost struct {
	testHost
	mu     sync.Mutex
	events []*componentstatus.Event
}

func (h *statusHost) Report(event *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, event)
}

func (h *statusHost) statuses() []componentstatus.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	var statuses []componentstatus.Status
	for _, e := range h.events {
		statuses = append(statuses, e.Status())
	}
	return statuses
}

func TestStatusTellsOfBrokersThatCannotBeReached(t *testing.T) {
	k := newKafka(t, 1, "logs")
	config := k.config("logs")
	k.Close()
	created, err := NewFactory().CreateLogs(t.Context(), receivertest.NewNopSettings(metadata.Type), config, &sink{})
	require.NoError(t, err)
	host := &statusHost{}
	require.NoError(t, created.Start(t.Context(), host))
	require.Eventually(t, func() bool { return len(host.statuses()) > 0 }, waitFor, tick)
	r := created.(*kafkaReceiver)
	r.healthy(time.Now())
	assert.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError}, host.statuses(), "it is told once")
	r.healthy(time.Now().Add(time.Hour))
	assert.Contains(t, host.statuses(), componentstatus.StatusOK)
	require.NoError(t, created.Shutdown(t.Context()))
}

// Shutdown ends although Kafka is away.
func TestShutdownWithoutBrokersEnds(t *testing.T) {
	k := newKafka(t, 1, "logs")
	next, watch := &sink{}, &fakeWatch{}
	r := start(t, k.config("logs"), next, watch)
	k.text(t, "logs", 0, 0, 10)
	next.waitTaken(t, "logs", 0, 0, 10)
	watch.settle()
	k.Close()
	begin := time.Now()
	r.stop(t)
	assert.Less(t, time.Since(begin), 18*time.Second)
}

func TestStartErrorsNameTheSetting(t *testing.T) {
	id := component.MustNewID("durability")
	tests := map[string]struct {
		change     func(*Config)
		extensions map[component.ID]component.Component
		watchErr   error
	}{
		"`durability::extension`: \"durability\" is not configured": {
			change: func(c *Config) { c.Durability = configoptional.Some(DurabilityConfig{Extension: id}) },
		},
		"`durability::extension`: \"durability\" is not a durability extension": {
			change:     func(c *Config) { c.Durability = configoptional.Some(DurabilityConfig{Extension: id}) },
			extensions: map[component.ID]component.Component{id: &testComponent{}},
		},
		"`durability::backends`: no such backend": {
			change: func(c *Config) {
				c.Durability = configoptional.Some(DurabilityConfig{Extension: id, Backends: []string{"x"}})
			},
			extensions: map[component.ID]component.Component{id: refusingWatcher{}},
		},
		"`logs::encoding` \"x\"":              {change: func(c *Config) { c.Logs.Encoding = "x" }},
		"`group_rebalance_strategy` \"mine\"": {change: func(c *Config) { c.GroupRebalanceStrategy = "mine" }},
		"`dead_letter`: ": {
			change: func(c *Config) {
				c.DeadLetter = configoptional.Some(deadletter.Config{Directory: "/dev/null/letters"})
			},
		},
		"`protocol_version` \"0.0.1\"": {change: func(c *Config) { c.ProtocolVersion = "0.0.1" }},
	}
	for message, test := range tests {
		t.Run(message, func(t *testing.T) {
			config := createDefaultConfig().(*Config)
			config.Brokers = []string{"127.0.0.1:1"}
			test.change(config)
			created, err := NewFactory().CreateLogs(t.Context(), receivertest.NewNopSettings(metadata.Type), config, &sink{})
			require.NoError(t, err)
			require.ErrorContains(t, created.Start(t.Context(), &testHost{extensions: test.extensions}), message)
			require.NoError(t, created.Shutdown(t.Context()))
		})
	}
}

type refusingWatcher struct{ testComponent }

func (refusingWatcher) Watch(...string) (durability.Watch, error) {
	return nil, errors.New("no such backend")
}

func (refusingWatcher) Start(context.Context, component.Host) error { return nil }
func (refusingWatcher) Shutdown(context.Context) error              { return nil }

func TestTracesAndMetricsAreRead(t *testing.T) {
	k := newKafka(t, 1, "spans", "points")
	traces := ptrace.NewTraces()
	traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("op")
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(traces)
	require.NoError(t, err)
	k.produce(t, &kgo.Record{Topic: "spans", Value: data}, &kgo.Record{Topic: "spans", Value: data})
	config := k.config("none")
	config.Traces.Topics = []string{"spans"}
	config.GroupID = "traces"
	next := new(consumertest.TracesSink)
	created, err := NewFactory().CreateTraces(t.Context(), receivertest.NewNopSettings(metadata.Type), config, next)
	require.NoError(t, err)
	require.NoError(t, created.Start(t.Context(), componenttest.NewNopHost()))
	require.Eventually(t, func() bool { return next.SpanCount() == 2 }, waitFor, tick)
	require.NoError(t, created.Shutdown(t.Context()))

	config = k.config("none")
	config.Metrics.Topics = []string{"points"}
	config.GroupID = "metrics"
	points := new(consumertest.MetricsSink)
	metricsReceiver, err := NewFactory().CreateMetrics(t.Context(), receivertest.NewNopSettings(metadata.Type), config, points)
	require.NoError(t, err)
	require.NoError(t, metricsReceiver.Start(t.Context(), componenttest.NewNopHost()))
	k.produce(t, &kgo.Record{Topic: "points", Value: gauge(t)})
	require.Eventually(t, func() bool { return points.DataPointCount() == 1 }, waitFor, tick)
	require.NoError(t, metricsReceiver.Shutdown(t.Context()))
}

// The log of a partition was truncated, as after an unclean election of its leader.
func TestATruncatedLogIsReadAgainFromWhereItDiverged(t *testing.T) {
	config := createDefaultConfig().(*Config)
	config.Merge.Enabled = false
	set := receivertest.NewNopSettings(metadata.Type)
	r, err := newReceiver(config, config.Logs, set, nil)
	require.NoError(t, err)
	r.host = componenttest.NewNopHost()
	taken := make(chan got, 100)
	r.watch = &fakeWatch{}
	r.signal, err = newLogsSignal(config, set, r.host, &sink{answer: func(_ context.Context, g got) error { taken <- g; return nil }})
	require.NoError(t, err)
	s := r.newSession(topicPartition{"logs", 0})
	m := ledger.Metadata{Reserved: 200, Settled: []ledger.Range{{From: 120, To: 130}}}
	s.place(commitOf{offset: 100, epoch: 3, metadata: m.Encode(100)}, location{end: 200, startAt: -1, until: -1}, time.Now())
	r.add([]*session{s})
	push := func(from, to int64) {
		var records []*kgo.Record
		for offset := from; offset < to; offset++ {
			records = append(records, &kgo.Record{Topic: "logs", Offset: offset, Value: otlpLogs(t, "x", 1), LeaderEpoch: 4})
		}
		s.push(records, 200, time.Now())
	}
	push(100, 110)
	for range 10 {
		assert.True(t, (<-taken).redelivered)
	}
	r.fetchFailed(s.topicPartition, s, &kgo.ErrDataLoss{Topic: "logs", ConsumedTo: 110, ResetTo: 105}, time.Now())
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.move(time.Now()) || !s.draining && s.fetched == 100
	}, waitFor, tick)
	intent := s.intend(time.Now(), false)
	require.NotNil(t, intent)
	assert.EqualValues(t, 100, intent.offset)
	intent.committed(time.Now())
	// Nothing of before holds: 120 to 130 are other messages now.
	push(100, 131)
	seen := make(map[int64]bool)
	for len(seen) < 31 {
		select {
		case g := <-taken:
			assert.True(t, g.redelivered == (g.from < 200), g.from)
			seen[g.from] = true
		case <-r.commits.wanted:
			if i := s.intend(time.Now(), false); i != nil {
				i.committed(time.Now())
			}
		case <-time.After(waitFor):
			require.FailNow(t, "not all were delivered again")
		}
	}
	r.end([]*session{s}, time.Second)
	s.forget()
	r.telemetry.Shutdown()
}

// A topic that is deleted and made again while it is read.
func TestATopicMadeAgainWhileItIsRead(t *testing.T) {
	k := newKafka(t, 1, "logs")
	next := &sink{}
	start(t, k.config("logs"), next, nil)
	k.text(t, "logs", 0, 0, 100)
	k.waitCommit(t, "logs", 0, 100)
	next.reset()
	require.NoError(t, k.DeleteTopic("logs"))
	require.NoError(t, k.CreateTopic("logs", 1, nil))
	fresh, err := kgo.NewClient(kgo.SeedBrokers(k.ListenAddrs()...))
	require.NoError(t, err)
	defer fresh.Close()
	var records []*kgo.Record
	for offset := range 10 {
		records = append(records, &kgo.Record{Topic: "logs", Value: []byte(messageAt("logs", 0, offset))})
	}
	require.NoError(t, fresh.ProduceSync(t.Context(), records...).FirstErr())
	next.waitTaken(t, "logs", 0, 0, 10)
	k.waitCommit(t, "logs", 0, 10)
}

func gauge(t *testing.T) []byte {
	metrics := pmetric.NewMetrics()
	metrics.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(1)
	data, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(metrics)
	require.NoError(t, err)
	return data
}
