package victorialogsexporter

import (
	"fmt"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// benchRecords is the size of the messages that the agent's batches have in Kafka.
const benchRecords = 2000

// benchLogs makes records of 11 fields and about 480 bytes a row: all of them the record's own, or the labels on the
// resource alone.
func benchLogs(records int, labelsOnRecord bool) plog.Logs {
	return labelledLogs(records, labelsOnRecord, !labelsOnRecord)
}

// labelledLogs makes such records with the labels in one place or, as after label_preserve, in both.
func labelledLogs(records int, labelsOnRecord, labelsOnResource bool) plog.Logs {
	labels := map[string]string{
		"site_name": "frankfurt-07", "env": "production", "host_name": "edge-host-0042.example.net",
		"service_name": "checkout-api", "service_namespace": "shop", "job": "shop/checkout-api",
	}
	names := []string{"site_name", "env", "host_name", "service_name", "service_namespace", "job"}
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	scope := resource.ScopeLogs().AppendEmpty()
	if labelsOnResource {
		for _, name := range names {
			resource.Resource().Attributes().PutStr(name, labels[name])
		}
	}
	for i := range records {
		r := scope.LogRecords().AppendEmpty()
		r.SetTimestamp(pcommon.NewTimestampFromTime(time.Unix(1732275600, int64(i)*1000)))
		r.Body().SetStr(fmt.Sprintf(`10.1.%d.%d - - "GET /api/v1/items/%d?session=%032x HTTP/1.1" 200 %d "https://example.net/basket/%d" "Mozilla/5.0 (X11; Linux x86_64)" took %d us`,
			i%256, i%199, i, i*7919, 1000+i%9000, i%777, i%100000))
		if labelsOnRecord {
			for _, name := range names {
				r.Attributes().PutStr(name, labels[name])
			}
		}
		r.Attributes().PutStr("log.file.name", "access.log")
		r.Attributes().PutStr("log.file.path", "/var/log/checkout/access.log")
		r.Attributes().PutInt("line", int64(i))
	}
	return logs
}

// BenchmarkEncode compares the encoder with that of OTLP on the same records: the wire formats of the two ways into
// VictoriaLogs.
func BenchmarkEncode(b *testing.B) {
	for _, labels := range []struct {
		name                 string
		onRecord, onResource bool
	}{{"labels=record", true, false}, {"labels=resource", false, true}, {"labels=both", true, true}} {
		name, logs := labels.name, labelledLogs(benchRecords, labels.onRecord, labels.onResource)
		b.Run(name+"/victorialogs", func(b *testing.B) {
			config := testConfig()
			e := newEncoder(config, newNameRules(config))
			b.ReportAllocs()
			for b.Loop() {
				e.reset(testNow)
				e.encode(logs, 0, benchRecords, func(batch *batch) { b.SetBytes(int64(len(batch.lines.data))) })
				e.release()
			}
			reportRecords(b)
		})
		b.Run(name+"/otlp", func(b *testing.B) {
			b.ReportAllocs()
			var marshaler plog.ProtoMarshaler
			for b.Loop() {
				body, err := marshaler.MarshalLogs(logs)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(body)))
			}
			reportRecords(b)
		})
	}
}

func reportRecords(b *testing.B) {
	b.ReportMetric(float64(b.N)*benchRecords/b.Elapsed().Seconds(), "records/s")
}
