package durablekafkareceiver

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/breakwater-otel/breakwater/components/internal/logsappend"
	"github.com/breakwater-otel/breakwater/components/receiver/durablekafkareceiver/internal/metadata"
)

var noHost = &testHost{}

func build(t *testing.T, encoding string, messages ...string) plog.Logs {
	t.Helper()
	newBuilder, err := logsBuilder(noHost, encoding)
	require.NoError(t, err)
	b := newBuilder()
	for _, message := range messages {
		require.NoError(t, b.append([]byte(message), time.Unix(7, 0)))
	}
	return b.take()
}

func otlpLogs(t testing.TB, body string, records int) []byte {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "checkout")
	slice := resource.ScopeLogs().AppendEmpty().LogRecords()
	for range records {
		record := slice.AppendEmpty()
		record.Body().SetStr(body)
		record.SetTimestamp(1_700_000_000_000_000_000)
		record.SetSeverityText("INFO")
		for _, name := range []string{"host", "region", "pod", "container", "logger", "thread", "request_id"} {
			record.Attributes().PutStr(name, "value of "+name)
		}
	}
	data, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
	require.NoError(t, err)
	return data
}

func TestLogsEncodings(t *testing.T) {
	t.Run("otlp_proto", func(t *testing.T) {
		logs := build(t, encodingOTLPProto, string(otlpLogs(t, "a", 2)), string(otlpLogs(t, "b", 1)))
		assert.Equal(t, 3, logs.LogRecordCount())
		assert.Equal(t, 2, logs.ResourceLogs().Len())
	})
	t.Run("otlp_json", func(t *testing.T) {
		logs := build(t, encodingOTLPJSON, `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"a"}}]}]}]}`)
		assert.Equal(t, "a", logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Body().Str())
	})
	t.Run("records share a resource", func(t *testing.T) {
		for _, encoding := range []string{encodingRaw, encodingText, encodingJSON} {
			logs := build(t, encoding, `{"a":1}`, `{"b":2}`)
			require.Equal(t, 1, logs.ResourceLogs().Len(), encoding)
			require.Equal(t, 2, logs.LogRecordCount(), encoding)
		}
	})
	t.Run("text", func(t *testing.T) {
		record := build(t, "text", "grüß").ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		assert.Equal(t, "grüß", record.Body().Str())
		assert.EqualValues(t, 7_000_000_000, record.ObservedTimestamp(), "the time of the message, not of the clock")
	})
	t.Run("text of a charset", func(t *testing.T) {
		assert.Equal(t, "grüß", build(t, "text_ISO-8859-1", "gr\xfc\xdf").ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Body().Str())
		assert.Equal(t, "ab", build(t, "text_utf16", "a\x00b\x00").ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Body().Str())
		_, err := logsBuilder(noHost, "text_klingon")
		require.ErrorContains(t, err, "klingon")
	})
	t.Run("raw", func(t *testing.T) {
		record := build(t, "raw", "a\x00\xff").ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		assert.Equal(t, []byte("a\x00\xff"), record.Body().Bytes().AsRaw())
	})
	t.Run("json", func(t *testing.T) {
		message := `{"s":"x\n","n":1.5,"i":3,"t":true,"z":null,"m":{"k":[1,"two",{"three":3}]},"s":"last"}`
		record := build(t, "json", message).ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		assert.Equal(t, map[string]any{"s": "last", "n": 1.5, "i": 3.0, "t": true, "z": nil,
			"m": map[string]any{"k": []any{1.0, "two", map[string]any{"three": 3.0}}}}, record.Body().Map().AsRaw())
		assert.EqualValues(t, 7_000_000_000, record.ObservedTimestamp())
	})
	t.Run("an error leaves the request as it was", func(t *testing.T) {
		newBuilder, err := logsBuilder(noHost, "json")
		require.NoError(t, err)
		b := newBuilder()
		require.NoError(t, b.append([]byte(`{"a":1}`), time.Time{}))
		for _, bad := range []string{"", "{", "[]", `"text"`, "1", "{}}"} {
			require.Error(t, b.append([]byte(bad), time.Time{}), bad)
		}
		require.NoError(t, b.append([]byte(`{"b":2}`), time.Time{}))
		logs := b.take()
		assert.Equal(t, 2, logs.LogRecordCount())
		assert.Zero(t, b.take().LogRecordCount())
	})
	t.Run("unknown", func(t *testing.T) {
		_, err := logsBuilder(noHost, "otlp_xml")
		require.ErrorContains(t, err, "`logs::encoding` \"otlp_xml\"")
	})
}

// The same messages make the same bytes, whichever of the builders is used again.
func TestRequestsAreDeterministic(t *testing.T) {
	message := `{"zulu":1,"alpha":{"x":1,"b":2,"q":3},"mike":[1,2,3],"hotel":"h"}`
	var first []byte
	for range 20 {
		data, err := (&plog.ProtoMarshaler{}).MarshalLogs(build(t, "json", message, message))
		require.NoError(t, err)
		if first == nil {
			first = data
		}
		require.Equal(t, first, data)
	}
}

func TestOtherSignalsEncodings(t *testing.T) {
	set := receivertest.NewNopSettings(metadata.Type)
	config := createDefaultConfig().(*Config)
	metrics := pmetric.NewMetrics()
	metrics.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(1)
	protoMetrics, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(metrics)
	require.NoError(t, err)
	jsonMetrics, err := (&pmetric.JSONMarshaler{}).MarshalMetrics(metrics)
	require.NoError(t, err)
	for encoding, message := range map[string][]byte{encodingOTLPProto: protoMetrics, encodingOTLPJSON: jsonMetrics} {
		config.Metrics.Encoding = encoding
		next := new(consumertest.MetricsSink)
		s, err := newMetricsSignal(config, set, noHost, next)
		require.NoError(t, err)
		records := []*kgo.Record{{Value: message}, {Value: []byte("\xff{")}, {Value: message}}
		undecodable := make(map[int]error)
		require.NoError(t, s.decode(records, undecodable).consume(t.Context()))
		assert.Len(t, undecodable, 1)
		assert.Error(t, undecodable[1])
		assert.Equal(t, 2, next.DataPointCount())
	}

	traces := ptrace.NewTraces()
	span := traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID([16]byte{1})
	span.SetSpanID([8]byte{2})
	span.SetName("op")
	protoTraces, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(traces)
	require.NoError(t, err)
	jsonTraces, err := (&ptrace.JSONMarshaler{}).MarshalTraces(traces)
	require.NoError(t, err)
	for encoding, message := range map[string]string{
		encodingOTLPProto:  string(protoTraces),
		encodingOTLPJSON:   string(jsonTraces),
		encodingJaegerJSON: `{"traceId":"AAAAAAAAAAAAAAAAAAAAAQ==","spanId":"AAAAAAAAAAE=","operationName":"op","process":{"serviceName":"s"}}`,
		encodingZipkinJSON: `[{"traceId":"0000000000000001","id":"0000000000000002","name":"op"}]`,
	} {
		config.Traces.Encoding = encoding
		next := new(consumertest.TracesSink)
		s, err := newTracesSignal(config, set, noHost, next)
		require.NoError(t, err)
		undecodable := make(map[int]error)
		require.NoError(t, s.decode([]*kgo.Record{{Value: []byte(message)}}, undecodable).consume(t.Context()))
		assert.Empty(t, undecodable, encoding)
		assert.Equal(t, 1, next.SpanCount(), encoding)
	}
	for _, encoding := range []string{encodingJaegerProto, encodingZipkinProto, encodingZipkinThrift} {
		newBuilder, err := tracesBuilder(noHost, encoding)
		require.NoError(t, err)
		require.Error(t, newBuilder().append([]byte("\xff\xff"), time.Time{}), encoding)
	}
	for _, message := range []string{"`metrics::encoding`", "`traces::encoding`"} {
		_, metricsErr := metricsBuilder(noHost, "unknown")
		_, tracesErr := tracesBuilder(noHost, "unknown")
		require.ErrorContains(t, errors.Join(metricsErr, tracesErr), message)
	}
}

// appender is an encoding extension that can append.
type appender struct {
	component.StartFunc
	component.ShutdownFunc
}

func (appender) NewLogsUnmarshaler() logsappend.Unmarshaler { return &appended{} }

type appended struct{ lines []string }

func (a *appended) Append(data []byte, _ time.Time) error {
	if strings.HasPrefix(string(data), "!") {
		return errors.New("bad")
	}
	a.lines = append(a.lines, string(data))
	return nil
}

func (a *appended) Logs() plog.Logs {
	logs := plog.NewLogs()
	logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr(strings.Join(a.lines, " "))
	a.lines = nil
	return logs
}

func TestEncodingExtensions(t *testing.T) {
	host := &testHost{extensions: map[component.ID]component.Component{
		component.MustNewID("lines"):               appender{},
		component.MustNewIDWithName("poison", "x"): panicking{},
		component.MustNewID("raw"):                 panicking{},
		component.MustNewID("other"):               &testComponent{},
	}}
	newBuilder, err := logsBuilder(host, "lines")
	require.NoError(t, err)
	b := newBuilder()
	require.NoError(t, b.append([]byte("a"), time.Time{}))
	require.Error(t, b.append([]byte("!"), time.Time{}))
	require.NoError(t, b.append([]byte("b"), time.Time{}))
	assert.Equal(t, "a b", b.take().ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Body().Str())

	newBuilder, err = logsBuilder(host, "poison/x")
	require.NoError(t, err)
	require.NoError(t, newBuilder().append([]byte("a"), time.Time{}))

	newBuilder, err = logsBuilder(host, "raw")
	require.NoError(t, err)
	require.Error(t, newBuilder().append([]byte("/8"), time.Time{}), "an extension takes precedence")

	_, err = logsBuilder(host, "other")
	require.ErrorContains(t, err, "`logs::encoding`: extension \"other\" does not decode this signal")
}

type testComponent struct {
	component.StartFunc
	component.ShutdownFunc
}
