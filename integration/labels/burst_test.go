package labels

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

const (
	// burstRate is 200,000 new series a minute, ten times the 20,000 of an ordinary minute.
	burstRate     = 200_000 / 60.0
	burstRequest  = 2000 // series in a request
	defaultSeries = 20_000
)

// Bounds of the resident memory at its highest, for any number of series: the agent holds what its disk queue cuts into a
// batch, the consumer what it fetches at once. `make burst` holds 200,000 series to the same.
const (
	maxAgentBytes    = 400 << 20
	maxConsumerBytes = 400 << 20
)

// TestBurst sends new series at ten times the ordinary rate through the shipped profiles and Apache Kafka: all of them are
// in VictoriaMetrics, with all labels, and neither process grows over its bound. BREAKWATER_BURST_SERIES is how many.
func TestBurst(t *testing.T) {
	series := defaultSeries
	if text := os.Getenv("BREAKWATER_BURST_SERIES"); text != "" {
		var err error
		series, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	v := &variant{
		name: "burst", kafka: harness.StartKafka(t, harness.KafkaOptions{}),
		agent: "configs/agent.yaml", reader: "configs/consumer.yaml",
	}
	v.start(t)

	start := time.Now()
	slowest := time.Duration(0)
	for sent := 0; sent < series; sent += burstRequest {
		time.Sleep(time.Until(start.Add(time.Duration(float64(sent) / burstRate * float64(time.Second)))))
		began := time.Now()
		require.NoError(t, sendMetrics(t.Context(), v.stamped.OTLPHTTP(), burst(sent, min(burstRequest, series-sent))))
		slowest = max(slowest, time.Since(began))
	}
	took := time.Since(start)

	want := labelsOf{
		"site_name": "zürich-1", "env": "prod", "host_name": "edge-7",
		"service_name": "checkout", "service_namespace": "shop", "job": "shop/checkout",
	}
	ctx, cancel := context.WithTimeout(t.Context(), arriveTimeout)
	defer cancel()
	err := harness.Eventually(ctx, time.Second, func(ctx context.Context) error {
		if err := v.metrics.Flush(ctx); err != nil {
			return err
		}
		// One group of all series: not one is without a label or has another value.
		groups, err := v.metrics.Query(ctx, `count({__name__="burst"}) by (site_name, env, host_name, service_name, service_namespace, job)`)
		if err != nil {
			return err
		}
		if len(groups) != 1 || int(groups[0].Value) != series {
			return fmt.Errorf("%d series sent, there are %v", series, groups)
		}
		if fmt.Sprint(groups[0].Labels) != fmt.Sprint(want) {
			return harness.Permanent(fmt.Errorf("labels %v", groups[0].Labels))
		}
		return nil
	})
	require.NoError(t, err)
	arrived := time.Since(start)

	own, err := v.metrics.Metrics(t.Context())
	require.NoError(t, err)
	assert.Zero(t, own.Sum("vm_rows_ignored_total"), "series that VictoriaMetrics drops behind a 2xx")
	for _, b := range []*harness.Breakwater{v.stamped, v.consumer} {
		metrics, err := b.Metrics(t.Context())
		require.NoError(t, err)
		for _, counter := range []string{
			"otelcol_receiver_refused_metric_points", "otelcol_exporter_send_failed_metric_points",
			"otelcol_exporter_enqueue_failed_metric_points", "otelcol_processor_label_preserve_evicted",
			"otelcol_processor_label_preserve_missing", "otelcol_processor_label_preserve_rejected",
		} {
			assert.Zero(t, metrics.Sum(counter), "%s of %s", counter, b.Name())
		}
	}
	agent, consumer := peakBytes(t, v.stamped), peakBytes(t, v.consumer)
	assert.Less(t, agent, maxAgentBytes, "peak memory of the agent")
	assert.Less(t, consumer, maxConsumerBytes, "peak memory of the consumer")
	t.Logf("%d new series in %.0f s, all there after %.0f s; slowest request %d ms; peak RSS: agent %d MiB, consumer %d MiB",
		series, took.Seconds(), arrived.Seconds(), slowest.Milliseconds(), agent>>20, consumer>>20)
}

// burst returns n data points of as many series, the first of which has this number: 12 attributes each, as those of
// new pods that begin at once.
func burst(first, n int) pmetric.Metrics {
	metrics := pmetric.NewMetrics()
	rm := metrics.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "checkout")
	rm.Resource().Attributes().PutStr("service.namespace", "shop")
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("burst")
	points := m.SetEmptyGauge().DataPoints()
	now := pcommon.NewTimestampFromTime(time.Now())
	for i := range n {
		p := points.AppendEmpty()
		p.SetTimestamp(now)
		p.SetIntValue(1)
		p.Attributes().PutStr("pod", fmt.Sprintf("checkout-%d", first+i))
		for j := range 11 {
			p.Attributes().PutStr(fmt.Sprintf("attribute_%d", j), fmt.Sprintf("value %d", (first+i)%(j+1)))
		}
	}
	return metrics
}

// peakBytes returns the highest resident memory of the process so far.
func peakBytes(t *testing.T, b *harness.Breakwater) int {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(b.PID()), "status"))
	if os.IsNotExist(err) {
		t.Skip("memory is read from /proc")
	}
	require.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		if text, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")))
			require.NoError(t, err)
			return kib << 10
		}
	}
	t.Fatal("no VmHWM in /proc")
	return 0
}
