package remotewrite

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/client_golang/prometheus"
	promlabels "github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// prometheusServer is the remote-write receiver and the storage of Prometheus, in this process.
type prometheusServer struct {
	*httptest.Server
	db  *tsdb.DB
	dir string
}

// startPrometheus opens the storage in the directory; window is storage.tsdb.out_of_order_time_window.
func startPrometheus(t *testing.T, dir string, window time.Duration) *prometheusServer {
	t.Helper()
	opts := tsdb.DefaultOptions()
	opts.OutOfOrderTimeWindow = window.Milliseconds()
	db, err := tsdb.Open(dir, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), opts, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	handler := remote.NewWriteHandler(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), db,
		remoteapi.MessageTypes{remoteapi.WriteV1MessageType}, false, false, false)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &prometheusServer{Server: server, db: db, dir: dir}
}

// samples returns the values of a series by their time.
func (p *prometheusServer) samples(t *testing.T, name string) map[int64]float64 {
	t.Helper()
	querier, err := p.db.Querier(0, time.Now().Add(time.Hour).UnixMilli())
	require.NoError(t, err)
	defer func() { require.NoError(t, querier.Close()) }()
	found := make(map[int64]float64)
	set := querier.Select(context.Background(), false, nil, promlabels.MustNewMatcher(promlabels.MatchEqual, "__name__", name))
	for set.Next() {
		it := set.At().Iterator(nil)
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			at, value := it.At()
			assert.NotContains(t, found, at, "a sample twice")
			found[at] = value
		}
	}
	require.NoError(t, set.Err())
	return found
}

func gaugeAt(name string, times ...time.Time) pmetric.Metrics {
	metrics := pmetric.NewMetrics()
	metric := newResource(metrics).AppendEmpty()
	metric.SetName(name)
	points := metric.SetEmptyGauge().DataPoints()
	for _, at := range times {
		point := points.AppendEmpty()
		point.SetTimestamp(timestamp(at))
		point.SetDoubleValue(float64(at.UnixMilli()))
	}
	return metrics
}

func secondsFrom(begin time.Time, n int) []time.Time {
	times := make([]time.Time, n)
	for i := range times {
		times[i] = begin.Add(time.Duration(i) * time.Second)
	}
	return times
}

// TestPrometheus writes to Prometheus as to VictoriaMetrics: what comes twice is there once, what it has answered for is
// there when its process is gone, and what is older than its window for samples out of order is refused, alone.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := startPrometheus(t, dir, time.Hour)
	exporter := startExporter(t, server.URL, "{}")
	begin := time.Now().Add(-30 * time.Minute).Truncate(time.Second)
	all := secondsFrom(begin, 600)
	send(t, exporter, gaugeAt("in_order", all[300:]...))
	send(t, exporter, gaugeAt("in_order", all[300:]...)) // read again
	send(t, exporter, gaugeAt("in_order", all[:300]...)) // of a partition that is behind
	assert.Len(t, server.samples(t, "in_order"), 600)

	// As it is on disk when it is killed now: without Close.
	killed := t.TempDir()
	require.NoError(t, os.CopyFS(killed, os.DirFS(dir)))
	require.NoError(t, os.RemoveAll(killed+"/lock"))
	again := startPrometheus(t, killed, time.Hour)
	assert.Equal(t, server.samples(t, "in_order"), again.samples(t, "in_order"))

	old := secondsFrom(begin.Add(-3*time.Hour), 5)
	metrics := gaugeAt("in_order", append(old, all[599].Add(time.Second))...)
	refused, err := sendPartly(t, exporter, metrics)
	assert.Equal(t, 5, refused.DataPointCount())
	assert.ErrorContains(t, err, "refused")
	assert.Len(t, server.samples(t, "in_order"), 601, fmt.Sprint(err))
}
