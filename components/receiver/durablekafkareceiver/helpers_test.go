package durablekafkareceiver

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/breakwater-otel/breakwater/components/internal/deadletter"
	"github.com/breakwater-otel/breakwater/components/internal/durability"
	"github.com/breakwater-otel/breakwater/components/receiver/durablekafkareceiver/internal/ledger"
	"github.com/breakwater-otel/breakwater/components/receiver/durablekafkareceiver/internal/metadata"
)

const (
	testGroup = "group"
	waitFor   = 20 * time.Second
	tick      = 5 * time.Millisecond
)

// kafka is a cluster in this process, and a client of it.
type kafka struct {
	*kfake.Cluster
	client *kgo.Client
	admin  *kadm.Client
}

func newKafka(t *testing.T, partitions int32, topics ...string) *kafka {
	return newKafkaWith(t, kfake.NumBrokers(1), kfake.SeedTopics(partitions, topics...))
}

func newKafkaWith(t *testing.T, opts ...kfake.Opt) *kafka {
	opts = append(opts, kfake.BrokerConfigs(map[string]string{
		"group.initial.rebalance.delay.ms": "0",
	}), kfake.GroupMinSessionTimeout(100*time.Millisecond))
	cluster, err := kfake.NewCluster(opts...)
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	kafkaClient, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxProduceRequestsInflightPerBroker(1))
	require.NoError(t, err)
	t.Cleanup(kafkaClient.Close)
	return &kafka{Cluster: cluster, client: kafkaClient, admin: kadm.NewClient(kafkaClient)}
}

func (k *kafka) produce(t *testing.T, records ...*kgo.Record) {
	require.NoError(t, k.client.ProduceSync(t.Context(), records...).FirstErr())
}

// text produces messages that say where they are, beginning at an offset.
func (k *kafka) text(t *testing.T, topic string, partition int32, from, to int) {
	records := make([]*kgo.Record, 0, to-from)
	for offset := from; offset < to; offset++ {
		records = append(records, &kgo.Record{
			Topic: topic, Partition: partition, Value: []byte(messageAt(topic, partition, offset)),
			Timestamp: time.UnixMilli(1_700_000_000_000 + int64(offset)),
		})
	}
	k.produce(t, records...)
}

func messageAt(topic string, partition int32, offset int) string {
	return fmt.Sprintf("%s/%d/%d", topic, partition, offset)
}

func (k *kafka) commitOf(t *testing.T, topic string, partition int32) (int64, ledger.Metadata) {
	offsets, err := k.admin.FetchOffsets(t.Context(), testGroup)
	if err != nil {
		return -1, ledger.Metadata{} // there is no such group yet
	}
	o, ok := offsets.Lookup(topic, partition)
	if !ok || o.At < 0 {
		return -1, ledger.Metadata{}
	}
	m, _ := ledger.ParseMetadata(o.Metadata, o.At)
	return o.At, m
}

// waitCommit waits for the group to have committed the offset.
func (k *kafka) waitCommit(t *testing.T, topic string, partition int32, offset int64) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		at, _ := k.commitOf(t, topic, partition)
		require.Equal(c, offset, at)
	}, waitFor, 20*time.Millisecond)
}

func (k *kafka) config(topics ...string) *Config {
	config := createDefaultConfig().(*Config)
	config.Brokers = k.ListenAddrs()
	config.GroupID = testGroup
	config.Logs = TopicEncodingConfig{Topics: topics, Encoding: encodingText}
	config.ErrorBackOff.InitialInterval = 10 * time.Millisecond
	config.ErrorBackOff.MaxInterval = 50 * time.Millisecond
	config.Merge.Linger = 20 * time.Millisecond
	config.MaxFetchWait = 50 * time.Millisecond
	config.HeartbeatInterval = 100 * time.Millisecond
	config.SessionTimeout = 5 * time.Second
	config.ShutdownTimeout = 3 * time.Second
	config.Metadata.RefreshInterval = 200 * time.Millisecond
	return config
}

// running is a receiver that has been started.
type running struct {
	*kafkaReceiver
	logs *observer.ObservedLogs
	host *testHost
	once sync.Once
	tel  *componenttest.Telemetry
}

type testHost struct {
	extensions map[component.ID]component.Component
}

func (h *testHost) GetExtensions() map[component.ID]component.Component { return h.extensions }

var watchID = component.MustNewID("durability")

func start(t *testing.T, config *Config, next consumer.Logs, watch *fakeWatch) *running {
	t.Helper()
	return startWith(t, config, next, watch, nil)
}

func startWith(t *testing.T, config *Config, next consumer.Logs, watch *fakeWatch, extensions map[component.ID]component.Component) *running {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	tel := componenttest.NewTelemetry()
	set := receivertest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = tel.NewTelemetrySettings()
	set.Logger = zap.New(core)
	host := &testHost{extensions: map[component.ID]component.Component{}}
	maps.Copy(host.extensions, extensions)
	if watch != nil {
		host.extensions[watchID] = watch
		config.Durability = configoptional.Some(DurabilityConfig{Extension: watchID})
	}
	require.NoError(t, config.Validate())
	created, err := NewFactory().CreateLogs(t.Context(), set, config, next)
	require.NoError(t, err)
	r := &running{kafkaReceiver: created.(*kafkaReceiver), logs: logs, host: host, tel: tel}
	r.commits.interval = 50 * time.Millisecond // tests wait for commits
	require.NoError(t, r.Start(t.Context(), host))
	t.Cleanup(func() {
		r.stop(t)
		_ = tel.Shutdown(context.Background())
		if t.Failed() {
			for _, entry := range logs.All() {
				t.Log(entry.Time.Format(time.StampMilli), entry.Level, entry.Message, entry.ContextMap())
			}
		}
	})
	return r
}

func (r *running) stop(t *testing.T) {
	r.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		require.NoError(t, r.Shutdown(ctx))
	})
}

// kill ends the receiver as SIGKILL would, as far as the group and the deliveries are
// concerned: nothing more is committed.
func (r *running) kill(t *testing.T) {
	r.once.Do(func() {
		r.stopPoll()
		r.stopCommits()
		r.stopSettling()
		r.polling.Wait()
		r.committing.Wait()
		sessions := r.removeAll()
		r.end(sessions, 0)
		for _, s := range sessions {
			s.forget()
		}
		require.NoError(t, r.close(context.Background()))
	})
}

// fakeWatch settles on command.
type fakeWatch struct {
	component.StartFunc
	component.ShutdownFunc
	mu         sync.Mutex
	generation uint64
	// settled is until when what was acknowledged is on disk, by generation.
	settled map[uint64]time.Time
	always  bool
	unseen  bool // the backend has not been seen yet
	// starting says that what the backend takes now will be lost, stamps how often that was asked.
	starting bool
	stamps   int
	events   []chan struct{}
}

func (w *fakeWatch) Watch(...string) (durability.Watch, error) { return w, nil }

func (w *fakeWatch) Stamp() durability.Stamp {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stamps++
	return durability.Stamp{Generation: w.generation, Seen: !w.unseen, Starting: w.starting}
}

func (w *fakeWatch) Judge(stamp durability.Stamp, acked time.Time) durability.Verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !acked.After(w.settled[stamp.Generation]):
		return durability.Settled
	case stamp.Generation != w.generation:
		return durability.Lost
	case w.always:
		return durability.Settled
	default:
		return durability.Pending
	}
}

func (w *fakeWatch) Subscribe() (<-chan struct{}, func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	events := make(chan struct{}, 1)
	w.events = append(w.events, events)
	return events, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.events = slices.DeleteFunc(w.events, func(e chan struct{}) bool { return e == events })
	}
}

func (w *fakeWatch) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		signalTo(e)
	}
}

// settle settles what has been acknowledged until now.
func (w *fakeWatch) settle() {
	w.mu.Lock()
	w.flushed()
	w.mu.Unlock()
	w.tell()
}

func (w *fakeWatch) flushed() {
	if w.settled == nil {
		w.settled = make(map[uint64]time.Time)
	}
	w.settled[w.generation] = time.Now()
}

// settleTo settles until the group has committed the offset.
func (w *fakeWatch) settleTo(t *testing.T, k *kafka, topic string, partition int32, offset int64) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		w.settle()
		at, _ := k.commitOf(t, topic, partition)
		assert.Equal(c, offset, at)
	}, waitFor, 20*time.Millisecond)
}

// start has the backend start, which ends with restart.
func (w *fakeWatch) start() {
	w.mu.Lock()
	w.starting, w.stamps = true, 0
	w.mu.Unlock()
}

// waitAsked waits until more than n stamps have been asked for since the start.
func (w *fakeWatch) waitAsked(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.stamps > n
	}, waitFor, tick, "a delivery waits")
}

// restart loses what has been acknowledged and is not settled.
func (w *fakeWatch) restart() {
	w.mu.Lock()
	w.generation++
	w.starting = false
	w.mu.Unlock()
	w.tell()
}

// got is one request that the sink was given.
type got struct {
	messages    []string
	bytes       string
	from, to    int64
	partition   string
	topic       string
	redelivered bool
	replay      string
	err         error
}

// sink is the pipeline.
type sink struct {
	mu       sync.Mutex
	requests []got
	// answer is called, if set, before a request is taken.
	answer func(context.Context, got) error
}

// stuckUntil returns an answer of a sink: requests of this kind wait for the release, or for the end of the attempt.
func stuckUntil(release <-chan struct{}, kind func(got) bool) func(context.Context, got) error {
	return func(ctx context.Context, g got) error {
		if kind(g) {
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
		return nil
	}
}

func (k *sink) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (k *sink) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	g := read(ctx, logs)
	var err error
	if k.answer != nil {
		err = k.answer(ctx, g)
	}
	g.err = err
	k.mu.Lock()
	defer k.mu.Unlock()
	k.requests = append(k.requests, g)
	return err
}

func read(ctx context.Context, logs plog.Logs) got {
	var g got
	for _, r := range logs.ResourceLogs().All() {
		for _, s := range r.ScopeLogs().All() {
			for _, record := range s.LogRecords().All() {
				g.messages = append(g.messages, record.Body().AsString())
			}
		}
	}
	data, _ := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
	g.bytes = string(data)
	info := client.FromContext(ctx).Metadata
	one := func(key string) string {
		if values := info.Get(key); len(values) > 0 {
			return values[0]
		}
		return ""
	}
	g.topic, g.partition = one(deadletter.MetadataTopic), one(deadletter.MetadataPartition)
	g.from, _ = strconv.ParseInt(one(deadletter.MetadataOffset), 10, 64)
	last, _ := strconv.ParseInt(one(deadletter.MetadataLastOffset), 10, 64)
	g.to = last + 1
	g.redelivered = one(redeliveredKey) != ""
	g.replay = strings.Join(info.Get(replayKey), " ")
	return g
}

// taken returns the requests that were taken.
func (k *sink) taken() []got {
	k.mu.Lock()
	defer k.mu.Unlock()
	var taken []got
	for _, g := range k.requests {
		if g.err == nil {
			taken = append(taken, g)
		}
	}
	return taken
}

// counts returns how often each message was taken.
func (k *sink) counts() map[string]int {
	counts := make(map[string]int)
	for _, g := range k.taken() {
		for _, m := range g.messages {
			counts[m]++
		}
	}
	return counts
}

// waitTaken waits for all of these messages.
func (k *sink) waitTaken(t *testing.T, topic string, partition int32, from, to int) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		counts := k.counts()
		missing := 0
		for offset := from; offset < to; offset++ {
			if counts[messageAt(topic, partition, offset)] == 0 {
				missing++
			}
		}
		require.Zero(c, missing, "of %d", to-from)
	}, waitFor, tick)
}

func (k *sink) reset() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.requests = nil
}

// headerSink notes where a record came from.
type headerSink struct {
	mu    sync.Mutex
	lines []string
}

func (k *headerSink) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (k *headerSink) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	info := client.FromContext(ctx).Metadata
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range logs.ResourceLogs().All() {
		header := ""
		if v, ok := r.Resource().Attributes().Get("kafka.header.tenant"); ok {
			header = v.Str()
		}
		for _, record := range r.ScopeLogs().At(0).LogRecords().All() {
			k.lines = append(k.lines, fmt.Sprintf("%s tenant=%v kafka.header.tenant=%s kafka.topic=%v redelivered=%v",
				record.Body().Str(), info.Get("tenant"), header, info.Get("kafka.topic"), info.Get(redeliveredKey)))
		}
	}
	return nil
}

func (k *headerSink) seen() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.lines)
}
