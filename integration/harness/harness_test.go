package harness_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// soon bounds what takes a few seconds on an idle machine.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestVictoriaLogsKeepsItsRowsOverARestart(t *testing.T) {
	t.Parallel()
	ctx := soon(t)
	v := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{})

	var rows []harness.LogRow
	for i := range 1000 {
		rows = append(rows, harness.LogRow{
			"_time": time.Unix(1_700_000_000+int64(i), 0).UTC().Format(time.RFC3339),
			"_msg":  fmt.Sprintf("line %d: żółw\ttab", i),
			"app":   "harness",
			"half":  fmt.Sprint(i / 2),
		})
	}
	require.NoError(t, v.InsertJSON(ctx, []string{"app"}, rows...))
	require.NoError(t, v.Flush(ctx))

	checkRows := func() {
		n, err := v.Count(ctx, `{app="harness"}`)
		require.NoError(t, err)
		assert.EqualValues(t, 1000, n)
		n, err = v.CountUniq(ctx, "*", "half")
		require.NoError(t, err)
		assert.EqualValues(t, 500, n)
		found, err := v.Query(ctx, "*")
		require.NoError(t, err)
		assert.Len(t, found, 1000, "a query without a limit returns every row")
		found, err = v.Query(ctx, `half:="7" | sort by (_time)`)
		require.NoError(t, err)
		require.Len(t, found, 2)
		assert.Equal(t, "line 14: żółw\ttab", found[0]["_msg"])
		assert.Equal(t, `{app="harness"}`, found[0]["_stream"])
	}
	checkRows()
	metrics, err := v.Metrics(ctx)
	require.NoError(t, err)
	assert.EqualValues(t, 1000, metrics.Sum("vl_rows_ingested_total", "type", "jsonline"))
	began := metrics.Sum("vm_app_start_timestamp")
	assert.NotZero(t, began)

	url := v.URL()
	require.NoError(t, v.Stop(ctx))
	_, err = v.Count(ctx, "*")
	require.Error(t, err, "stopped")
	require.NoError(t, v.Start(ctx))
	assert.Equal(t, url, v.URL())
	checkRows()

	require.NoError(t, v.Kill())
	require.NoError(t, v.Start(ctx))
	checkRows()
}

func TestVictoriaLogsRetentionCanBeSet(t *testing.T) {
	t.Parallel()
	ctx := soon(t)
	v := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: 48 * time.Hour})
	old := harness.LogRow{"_msg": "old", "_time": time.Now().Add(-72 * time.Hour).Format(time.RFC3339)}
	recent := harness.LogRow{"_msg": "recent", "_time": time.Now().Add(-24 * time.Hour).Format(time.RFC3339)}
	require.NoError(t, v.InsertJSON(ctx, nil, old, recent))
	require.NoError(t, v.Flush(ctx))
	rows, err := v.Query(ctx, "*")
	require.NoError(t, err)
	require.Len(t, rows, 1)
	assert.Equal(t, "recent", rows[0]["_msg"])
}

func TestVictoriaMetricsKeepsItsSamplesOverARestart(t *testing.T) {
	t.Parallel()
	ctx := soon(t)
	v := harness.StartVictoriaMetrics(t, harness.VictoriaMetricsOptions{})
	now := time.Now().UnixMilli()
	data := harness.MetricData{
		Labels:     harness.Series{"__name__": "boats", "site_name": "lab"},
		Values:     []float64{1, 2, 3},
		Timestamps: []int64{now - 3000, now - 2000, now - 1000},
	}
	require.NoError(t, v.Import(ctx, data))
	require.NoError(t, v.Import(ctx, data), "a repetition is removed by deduplication")
	require.NoError(t, v.Flush(ctx))

	checkSamples := func() {
		series, err := v.Series(ctx, `{site_name="lab"}`)
		require.NoError(t, err)
		assert.Equal(t, []harness.Series{data.Labels}, series)
		exported, err := v.Export(ctx, "boats")
		require.NoError(t, err)
		assert.Equal(t, []harness.MetricData{data}, exported)
		results, err := v.Query(ctx, `sum(boats) by (site_name)`)
		require.NoError(t, err)
		require.Len(t, results, 1)
		assert.Equal(t, harness.Series{"site_name": "lab"}, results[0].Labels)
		assert.EqualValues(t, 3, results[0].Value)
	}
	checkSamples()
	metrics, err := v.Metrics(ctx)
	require.NoError(t, err)
	assert.EqualValues(t, 6, metrics.Sum("vm_rows_inserted_total", "type", "jsonlineimport")+metrics.Sum("vm_rows_inserted_total", "type", "vmimport"))

	require.NoError(t, v.Restart(ctx))
	checkSamples()
}

func TestFakeKafkaKeepsItsDataOverARestart(t *testing.T) {
	t.Parallel()
	ctx := soon(t)
	f := harness.StartFakeKafka(t, harness.FakeKafkaOptions{Brokers: 3})
	c, err := harness.NewKafkaClient(f.Brokers())
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Admin().CreateTopic(ctx, 6, 3, nil, "boats")
	require.NoError(t, err)
	produceBoats(ctx, t, c, 0, 500)
	commitAll(ctx, t, c, "harbour", "boats")
	produceBoats(ctx, t, c, 500, 600)

	brokers := f.BootstrapServers()
	require.NoError(t, f.Stop(ctx))
	require.NoError(t, f.Start(ctx))
	assert.Equal(t, brokers, f.BootstrapServers())

	requireBoats(ctx, t, c, 600)
	lag, err := c.GroupLag(ctx, "harbour", "boats")
	require.NoError(t, err)
	assert.Equal(t, map[string]int64{"boats": 100}, lag)
	lag, err = c.GroupLag(ctx, "nobody", "boats")
	require.NoError(t, err)
	assert.Equal(t, map[string]int64{"boats": 600}, lag)
	_, err = c.EndOffsets(ctx, "no-such-topic")
	require.Error(t, err)
}

func produceBoats(ctx context.Context, t *testing.T, c *harness.KafkaClient, from, to int) {
	t.Helper()
	var records []*kgo.Record
	for i := from; i < to; i++ {
		records = append(records, &kgo.Record{
			Topic: "boats",
			Key:   fmt.Appendf(nil, "%d", i),
			Value: fmt.Appendf(nil, "boat %d", i),
		})
	}
	require.NoError(t, c.Produce(ctx, records...))
}

func requireBoats(ctx context.Context, t *testing.T, c *harness.KafkaClient, n int) {
	t.Helper()
	// A leader that is new shows what it has when its followers have asked for more.
	within, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	require.NoError(t, harness.Eventually(within, 100*time.Millisecond, func(ctx context.Context) error {
		count, err := c.Count(ctx, "boats")
		if err == nil && count != int64(n) {
			err = fmt.Errorf("%d boats of %d", count, n)
		}
		return err
	}))
	records, err := c.ConsumeAll(ctx, "boats")
	require.NoError(t, err)
	values := map[string]bool{}
	for _, r := range records {
		values[string(r.Value)] = true
	}
	require.Len(t, records, n)
	require.Len(t, values, n)
}

func commitAll(ctx context.Context, t *testing.T, c *harness.KafkaClient, group, topic string) {
	t.Helper()
	ends, err := c.Admin().ListEndOffsets(ctx, topic)
	require.NoError(t, err)
	require.NoError(t, c.Admin().CommitAllOffsets(ctx, group, ends.Offsets()))
}

const tinyConfig = `yaml:
extensions:
  health_check: {endpoint: "${env:HEALTH_ENDPOINT}"}
receivers:
  otlp: {protocols: {http: {endpoint: "${env:OTLP_HTTP_ENDPOINT}"}}}
exporters:
  debug: {}
service:
  extensions: [health_check]
  pipelines: {logs: {receivers: [otlp], exporters: [debug]}}
  telemetry:
    metrics:
      readers:
        - pull: {exporter: {prometheus: {host: 127.0.0.1, port: "${env:METRICS_PORT}"}}}
`

func TestBreakwaterRunsWithTheContractAndNothingElse(t *testing.T) {
	t.Parallel()
	ctx := soon(t)
	b := harness.StartBreakwater(t, harness.BreakwaterOptions{
		Name:    "agent",
		Configs: []string{tinyConfig},
	})
	require.NoError(t, b.Validate(ctx))
	resp, err := http.Post(b.OTLPHTTP()+"/v1/logs", "application/json", strings.NewReader(
		`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"ahoy"}}]}]}]}`))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.NoError(t, harness.Eventually(ctx, 100*time.Millisecond, func(ctx context.Context) error {
		metrics, err := b.Metrics(ctx)
		if err == nil && metrics.Sum("otelcol_receiver_accepted_log_records", "receiver", "otlp") != 1 {
			err = fmt.Errorf("not counted: %v", metrics.Map())
		}
		return err
	}))
	require.NoError(t, b.Restart(ctx))
	require.NoError(t, b.Stop(ctx))
	code, err := b.Wait(ctx)
	require.NoError(t, err)
	assert.Zero(t, code)
}

func TestBreakwaterValidateShowsWhatIsWrong(t *testing.T) {
	t.Parallel()
	b := harness.PrepareBreakwater(t, harness.BreakwaterOptions{
		Configs: []string{"yaml:receivers: {no_such_receiver: {}}"},
	})
	require.ErrorContains(t, b.Validate(soon(t)), "no_such_receiver")
	err := b.Start(soon(t))
	require.ErrorContains(t, err, "ended by itself: exit status 1")
	require.ErrorContains(t, err, "no_such_receiver", "the end of the log is in the error")
}
