package labels

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

func logsOf(records ...attrs) (plog.Logs, error) {
	logs := plog.NewLogs()
	slice := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, raw := range records {
		record := slice.AppendEmpty()
		record.Body().SetStr(raw["id"].(string))
		if err := record.Attributes().FromRaw(raw); err != nil {
			return logs, err
		}
	}
	return logs, nil
}

// TestSources holds that a label comes from the headers of a Kafka message, that its value there wins where it is the first
// source, that a record without a label that it must have is an error to its sender while its neighbour arrives, and that a
// second pipeline which reads the same data has it as it came.
func TestSources(t *testing.T) {
	kafka := harness.StartFakeKafka(t, harness.FakeKafkaOptions{Options: []kfake.Opt{kfake.SeedTopics(1, "sources")}})
	backend := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{})
	plain := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Name: "plain"})
	b := harness.StartBreakwater(t, harness.BreakwaterOptions{
		Configs: []string{dir + "sources.yaml"},
		Env:     map[string]string{"KAFKA_BROKERS": kafka.BootstrapServers(), "VICTORIALOGS_ENDPOINT": backend.URL(), "PLAIN_ENDPOINT": plain.URL()},
	})
	client, err := harness.NewKafkaClient(kafka.Brokers())
	require.NoError(t, err)
	defer client.Close()

	logs, err := logsOf(attrs{"id": "header alone"}, attrs{"id": "header and record", "site.name": "site-b", "team": "core"})
	require.NoError(t, err)
	message, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
	require.NoError(t, err)
	require.NoError(t, client.Produce(t.Context(), &kgo.Record{Topic: "sources", Value: message, Headers: []kgo.RecordHeader{
		{Key: "site_name", Value: []byte("site-a")}, {Key: "X-Team", Value: []byte("edge")},
	}}))

	mixed, err := logsOf(attrs{"id": "without"}, attrs{"id": "with", "site.name": "site-c"})
	require.NoError(t, err)
	err = sendLogs(t.Context(), b.OTLPHTTP(), mixed)
	require.ErrorContains(t, err, "1 without `site_name`")

	want := map[string]labelsOf{
		"header alone":      {"site_name": "site-a", "team": "edge", "_stream": `{site_name="site-a",team="edge"}`},
		"header and record": {"site_name": "site-a", "site_name.conflict": "site-b", "team": "core", "team.conflict": "edge", "_stream": `{site_name="site-a",team="core"}`},
		"with":              {"site_name": "site-c", "_stream": `{site_name="site-c"}`},
	}
	wantPlain := map[string]labelsOf{
		"header alone":      {"_stream": "{}"},
		"header and record": {"site.name": "site-b", "team": "core", "_stream": `{team="core"}`},
		"without":           {"_stream": "{}"},
		"with":              {"site.name": "site-c", "_stream": "{}"},
	}
	assert.Equal(t, want, rowsOf(t, backend, len(want)))
	assert.Equal(t, wantPlain, rowsOf(t, plain, len(wantPlain)))
	own, err := b.Metrics(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 1, own.Sum("otelcol_processor_label_preserve_rejected_total", "label", "site_name")+
		own.Sum("otelcol_processor_label_preserve_rejected", "label", "site_name"))
}

// rowsOf waits for n rows and returns what the test asks of each, by its message.
func rowsOf(t *testing.T, backend *harness.VictoriaLogs, n int) map[string]labelsOf {
	ctx, cancel := context.WithTimeout(t.Context(), arriveTimeout)
	defer cancel()
	rows := make(map[string]labelsOf)
	err := harness.Eventually(ctx, time.Second, func(ctx context.Context) error {
		clear(rows)
		if err := backend.Flush(ctx); err != nil {
			return err
		}
		found, err := backend.Query(ctx, "*")
		if err != nil {
			return err
		}
		for _, row := range found {
			labels := labelsOf{}
			for _, name := range []string{"site_name", "site_name.conflict", "site.name", "team", "team.conflict", "_stream"} {
				if row[name] != "" {
					labels[name] = row[name]
				}
			}
			rows[row["_msg"]] = labels
		}
		if len(rows) < n {
			return fmt.Errorf("%s: %d rows of %d", backend.Name(), len(rows), n)
		}
		return nil
	})
	assert.NoError(t, err)
	return rows
}
