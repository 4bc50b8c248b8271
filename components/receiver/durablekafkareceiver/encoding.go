package durablekafkareceiver

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gogo/protobuf/jsonpb"
	jaegerproto "github.com/jaegertracing/jaeger-idl/model/v1"
	"github.com/valyala/fastjson"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/jaeger"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/zipkin/zipkinv1"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/zipkin/zipkinv2"

	"github.com/breakwater-otel/breakwater/components/internal/logsappend"
	"github.com/breakwater-otel/breakwater/components/internal/otlpview"
)

// Encodings that need no extension, as upstream calls them.
const (
	encodingOTLPProto    = "otlp_proto"
	encodingOTLPJSON     = "otlp_json"
	encodingRaw          = "raw"
	encodingText         = "text"
	encodingTextPrefix   = "text_"
	encodingJSON         = "json"
	encodingJaegerProto  = "jaeger_proto"
	encodingJaegerJSON   = "jaeger_json"
	encodingZipkinProto  = "zipkin_proto"
	encodingZipkinJSON   = "zipkin_json"
	encodingZipkinThrift = "zipkin_thrift"
)

// builder makes a request of messages, in the order of their offsets. After an error
// the request is as it was before. Implementations are used by one goroutine at a time.
type builder[T any] interface {
	append(data []byte, timestamp time.Time) error
	// take returns the request and forgets it.
	take() T
}

// extensionFor returns the extension with the ID of the encoding, if there is one that
// is a T. As upstream, an extension takes precedence over an encoding of its name.
func extensionFor[T any](host component.Host, name string) (T, bool, error) {
	var zero T
	var id component.ID
	if err := id.UnmarshalText([]byte(name)); err != nil {
		return zero, false, nil //nolint:nilerr // not an ID, so not that of an extension
	}
	extension, ok := host.GetExtensions()[id]
	if !ok {
		return zero, false, nil
	}
	unmarshaler, ok := extension.(T)
	if !ok {
		return zero, false, fmt.Errorf("extension %q does not decode this signal", name)
	}
	return unmarshaler, true, nil
}

func logsBuilder(host component.Host, name string) (func() builder[plog.Logs], error) {
	if e, ok, err := extensionFor[logsappend.Extension](host, name); err == nil && ok {
		return func() builder[plog.Logs] { return appending{e.NewLogsUnmarshaler()} }, nil
	}
	e, ok, err := extensionFor[plog.Unmarshaler](host, name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("`logs::encoding`: %w", err)
	case ok:
		return mergingLogs(e.UnmarshalLogs), nil
	}
	switch name {
	case encodingOTLPProto:
		return mergingLogs(otlpview.UnmarshalLogs), nil
	case encodingOTLPJSON:
		return mergingLogs((&plog.JSONUnmarshaler{}).UnmarshalLogs), nil
	case encodingRaw:
		return recordBuilder(func() decodeRecord { return decodeRaw }), nil
	case encodingJSON:
		return recordBuilder(func() decodeRecord { return new(jsonDecoder).decode }), nil
	}
	if charset, ok := textCharset(name); ok {
		decoding, err := textEncoding(charset)
		if err != nil {
			return nil, fmt.Errorf("`logs::encoding`: %w", err)
		}
		return recordBuilder(func() decodeRecord { return decodeText(decoding.NewDecoder()) }), nil
	}
	return nil, fmt.Errorf("`logs::encoding` %q is neither known nor the ID of an encoding extension", name)
}

func metricsBuilder(host component.Host, name string) (func() builder[pmetric.Metrics], error) {
	e, ok, err := extensionFor[pmetric.Unmarshaler](host, name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("`metrics::encoding`: %w", err)
	case ok:
		return mergingMetrics(e.UnmarshalMetrics), nil
	case name == encodingOTLPProto:
		return mergingMetrics((&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics), nil
	case name == encodingOTLPJSON:
		return mergingMetrics((&pmetric.JSONUnmarshaler{}).UnmarshalMetrics), nil
	}
	return nil, fmt.Errorf("`metrics::encoding` %q is neither known nor the ID of an encoding extension", name)
}

func tracesBuilder(host component.Host, name string) (func() builder[ptrace.Traces], error) {
	e, ok, err := extensionFor[ptrace.Unmarshaler](host, name)
	if err != nil {
		return nil, fmt.Errorf("`traces::encoding`: %w", err)
	}
	if ok {
		return mergingTraces(e.UnmarshalTraces), nil
	}
	switch name {
	case encodingOTLPProto:
		return mergingTraces((&ptrace.ProtoUnmarshaler{}).UnmarshalTraces), nil
	case encodingOTLPJSON:
		return mergingTraces((&ptrace.JSONUnmarshaler{}).UnmarshalTraces), nil
	case encodingJaegerProto:
		return mergingTraces(func(data []byte) (ptrace.Traces, error) {
			return jaegerSpan(func(span *jaegerproto.Span) error { return span.Unmarshal(data) })
		}), nil
	case encodingJaegerJSON:
		return mergingTraces(func(data []byte) (ptrace.Traces, error) {
			return jaegerSpan(func(span *jaegerproto.Span) error { return jsonpb.Unmarshal(bytes.NewReader(data), span) })
		}), nil
	case encodingZipkinProto:
		return mergingTraces(zipkinv2.NewProtobufTracesUnmarshaler(false, false).UnmarshalTraces), nil
	case encodingZipkinJSON:
		return mergingTraces(zipkinv2.NewJSONTracesUnmarshaler(false).UnmarshalTraces), nil
	case encodingZipkinThrift:
		return mergingTraces(zipkinv1.NewThriftTracesUnmarshaler().UnmarshalTraces), nil
	}
	return nil, fmt.Errorf("`traces::encoding` %q is neither known nor the ID of an encoding extension", name)
}

func jaegerSpan(unmarshal func(*jaegerproto.Span) error) (ptrace.Traces, error) {
	span := new(jaegerproto.Span)
	if err := unmarshal(span); err != nil {
		return ptrace.Traces{}, err
	}
	return jaeger.ProtoToTraces([]*jaegerproto.Batch{{Spans: []*jaegerproto.Span{span}, Process: span.Process}})
}

// appending is the builder of an encoding extension that can append.
type appending struct{ logsappend.Unmarshaler }

func (a appending) append(data []byte, timestamp time.Time) error { return a.Append(data, timestamp) }
func (a appending) take() plog.Logs                               { return a.Logs() }

// merging decodes each message on its own and joins what comes of it.
type merging[T any] struct {
	decode func([]byte) (T, error)
	empty  func() T
	join   func(from, to T)

	request T
	used    bool
}

func (m *merging[T]) append(data []byte, _ time.Time) error {
	decoded, err := m.decode(data)
	if err != nil {
		return err
	}
	if !m.used {
		m.request, m.used = decoded, true
		return nil
	}
	m.join(decoded, m.request)
	return nil
}

func (m *merging[T]) take() T {
	if !m.used {
		return m.empty()
	}
	request := m.request
	var zero T
	m.request, m.used = zero, false
	return request
}

func mergingLogs(decode func([]byte) (plog.Logs, error)) func() builder[plog.Logs] {
	return func() builder[plog.Logs] {
		return &merging[plog.Logs]{decode: decode, empty: plog.NewLogs, join: func(from, to plog.Logs) {
			from.ResourceLogs().MoveAndAppendTo(to.ResourceLogs())
		}}
	}
}

func mergingMetrics(decode func([]byte) (pmetric.Metrics, error)) func() builder[pmetric.Metrics] {
	return func() builder[pmetric.Metrics] {
		return &merging[pmetric.Metrics]{decode: decode, empty: pmetric.NewMetrics, join: func(from, to pmetric.Metrics) {
			from.ResourceMetrics().MoveAndAppendTo(to.ResourceMetrics())
		}}
	}
}

func mergingTraces(decode func([]byte) (ptrace.Traces, error)) func() builder[ptrace.Traces] {
	return func() builder[ptrace.Traces] {
		return &merging[ptrace.Traces]{decode: decode, empty: ptrace.NewTraces, join: func(from, to ptrace.Traces) {
			from.ResourceSpans().MoveAndAppendTo(to.ResourceSpans())
		}}
	}
}

// decodeRecord sets a record of a message.
type decodeRecord func(data []byte, timestamp time.Time, record plog.LogRecord) error

// records puts messages of one record each under one resource and scope.
type records struct {
	decode decodeRecord
	logs   plog.Logs
	slice  plog.LogRecordSlice
	used   bool
}

func recordBuilder(decode func() decodeRecord) func() builder[plog.Logs] {
	return func() builder[plog.Logs] { return &records{decode: decode()} }
}

func (r *records) append(data []byte, timestamp time.Time) error {
	if !r.used {
		r.logs, r.used = plog.NewLogs(), true
		r.slice = r.logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	}
	if err := r.decode(data, timestamp, r.slice.AppendEmpty()); err != nil {
		at, last := 0, r.slice.Len()-1
		r.slice.RemoveIf(func(plog.LogRecord) bool { at++; return at-1 == last })
		return err
	}
	return nil
}

func (r *records) take() plog.Logs {
	if !r.used {
		return plog.NewLogs()
	}
	logs := r.logs
	r.logs, r.slice, r.used = plog.Logs{}, plog.LogRecordSlice{}, false
	return logs
}

func decodeRaw(data []byte, _ time.Time, record plog.LogRecord) error {
	record.Body().SetEmptyBytes().FromRaw(data)
	return nil
}

// setObserved sets the time of the message. Upstream takes the clock, with which the
// same message would make another request after a restart.
func setObserved(record plog.LogRecord, timestamp time.Time) {
	if timestamp.UnixNano() > 0 {
		record.SetObservedTimestamp(pcommon.NewTimestampFromTime(timestamp))
	}
}

// textCharset returns the charset that the encoding names, and whether it is one of text.
func textCharset(name string) (string, bool) {
	if name == encodingText {
		return "utf-8", true
	}
	return strings.CutPrefix(name, encodingTextPrefix)
}

// textEncoding returns the encoding of the name: those that upstream has names of its
// own for, or one of IANA's.
func textEncoding(charset string) (encoding.Encoding, error) {
	switch strings.ToLower(charset) {
	case "utf-8", "utf8", "ascii", "us-ascii", "":
		return unicode.UTF8, nil
	case "utf-16", "utf16":
		return unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), nil
	case "utf-8-raw", "utf8-raw", "nop":
		return encoding.Nop, nil
	}
	found, err := ianaindex.IANA.Encoding(charset)
	if err != nil || found == nil {
		return nil, fmt.Errorf("charset %q is not supported", charset)
	}
	return found, nil
}

func decodeText(decoder *encoding.Decoder) decodeRecord {
	return func(data []byte, timestamp time.Time, record plog.LogRecord) error {
		text, err := decoder.Bytes(data)
		if err != nil {
			return err
		}
		setObserved(record, timestamp)
		record.Body().SetStr(string(text))
		return nil
	}
}

var errNotAnObject = errors.New("the message is not a JSON object")

// jsonDecoder makes the body of a JSON object, in the order of the object: a Go map
// between them, as upstream has, would make another request of the same message.
type jsonDecoder struct{ parser fastjson.Parser }

func (d *jsonDecoder) decode(data []byte, timestamp time.Time, record plog.LogRecord) error {
	value, err := d.parser.ParseBytes(data)
	if err != nil {
		return err
	}
	if value.Type() != fastjson.TypeObject {
		return errNotAnObject
	}
	setObserved(record, timestamp)
	return setJSON(value, record.Body())
}

func setJSON(value *fastjson.Value, dst pcommon.Value) error {
	switch value.Type() {
	case fastjson.TypeObject:
		object := value.GetObject()
		fields := dst.SetEmptyMap()
		fields.EnsureCapacity(object.Len())
		var err error
		object.Visit(func(key []byte, v *fastjson.Value) {
			// A key that is there twice has its last value, as upstream.
			name := string(key)
			field, ok := fields.Get(name)
			if !ok {
				field = fields.PutEmpty(name)
			}
			err = errors.Join(err, setJSON(v, field))
		})
		return err
	case fastjson.TypeArray:
		values := value.GetArray()
		items := dst.SetEmptySlice()
		items.EnsureCapacity(len(values))
		for _, v := range values {
			if err := setJSON(v, items.AppendEmpty()); err != nil {
				return err
			}
		}
	case fastjson.TypeString:
		dst.SetStr(string(value.GetStringBytes()))
	case fastjson.TypeNumber:
		number, err := value.Float64()
		if err != nil {
			return err
		}
		dst.SetDouble(number)
	case fastjson.TypeTrue, fastjson.TypeFalse:
		dst.SetBool(value.Type() == fastjson.TypeTrue)
	case fastjson.TypeNull:
		pcommon.NewValueEmpty().MoveTo(dst)
	}
	return nil
}
