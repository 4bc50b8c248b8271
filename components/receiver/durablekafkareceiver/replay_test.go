package durablekafkareceiver

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// value returns what an observable metric is now, summed over the partitions.
func (r *running) value(t *testing.T, name string) (float64, bool) {
	m, err := r.tel.GetMetric(name)
	if err != nil {
		return 0, false
	}
	sum := 0.0
	switch data := m.Data.(type) {
	case metricdata.Gauge[int64]:
		for _, p := range data.DataPoints {
			sum += float64(p.Value)
		}
	case metricdata.Gauge[float64]:
		for _, p := range data.DataPoints {
			sum += p.Value
		}
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			sum += float64(p.Value)
		}
	default:
		require.Failf(t, "type", "%T", data)
	}
	return sum, true
}

func TestReplayReadsBetweenTwoTimes(t *testing.T) {
	k := newKafka(t, 2, "logs")
	// The timestamp of an offset is 1,700,000,000,000 ms and the offset.
	k.text(t, "logs", 0, 0, 100)
	k.text(t, "logs", 1, 0, 20)
	config := k.config("logs")
	config.StartAt.Time = time.UnixMilli(1_700_000_000_010).UTC().Format(time.RFC3339Nano)
	config.Until.Time = time.UnixMilli(1_700_000_000_050).UTC().Format(time.RFC3339Nano)
	next := &sink{}
	r := start(t, config, next, nil)
	next.waitTaken(t, "logs", 0, 10, 50)
	next.waitTaken(t, "logs", 1, 10, 20)
	k.waitCommit(t, "logs", 0, 50)
	k.waitCommit(t, "logs", 1, 20)
	require.Eventually(t, func() bool {
		done, ok := r.value(t, "otelcol_receiver_durable_kafka_replay_done")
		return ok && done == 1
	}, waitFor, tick)
	assert.Len(t, next.counts(), 50)
	for _, g := range next.taken() {
		assert.True(t, g.redelivered, "another group may have delivered it")
	}
	// What comes later is not of the replay.
	k.text(t, "logs", 1, 20, 25)
	require.Never(t, func() bool { return next.counts()[messageAt("logs", 1, 20)] > 0 }, 200*time.Millisecond, tick)
}

func TestReplayUntilNowEndsBehindATransaction(t *testing.T) {
	k := newKafka(t, 1, "logs")
	k.text(t, "logs", 0, 0, 10)
	transaction, err := kgo.NewClient(kgo.SeedBrokers(k.ListenAddrs()...), kgo.TransactionalID("tx"))
	require.NoError(t, err)
	defer transaction.Close()
	require.NoError(t, transaction.BeginTransaction())
	require.NoError(t, transaction.ProduceSync(t.Context(), &kgo.Record{Topic: "logs", Value: []byte(messageAt("logs", 0, 10))}).FirstErr())
	require.NoError(t, transaction.EndTransaction(t.Context(), kgo.TryCommit))
	config := k.config("logs")
	config.Until.Time = untilNow
	next := &sink{}
	r := start(t, config, next, nil)
	next.waitTaken(t, "logs", 0, 0, 11)
	require.Eventually(t, func() bool {
		done, _ := r.value(t, "otelcol_receiver_durable_kafka_replay_done")
		return done == 1
	}, waitFor, tick)
	assert.Len(t, next.counts(), 11)
	k.waitCommit(t, "logs", 0, 12) // the marker of the transaction included
}

func TestReplayReadsBetweenOffsets(t *testing.T) {
	k := newKafka(t, 3, "logs")
	for partition := range int32(3) {
		k.text(t, "logs", partition, 0, 100)
	}
	config := k.config("logs")
	config.StartAt.Offsets = map[string]int64{"0": 10, "1": 0}
	config.Until.Offsets = map[string]int64{"0": 50, "1": 100}
	config.Replay.ID = "again"
	next := &sink{}
	r := start(t, config, next, nil)
	next.waitTaken(t, "logs", 0, 10, 50)
	next.waitTaken(t, "logs", 1, 0, 100)
	k.waitCommit(t, "logs", 0, 50)
	k.waitCommit(t, "logs", 1, 100)
	require.Eventually(t, func() bool {
		done, ok := r.value(t, "otelcol_receiver_durable_kafka_replay_done")
		return ok && done == 1
	}, waitFor, tick)
	assert.Len(t, next.counts(), 140, "nothing of the third partition")
	for _, g := range next.taken() {
		assert.True(t, g.redelivered, "another group may have delivered it")
		assert.Equal(t, fmt.Sprintf("again logs/%s/%d", g.partition, g.from), g.replay)
	}
}

// What retention has taken of the range is told, and the rest is read.
func TestReplayOfOffsetsThatAreGone(t *testing.T) {
	k := newKafka(t, 1, "logs")
	k.text(t, "logs", 0, 0, 100)
	gone := kadm.Offsets{}
	gone.Add(kadm.Offset{Topic: "logs", Partition: 0, At: 30})
	_, err := k.admin.DeleteRecords(t.Context(), gone)
	require.NoError(t, err)
	config := k.config("logs")
	config.StartAt.Offsets = map[string]int64{"0": 10}
	config.Until.Offsets = map[string]int64{"0": 50}
	next := &sink{}
	r := start(t, config, next, nil)
	next.waitTaken(t, "logs", 0, 30, 50)
	k.waitCommit(t, "logs", 0, 50)
	lost, _ := r.value(t, "otelcol_receiver_durable_kafka_lost_messages")
	assert.EqualValues(t, 20, lost)
	assert.Len(t, next.counts(), 20)
}

// A replay that was interrupted goes on where it was, with the same ranges.
func TestReplayGoesOnAfterAnInterruption(t *testing.T) {
	k := newKafka(t, 1, "logs")
	k.text(t, "logs", 0, 0, 100)
	config := k.config("logs")
	config.StartAt.Offsets = map[string]int64{"0": 10}
	config.Until.Offsets = map[string]int64{"0": 90}
	config.Merge.MaxMessages = 7
	next, watch := &sink{}, &fakeWatch{}
	first := start(t, config, next, watch)
	next.waitTaken(t, "logs", 0, 10, 90)
	first.kill(t) // nothing has settled
	forms := map[int64]string{}
	for _, g := range next.taken() {
		forms[g.from] = g.bytes
	}
	next.reset()
	watch.always = true
	start(t, config, next, watch)
	next.waitTaken(t, "logs", 0, 10, 90)
	watch.settleTo(t, k, "logs", 0, 90)
	for _, g := range next.taken() {
		assert.Equal(t, forms[g.from], g.bytes, "offset %d", g.from)
	}
}

func TestInitialOffsetLatestSkipsWhatIsThere(t *testing.T) {
	k := newKafka(t, 1, "logs")
	k.text(t, "logs", 0, 0, 10)
	config := k.config("logs")
	config.InitialOffset = "latest"
	next := &sink{}
	r := start(t, config, next, nil)
	require.Eventually(t, func() bool { return len(r.partitions()) == 1 }, waitFor, tick)
	k.text(t, "logs", 0, 10, 20)
	next.waitTaken(t, "logs", 0, 10, 20)
	assert.Len(t, next.counts(), 10)
	assert.Equal(t, 1, r.logs.FilterMessageSnippet("`initial_offset` is latest").Len())
}

// A partition that is added later begins at its beginning.
func TestNewPartitionsAreReadFromTheirBeginning(t *testing.T) {
	k := newKafka(t, 1, "logs")
	next := &sink{}
	r := start(t, k.config("logs"), next, nil)
	require.Eventually(t, func() bool { return len(r.partitions()) == 1 }, waitFor, tick)
	_, err := k.admin.CreatePartitions(t.Context(), 1, "logs")
	require.NoError(t, err)
	producer, err := kgo.NewClient(kgo.SeedBrokers(k.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	defer producer.Close()
	var records []*kgo.Record
	for offset := range 10 {
		records = append(records, &kgo.Record{Topic: "logs", Partition: 1, Value: []byte(messageAt("logs", 1, offset))})
	}
	require.NoError(t, producer.ProduceSync(t.Context(), records...).FirstErr())
	next.waitTaken(t, "logs", 1, 0, 10)
	k.waitCommit(t, "logs", 1, 10)
}

func TestPatternsOfTopics(t *testing.T) {
	k := newKafka(t, 1, "logs-a", "logs-b", "logs-internal")
	for _, topic := range []string{"logs-a", "logs-b", "logs-internal"} {
		k.text(t, topic, 0, 0, 5)
	}
	config := k.config("^logs-.*")
	config.Logs.ExcludeTopics = []string{"^logs-internal$"}
	next := &sink{}
	start(t, config, next, nil)
	next.waitTaken(t, "logs-a", 0, 0, 5)
	next.waitTaken(t, "logs-b", 0, 0, 5)
	assert.Len(t, next.counts(), 10)
}

func TestHeadersAreInTheMetadataAndTheResource(t *testing.T) {
	k := newKafka(t, 1, "logs")
	k.produce(t,
		&kgo.Record{Topic: "logs", Value: []byte("a"), Headers: []kgo.RecordHeader{{Key: "tenant", Value: []byte("one")}, {Key: redeliveredKey, Value: []byte("1")}}},
		&kgo.Record{Topic: "logs", Value: []byte("b")},
	)
	config := k.config("logs")
	config.HeaderExtraction = HeaderExtractionConfig{ExtractHeaders: true, Headers: []string{"tenant"}}
	next := &headerSink{}
	start(t, config, next, nil)
	require.Eventually(t, func() bool { return len(next.seen()) == 2 }, waitFor, tick)
	seen := next.seen()
	slices.Sort(seen)
	assert.Equal(t, []string{"a tenant=[one] kafka.header.tenant=one kafka.topic=[logs] redelivered=[]", "b tenant=[] kafka.header.tenant= kafka.topic=[logs] redelivered=[]"}, seen)
}

func TestTelemetry(t *testing.T) {
	k := newKafka(t, 1, "logs")
	next, watch := &sink{}, &fakeWatch{}
	config := k.config("logs")
	config.Merge.MaxMessages = 10
	config.MaxUnsettledMessages = 60
	r := start(t, config, next, watch)
	k.text(t, "logs", 0, 0, 100)
	next.waitTaken(t, "logs", 0, 0, 60)
	metric := func(name string) func() float64 {
		return func() float64 {
			v, _ := r.value(t, "otelcol_receiver_durable_kafka_"+name)
			return v
		}
	}
	equal := func(name string, want float64) {
		t.Helper()
		require.EventuallyWithT(t, func(c *assert.CollectT) { assert.EqualValues(c, want, metric(name)(), name) }, waitFor, tick)
	}
	equal("unsettled_messages", 60)
	equal("lag", 40)
	equal("in_flight_deliveries", 0)
	equal("delivered_messages", 60)
	equal("paused", 1)
	equal("committed_offset", 0)
	assert.Positive(t, metric("lag_seconds")())
	assert.Positive(t, metric("in_flight_bytes")())
	require.Eventually(t, func() bool { watch.settle(); return metric("settled_messages")() == 100 }, waitFor, tick)
	equal("unsettled_messages", 0)
	equal("lag", 0)
	equal("lag_seconds", 0)
	equal("paused", 0)
	equal("in_flight_bytes", 0)
	equal("committed_offset", 100)
	k.text(t, "logs", 0, 100, 105)
	next.waitTaken(t, "logs", 0, 100, 105)
	watch.restart()
	equal("rewinds", 1)
	equal("redelivered_messages", 5)
}

// rewinds returns how often partitions were read again, by cause.
func (r *running) rewinds(t *testing.T) map[string]int64 {
	t.Helper()
	m, err := r.tel.GetMetric("otelcol_receiver_durable_kafka_rewinds")
	if err != nil {
		return nil
	}
	found := map[string]int64{}
	for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
		cause, _ := p.Attributes.Value("cause")
		found[cause.AsString()] += p.Value
	}
	return found
}

// TestABackendThatHasNotBeenSeenIsNoRestart has messages sent before anything is known of the backend: they are sent
// again, and nobody is told of a restart.
func TestABackendThatHasNotBeenSeenIsNoRestart(t *testing.T) {
	k := newKafka(t, 1, "logs")
	next, watch := &sink{}, &fakeWatch{unseen: true}
	r := start(t, k.config("logs"), next, watch)
	requireRewinds := func(want map[string]int64) {
		t.Helper()
		require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Equal(c, want, r.rewinds(t)) }, waitFor, tick)
	}
	k.text(t, "logs", 0, 0, 5)
	next.waitTaken(t, "logs", 0, 0, 5)
	watch.mu.Lock()
	watch.unseen = false
	watch.mu.Unlock()
	watch.restart() // the first epoch
	requireRewinds(map[string]int64{"backend_unseen": 1})
	watch.settleTo(t, k, "logs", 0, 5)

	k.text(t, "logs", 0, 5, 10)
	next.waitTaken(t, "logs", 0, 5, 10)
	watch.restart()
	requireRewinds(map[string]int64{"backend_unseen": 1, "backend_restarted": 1})
	watch.settleTo(t, k, "logs", 0, 10)
}

// TestWhatNobodyHasTakenIsLag has a backend that takes the first of two messages: the second is late, although it has left
// for the backend and Kafka has no more.
func TestWhatNobodyHasTakenIsLag(t *testing.T) {
	k := newKafka(t, 1, "logs")
	release := make(chan struct{})
	next := &sink{answer: stuckUntil(release, func(g got) bool { return g.from > 0 })}
	config := k.config("logs")
	config.Merge.Enabled = false
	r := start(t, config, next, &fakeWatch{})
	written := time.Now().Add(-time.Hour)
	for i := range 2 {
		k.produce(t, &kgo.Record{Topic: "logs", Value: []byte(messageAt("logs", 0, i)), Timestamp: written.Add(time.Duration(i) * time.Minute)})
	}
	require.Eventually(t, func() bool { return r.delivering.Load() > 0 && next.counts()[messageAt("logs", 0, 0)] == 1 }, waitFor, tick)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		lag, _ := r.value(t, "otelcol_receiver_durable_kafka_lag")
		seconds, _ := r.value(t, "otelcol_receiver_durable_kafka_lag_seconds")
		assert.EqualValues(c, 1, lag)
		assert.InDelta(c, 59*60, seconds, 30)
	}, waitFor, tick)
	close(release)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		lag, _ := r.value(t, "otelcol_receiver_durable_kafka_lag")
		seconds, _ := r.value(t, "otelcol_receiver_durable_kafka_lag_seconds")
		assert.Zero(c, lag)
		assert.Zero(c, seconds)
	}, waitFor, tick)
}
