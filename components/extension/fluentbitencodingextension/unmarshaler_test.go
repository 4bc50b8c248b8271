package fluentbitencodingextension

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/breakwater-otel/breakwater/components/extension/fluentbitencodingextension/internal/metadata"
	"github.com/breakwater-otel/breakwater/components/internal/logsappend"
)

const validMessage = `{"@timestamp":"2024-11-22T11:40:00.000000001Z","log":"valid","stream":"stdout"}`

// TestReceiverSees holds what a receiver asks of an extension that it takes for an encoding.
func TestReceiverSees(t *testing.T) {
	factory := NewFactory()
	ext, err := factory.Create(t.Context(), extensiontest.NewNopSettings(metadata.Type), factory.CreateDefaultConfig())
	require.NoError(t, err)
	require.NoError(t, ext.Start(t.Context(), componenttest.NewNopHost()))
	defer func() { assert.NoError(t, ext.Shutdown(context.Background())) }()

	_, ok := ext.(pmetric.Unmarshaler)
	assert.False(t, ok, "metrics are not decoded here")
	unmarshaler, ok := ext.(plog.Unmarshaler)
	require.True(t, ok)
	logs, err := unmarshaler.UnmarshalLogs([]byte(validMessage))
	require.NoError(t, err)
	record := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	assert.Equal(t, "valid", record.Body().Str())
	assert.Zero(t, record.ObservedTimestamp(), "the time of the message is not known")
	_, err = unmarshaler.UnmarshalLogs([]byte(validMessage[1:]))
	require.Error(t, err)

	_, ok = ext.(logsappend.Extension)
	assert.True(t, ok)
}

// TestAppendAfterError holds that a message that is refused, even for its last record, leaves nothing in the request.
func TestAppendAfterError(t *testing.T) {
	refused := []string{
		validMessage[:len(validMessage)-1],
		validMessage + `{"log":"no time"}`,
		"[" + validMessage + `,{"log":"no time","stream":"new"}]`,
		"[" + validMessage + `,7]`,
		validMessage + "\n" + validMessage + "\n{",
	}
	ext := newExtension(testConfig(t, nil))
	clean, u := ext.NewLogsUnmarshaler(), ext.NewLogsUnmarshaler()
	for _, message := range allMessages(t) {
		require.NoError(t, clean.Append(message, arrived))
		require.NoError(t, u.Append(message, arrived))
		for _, bad := range refused {
			require.Error(t, u.Append([]byte(bad), arrived))
		}
	}
	assert.Equal(t, encoded(t, clean.Logs()), encoded(t, u.Logs()))
	assert.Zero(t, u.Logs().ResourceLogs().Len(), "the request is forgotten")
}

// TestDeterminism holds that the request does not depend on what was decoded before it.
func TestDeterminism(t *testing.T) {
	messages := append(allMessages(t), flatMessages(3)[:50]...)
	messages = append(messages, podMessages(3)[:50]...)
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // G404: an order of messages
	ext := newExtension(testConfig(t, map[string]any{"parse_log": true}))
	used := ext.NewLogsUnmarshaler()
	for range 50 {
		random.Shuffle(len(messages), func(i, j int) { messages[i], messages[j] = messages[j], messages[i] })
		fresh := ext.NewLogsUnmarshaler()
		for _, message := range messages[:random.IntN(len(messages))] {
			require.NoError(t, fresh.Append(message, arrived))
			require.NoError(t, used.Append(message, arrived))
		}
		require.Equal(t, encoded(t, fresh.Logs()), encoded(t, used.Logs()))
	}
}

// TestResources holds that records with the same labels share a resource, wherever they are, in the order of their
// messages.
func TestResources(t *testing.T) {
	u := newExtension(testConfig(t, map[string]any{"tags": map[string]any{"pipeline": "p"}})).NewLogsUnmarshaler()
	for i := range 100 {
		message := fmt.Appendf(nil, `{"@timestamp":"2024-11-22T11:40:00Z","log":"%d","stream":"s%d","host_name":"h"}`, i, i%3)
		if i%2 == 1 { // the order of the members is another one
			message = fmt.Appendf(nil, `{"host_name":"h","log":"%d","stream":"\u0073%d","@timestamp":"2024-11-22T11:40:00Z"}`, i, i%3)
		}
		require.NoError(t, u.Append(message, arrived))
	}
	logs := u.Logs()
	require.Equal(t, 3, logs.ResourceLogs().Len())
	for s, resource := range logs.ResourceLogs().All() {
		assert.Equal(t, map[string]any{"pipeline": "p", "stream": fmt.Sprintf("s%d", s), "host_name": "h"}, resource.Resource().Attributes().AsRaw())
		records := resource.ScopeLogs().At(0).LogRecords()
		for i, record := range records.All() {
			assert.Equal(t, fmt.Sprint(3*i+s), record.Body().Str())
			assert.Zero(t, record.Attributes().Len())
		}
	}
}

// TestLabelsDiffer holds that what is not the same is not taken for it.
func TestLabelsDiffer(t *testing.T) {
	u := newExtension(testConfig(t, map[string]any{"labels": []any{"a", "b"}})).NewLogsUnmarshaler()
	values := []string{
		``, `"a":""`, `"b":""`, `"a":"","b":""`, `"a":null`, `"a":1`, `"a":"1"`, `"a":1.0`, `"a":true`, `"a":[]`, `"a":["x"]`, `"a":{}`,
		`"a":{"x":1}`, `"a":{"x":"1"}`, `"a":"x","b":"y"`, `"a":"xy"`, `"b":"xy"`, `"a":"x\u0001sy"`,
	}
	for _, value := range values {
		require.NoError(t, u.Append([]byte(`{"@timestamp":"2024-11-22T11:40:00Z",`+strings.TrimPrefix(value+`,`, `,`)+`"log":"x"}`), arrived))
	}
	assert.Equal(t, len(values), u.Logs().ResourceLogs().Len())
}

// TestLabelAmongAttributes holds that an attribute whose key is a label's has it only where the record has no such label,
// also behind a record with the same attributes.
func TestLabelAmongAttributes(t *testing.T) {
	u := newExtension(testConfig(t, map[string]any{"labels": []any{"a.b"}})).NewLogsUnmarshaler()
	const free, taken = `{"date":1,"a":{"b":"attribute"}}`, `{"date":1,"a.b":"label","a":{"b":"attribute"}}`
	for _, message := range []string{free, taken, taken, free, taken} {
		require.NoError(t, u.Append([]byte(message), arrived))
		resources := u.Logs().ResourceLogs()
		attributes := resources.At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().AsRaw()
		if message == free {
			assert.Equal(t, map[string]any{"a.b": "attribute"}, attributes)
			continue
		}
		assert.Equal(t, map[string]any{"a.b": "label"}, resources.At(0).Resource().Attributes().AsRaw())
		assert.Equal(t, map[string]any{"a.b_2": "attribute"}, attributes)
	}
}

// TestBytes holds what becomes of bytes that are not UTF-8 and of escapes that are none: they stay as they are.
func TestBytes(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"caf\xe9 \xff\xfe", "caf\xe9 \xff\xfe"},
		{"raw \x01 \t control", "raw \x01 \t control"},
		{`\ud83d\ude00`, "😀"},
		{`\uD83D\uDE00`, "😀"},
		{`\\ud83d\ude00`, `\ud83d\ude00`},
		{`\ud83d\ud83d\ude00`, `\ud83d😀`},
		{`\ud83d\u0041`, `\ud83dA`},
		{`\ud83d\n`, "\\ud83d\n"},
		{`\ude00`, `\ude00`},
		{`\ud83d`, `\ud83d`},
		{`\\\ud83d`, `\\ud83d`},
		{`\q \u12 \uzzzz`, `\q \u12 \uzzzz`},
		{`\"\\\/\b\f\n\r\t\u00e9`, "\"\\/\b\f\n\r\té"},
	} {
		u := newExtension(testConfig(t, nil)).NewLogsUnmarshaler()
		require.NoError(t, u.Append([]byte(`{"@timestamp":"2024-11-22T11:40:00Z","log":"`+test.in+`","k`+test.in+`":1}`), arrived), test.in)
		record := u.Logs().ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		assert.Equal(t, test.want, record.Body().Str())
		_, ok := record.Attributes().Get("k" + test.want)
		assert.True(t, ok, "key %q", test.in)
	}
}

// TestNotJSON holds what is more than JSON allows, and is kept as it is written.
func TestNotJSON(t *testing.T) {
	u := newExtension(testConfig(t, nil)).NewLogsUnmarshaler()
	require.NoError(t, u.Append([]byte(`{"@timestamp":"2024-11-22T11:40:00Z","log":nan,"a":01,"b":1-2,"c":-Inf}`), arrived))
	record := u.Logs().ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	assert.Equal(t, "nan", record.Body().AsString())
	assert.Equal(t, map[string]any{"a": "01", "b": "1-2", "c": "-Inf"}, record.Attributes().AsRaw())
}

// TestMessageIsNotKept holds that the request does not change with the buffer that the message came in.
func TestMessageIsNotKept(t *testing.T) {
	u := newExtension(testConfig(t, nil)).NewLogsUnmarshaler()
	reference := newExtension(testConfig(t, nil)).NewLogsUnmarshaler()
	for _, message := range allMessages(t) {
		require.NoError(t, reference.Append(message, arrived))
		before := bytes.Clone(message)
		require.NoError(t, u.Append(message, arrived))
		require.Equal(t, before, message, "the message is not changed")
		clear(message)
	}
	assert.Equal(t, encoded(t, reference.Logs()), encoded(t, u.Logs()))
}

// TestLargeRecords decodes records of over 1 MiB, and holds that the unmarshaler does not keep the memory for them.
func TestLargeRecords(t *testing.T) {
	text := strings.Repeat(`line of a dump \"quoted\"\n`, 50_000)
	wide := new(strings.Builder)
	for i := range 60_000 {
		fmt.Fprintf(wide, `"key-%d":{"a":%d,"a":0},`, i, i)
	}
	u := newUnmarshaler(newLayout(testConfig(t, nil)))
	require.NoError(t, u.Append([]byte(`{"@timestamp":"2024-11-22T11:40:00Z","log":"`+text+`"}`), arrived))
	require.NoError(t, u.Append([]byte(`{"@timestamp":"2024-11-22T11:40:00Z",`+wide.String()+`"log":"wide"}`), arrived))
	func() { // nothing here refers to the records afterwards
		records := u.Logs().ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
		require.Equal(t, 2, records.Len())
		assert.Len(t, records.At(0).Body().Str(), 50_000*(len("line of a dump \"quoted\"\n")))
		assert.Equal(t, 120_000-1, records.At(1).Attributes().Len(), "all but the second `a` of the first, which has the same value")
	}()

	require.NoError(t, u.Append([]byte(validMessage), arrived))
	u.Logs()
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	before := stats.HeapAlloc
	runtime.KeepAlive(u)
	u = nil
	runtime.GC()
	runtime.ReadMemStats(&stats)
	assert.Less(t, int64(before)-int64(stats.HeapAlloc), int64(4<<20)) //nolint:gosec // G115: sizes
}

// TestDuplicatesWithoutEnd holds that many members of few keys take no more than their number.
func TestDuplicatesWithoutEnd(t *testing.T) {
	const members = 50_000
	message := new(strings.Builder)
	message.WriteString(`{"@timestamp":"2024-11-22T11:40:00Z"`)
	for i := range members {
		fmt.Fprintf(message, `,"a":%d,"b":"%d"`, i, i)
	}
	message.WriteString(`}`)
	u := newExtension(testConfig(t, nil)).NewLogsUnmarshaler()
	require.NoError(t, u.Append([]byte(message.String()), arrived))
	attributes := u.Logs().ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().AsRaw()
	assert.Len(t, attributes, 2*members)
	assert.Equal(t, int64(members-1), attributes[fmt.Sprintf("a_%d", members)])
}

// TestKnownNames holds that keys without end are not remembered.
func TestKnownNames(t *testing.T) {
	u := newUnmarshaler(newLayout(testConfig(t, nil)))
	for i := range 3 * maxKnownNames {
		require.NoError(t, u.Append(fmt.Appendf(nil, `{"@timestamp":"2024-11-22T11:40:00Z","k%d":{"%d":1},"%s":2}`, i, i, strings.Repeat("l", 300)), arrived))
		record := u.Logs().ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		require.Equal(t, map[string]any{fmt.Sprintf("k%d.%d", i, i): int64(1), strings.Repeat("l", 300): int64(2)}, record.Attributes().AsRaw())
	}
	assert.LessOrEqual(t, len(u.names.known), maxKnownNames)
	assert.LessOrEqual(t, len(u.names.order), maxOrder)
}

// TestConcurrency decodes by many goroutines at once, as the receiver of upstream does.
func TestConcurrency(t *testing.T) {
	ext := newExtension(testConfig(t, nil))
	messages := allMessages(t)
	want := make([]string, len(messages))
	for i, message := range messages {
		logs, err := ext.UnmarshalLogs(message)
		require.NoError(t, err)
		want[i] = encoded(t, logs)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				for i, message := range messages {
					logs, err := ext.UnmarshalLogs(message)
					if assert.NoError(t, err) {
						assert.Equal(t, want[i], encoded(t, logs))
					}
				}
			}
		})
	}
	wg.Wait()
}

// TestAllocations holds what the records of a request cost: themselves and their message, as pdata has them.
func TestAllocations(t *testing.T) {
	u := newExtension(testConfig(t, nil)).NewLogsUnmarshaler()
	message := []byte(validMessage)
	allocations := testing.AllocsPerRun(10, func() {
		for range benchMessages {
			if err := u.Append(message, arrived); err != nil {
				t.Fatal(err)
			}
		}
		u.Logs()
	})
	assert.Less(t, allocations/benchMessages, 2.1)
}

// TestMessageTime holds what records without a timestamp get.
func TestMessageTime(t *testing.T) {
	for _, test := range []struct {
		name      string
		timestamp time.Time
		want      int64
	}{
		{"known", arrived, arrived.UnixNano()},
		{"not known", time.Time{}, 0},
		{"none in Kafka", time.UnixMilli(-1), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			u := newExtension(testConfig(t, map[string]any{"on_invalid_time": "message_time"})).NewLogsUnmarshaler()
			require.NoError(t, u.Append([]byte(`{"date":"soon"}`), test.timestamp))
			record := u.Logs().ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
			assert.Equal(t, test.want, int64(record.Timestamp()))         //nolint:gosec // G115: small
			assert.Equal(t, test.want, int64(record.ObservedTimestamp())) //nolint:gosec // G115: small
			assert.Equal(t, map[string]any{"date": "soon"}, record.Attributes().AsRaw())
		})
	}
}

func TestConfig(t *testing.T) {
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	assert.Equal(t, createDefaultConfig(), testConfig(t, nil))
	assert.Equal(t, &Config{
		TimeKeys: []string{"ts"}, OnInvalidTime: TimeFromMessage, MessageKeys: []string{"text"}, TrimNewline: true,
		ParseLog: true, ParseLogPrefix: "log.", Labels: []string{"app"}, Tags: map[string]string{"consumer_name": "c"},
	}, testConfig(t, conf.ToStringMap()))
}

func TestConfigIsWrong(t *testing.T) {
	for _, test := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.OnInvalidTime = "now" }, "`on_invalid_time` must be reject or message_time, not \"now\""},
		{func(c *Config) { c.TimeKeys = nil }, "`time_keys` must not be empty when `on_invalid_time` is reject"},
		{func(c *Config) { c.MessageKeys = nil }, "`message_keys` must not be empty"},
		{func(c *Config) { c.MessageKeys = []string{""} }, "`message_keys` must not have an empty key"},
		{func(c *Config) { c.Labels = []string{"a", "log"} }, "`labels` has the key \"log\", which `message_keys` has, too"},
		{func(c *Config) { c.Labels = []string{"a", "a"} }, "`labels` has the key \"a\", which `labels` has, too"},
		{func(c *Config) { c.Tags = map[string]string{"stream": "x"} }, "`tags` has the key \"stream\", which `labels` has, too"},
		{func(c *Config) { c.ParseLogPrefix = "log." }, "`parse_log_prefix` needs `parse_log`"},
		{func(c *Config) {
			c.Labels = nil
			for i := range 65 {
				c.Labels = append(c.Labels, fmt.Sprint(i))
			}
		}, "`labels` must not have more than 64 keys, not 65"},
	} {
		config := createDefaultConfig().(*Config)
		test.change(config)
		assert.EqualError(t, config.Validate(), test.want)
	}
	config := createDefaultConfig().(*Config)
	config.TimeKeys, config.OnInvalidTime = nil, TimeFromMessage
	assert.NoError(t, config.Validate())
}
