package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

// OTLPOptions configures NewOTLPLogs and NewOTLPMetrics; BaseURL is needed.
type OTLPOptions struct {
	Common
	// Client is how the receiver is reached; http.DefaultClient by default.
	Client  *http.Client
	BaseURL string // http://127.0.0.1:4318
	// Resource are the resource attributes that every push bears.
	Resource map[string]string
	// Base is the time of record 0, now by default, and Step the time between two records: 1 ms for logs and 100 ms for
	// metrics by default. Backends keep samples to the millisecond, so both must be whole milliseconds.
	Base time.Time
	Step time.Duration
}

func (o *OTLPOptions) check(step time.Duration) error {
	if err := o.Common.check(); err != nil {
		return err
	}
	if o.BaseURL == "" {
		return fmt.Errorf("writer %s needs a BaseURL", o.Name)
	}
	if o.Client == nil {
		o.Client = http.DefaultClient
	}
	if o.Step == 0 {
		o.Step = step
	}
	if o.Base.IsZero() {
		o.Base = time.Now().Truncate(time.Millisecond)
	}
	if o.Step < 0 || o.Step%time.Millisecond != 0 || o.Base.Nanosecond()%int(time.Millisecond) != 0 {
		return fmt.Errorf("writer %s: Base and Step must be whole milliseconds", o.Name)
	}
	return nil
}

func (o *OTLPOptions) time(seq int64) time.Time {
	return o.Base.Add(time.Duration(seq)*o.Step + o.jumped(seq)).UTC()
}

func (o *OTLPOptions) resource(attributes pcommon.Map) {
	for name, value := range o.Resource {
		attributes.PutStr(name, value)
	}
}

// OTLPLogs pushes log records.
type OTLPLogs struct {
	pusher
	opts OTLPOptions
}

// NewOTLPLogs makes a writer of log records. It sends nothing before Start.
func NewOTLPLogs(opts OTLPOptions) (*OTLPLogs, error) {
	if err := opts.check(time.Millisecond); err != nil {
		return nil, err
	}
	w := &OTLPLogs{opts: opts}
	batch := int64(maxBatch)
	if opts.LargeEvery > 0 {
		batch = maxLargeBatch
	}
	w.init(opts.Common, batch)
	w.push = func(ctx context.Context, first, n int64) (outcome, error) {
		body, err := w.encode(first, n)
		if err != nil {
			return refused, err
		}
		return post(ctx, opts.Client, opts.BaseURL+"/v1/logs", body)
	}
	return w, nil
}

// Stop ends the writer and gives the account.
func (w *OTLPLogs) Stop(ctx context.Context) ([]Account, error) {
	err := w.halt(ctx)
	account := w.account(w.opts.Common, KindOTLPLogs)
	account.Unordered = w.opts.JumpEvery > 0
	account.Record = func(seq int64) Record { return Record{Text: w.opts.line(seq), Time: w.opts.time(seq)} }
	return []Account{account}, err
}

func (w *OTLPLogs) encode(first, n int64) ([]byte, error) {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	w.opts.resource(resource.Resource().Attributes())
	records := resource.ScopeLogs().AppendEmpty().LogRecords()
	records.EnsureCapacity(int(n))
	for seq := first; seq < first+n; seq++ {
		record := records.AppendEmpty()
		record.SetTimestamp(pcommon.NewTimestampFromTime(w.opts.time(seq)))
		record.Body().SetStr(w.opts.line(seq))
	}
	return plogotlp.NewExportRequestFromLogs(logs).MarshalProto()
}

// The names of the series of a metrics writer, in OTLP and as Prometheus writes them.
const (
	gaugeName      = "crucible_sequence"
	counterName    = "crucible_records"
	GaugeSeries    = gaugeName
	CounterSeries  = counterName + "_total"
	CounterSuffix  = ".counter"
	WriterLabel    = "crucible_writer" // an attribute of every sample: the name of the writer
	SeriesSelector = `{__name__=~"crucible_(sequence|records_total)"}`
)

// OTLPMetrics pushes samples: number i is a gauge of the value i and a cumulative counter of the value i+1, both at the
// time Base + i × Step.
type OTLPMetrics struct {
	pusher
	opts OTLPOptions
}

// NewOTLPMetrics makes a writer of samples. It sends nothing before Start. Written counts numbers, each of them two
// samples.
func NewOTLPMetrics(opts OTLPOptions) (*OTLPMetrics, error) {
	if err := opts.check(100 * time.Millisecond); err != nil {
		return nil, err
	}
	if opts.JumpEvery > 0 || opts.LargeEvery > 0 {
		return nil, errors.New("samples have neither jumps nor sizes")
	}
	w := &OTLPMetrics{opts: opts}
	w.init(opts.Common, maxBatch)
	w.push = func(ctx context.Context, first, n int64) (outcome, error) {
		body, err := w.encode(first, n)
		if err != nil {
			return refused, err
		}
		return post(ctx, opts.Client, opts.BaseURL+"/v1/metrics", body)
	}
	return w, nil
}

// Stop ends the writer and gives two accounts: that of the gauge and that of the counter.
func (w *OTLPMetrics) Stop(ctx context.Context) ([]Account, error) {
	err := w.halt(ctx)
	gauge := w.account(w.opts.Common, KindOTLPMetrics)
	gauge.Metric = GaugeSeries
	gauge.SeqAt = func(at time.Time) (int64, bool) {
		since := at.Sub(w.opts.Base)
		return int64(since / w.opts.Step), since%w.opts.Step == 0
	}
	gauge.Record = func(seq int64) Record { return Record{Value: float64(seq), Time: w.opts.time(seq)} }
	counter := gauge
	counter.Writer += CounterSuffix
	counter.Metric = CounterSeries
	counter.Record = func(seq int64) Record { return Record{Value: float64(seq + 1), Time: w.opts.time(seq)} }
	return []Account{gauge, counter}, err
}

func (w *OTLPMetrics) encode(first, n int64) ([]byte, error) {
	metrics := pmetric.NewMetrics()
	resource := metrics.ResourceMetrics().AppendEmpty()
	w.opts.resource(resource.Resource().Attributes())
	scope := resource.ScopeMetrics().AppendEmpty()
	gauge, counter := scope.Metrics().AppendEmpty(), scope.Metrics().AppendEmpty()
	gauge.SetName(gaugeName)
	counter.SetName(counterName)
	gauges := gauge.SetEmptyGauge().DataPoints()
	sum := counter.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	point := func(p pmetric.NumberDataPoint, seq int64, value float64) {
		p.Attributes().PutStr(WriterLabel, w.opts.Name)
		p.SetTimestamp(pcommon.NewTimestampFromTime(w.opts.time(seq)))
		p.SetDoubleValue(value)
	}
	for seq := first; seq < first+n; seq++ {
		point(gauges.AppendEmpty(), seq, float64(seq))
		p := sum.DataPoints().AppendEmpty()
		p.SetStartTimestamp(pcommon.NewTimestampFromTime(w.opts.Base))
		point(p, seq, float64(seq+1))
	}
	return pmetricotlp.NewExportRequestFromMetrics(metrics).MarshalProto()
}
