package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/internal/topics"
)

// OutageResult is what an outage of VictoriaLogs has cost the consumer.
type OutageResult struct {
	Outage  time.Duration
	Queued  int64 // bytes of messages, uncompressed
	Records int
	Drain   time.Duration // from the start of VictoriaLogs to the last record taken
	PeakRSS int64         // of the consumer, of its whole life
	// Samples are those of the metrics topic that VictoriaMetrics was sent during the outage, and Late is the longest
	// that one of them took from Kafka to a query.
	Samples int
	Late    time.Duration
}

// Rate is in records a second.
func (r OutageResult) Rate() float64 { return float64(r.Records) / r.Drain.Seconds() }

func (r OutageResult) String() string {
	return fmt.Sprintf("VictoriaLogs away for %s with %.1f GB queued: consumer %.0f MB at most; then %.0f k records/s; %d samples meanwhile, the slowest queryable after %s",
		r.Outage, float64(r.Queued)/1e9, float64(r.PeakRSS)/1e6, r.Rate()/1e3, r.Samples, r.Late.Round(100*time.Millisecond))
}

// sampleEvery is the pace of the metrics during an outage.
const sampleEvery = time.Second

// Outage starts a consumer on the backlog while VictoriaLogs is away, keeps it away for so long, and sends metrics
// through the same consumer meanwhile. It is an error when a row or a sample is missing in the end.
func (b *Backlog) Outage(ctx context.Context, dir string, v Variant, outage time.Duration) (r OutageResult, err error) {
	r = OutageResult{Outage: outage, Queued: b.Bytes, Records: b.Workload.Records()}
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

	for end := time.Now().Add(outage); time.Now().Before(end); r.Samples++ {
		late, err := b.sendSample(ctx, metrics, r.Samples)
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
	if err := b.waitStored(ctx, logs); err != nil {
		return r, fmt.Errorf("%w\n%s", err, consumer.LogTail(20))
	}
	r.Drain = time.Since(start)
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

// sendSample sends one sample to the metrics topic, waits until VictoriaMetrics shows it and returns how long that took.
func (b *Backlog) sendSample(ctx context.Context, metrics *harness.VictoriaMetrics, n int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	const name = "breakwater_bench_sample"
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
)

// OutageTargets holds an outage against its bounds, and its drain against that of a consumer that had none.
func OutageTargets(r OutageResult, undisturbed Result) []Target {
	return []Target{
		{What: "consumer peak RSS / 300 MB", Ratio: float64(r.PeakRSS) / MaxOutageBytes, Bound: 1},
		{What: "drain after the outage / without one", Ratio: r.Rate() / drainRate(undisturbed), Bound: 0.9, AtLeast: true},
		{What: "slowest sample of VictoriaMetrics / 10 s", Ratio: float64(r.Late) / float64(MaxLate), Bound: 1},
	}
}
