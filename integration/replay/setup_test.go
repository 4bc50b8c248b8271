// Package replay tests cmd/breakwater-replay on real parts: what a live consumer of the shipped profile has stored is sent
// through the consumer again, into the same VictoriaLogs and VictoriaMetrics and into empty ones. Every record is counted.
package replay

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

const (
	logsTopic      = "otel-logs-v1"
	metricsTopic   = "otel-metrics-v1"
	fluentBitTopic = "fluent-bit-logs-v1"
	deadTopic      = "otel-dlq-v1"
	partitions     = 3

	liveGroup = "breakwater-consumer"
	// arriveTimeout is how long the last record may take, on a loaded machine.
	arriveTimeout = 2 * time.Minute
)

// quick shortens the waits for the disk: backends that flush every second are known to have done so after three.
const quick = "integration/replay/testdata/quick.yaml"

// base is the time of the first message and record.
var base = time.Now().Add(-time.Hour).Truncate(time.Second).UTC()

// at is the time of a message by its place in its partition: ten a second.
func at(i int) time.Time { return base.Add(time.Duration(i) * 100 * time.Millisecond) }

// site is everything that runs.
type site struct {
	kafka    *harness.Kafka
	client   *harness.KafkaClient
	logs     *harness.VictoriaLogs
	metrics  *harness.VictoriaMetrics
	consumer *harness.Breakwater
	command  string   // path of breakwater-replay
	configs  []string // of the consumer and the command
}

func startSite(t *testing.T) *site {
	s := startParts(t, "configs/consumer.yaml", quick)
	s.startConsumer(t)
	return s
}

// startParts starts everything but the consumer.
func startParts(t *testing.T, configs ...string) *site {
	s := &site{kafka: harness.StartKafka(t, harness.KafkaOptions{Brokers: 1}), command: harness.BuildCommand(t, "breakwater-replay"), configs: configs}
	client, err := harness.NewKafkaClient(s.kafka.Brokers(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	s.client = client
	for _, topic := range []string{logsTopic, metricsTopic, fluentBitTopic, deadTopic} {
		_, err := client.Admin().CreateTopic(t.Context(), partitions, 1, nil, topic)
		require.NoError(t, err)
	}
	s.logs, s.metrics = startLogs(t, "victorialogs"), harness.StartVictoriaMetrics(t, harness.VictoriaMetricsOptions{
		Args: []string{"-inmemoryDataFlushInterval=1s", "-dedup.minScrapeInterval=1ms"},
	})
	return s
}

func (s *site) startConsumer(t *testing.T) {
	s.consumer = harness.StartBreakwater(t, harness.BreakwaterOptions{Name: "consumer", Configs: s.configs, Env: s.env(s.logs)})
}

func startLogs(t *testing.T, name string) *harness.VictoriaLogs {
	return harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Name: name, Args: []string{"-inmemoryDataFlushInterval=1s"}})
}

// env is the contract for consumers into a VictoriaLogs.
func (s *site) env(logs *harness.VictoriaLogs) map[string]string {
	return map[string]string{
		"KAFKA_BROKERS":            s.kafka.BootstrapServers(),
		"VICTORIALOGS_ENDPOINT":    logs.URL(),
		"VICTORIAMETRICS_ENDPOINT": s.metrics.URL(),
	}
}

// result is that of a command.
type result struct {
	status int
	output string
}

// start starts the command for a source, with output that grows.
func (s *site) start(t *testing.T, source string, logs *harness.VictoriaLogs, args ...string) *running {
	binary, err := harness.BinaryPath()
	require.NoError(t, err)
	root, err := harness.Root()
	require.NoError(t, err)
	dir := t.TempDir()
	flags := []string{args[0], "-config", strings.Join(s.configs, ","), "-source", source}
	if args[0] == "run" {
		flags = append(flags, "-bin", binary, "-progress", "500ms", "-log", filepath.Join(dir, "consumer.log"))
	}
	r := &running{log: filepath.Join(dir, "consumer.log")}
	r.command = exec.CommandContext(t.Context(), s.command, append(flags, args[1:]...)...)
	r.command.Dir = root
	env := s.env(logs)
	maps.Copy(env, map[string]string{"PATH": os.Getenv("PATH"), "HOME": dir, "TMPDIR": dir, "BREAKWATER_STORAGE_DIR": dir})
	for name, value := range env {
		r.command.Env = append(r.command.Env, name+"="+value)
	}
	r.command.Stdout, r.command.Stderr = &r.output, &r.output
	require.NoError(t, r.command.Start())
	return r
}

// run runs the command to its end.
func (s *site) run(t *testing.T, source string, logs *harness.VictoriaLogs, args ...string) result {
	return s.start(t, source, logs, args...).wait(t)
}

// running is a command under way.
type running struct {
	command *exec.Cmd
	output  output
	log     string // of the consumer
}

func (r *running) wait(t *testing.T) result {
	_ = r.command.Wait() // the status is looked at
	t.Logf("%s\n%s", strings.Join(r.command.Args[1:], " "), r.output.String())
	text, err := os.ReadFile(r.log)
	if err == nil {
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("consumer of %s:\n%s", strings.Join(r.command.Args[1:], " "), text)
			}
		})
	}
	return result{r.command.ProcessState.ExitCode(), r.output.String()}
}

// interrupt sends what a terminal does.
func (r *running) interrupt(t *testing.T) {
	require.NoError(t, r.command.Process.Signal(syscall.SIGINT))
}

// output may be read while it is written.
type output struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.String()
}

// number returns the number behind the first text in a summary.
func (r result) number(t *testing.T, text string) int {
	t.Helper()
	for line := range strings.Lines(r.output) {
		if rest, ok := strings.CutPrefix(line, text); ok {
			var n int
			_, err := fmt.Sscan(rest, &n)
			require.NoError(t, err, line)
			return n
		}
	}
	require.Failf(t, "no line", "%q in\n%s", text, r.output)
	return 0
}

// planned returns messages and records of the last line of a dry run.
func (r result) planned(t *testing.T) (messages, bytes, records int) {
	t.Helper()
	for line := range strings.Lines(r.output) {
		if cells := strings.Fields(line); len(cells) > 3 && cells[0] == "total" {
			_, err := fmt.Sscan(strings.Join(cells[1:4], " "), &messages, &bytes, &records)
			require.NoError(t, err, line)
			return messages, bytes, records
		}
	}
	require.Fail(t, "no total", r.output)
	return 0, 0, 0
}

// produced is what was written to the topics, by message of the record.
type produced struct {
	otlp, fluentBit map[string]int
	// by place in its partition.
	otlpAt, fluentBitAt [][]string
}

// otlp makes a message of n records, of a program of which there are two.
func otlp(partition int32, i, n int) ([]byte, []string) {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr("service_name", fmt.Sprintf("shop-%d", i%2))
	resource.Resource().Attributes().PutStr("host_name", "edge")
	records := resource.ScopeLogs().AppendEmpty().LogRecords()
	texts := make([]string, 0, n)
	for k := range n {
		record := records.AppendEmpty()
		record.SetTimestamp(pcommon.NewTimestampFromTime(at(i).Add(time.Duration(k) * time.Microsecond)))
		texts = append(texts, fmt.Sprintf("otlp %d %d %d", partition, i, k))
		record.Body().SetStr(texts[k])
		record.Attributes().PutInt("k", int64(k))
	}
	value, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
	if err != nil {
		panic(err)
	}
	return value, texts
}

// fluentBit makes a message of one record. Every tenth is the same as the one before in every field, and its time, too.
func fluentBit(partition int32, i int) ([]byte, string) {
	if i%10 == 9 {
		i--
	}
	text := fmt.Sprintf("fluent %d %d", partition, i)
	return fmt.Appendf(nil, `{"@timestamp":%q,"log":%q,"stream":"stdout","service_name":"web","host_name":"edge","env":"test","site_name":"s%d","n":%d}`,
		at(i).Format("2006-01-02T15:04:05.000Z"), text, i%3, i), text
}

// produce writes messages from one place in each partition to another, in small steps: the live consumer merges them as
// they come.
func (s *site) produce(t *testing.T, p *produced, from, to int) {
	const step = 50
	for begin := from; begin < to; begin += step {
		var records []*kgo.Record
		for i := begin; i < min(begin+step, to); i++ {
			for partition := range int32(partitions) {
				n := 3
				if i%40 == 0 {
					n = 1000 // over merge::max_message_bytes
				}
				value, texts := otlp(partition, i, n)
				records = append(records, &kgo.Record{Topic: logsTopic, Partition: partition, Value: value, Timestamp: at(i)})
				for _, text := range texts {
					p.otlp[text]++
				}
				value, text := fluentBit(partition, i)
				records = append(records, &kgo.Record{Topic: fluentBitTopic, Partition: partition, Value: value, Timestamp: at(i)})
				p.fluentBit[text]++
				for len(p.otlpAt) <= i {
					p.otlpAt, p.fluentBitAt = append(p.otlpAt, nil), append(p.fluentBitAt, nil)
				}
				p.otlpAt[i] = append(p.otlpAt[i], texts...)
				p.fluentBitAt[i] = append(p.fluentBitAt[i], text)
			}
		}
		require.NoError(t, s.client.Produce(t.Context(), records...))
	}
}

func (s *site) produceMetrics(t *testing.T, n int) {
	var records []*kgo.Record
	for i := range n {
		metrics := pmetric.NewMetrics()
		resource := metrics.ResourceMetrics().AppendEmpty()
		resource.Resource().Attributes().PutStr("service_name", "shop")
		metric := resource.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		metric.SetName("replayed")
		point := metric.SetEmptyGauge().DataPoints().AppendEmpty()
		point.SetTimestamp(pcommon.NewTimestampFromTime(at(i)))
		point.SetIntValue(int64(i))
		value, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(metrics)
		require.NoError(t, err)
		records = append(records, &kgo.Record{Topic: metricsTopic, Partition: int32(i % partitions), Value: value, Timestamp: at(i)})
	}
	require.NoError(t, s.client.Produce(t.Context(), records...))
}

// settled waits until the live consumer has settled everything.
func (s *site) settled(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), arriveTimeout)
	defer cancel()
	for suffix, topic := range map[string]string{"-logs": logsTopic, "-metrics": metricsTopic, "-fluent-bit": fluentBitTopic} {
		require.NoError(t, s.client.WaitLag(ctx, liveGroup+suffix, 0, topic))
	}
}

// live is what the live groups have committed.
func (s *site) live(t *testing.T) map[string]map[string]map[int32]int64 {
	found := make(map[string]map[string]map[int32]int64)
	for _, suffix := range []string{"-logs", "-metrics", "-fluent-bit"} {
		committed, err := s.client.Committed(t.Context(), liveGroup+suffix)
		require.NoError(t, err)
		found[suffix] = committed
	}
	return found
}

// rows returns how often VictoriaLogs has each message that begins so.
func rows(t *testing.T, logs *harness.VictoriaLogs, prefix string) map[string]int {
	t.Helper()
	require.NoError(t, logs.Flush(t.Context()))
	found := make(map[string]int)
	require.NoError(t, logs.QueryEach(t.Context(), fmt.Sprintf("_msg:=%q* | fields _msg", prefix), func(row harness.LogRow) error {
		found[row["_msg"]]++
		return nil
	}))
	return found
}

// requireRows holds that VictoriaLogs has each record as often as it was produced.
func requireRows(t *testing.T, logs *harness.VictoriaLogs, prefix string, want map[string]int) {
	t.Helper()
	got := rows(t, logs, prefix)
	missing, more, other := 0, 0, 0
	for text, n := range want {
		missing, more = missing+max(0, n-got[text]), more+max(0, got[text]-n)
	}
	for text := range got {
		if want[text] == 0 {
			other++
		}
	}
	if missing+more+other > 0 {
		t.Errorf("%d rows missing, %d twice, %d that should not be there, of %d messages", missing, more, other, len(want))
	}
}

// count counts texts by place in [from, to).
func count(places [][]string, from, to int) map[string]int {
	counts := make(map[string]int)
	for _, texts := range places[from:to] {
		for _, text := range texts {
			counts[text]++
		}
	}
	return counts
}

func total(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}
