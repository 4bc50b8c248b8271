package durablekafkaexporter

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/breakwater-otel/breakwater/components/exporter/durablekafkaexporter/internal/metadata"
	"github.com/breakwater-otel/breakwater/components/internal/ledger"
)

// message is one of Kafka: the bodies of its records, and its stamp.
type message struct {
	bodies []string
	stamp  ledger.Stamp
}

// messages reads messages until they have n records.
func (r *rig) messages(t *testing.T, n int) []message {
	client := r.client(t, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out []message
	for count := 0; count < n; {
		fetches := client.PollFetches(ctx)
		require.NoError(t, ctx.Err(), "%d of %d", count, n)
		fetches.EachRecord(func(record *kgo.Record) {
			logs, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(record.Value)
			require.NoError(t, err)
			m := message{bodies: bodiesOf(logs)}
			count += len(m.bodies)
			for _, h := range record.Headers {
				if h.Key == ledger.HeaderKey {
					m.stamp, err = ledger.Decode(h.Value)
					require.NoError(t, err)
				}
			}
			assert.NotContains(t, string(record.Value), "ledger", "nothing of it is in the data")
			out = append(out, m)
		})
	}
	return out
}

func bodiesOf(logs plog.Logs) (bodies []string) {
	for _, r := range logs.ResourceLogs().All() {
		for _, s := range r.ScopeLogs().All() {
			for _, l := range s.LogRecords().All() {
				bodies = append(bodies, l.Body().Str())
			}
		}
	}
	return bodies
}

func logsOfEach(resources ...[]string) plog.Logs {
	logs := plog.NewLogs()
	for i, bodies := range resources {
		r := logs.ResourceLogs().AppendEmpty()
		r.Resource().Attributes().PutInt("resource", int64(i))
		for _, body := range bodies {
			r.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr(body)
		}
	}
	return logs
}

type storages map[component.ID]component.Component

func (s storages) GetExtensions() map[component.ID]component.Component { return s }

var storageID = component.MustNewID("file_storage")

func (r *rig) storage(t *testing.T, dir string) (storages, extension.Extension) {
	factory := filestorage.NewFactory()
	config := factory.CreateDefaultConfig().(*filestorage.Config)
	config.Directory = dir
	e, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), config)
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
	return storages{storageID: e}, e
}

// queued has a disk queue that makes batches.
func (r *rig) queued(minSize, maxSize int64) {
	queue := exporterhelper.NewDefaultQueueConfig()
	queue.StorageID = &storageID
	queue.Sizer = exporterhelper.RequestSizerTypeItems
	queue.NumConsumers = 1
	batch := queue.Batch.GetOrInsertDefault()
	batch.Sizer, batch.FlushTimeout, batch.MinSize, batch.MaxSize = exporterhelper.RequestSizerTypeItems, 50*time.Millisecond, minSize, maxSize
	r.config.Kafka.QueueBatchConfig = configoptional.Some(queue)
}

func number(first, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint("record ", first+i)
	}
	return out
}

// Records keep the numbers in which they came, through the queue, and whatever the batches are that are made of it.
func TestStampsSurviveQueueAndBatches(t *testing.T) {
	for name, sizes := range map[string][2]int64{"merged": {1000, 2000}, "cut": {5, 7}, "as they come": {1, 0}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.queued(sizes[0], sizes[1])
			r.config.Ledger.Agent = "web-1"
			host, ext := r.storage(t, t.TempDir())
			e, err := NewFactory().CreateLogs(t.Context(), r.settings, r.config)
			require.NoError(t, err)
			require.NoError(t, e.Start(t.Context(), host))
			total := 0
			for n := 1; n < 40; n++ {
				all := number(total, n)
				require.NoError(t, e.ConsumeLogs(t.Context(), logsOfEach(all[:n/2], all[n/2:])))
				total += n
			}
			messages := r.messages(t, total)
			require.NoError(t, e.Shutdown(t.Context()))
			require.NoError(t, ext.Shutdown(t.Context()))
			// Batches that are cut are sent side by side: messages may come in another order.
			seen := make(map[uint64]bool)
			for _, m := range messages {
				require.Equal(t, "web-1", m.stamp.Agent)
				require.Equal(t, uint64(len(m.bodies)), m.stamp.Count())
				i := 0
				for _, s := range m.stamp.Records {
					for n := s.First; n < s.First+s.Count; n++ {
						require.Equal(t, fmt.Sprint("record ", n), m.bodies[i])
						require.False(t, seen[n], "%d comes twice", n)
						seen[n] = true
						i++
					}
				}
				if sizes[1] > 0 {
					require.LessOrEqual(t, len(m.bodies), int(sizes[1]))
				}
			}
			assert.Len(t, seen, total)
			last := messages[len(messages)-1].stamp
			assert.LessOrEqual(t, last.Runs[len(last.Runs)-1].Floor, uint64(total))
		})
	}
}

// What the run before has stamped is announced by the next one, and what of it is in the queue goes out under its numbers.
func TestRunsAreAnnouncedOverRestarts(t *testing.T) {
	r := newRig(t)
	r.queued(1, 0)
	dir := t.TempDir()
	r.refuse(1<<30, kerr.TopicAuthorizationFailed)
	run := func(consume func(exporter.Logs)) {
		host, ext := r.storage(t, dir)
		e, err := NewFactory().CreateLogs(t.Context(), r.settings, r.config)
		require.NoError(t, err)
		require.NoError(t, e.Start(t.Context(), host))
		consume(e)
		require.NoError(t, e.Shutdown(t.Context()))
		require.NoError(t, ext.Shutdown(t.Context()))
	}
	run(func(e exporter.Logs) {
		require.NoError(t, e.ConsumeLogs(t.Context(), logsOfEach(number(0, 3))))
		require.NoError(t, e.ConsumeLogs(t.Context(), logsOfEach(number(3, 2))))
	})
	r.accepting.Store(true)
	var messages []message
	run(func(e exporter.Logs) {
		require.NoError(t, e.ConsumeLogs(t.Context(), logsOfEach(number(5, 4))))
		messages = r.messages(t, 9)
	})
	var first, second ledger.RunID
	floors := map[ledger.RunID]uint64{}
	final := map[ledger.RunID]bool{}
	for _, m := range messages {
		for _, s := range m.stamp.Records {
			if s.Count == 4 {
				second = s.Run
			} else {
				first = s.Run
			}
		}
		for _, a := range m.stamp.Runs {
			floors[a.Run] = max(floors[a.Run], a.Floor)
			final[a.Run] = final[a.Run] || a.Final
		}
	}
	require.NotZero(t, first)
	require.Greater(t, second, first)
	assert.Equal(t, map[ledger.RunID]bool{first: true, second: false}, final)
	assert.Equal(t, uint64(5), floors[first])
}

// Records that the queue refuses are given again by whoever has them, under other numbers: the first ones are void.
func TestRefusedRecordsAreVoid(t *testing.T) {
	r := newRig(t)
	telemetry, err := metadata.NewTelemetryBuilder(r.settings.TelemetrySettings)
	require.NoError(t, err)
	s, err := newStamper(LedgerConfig{Agent: "a"}, ledger.Logs, r.settings.Logger, telemetry)
	require.NoError(t, err)
	s.start(t.Context(), componenttest.NewNopHost(), r.settings.ID, nil)
	first, _ := s.begin(10)
	second, stamp := s.begin(5)
	assert.Equal(t, uint64(0), stamp.Runs[0].Floor, "the first is not answered")
	s.end(t.Context(), second, nil)
	s.end(t.Context(), first, errors.New("full"))
	third, stamp := s.begin(1)
	assert.Equal(t, uint64(15), stamp.Runs[0].Floor)
	assert.Equal(t, uint64(10), stamp.Runs[0].VoidEnd())
	s.end(t.Context(), third, nil)
	for range 3 * maxVoids {
		h, _ := s.begin(1)
		s.end(t.Context(), h, errors.New("full"))
		h, _ = s.begin(1)
		s.end(t.Context(), h, nil)
	}
	header, said := s.header(stamp)
	whole := len(header)
	s.told(said)
	header, _ = s.header(stamp)
	assert.Less(t, len(header), whole, "what Kafka has need not be said for ever")
	require.NoError(t, s.shutdown(t.Context()))
}

func TestWithoutLedger(t *testing.T) {
	r := newRig(t)
	r.config.Ledger.Enabled = false
	require.NoError(t, r.start(t).ConsumeLogs(t.Context(), logsOf("a")))
	assert.Equal(t, ledger.Stamp{}, r.messages(t, 1)[0].stamp)
}

func TestSeveralMessagesHaveNoStamp(t *testing.T) {
	r := newRig(t)
	r.config.Kafka.PartitionLogsByResourceAttributes = true
	require.NoError(t, r.start(t).ConsumeLogs(t.Context(), logsOfEach(number(0, 1), number(1, 1))))
	for _, m := range r.messages(t, 2) {
		assert.Equal(t, ledger.Stamp{}, m.stamp)
	}
	assert.Equal(t, 1, r.logs.FilterMessageSnippet("not stamped").Len())
}

// An older version reads what this one has queued, and this one what an older one has.
func TestQueueIsThatOfOtherVersions(t *testing.T) {
	signal := logsSignal()
	own := signal.request(logsOfEach(number(0, 2), number(2, 3)))
	own.stamp = ledger.Stamp{Agent: "a", Signal: ledger.Logs}
	own.stamp.Append(ledger.Stamped{Run: 5, First: 7, Count: 5})
	b, err := encoding[plog.Logs]{signal}.Marshal(t.Context(), own)
	require.NoError(t, err)
	_, again, err := encoding[plog.Logs]{signal}.Unmarshal(b)
	require.NoError(t, err)
	assert.Equal(t, own.stamp, again.(*request[plog.Logs]).stamp)
	_, older, err := xexporterhelper.NewLogsQueueBatchSettings().Encoding.Unmarshal(b)
	require.NoError(t, err)
	assert.Equal(t, 5, older.ItemsCount())
	b, err = xexporterhelper.NewLogsQueueBatchSettings().Encoding.Marshal(t.Context(), older)
	require.NoError(t, err)
	_, again, err = encoding[plog.Logs]{signal}.Unmarshal(b)
	require.NoError(t, err)
	assert.Equal(t, number(0, 5), bodiesOf(again.(*request[plog.Logs]).data))
	assert.Empty(t, again.(*request[plog.Logs]).stamp.Records)
	// Merged, the numbers stay with their records.
	all, err := again.(*request[plog.Logs]).MergeSplit(t.Context(), 6, exporterhelper.RequestSizerTypeItems, own)
	require.NoError(t, err)
	require.Len(t, all, 2)
	assert.Equal(t, []ledger.Stamped{{Count: 5}, {Run: 5, First: 7, Count: 1}}, all[0].(*request[plog.Logs]).stamp.Records)
	assert.Equal(t, []ledger.Stamped{{Run: 5, First: 8, Count: 4}}, all[1].(*request[plog.Logs]).stamp.Records)
}

// A record that is larger than a batch may be is one of its own. Upstream drops it with the rest of its request.
func TestLargeRecordIsKept(t *testing.T) {
	r := logsSignal().request(logsOfEach([]string{"a", string(make([]byte, 5000)), "b"}))
	parts, err := r.MergeSplit(t.Context(), 1000, exporterhelper.RequestSizerTypeBytes, nil)
	require.NoError(t, err)
	require.Len(t, parts, 3)
	for _, part := range parts {
		assert.Equal(t, 1, part.ItemsCount())
	}
}

func TestCutMetricsAndTraces(t *testing.T) {
	metrics := pmetric.NewMetrics()
	m := metrics.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
	sum := m.AppendEmpty()
	sum.SetName("sum")
	sum.SetUnit("By")
	sum.SetEmptySum().SetIsMonotonic(true)
	sum.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	gauge, histogram, exponential, summary := m.AppendEmpty(), m.AppendEmpty(), m.AppendEmpty(), m.AppendEmpty()
	gauge.SetEmptyGauge()
	histogram.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	exponential.SetEmptyExponentialHistogram()
	summary.SetEmptySummary()
	for i := range 3 {
		sum.Sum().DataPoints().AppendEmpty().SetIntValue(int64(i))
		gauge.Gauge().DataPoints().AppendEmpty().SetIntValue(int64(i))
		histogram.Histogram().DataPoints().AppendEmpty().SetCount(uint64(i))
		exponential.ExponentialHistogram().DataPoints().AppendEmpty().SetCount(uint64(i))
		summary.Summary().DataPoints().AppendEmpty().SetCount(uint64(i))
	}
	for n := 1; n < 15; n++ {
		rest := pmetric.NewMetrics()
		metrics.CopyTo(rest)
		first := takeMetrics(rest, n)
		require.Equal(t, n, first.DataPointCount())
		require.Equal(t, 15-n, rest.DataPointCount())
		got := first.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0)
		assert.Equal(t, "By", got.Unit())
		assert.True(t, got.Sum().IsMonotonic())
		assert.Equal(t, pmetric.AggregationTemporalityCumulative, got.Sum().AggregationTemporality())
		for i := range got.Sum().DataPoints().Len() {
			assert.Equal(t, int64(i), got.Sum().DataPoints().At(i).IntValue())
		}
	}
	traces := ptrace.NewTraces()
	for range 3 {
		scope := traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
		for range 3 {
			scope.Spans().AppendEmpty()
		}
	}
	first := takeTraces(traces, 4)
	assert.Equal(t, 4, first.SpanCount())
	assert.Equal(t, 5, traces.SpanCount())
}

func BenchmarkStamp(b *testing.B) {
	for name, enabled := range map[string]bool{"with": true, "without": false} {
		b.Run(name, func(b *testing.B) {
			signal := logsSignal()
			logs := plog.NewLogs()
			records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
			for range 100 {
				l := records.AppendEmpty()
				l.Body().SetStr("a line of a log that is about as long as they are, with some words and a number: 1234567890")
				for i := range 8 {
					l.Attributes().PutStr(fmt.Sprint("attribute-", i), "value")
				}
			}
			s := &stamper{agent: "agent-1", signal: ledger.Logs}
			b.ReportAllocs()
			for b.Loop() {
				// What the agent does at least for a batch: into the queue, out of it, into a message.
				r := signal.request(logs)
				if enabled {
					var h handover
					h, r.stamp = s.begin(r.items)
					s.open = s.open[:0]
					_ = h
				}
				bytes, err := encoding[plog.Logs]{signal}.Marshal(b.Context(), r)
				if err != nil {
					b.Fatal(err)
				}
				_, again, err := encoding[plog.Logs]{signal}.Unmarshal(bytes)
				if err != nil {
					b.Fatal(err)
				}
				own := again.(*request[plog.Logs])
				if enabled {
					s.header(own.stamp)
				}
				if _, err := signal.marshal(b.Context(), own.data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
