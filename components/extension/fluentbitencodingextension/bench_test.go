package fluentbitencodingextension

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/encoding/jsonlogencodingextension"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// benchMessages is how many messages of one partition a request has, about 1 MiB.
const benchMessages = 2000

var benchStart = time.Date(2024, 11, 22, 11, 40, 0, 0, time.UTC)

func benchText(n int) string {
	id := uint64(n+1) * 0x9e3779b97f4a7c15 //nolint:gosec // G115: digits that do not repeat
	return fmt.Sprintf(`%s INFO request done method=GET proto=HTTP/2 path=/api/v1/customers/%d/orders/%d status=%d bytes=%d duration=%d.%03dms trace_id=%016x%016x`,
		benchStart.Add(time.Duration(n)*time.Microsecond).Format(time.RFC3339Nano), id%100_000, n, 200+n%5, id%20_000, id%900, id%1000, id, id*31)
}

// flatMessages are records of 11 fields and about 480 bytes, of a number of hosts in turns.
func flatMessages(hosts int) [][]byte {
	messages := make([][]byte, benchMessages)
	for n := range messages {
		m := append([]byte(`{"@timestamp":"`), benchStart.Add(time.Duration(n)*time.Microsecond).Format("2006-01-02T15:04:05.000000000Z")...)
		m = append(m, `","log":"`+benchText(n)+`","site_name":"site-frankfurt-1","env":"production","host_name":"host-`...)
		m = strconv.AppendInt(m, int64(n%hosts), 10)
		m = append(m, `.example","service_name":"checkout","service_namespace":"shop","job":"shop/checkout","log.file.name":"app.log",`...)
		m = append(m, `"log.file.path":"/var/log/shop/checkout/app.log","line":"`...)
		messages[n] = append(strconv.AppendInt(m, int64(n), 10), `"}`...)
	}
	return messages
}

// podMessages are records as the kubernetes filter leaves them, of a number of pods in turns.
func podMessages(pods int) [][]byte {
	messages := make([][]byte, benchMessages)
	for n := range messages {
		messages[n] = fmt.Appendf(nil, `{"@timestamp":"%s","time":"%s","stream":"stdout","_p":"F","log":"%s",`+
			`"kubernetes":{"pod_name":"checkout-%d","namespace_name":"shop","pod_id":"8c7a1f0e-%d","labels":{"app.kubernetes.io/name":"checkout","pod-template-hash":"5d4f"},`+
			`"annotations":{"prometheus.io/scrape":"true"},"host":"node-3","container_name":"checkout","docker_id":"4c1d0e","container_image":"registry.example/checkout:1.4"},`+
			`"host_name":"node-3","env":"production","site_name":"fra1"}`,
			benchStart.Add(time.Duration(n)*time.Microsecond).Format("2006-01-02T15:04:05.000000Z"),
			benchStart.Add(time.Duration(n)*time.Microsecond).Format(time.RFC3339Nano), benchText(n), n%pods, n%pods)
	}
	return messages
}

// BenchmarkDecode decodes the messages of a request into one, and with what else there is one by one.
func BenchmarkDecode(b *testing.B) {
	for _, input := range []struct {
		name     string
		messages [][]byte
	}{{"flat/hosts=1", flatMessages(1)}, {"flat/hosts=20", flatMessages(20)}, {"pods=1", podMessages(1)}, {"pods=20", podMessages(20)}} {
		b.Run(input.name, func(b *testing.B) {
			b.Run("append", func(b *testing.B) {
				u := newExtension(createDefaultConfig().(*Config)).NewLogsUnmarshaler()
				benchRequests(b, input.messages, func(messages [][]byte) {
					for _, message := range messages {
						if err := u.Append(message, benchStart); err != nil {
							b.Fatal(err)
						}
					}
					if u.Logs().LogRecordCount() != len(messages) {
						b.Fatal("records are missing")
					}
				})
			})
			b.Run("unmarshal", func(b *testing.B) {
				benchUnmarshaler(b, input.messages, newExtension(createDefaultConfig().(*Config)))
			})
			b.Run("upstream_json_log", func(b *testing.B) {
				factory := jsonlogencodingextension.NewFactory()
				config := factory.CreateDefaultConfig().(*jsonlogencodingextension.Config)
				config.ArrayMode = false
				ext, err := factory.Create(b.Context(), extensiontest.NewNopSettings(factory.Type()), config)
				require.NoError(b, err)
				benchUnmarshaler(b, input.messages, ext.(plog.Unmarshaler))
			})
			b.Run("encoding_json", func(b *testing.B) {
				benchUnmarshaler(b, input.messages, mapUnmarshaler{})
			})
		})
	}
}

// mapUnmarshaler decodes by way of a map.
type mapUnmarshaler struct{}

func (mapUnmarshaler) UnmarshalLogs(data []byte) (plog.Logs, error) {
	logs := plog.NewLogs()
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		return logs, err
	}
	record := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	at, err := time.Parse(time.RFC3339Nano, members["@timestamp"].(string))
	if err != nil {
		return logs, err
	}
	record.SetTimestamp(pcommon.NewTimestampFromTime(at))
	record.Body().SetStr(members["log"].(string))
	delete(members, "@timestamp")
	delete(members, "log")
	return logs, record.Attributes().FromRaw(members)
}

func benchUnmarshaler(b *testing.B, messages [][]byte, unmarshaler plog.Unmarshaler) {
	benchRequests(b, messages, func(messages [][]byte) {
		for _, message := range messages {
			if _, err := unmarshaler.UnmarshalLogs(message); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func benchRequests(b *testing.B, messages [][]byte, decode func([][]byte)) {
	bytes := 0
	for _, message := range messages {
		bytes += len(message)
	}
	b.SetBytes(int64(bytes))
	b.ReportAllocs()
	for b.Loop() {
		decode(messages)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(messages)), "ns/record")
}
