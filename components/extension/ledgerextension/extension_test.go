package ledgerextension

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/confmap/xconfmap"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/breakwater-otel/breakwater/components/extension/ledgerextension/internal/metadata"
	"github.com/breakwater-otel/breakwater/components/extension/ledgerextension/internal/metadatatest"
	"github.com/breakwater-otel/breakwater/components/internal/ledger"
)

const group, topic = "breakwater-consumer-logs", "otel-logs-v1"

type rig struct {
	cluster *kfake.Cluster
	config  *Config
}

func newRig(t *testing.T, topics ...string) *rig {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, append(topics, topic)...))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	config := createDefaultConfig().(*Config)
	config.Brokers = cluster.ListenAddrs()
	return &rig{cluster, config}
}

type started struct {
	*ledgerExtension
	telemetry *componenttest.Telemetry
	logs      *observer.ObservedLogs
}

func (r *rig) start(t *testing.T) *started {
	telemetry := componenttest.NewTelemetry()
	set := extensiontest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	core, logs := observer.New(zap.InfoLevel)
	set.Logger = zap.New(core)
	e, err := NewFactory().Create(t.Context(), set, r.config)
	require.NoError(t, err)
	e.(*ledgerExtension).markEvery = 200 * time.Millisecond
	require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
	s := &started{e.(*ledgerExtension), telemetry, logs}
	s.Watch(group, []string{topic})
	t.Cleanup(func() { require.NoError(t, telemetry.Shutdown(context.Background())) })
	return s
}

func (s *started) stop(t *testing.T) { require.NoError(t, s.Shutdown(t.Context())) }

var run = ledger.NewRunID(time.Now(), 0, 0)

// settlement is a message of each offset in [from, to), of ten records each, in the order of the numbers.
func settlement(a *ledger.Assignment, from, to int64) ledger.Settlement {
	s := ledger.Settlement{Assignment: a, Offset: to}
	for offset := from; offset < to; offset++ {
		now := time.Now().UnixMilli()
		stamp := ledger.Stamp{Agent: "web-1", Signal: ledger.Logs}
		stamp.Append(ledger.Stamped{Run: run, First: uint64(offset) * 10, Count: 10, From: now, Until: now})
		stamp.Announce(ledger.Announced{Run: run, Floor: uint64(offset)*10 + 10})
		s.Messages = append(s.Messages, ledger.Message{Offset: offset, Stamp: stamp.Encode()})
	}
	return s
}

func assignment(committed int64) *ledger.Assignment {
	return &ledger.Assignment{Place: ledger.Place{Group: group, Topic: topic}, Committed: committed, End: 1000, Fresh: committed < 0}
}

func stored(s *started) uint64 {
	accounts := s.Accounts()
	if len(accounts) != 1 {
		return 0
	}
	return accounts[0].Stored
}

func TestAccountIsThatOfAllConsumers(t *testing.T) {
	r := newRig(t, defaultTopic)
	one, two := r.start(t), r.start(t)
	one.Settled(t.Context(), []ledger.Settlement{settlement(assignment(-1), 0, 5)})
	assert.Equal(t, uint64(50), stored(one))
	require.Eventually(t, func() bool { return stored(two) == 50 }, 10*time.Second, 10*time.Millisecond)
	// The partition goes to the other one. The last commit of the first has failed, so something comes again.
	two.Settled(t.Context(), []ledger.Settlement{settlement(assignment(3), 3, 8)})
	assert.Equal(t, uint64(80), stored(two))
	assert.Zero(t, two.Accounts()[0].Duplicated)
	require.Eventually(t, func() bool { return stored(one) == 80 }, 10*time.Second, 10*time.Millisecond)
	one.stop(t)
	two.stop(t)
	// What is written is all there is to know.
	three := r.start(t)
	defer three.stop(t)
	three.Settled(t.Context(), []ledger.Settlement{settlement(assignment(8), 8, 9)})
	assert.Equal(t, uint64(90), stored(three))
	assert.Zero(t, three.Accounts()[0].Missing)
	got := three.Accounts()[0]
	assert.Equal(t, got.Stamped, got.Stored)
}

// Without its topic the ledger is behind, and delivery is not.
func TestTopicIsMadeLater(t *testing.T) {
	r := newRig(t)
	e := r.start(t)
	a := assignment(-1)
	begin := time.Now()
	e.Settled(t.Context(), []ledger.Settlement{settlement(a, 0, 5)})
	e.Settled(t.Context(), []ledger.Settlement{settlement(a, 5, 6)})
	assert.Less(t, time.Since(begin), 10*time.Second)
	assert.Equal(t, 1, e.logs.FilterMessageSnippet("make topics").Len())
	client, err := kgo.NewClient(kgo.SeedBrokers(r.cluster.ListenAddrs()...))
	require.NoError(t, err)
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, nil, defaultTopic)
	require.NoError(t, err)
	other := r.start(t)
	defer other.stop(t)
	require.Eventually(t, func() bool { return stored(other) == 60 }, 30*time.Second, 50*time.Millisecond)
	failures, err := e.telemetry.GetMetric("otelcol_ledger_write_failures")
	require.NoError(t, err)
	assert.NotZero(t, failures.Data.(metricdata.Sum[int64]).DataPoints[0].Value)
	e.stop(t)
}

func TestMetrics(t *testing.T) {
	r := newRig(t, defaultTopic)
	e := r.start(t)
	defer e.stop(t)
	a := assignment(-1)
	s := settlement(a, 0, 3)
	s.Messages = append(s.Messages[:1], s.Messages[2], ledger.Message{Offset: 2, Stamp: []byte("?")})
	s.Messages[1].Dead = 4
	e.Settled(t.Context(), []ledger.Settlement{s})
	with := attribute.NewSet(attribute.String("agent", "web-1"), attribute.String("group", group), attribute.String("signal", "logs"))
	point := func(n int64) []metricdata.DataPoint[int64] {
		return []metricdata.DataPoint[int64]{{Value: n, Attributes: with}}
	}
	ignore := []metricdatatest.Option{metricdatatest.IgnoreTimestamp()}
	metadatatest.AssertEqualLedgerStampedRecords(t, e.telemetry, point(30), ignore...)
	metadatatest.AssertEqualLedgerStoredRecords(t, e.telemetry, point(16), ignore...)
	metadatatest.AssertEqualLedgerDeadLetteredRecords(t, e.telemetry, point(4), ignore...)
	metadatatest.AssertEqualLedgerMissingRecords(t, e.telemetry, point(10), ignore...)
	metadatatest.AssertEqualLedgerDuplicatedRecords(t, e.telemetry, point(0), ignore...)
	metadatatest.AssertEqualLedgerGapRecords(t, e.telemetry, point(0), ignore...)
	metadatatest.AssertEqualLedgerUnreadable(t, e.telemetry, []metricdata.DataPoint[int64]{{Value: 1}}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	for _, name := range []string{"otelcol_ledger_delay", "otelcol_ledger_last_stamp_timestamp", "otelcol_ledger_oldest_missing_age"} {
		m, err := e.telemetry.GetMetric(name)
		require.NoError(t, err)
		require.Len(t, m.Data.(metricdata.Gauge[float64]).DataPoints, 1, name)
	}
}

func TestGapIsLogged(t *testing.T) {
	r := newRig(t, defaultTopic)
	r.config.GapAfter = 100 * time.Millisecond
	client, err := kgo.NewClient(kgo.SeedBrokers(r.cluster.ListenAddrs()...), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic))
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr())
	client.PollFetches(t.Context())
	require.NoError(t, client.CommitUncommittedOffsets(t.Context()))
	e := r.start(t)
	defer e.stop(t)
	a := assignment(-1)
	s := settlement(a, 0, 3)
	s.Messages = append(s.Messages[:1], s.Messages[2])
	e.Settled(t.Context(), []ledger.Settlement{s})
	require.Eventually(t, func() bool { return e.logs.FilterMessageSnippet("Gap:").Len() == 1 }, 30*time.Second, 50*time.Millisecond)
	fields := e.logs.FilterMessageSnippet("Gap:").All()[0].ContextMap()
	assert.Equal(t, "web-1", fields["agent"])
	assert.EqualValues(t, 10, fields["first"])
	assert.EqualValues(t, 20, fields["end"])
	assert.EqualValues(t, 10, e.Accounts()[0].Gap)
}

// What is lost for good stays in the account, until somebody deletes its topic.
func TestAccountBeginsAnewWithoutItsTopic(t *testing.T) {
	r := newRig(t, defaultTopic)
	e := r.start(t)
	s := settlement(assignment(-1), 0, 3)
	s.Messages = append(s.Messages[:1], s.Messages[2])
	e.Settled(t.Context(), []ledger.Settlement{s})
	assert.EqualValues(t, 10, e.Accounts()[0].Missing)
	e.stop(t)

	again := r.start(t)
	again.Settled(t.Context(), []ledger.Settlement{settlement(assignment(3), 3, 4)})
	assert.EqualValues(t, 10, again.Accounts()[0].Missing, "a restart does not end it")
	again.stop(t)

	client, err := kgo.NewClient(kgo.SeedBrokers(r.cluster.ListenAddrs()...))
	require.NoError(t, err)
	defer client.Close()
	admin := kadm.NewClient(client)
	_, err = admin.DeleteTopic(t.Context(), defaultTopic)
	require.NoError(t, err)
	_, err = admin.CreateTopic(t.Context(), 1, 1, nil, defaultTopic)
	require.NoError(t, err)
	anew := r.start(t)
	defer anew.stop(t)
	a := assignment(4) // ends at 1000
	anew.Settled(t.Context(), []ledger.Settlement{settlement(a, 4, 1002)})
	got := anew.Accounts()[0]
	assert.Zero(t, got.Missing)
	assert.EqualValues(t, 9980, got.Stored)
	// From then on it is held to account.
	s = settlement(a, 1002, 1005)
	s.Messages = append(s.Messages[:1], s.Messages[2])
	anew.Settled(t.Context(), []ledger.Settlement{s})
	assert.EqualValues(t, 10, anew.Accounts()[0].Missing)
}

func TestConfig(t *testing.T) {
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	sub, err := conf.Sub("ledger")
	require.NoError(t, err)
	config := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(config))
	require.NoError(t, xconfmap.Validate(config))
	assert.Equal(t, []string{"kafka-1:9092"}, config.Brokers)
	assert.Equal(t, 10*time.Minute, config.GapAfter)
	config.Topic, config.GapAfter, config.WriteTimeout = "", 0, 0
	err = xconfmap.Validate(config)
	for _, name := range []string{"`topic`", "`gap_after`", "`write_timeout`"} {
		require.ErrorContains(t, err, name)
	}
}
