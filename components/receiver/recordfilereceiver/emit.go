package recordfilereceiver

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/fileconsumer/attrs"
)

// maxRequestBytes is the text of a request to the pipeline beyond which another one is begun. The file reader comes with
// up to 100 chunks at a time.
const maxRequestBytes = 1 << 20

// emit takes chunks of a file from the file reader, and returns when all their records are handed on. The read position
// moves after that, and it does whatever is returned.
func (r *fileReceiver) emit(ctx context.Context, chunks [][]byte, attributes map[string]any, _ int64, _ []int64) error {
	path, _ := attributes[attrs.LogFilePath].(string)
	name, _ := attributes[attrs.LogFileName].(string)
	a := r.pool.get()
	defer r.pool.put(a)
	b := batch{source: r.sources.of(path), path: path, name: name, now: pcommon.NewTimestampFromTime(time.Now())}
	b.reset()
	var errs []error
	for i, chunk := range chunks {
		a.assemble(chunk, &b)
		if b.bytes >= maxRequestBytes || i == len(chunks)-1 {
			errs = append(errs, r.out.Deliver(r.delivering, b.logs))
			b.reset()
		}
	}
	format := metric.WithAttributes(attribute.String("format", r.config.Format))
	if b.empty > 0 {
		r.telemetry.ReceiverRecordFileEmptyLines.Add(ctx, b.empty, format)
	}
	if b.undecoded > 0 {
		r.telemetry.ReceiverRecordFileUndecodedLines.Add(ctx, b.undecoded, format)
	}
	return errors.Join(errs...)
}

// batch is the sink of an assembler: a request to the pipeline.
type batch struct {
	source     *source
	path, name string
	now        pcommon.Timestamp

	logs             plog.Logs
	records          plog.LogRecordSlice
	bytes            int
	empty, undecoded int64
}

func (b *batch) reset() {
	b.logs, b.bytes = plog.NewLogs(), 0
	resource := b.logs.ResourceLogs().AppendEmpty()
	b.source.resource.CopyTo(resource.Resource().Attributes())
	b.records = resource.ScopeLogs().AppendEmpty().LogRecords()
}

func (b *batch) begin(first *line) func([]byte) {
	record := b.records.AppendEmpty()
	record.SetObservedTimestamp(b.now)
	if at := first.unixNano(); at != 0 {
		record.SetTimestamp(pcommon.Timestamp(at))
	}
	attributes := record.Attributes()
	attributes.EnsureCapacity(4)
	attributes.PutStr(attrs.LogFileName, b.name)
	attributes.PutStr(attrs.LogFilePath, b.path)
	if first.time != nil {
		attributes.PutStr("stream", first.stream.String())
	}
	putDockerAttrs(attributes, first.attrs)
	return func(text []byte) {
		record.Body().SetStr(string(text))
		b.bytes += len(text)
	}
}

func (b *batch) emptyLine()     { b.empty++ }
func (b *batch) undecodedLine() { b.undecoded++ }

// assemblerPool lends assemblers.
type assemblerPool struct {
	pool sync.Pool
}

func newAssemblerPool(format string, t tracer) *assemblerPool {
	return &assemblerPool{pool: sync.Pool{New: func() any { return &assembler{decoder: newDecoder(format), tracer: t} }}}
}

func (p *assemblerPool) get() *assembler  { return p.pool.Get().(*assembler) }
func (p *assemblerPool) put(a *assembler) { p.pool.Put(a) }
