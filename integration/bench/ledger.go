package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// LedgerRate is how many lines a second the agents of RunLedger read: a busy host, whose batches of 200 ms have 1,000 records.
const LedgerRate = 5000

// ledgerSettle is how long what is read may take to the disk of the backend, and from there into the account.
const ledgerSettle = 2 * time.Minute

// LedgerResult is the CPU time of agents and consumers that have done the same work at the same time, with the ledger and without.
type LedgerResult struct {
	Measured            time.Duration
	Records             int64 // of each meanwhile
	Agent, WithoutAgent time.Duration
	Consumer, Without   time.Duration
}

// String is a line for the terminal.
func (r LedgerResult) String() string {
	return fmt.Sprintf("%d records: agent %.2f s, without %.2f s; consumer %.2f s, without %.2f s", r.Records,
		r.Agent.Seconds(), r.WithoutAgent.Seconds(), r.Consumer.Seconds(), r.Without.Seconds())
}

// MaxLedgerCPU is what the ledger may take of one CPU.
const MaxLedgerCPU = 0.01

// LedgerTargets hold what agent and consumer take more with the ledger than without against one CPU: the median of the runs.
func LedgerTargets(results []LedgerResult) []Target {
	agent, consumer := make([]float64, len(results)), make([]float64, len(results))
	for i, r := range results {
		agent[i] = float64(r.Agent-r.WithoutAgent) / float64(r.Measured)
		consumer[i] = float64(r.Consumer-r.Without) / float64(r.Measured)
	}
	return []Target{
		{What: "CPU time of the ledger in the agent / time", Ratio: median(agent), Bound: MaxLedgerCPU},
		{What: "CPU time of the ledger in the consumer / time", Ratio: median(consumer), Bound: MaxLedgerCPU},
	}
}

// LedgerTable returns the CPU a record of the runs as Markdown.
func LedgerTable(results []LedgerResult) string {
	var b strings.Builder
	b.WriteString("| run | agent | without | ratio | consumer | without | ratio |\n|--:|--:|--:|--:|--:|--:|--:|\n")
	for i, r := range results {
		each := func(d time.Duration) float64 { return micros(d) / float64(r.Records) }
		fmt.Fprintf(&b, "| %d | %.2f µs | %.2f µs | %.3f | %.2f µs | %.2f µs | %.3f |\n", i+1,
			each(r.Agent), each(r.WithoutAgent), float64(r.Agent)/float64(r.WithoutAgent),
			each(r.Consumer), each(r.Without), float64(r.Consumer)/float64(r.Without))
	}
	return b.String()
}

// lane is an agent and a consumer with topics of their own.
type lane struct {
	host            string
	agent, consumer *harness.Breakwater
}

// RunLedger has two agents read the same file, each to its own topics and consumer, and measures for a time, after a time to warm
// up. One pair has the ledger as it is shipped, the other has none. It is an error when a record is missing, or when the account is
// not what it should be.
func RunLedger(ctx context.Context, dir string, warmUp, measured time.Duration) (r LedgerResult, err error) {
	if dir, err = os.MkdirTemp(dir, "ledger-"); err != nil {
		return r, err
	}
	var parts []interface{ Close() error }
	defer func() {
		for i := len(parts) - 1; i >= 0; i-- {
			err = errors.Join(err, parts[i].Close())
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	kafka, err := harness.NewFakeKafka(harness.FakeKafkaOptions{Dir: filepath.Join(dir, "kafka"), Brokers: Brokers})
	if err != nil {
		return r, err
	}
	parts = append(parts, kafka)
	logs, err := harness.NewVictoriaLogs(harness.VictoriaLogsOptions{Dir: filepath.Join(dir, "victorialogs")})
	if err != nil {
		return r, err
	}
	parts = append(parts, logs)
	metrics, err := harness.NewVictoriaMetrics(harness.VictoriaMetricsOptions{Dir: filepath.Join(dir, "victoriametrics")})
	if err != nil {
		return r, err
	}
	parts = append(parts, metrics)
	for _, start := range []func(context.Context) error{kafka.Start, logs.Start, metrics.Start} {
		if err := start(ctx); err != nil {
			return r, err
		}
	}
	writer, err := harness.NewLogWriter(harness.LogWriterOptions{Name: "lines", Dir: dir, Rate: LedgerRate})
	if err != nil {
		return r, err
	}
	parts = append(parts, writer)

	env := map[string]string{
		"KAFKA_BROKERS": kafka.BootstrapServers(), "LOG_INCLUDE": writer.Glob(), "SITE_NAME": "bench", "DEPLOY_ENV": "bench",
		"VICTORIALOGS_ENDPOINT": logs.URL(), "VICTORIAMETRICS_ENDPOINT": metrics.URL(),
	}
	with, without := lane{host: "with"}, lane{host: "without"}
	for _, l := range []*lane{&with, &without} {
		if err := l.start(ctx, dir, env, kafka); err != nil {
			return r, err
		}
		parts = append(parts, l.consumer, l.agent)
	}
	if err := writer.Start(); err != nil {
		return r, err
	}
	if err := wait(ctx, warmUp); err != nil {
		return r, err
	}
	before, err := usages(with, without)
	if err != nil {
		return r, err
	}
	written := writer.Written()
	if err := wait(ctx, measured); err != nil {
		return r, err
	}
	after, err := usages(with, without)
	if err != nil {
		return r, err
	}
	r = LedgerResult{
		Measured: measured, Records: writer.Written() - written,
		Agent: after[0] - before[0], WithoutAgent: after[2] - before[2],
		Consumer: after[1] - before[1], Without: after[3] - before[3],
	}
	if err := writer.Stop(); err != nil {
		return r, err
	}
	return r, accounted(ctx, logs, with, without, writer.Written())
}

// withoutLedger takes the ledger out of the shipped profiles.
var (
	agentWithoutLedger    = "yaml:exporters::durable_kafka::ledger::enabled: false"
	consumerWithoutLedger = `yaml:
receivers:
  durable_kafka/logs: {ledger: null}
  durable_kafka/metrics: {ledger: null}
  durable_kafka/fluent_bit: {ledger: null}
service:
  extensions: [durability, fluent_bit_encoding, lossless, live, health_check, pprof, zpages]
`
)

func (l *lane) start(ctx context.Context, dir string, common map[string]string, kafka *harness.FakeKafka) error {
	env := maps.Clone(common)
	maps.Copy(env, map[string]string{
		"HOST_NAME": l.host, "KAFKA_GROUP_ID": l.host, "KAFKA_LOGS_TOPIC": l.host + "-logs", "KAFKA_METRICS_TOPIC": l.host + "-metrics",
		"KAFKA_FLUENTBIT_TOPIC": l.host + "-fluent-bit",
	})
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.Brokers()...))
	if err != nil {
		return err
	}
	defer client.Close()
	if err := makeTopics(ctx, client, func(name string) string { return env[name] }); err != nil {
		return err
	}
	agent, consumer := []string{"configs/agent.yaml"}, []string{consumerConfig}
	if l.host == "without" {
		agent, consumer = append(agent, agentWithoutLedger), append(consumer, consumerWithoutLedger)
	}
	if l.consumer, err = harness.NewBreakwater(harness.BreakwaterOptions{
		Name: "consumer-" + l.host, Dir: filepath.Join(dir, "consumer-"+l.host), Configs: consumer, Env: env,
	}); err != nil {
		return err
	}
	if l.agent, err = harness.NewBreakwater(harness.BreakwaterOptions{
		Name: "agent-" + l.host, Dir: filepath.Join(dir, "agent-"+l.host), Configs: agent, Env: env,
	}); err != nil {
		return errors.Join(err, l.consumer.Close())
	}
	for _, part := range []*harness.Breakwater{l.consumer, l.agent} {
		if err := part.Start(ctx); err != nil {
			return errors.Join(err, l.agent.Close(), l.consumer.Close())
		}
	}
	return nil
}

// usages is the CPU time of agent and consumer of each lane.
func usages(lanes ...lane) ([]time.Duration, error) {
	var all []time.Duration
	for _, l := range lanes {
		for _, part := range []*harness.Breakwater{l.agent, l.consumer} {
			usage, err := part.Usage()
			if err != nil {
				return nil, err
			}
			all = append(all, usage.CPU)
		}
	}
	return all, nil
}

// accounted waits until every line is stored by both lanes, and by the account of the one that has one.
func accounted(ctx context.Context, logs *harness.VictoriaLogs, with, without lane, lines int64) error {
	ctx, cancel := context.WithTimeout(ctx, ledgerSettle)
	defer cancel()
	return harness.Eventually(ctx, time.Second, func(ctx context.Context) error {
		for _, l := range []lane{with, without} {
			rows, err := logs.Count(ctx, "host_name:="+l.host)
			if err != nil {
				return err
			}
			if rows != lines {
				return fmt.Errorf("%s: %d rows are stored of %d lines", l.host, rows, lines)
			}
			own, err := l.consumer.Metrics(ctx)
			if err != nil {
				return err
			}
			want := 0.0
			if l.host == with.host {
				want = float64(lines)
			}
			if stored := own.Sum("otelcol_ledger_stored_records", "signal", "logs"); stored != want {
				return fmt.Errorf("%s: the account has %g of %g records", l.host, stored, want)
			}
		}
		return nil
	})
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
