package durablekafkaexporter

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/kafka/configkafka"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/confmap/xconfmap"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/breakwater-otel/breakwater/components/exporter/durablekafkaexporter/internal/metadata"
	"github.com/breakwater-otel/breakwater/components/exporter/durablekafkaexporter/internal/metadatatest"
)

const topic = "logs"

type rig struct {
	cluster   *kfake.Cluster
	telemetry *componenttest.Telemetry
	settings  exporter.Settings
	logs      *observer.ObservedLogs
	config    *Config
	accepting atomic.Bool // ends refuse
}

// newRig is a cluster with one topic, and a configuration that tries without a queue and without end.
func newRig(t *testing.T) *rig {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	r := &rig{cluster: cluster, telemetry: componenttest.NewTelemetry()}
	t.Cleanup(func() { require.NoError(t, r.telemetry.Shutdown(context.Background())) })
	r.settings = exportertest.NewNopSettings(metadata.Type)
	r.settings.TelemetrySettings = r.telemetry.NewTelemetrySettings()
	core, logs := observer.New(zap.InfoLevel)
	r.settings.Logger, r.logs = zap.New(core), logs
	r.config = createDefaultConfig().(*Config)
	kafka := &r.config.Kafka
	kafka.Brokers = cluster.ListenAddrs()
	kafka.Logs.Topic, kafka.Metrics.Topic, kafka.Traces.Topic = topic, topic, topic
	kafka.QueueBatchConfig = configoptional.None[exporterhelper.QueueBatchConfig]()
	kafka.InitialInterval, kafka.MaxInterval = 10*time.Millisecond, 50*time.Millisecond
	return r
}

func (r *rig) start(t *testing.T) exporter.Logs {
	e, err := NewFactory().CreateLogs(t.Context(), r.settings, r.config)
	require.NoError(t, err)
	return started(t, e)
}

func started[E component.Component](t *testing.T, e E) E {
	require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, e.Shutdown(context.Background())) })
	return e
}

func (r *rig) client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(r.cluster.ListenAddrs()...))...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// bodies reads the bodies of n log records.
func (r *rig) bodies(t *testing.T, n int) []string {
	return r.read(t, func(bodies []string) bool { return len(bodies) >= n })
}

// requireAll reads until all of the bodies are there, some of which may be there twice.
func (r *rig) requireAll(t *testing.T, want []string) {
	t.Helper()
	got := r.read(t, func(bodies []string) bool {
		return !slices.ContainsFunc(want, func(body string) bool { return !slices.Contains(bodies, body) })
	})
	slices.Sort(got)
	slices.Sort(want)
	assert.Equal(t, want, slices.Compact(got))
}

// read reads the bodies of log records until they are enough.
func (r *rig) read(t *testing.T, enough func([]string) bool) []string {
	client := r.client(t, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var bodies []string
	for !enough(bodies) {
		fetches := client.PollFetches(ctx)
		require.NoError(t, ctx.Err(), "%d: %v", len(bodies), bodies)
		fetches.EachRecord(func(record *kgo.Record) {
			logs, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(record.Value)
			require.NoError(t, err)
			bodies = append(bodies, logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Body().Str())
		})
	}
	return bodies
}

func logsOf(body string) plog.Logs {
	logs := plog.NewLogs()
	logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr(body)
	return logs
}

// refuse lets the cluster answer the first produce requests with an error.
func (r *rig) refuse(times int32, code *kerr.Error) {
	var n atomic.Int32
	r.cluster.ControlKey(kmsg.Produce.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		if n.Add(1) > times || r.accepting.Load() {
			return nil, nil, false
		}
		asked := request.(*kmsg.ProduceRequest)
		answer := asked.ResponseKind().(*kmsg.ProduceResponse)
		for _, rt := range asked.Topics {
			topic := kmsg.NewProduceResponseTopic()
			topic.Topic, topic.TopicID = rt.Topic, rt.TopicID
			for _, rp := range rt.Partitions {
				partition := kmsg.NewProduceResponseTopicPartition()
				partition.Partition, partition.ErrorCode = rp.Partition, code.Code
				topic.Partitions = append(topic.Partitions, partition)
			}
			answer.Topics = append(answer.Topics, topic)
		}
		return answer, nil, true
	})
}

// TestRefusalsArePermanentUpstream is the loss that this component is there for.
func TestRefusalsArePermanentUpstream(t *testing.T) {
	r := newRig(t)
	r.refuse(1, kerr.TopicAuthorizationFailed)
	r.settings.ID = component.NewID(upstream.Type())
	e, err := upstream.CreateLogs(t.Context(), r.settings, &r.config.Kafka)
	require.NoError(t, err)
	err = started(t, e).ConsumeLogs(t.Context(), logsOf("gone"))
	require.ErrorContains(t, err, "TOPIC_AUTHORIZATION_FAILED")
	assert.True(t, consumererror.IsPermanent(err))
}

func TestRefusalsAreTriedAgain(t *testing.T) {
	for _, code := range []*kerr.Error{
		kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.InvalidTopicException, kerr.PolicyViolation,
		kerr.MessageTooLarge, kerr.InvalidRecord,
	} {
		t.Run(code.Message, func(t *testing.T) {
			r := newRig(t)
			r.refuse(2, code)
			require.NoError(t, r.start(t).ConsumeLogs(t.Context(), logsOf("kept")))
			assert.Equal(t, []string{"kept"}, r.bodies(t, 1))
			metadatatest.AssertEqualExporterDurableKafkaRefusals(t, r.telemetry, []metricdata.DataPoint[int64]{
				{Value: 2, Attributes: attribute.NewSet(attribute.String("answer", code.Message))},
			}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
			// One exporter is seen from outside: its attempts and its records count once.
			sent, err := r.telemetry.GetMetric("otelcol_exporter_sent_log_records")
			require.NoError(t, err)
			points := sent.Data.(metricdata.Sum[int64]).DataPoints
			require.Len(t, points, 1)
			assert.EqualValues(t, 1, points[0].Value)
			assert.Zero(t, r.logs.FilterMessageSnippet("Rejecting data").Len())
			assert.Zero(t, r.logs.FilterMessageSnippet("Dropping data").Len())
			assert.NotZero(t, r.logs.FilterMessageSnippet("Will retry").Len(), "an operator has to see it")
		})
	}
}

// TestTopicThatIsMadeAgain holds that the producer finds a topic of the same name and another identity.
func TestTopicThatIsMadeAgain(t *testing.T) {
	r := newRig(t)
	e := r.start(t)
	require.NoError(t, e.ConsumeLogs(t.Context(), logsOf("before")))
	admin := kadm.NewClient(r.client(t))
	_, err := admin.DeleteTopic(t.Context(), topic)
	require.NoError(t, err)
	_, err = admin.CreateTopic(t.Context(), 1, 1, nil, topic)
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var want []string
	for i := range 3 {
		want = append(want, fmt.Sprint(i))
		require.NoError(t, e.ConsumeLogs(ctx, logsOf(want[i])))
	}
	assert.Equal(t, want, r.bodies(t, 3))
	metadatatest.AssertEqualExporterDurableKafkaRenewals(t, r.telemetry, []metricdata.DataPoint[int64]{{Value: 1}}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
}

func TestEverySignal(t *testing.T) {
	r := newRig(t)
	factory := NewFactory()
	metrics := pmetric.NewMetrics()
	metrics.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty()
	traces := ptrace.NewTraces()
	traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	m, err := factory.CreateMetrics(t.Context(), r.settings, r.config)
	require.NoError(t, err)
	require.NoError(t, started(t, m).ConsumeMetrics(t.Context(), metrics))
	s, err := factory.CreateTraces(t.Context(), r.settings, r.config)
	require.NoError(t, err)
	require.NoError(t, started(t, s).ConsumeTraces(t.Context(), traces))
	ends, err := kadm.NewClient(r.client(t)).ListEndOffsets(t.Context(), topic)
	require.NoError(t, err)
	end, _ := ends.Lookup(topic, 0)
	assert.EqualValues(t, 2, end.Offset)
}

// TestWhatCannotBeEncodedIsPermanent keeps what can never be sent from standing in the way of the rest.
func TestWhatCannotBeEncodedIsPermanent(t *testing.T) {
	r := newRig(t)
	d, err := newDurable(r.settings, r.config, logsSignal(), upstream.CreateLogs, exporter.Logs.ConsumeLogs)
	require.NoError(t, err)
	permanent := consumererror.NewPermanent(assert.AnError)
	d.consume = func(exporter.Logs, context.Context, plog.Logs) error { return permanent }
	require.NoError(t, d.start(t.Context(), componenttest.NewNopHost()))
	defer func() { require.NoError(t, d.shutdown(context.Background())) }()
	assert.True(t, consumererror.IsPermanent(d.push(t.Context(), plog.NewLogs())))
}

func TestShutdownWithoutStart(t *testing.T) {
	r := newRig(t)
	e, err := NewFactory().CreateLogs(t.Context(), r.settings, r.config)
	require.NoError(t, err)
	require.NoError(t, e.Shutdown(t.Context()))
}

func TestConfigIsUpstreams(t *testing.T) {
	t.Parallel()
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	ours, theirs := createDefaultConfig(), upstream.CreateDefaultConfig()
	cfg := ours.(*Config).Kafka
	assert.Equal(t, configkafka.WaitForAll, cfg.Producer.RequiredAcks)
	assert.False(t, cfg.Producer.AllowAutoTopicCreation)
	assert.Zero(t, cfg.MaxElapsedTime)
	sub, err := conf.Sub("durable_kafka")
	require.NoError(t, err)
	require.NoError(t, sub.Unmarshal(ours))
	sub.Delete("ledger")
	require.NoError(t, sub.Unmarshal(theirs))
	require.NoError(t, xconfmap.Validate(ours))
	assert.Equal(t, theirs, &ours.(*Config).Kafka, "what the file sets is all that differs")
	assert.Equal(t, LedgerConfig{Enabled: true, Agent: "web-1"}, ours.(*Config).Ledger)
	ours.(*Config).Ledger.Agent = strings.Repeat("a", 256)
	require.ErrorContains(t, xconfmap.Validate(ours), "ledger: `agent` has 256 bytes")
}
