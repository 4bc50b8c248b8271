package oracle

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/valyala/fastjson"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/breakwater-otel/breakwater/integration/crucible/load"
)

// Found is one row of logs, or one sample, as a backend has it. The labels may be shared between several and must not be
// changed.
type Found struct {
	Text   string // of a log
	Metric string // of a sample: its name, by which it is told from a log
	Value  float64
	Time   time.Time
	Labels map[string]string
}

// Source is a backend.
type Source interface {
	Name() string
	// Each calls each for everything that is stored, in any order, and ends with its first error.
	Each(ctx context.Context, each func(Found) error) error
	// Count tells how many there are, copies included, without reading them.
	Count(ctx context.Context) (int64, error)
}

// DeadLetter is one dead letter.
type DeadLetter struct {
	Reason string
	Value  []byte
}

// DeadLetters is where dead letters are.
type DeadLetters interface {
	Name() string
	Each(ctx context.Context, each func(DeadLetter) error) error
	// Count tells how many letters there are. A letter may have many records.
	Count(ctx context.Context) (int64, error)
}

// Oracle holds what is found against the accounts. It is not safe for concurrent use.
type Oracle struct {
	order   []*ledger
	texts   map[string]*ledger
	samples map[sampleKey]*ledger
	poison  map[[sha256.Size]byte]poisoned
	parser  fastjson.Parser
	report  Report
}

type sampleKey struct{ metric, writer string }

type poisoned struct {
	ledger *ledger
	seq    int64
}

// New makes an oracle for accounts of writers that have stopped.
func New(accounts ...load.Account) (*Oracle, error) {
	o := &Oracle{
		texts:   map[string]*ledger{},
		samples: map[sampleKey]*ledger{},
		poison:  map[[sha256.Size]byte]poisoned{},
	}
	names := map[string]bool{}
	for _, a := range accounts {
		if names[a.Writer] {
			return nil, fmt.Errorf("two accounts have the name %s", a.Writer)
		}
		names[a.Writer] = true
		l := newLedger(a)
		o.order = append(o.order, l)
		switch {
		case a.Metric != "":
			o.samples[sampleKey{a.Metric, strings.TrimSuffix(a.Writer, load.CounterSuffix)}] = l
		case a.Kind == load.KindPoison:
			for seq := range a.Next {
				o.poison[sha256.Sum256([]byte(a.Record(seq).Text))] = poisoned{l, seq}
			}
		default:
			o.texts[a.Writer] = l
		}
	}
	return o, nil
}

// Check reads all stores and then all dead letters, and reports.
func Check(ctx context.Context, accounts []load.Account, stores []Source, letters []DeadLetters) (Report, error) {
	o, err := New(accounts...)
	if err != nil {
		return Report{}, err
	}
	for _, source := range stores {
		if err := o.Read(ctx, source); err != nil {
			return Report{}, err
		}
	}
	for _, source := range letters {
		if err := o.ReadDeadLetters(ctx, source); err != nil {
			return Report{}, err
		}
	}
	return o.Report(), nil
}

// Read takes everything that a backend has stored.
func (o *Oracle) Read(ctx context.Context, source Source) error {
	err := source.Each(ctx, func(f Found) error {
		p := place{time: f.Time, labels: f.Labels}
		if f.Metric != "" {
			if !o.sample(f.Metric, f.Labels[load.WriterLabel], f.Value, p) {
				o.foreign(f.Metric)
			}
		} else if !o.text(f.Text, p) {
			o.foreign(f.Text)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read %s: %w", source.Name(), err)
	}
	return nil
}

// ReadDeadLetters takes all dead letters, after all that is stored has been read: what is in both counts as stored and
// duplicated.
func (o *Oracle) ReadDeadLetters(ctx context.Context, source DeadLetters) error {
	err := source.Each(ctx, func(d DeadLetter) error {
		if !o.letter(d) {
			o.foreign(string(d.Value[:min(len(d.Value), maxForeign)]))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read %s: %w", source.Name(), err)
	}
	return nil
}

// Report counts up what was read so far.
func (o *Oracle) Report() Report {
	r := o.report
	r.Writers = nil
	for _, l := range o.order {
		r.Writers = append(r.Writers, l.settle())
	}
	return r
}

// text tells whether it is of one of the writers.
func (o *Oracle) text(text string, p place) bool {
	if len(o.poison) > 0 {
		if hit, ok := o.poison[sha256.Sum256([]byte(text))]; ok {
			hit.ledger.find(hit.seq, text, p)
			return true
		}
	}
	text = unwrap(text, &o.parser)
	writer, seq, ok := origin(text)
	if !ok {
		return false
	}
	l := o.texts[writer]
	if l == nil {
		return false
	}
	if seq < 0 {
		l.damage(seq)
		return true
	}
	l.find(seq, text, p)
	return true
}

func (o *Oracle) sample(metric, writer string, value float64, p place) bool {
	l := o.samples[sampleKey{metric, writer}]
	if l == nil {
		return false
	}
	l.sample(value, p)
	return true
}

// letter tells whether there was anything of a writer in a dead letter. Its value is a message of Kafka as it was, in any
// encoding, or what an exporter could not deliver, as OTLP.
func (o *Oracle) letter(d DeadLetter) bool {
	p := place{dead: true, reason: d.Reason}
	if hit, ok := o.poison[sha256.Sum256(d.Value)]; ok {
		hit.ledger.find(hit.seq, string(d.Value), p)
		return true
	}
	// The two do not take each other's messages: what is a time in a log record is a text in a metric.
	if logs, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(d.Value); err == nil && logs.LogRecordCount() > 0 {
		return o.logs(logs, p)
	}
	if metrics, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(d.Value); err == nil && metrics.DataPointCount() > 0 {
		return o.metrics(metrics, p)
	}
	if object, err := o.parser.ParseBytes(d.Value); err == nil && object.Type() == fastjson.TypeObject {
		return o.text(string(d.Value), p)
	}
	known := false
	for _, text := range scan(d.Value) {
		known = o.text(text, p) || known
	}
	return known
}

func (o *Oracle) logs(logs plog.Logs, p place) bool {
	known := false
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				known = o.text(bodyText(record.Body()), p) || known
			}
		}
	}
	return known
}

func bodyText(body pcommon.Value) string {
	if body.Type() == pcommon.ValueTypeMap {
		for _, key := range []string{"log", "message", "msg"} {
			if text, ok := body.Map().Get(key); ok {
				return text.AsString()
			}
		}
	}
	if body.Type() == pcommon.ValueTypeBytes {
		return string(body.Bytes().AsRaw())
	}
	return body.AsString()
}

func (o *Oracle) metrics(metrics pmetric.Metrics, p place) bool {
	known := false
	points := func(name string, points pmetric.NumberDataPointSlice) {
		for _, point := range points.All() {
			writer, _ := point.Attributes().Get(load.WriterLabel)
			p.time = point.Timestamp().AsTime()
			known = o.sample(name, writer.AsString(), point.DoubleValue(), p) || known
		}
	}
	for _, resource := range metrics.ResourceMetrics().All() {
		for _, scope := range resource.ScopeMetrics().All() {
			for _, metric := range scope.Metrics().All() {
				switch metric.Type() {
				case pmetric.MetricTypeGauge:
					points(metric.Name(), metric.Gauge().DataPoints())
				case pmetric.MetricTypeSum:
					points(strings.TrimSuffix(metric.Name(), "_total")+"_total", metric.Sum().DataPoints())
				}
			}
		}
	}
	return known
}

const maxForeign = 200 // bytes of an example

func (o *Oracle) foreign(text string) {
	o.report.Foreign++
	if len(o.report.ForeignExamples) < maxExamples {
		o.report.ForeignExamples = append(o.report.ForeignExamples, strings.ToValidUTF8(text[:min(len(text), maxForeign)], "\uFFFD"))
	}
}
