package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/internal/topics"
)

// OutageResult is what an outage of VictoriaLogs has cost the consumer.
type OutageResult struct {
	// Undisturbed is the drain of the same backlog right after it, without an outage: the host may be half as fast a few
	// minutes later.
	Undisturbed Result
	Records     int
	Wait        time.Duration // from the start of VictoriaLogs until the first hundredth of the records is taken
	Drain       time.Duration // from the start of VictoriaLogs until all are
	PeakRSS     int64         // of the consumer, of its whole life
	// Samples are those of the metrics topic that VictoriaMetrics was sent during the outage, and Late is the longest
	// that one of them took from Kafka to a query.
	Samples int
	Late    time.Duration
}

// Rate is in records a second, the wait included.
func (r OutageResult) Rate() float64 { return float64(r.Records) / r.Drain.Seconds() }

// Ratio is that of the rate to the one of the undisturbed drain.
func (r OutageResult) Ratio() float64 { return r.Rate() / drainRate(r.Undisturbed) }

func (r OutageResult) String() string {
	return fmt.Sprintf("consumer %.0f MB; flows again after %.1f s, drained after %.1f s, without an outage after %.1f s; %d samples meanwhile, the slowest queryable after %.1f s",
		float64(r.PeakRSS)/1e6, r.Wait.Seconds(), r.Drain.Seconds(), r.Undisturbed.Drain.Seconds(), r.Samples, r.Late.Seconds())
}

// OutageTable returns the runs as Markdown, and the worst of what is no matter of the machine's speed.
func OutageTable(results []OutageResult) string {
	var b strings.Builder
	b.WriteString("| run | consumer peak RSS | flows again after | slowest sample meanwhile | samples | drained after | without an outage | ratio of the rates |\n|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	row := func(name any, r OutageResult) {
		fmt.Fprintf(&b, "| %v | %.0f MB | %.1f s | %.1f s |", name, float64(r.PeakRSS)/1e6, r.Wait.Seconds(), r.Late.Seconds())
	}
	for i, r := range results {
		row(i+1, r)
		fmt.Fprintf(&b, " %d | %.1f s | %.1f s | %.2f |\n", r.Samples, r.Drain.Seconds(), r.Undisturbed.Drain.Seconds(), r.Ratio())
	}
	row("worst", worstOf(results))
	b.WriteString(" | | | |\n")
	return b.String()
}

// worstOf has of each figure that is bounded by itself the worst of the runs.
func worstOf(results []OutageResult) (worst OutageResult) {
	for _, r := range results {
		worst.PeakRSS, worst.Wait, worst.Late = max(worst.PeakRSS, r.PeakRSS), max(worst.Wait, r.Wait), max(worst.Late, r.Late)
	}
	return worst
}

// sampleEvery is the pace of the metrics during an outage.
const sampleEvery = time.Second

// Outage starts a consumer on the backlog while VictoriaLogs is away, keeps it away for so long, and sends metrics through
// the same consumer meanwhile. Then it drains the backlog once more, without an outage. It is an error when a row or a sample
// is missing in the end.
func (b *Backlog) Outage(ctx context.Context, dir string, v Variant, outage time.Duration) (OutageResult, error) {
	r, err := b.disturbed(ctx, dir, v, outage)
	if err != nil {
		return r, err
	}
	if r.Undisturbed, err = b.Run(ctx, dir, v); err != nil {
		return r, fmt.Errorf("without an outage: %w", err)
	}
	return r, nil
}

// disturbed is all of Outage but the undisturbed drain.
func (b *Backlog) disturbed(ctx context.Context, dir string, v Variant, outage time.Duration) (r OutageResult, err error) {
	r.Records = b.Workload.Records()
	if dir, err = os.MkdirTemp(dir, "outage-"); err != nil {
		return r, err
	}
	logs, err := harness.NewVictoriaLogs(harness.VictoriaLogsOptions{Dir: filepath.Join(dir, "victorialogs")})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, logs.Close(), os.RemoveAll(dir)) }()
	metrics, err := harness.NewVictoriaMetrics(harness.VictoriaMetricsOptions{Dir: filepath.Join(dir, "victoriametrics")})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, metrics.Close()) }()
	if err := metrics.Start(ctx); err != nil {
		return r, err
	}
	consumer, err := harness.NewBreakwater(harness.BreakwaterOptions{
		Name: "consumer", Dir: filepath.Join(dir, "consumer"), Configs: v.Configs, Args: v.Args, Env: b.env(v, filepath.Base(dir), map[string]string{
			"VICTORIALOGS_ENDPOINT":    logs.URL(),
			"VICTORIAMETRICS_ENDPOINT": metrics.URL(),
		}),
	})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, consumer.Close()) }()
	if err := consumer.Start(ctx); err != nil {
		return r, err
	}

	// Those of earlier runs are in the topic, too.
	series := "breakwater_bench_" + strings.ReplaceAll(filepath.Base(dir), "-", "_")
	for end := time.Now().Add(outage); time.Now().Before(end); r.Samples++ {
		late, err := b.sendSample(ctx, metrics, series, r.Samples)
		if err != nil {
			return r, fmt.Errorf("metrics while VictoriaLogs is away: %w\n%s", err, consumer.LogTail(20))
		}
		r.Late = max(r.Late, late)
		if err := wait(ctx, sampleEvery-min(late, sampleEvery)); err != nil {
			return r, err
		}
	}
	start := time.Now()
	if err := logs.Start(ctx); err != nil {
		return r, err
	}
	if len(b.BackendCores) > 0 {
		if err := logs.SetAffinity(b.BackendCores); err != nil {
			return r, err
		}
	}
	for _, until := range []struct {
		records int
		took    *time.Duration
	}{{r.Records / 100, &r.Wait}, {r.Records, &r.Drain}} {
		if err := waitTaken(ctx, logs, until.records); err != nil {
			return r, fmt.Errorf("%w\n%s", err, consumer.LogTail(20))
		}
		*until.took = time.Since(start)
	}
	usage, err := consumer.Usage()
	if err != nil {
		return r, err
	}
	r.PeakRSS = usage.PeakRSS
	if err := logs.Flush(ctx); err != nil { // rows can be queried about a second after they are taken
		return r, err
	}
	return r, b.verify(ctx, logs)
}

// sendSample sends sample n of a series to the metrics topic, waits until VictoriaMetrics shows it and returns how long that
// took.
func (b *Backlog) sendSample(ctx context.Context, metrics *harness.VictoriaMetrics, name string, n int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	data := pmetric.NewMetrics()
	metric := data.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName(name)
	point := metric.SetEmptyGauge().DataPoints().AppendEmpty()
	start := time.Now()
	point.SetTimestamp(pcommon.NewTimestampFromTime(start))
	point.SetIntValue(int64(n))
	var marshaler pmetric.ProtoMarshaler
	value, err := marshaler.MarshalMetrics(data)
	if err != nil {
		return 0, err
	}
	topic := topics.Defaults(noEnv)[topics.Metrics].Name
	if err := b.client.Produce(ctx, &kgo.Record{Topic: topic, Value: value}); err != nil {
		return 0, err
	}
	err = harness.Eventually(ctx, 50*time.Millisecond, func(ctx context.Context) error {
		if err := metrics.Flush(ctx); err != nil {
			return err
		}
		series, err := metrics.Export(ctx, name)
		if err != nil {
			return err
		}
		if len(series) != 1 || len(series[0].Values) != n+1 {
			return fmt.Errorf("sample %d is not in VictoriaMetrics", n)
		}
		return nil
	})
	return time.Since(start), err
}

// Bounds of an outage.
const (
	MaxOutageBytes = 300e6
	// MaxLate is how late a sample may be while another backend is away: a poll, a request, and what two shared cores
	// need for the rest.
	MaxLate = 10 * time.Second
	// MaxWait is how long the consumer may take to go on once VictoriaLogs has started: about 3 s until its process can be
	// told from the one before it, and the wait for the next attempt.
	MaxWait = 10 * time.Second
)

// OutageTargets holds outages against their bounds, and the drains against those of consumers that had none.
func OutageTargets(results []OutageResult) []Target {
	var ratios []float64
	for _, r := range results {
		ratios = append(ratios, r.Ratio())
	}
	worst := worstOf(results)
	return []Target{
		{What: "consumer peak RSS / 300 MB", Ratio: float64(worst.PeakRSS) / MaxOutageBytes, Bound: 1},
		{What: "until it flows again / 10 s", Ratio: float64(worst.Wait) / float64(MaxWait), Bound: 1},
		{What: "drain after the outage, with that wait / without an outage", Ratio: median(ratios), Bound: 0.9, AtLeast: true},
		{What: "slowest sample of VictoriaMetrics / 10 s", Ratio: float64(worst.Late) / float64(MaxLate), Bound: 1},
	}
}
