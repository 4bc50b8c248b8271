package remotewriteexporter

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/prometheusremotewriteexporter"
	"github.com/prometheus/prometheus/prompb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// Series are those of upstream's exporter in the same configuration, to the byte: names, labels, samples and exemplars.
func TestSeriesAreUpstreams(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"as shipped":      func(*Config) {},
		"all of it":       func(c *Config) { c.DisableScopeInfo = false; c.TargetInfo.Enabled = true; c.Namespace = "edge" },
		"external labels": func(c *Config) { c.ExternalLabels = map[string]string{"env": "x", "region": "eu", "job": "y"} },
		"no suffixes":     func(c *Config) { c.AddMetricSuffixes = false },
		"no conversion":   func(c *Config) { c.ResourceToTelemetry.Enabled = false },
		"no service":      func(c *Config) { c.ResourceToTelemetry.ExcludeServiceAttributes = true },
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(60) {
				g := newGenerator(seed)
				g.tame = true
				metrics := g.metrics()
				server, upstreamServer := startServer(t, nil), startServer(t, nil)
				e := startExporter(t, server.URL, func(c *Config) { change(c); c.Limits = LimitsConfig{} })

				given := pmetric.NewMetrics()
				metrics.CopyTo(given) // upstream changes it
				sendUpstream(t, upstreamServer.URL, e.config, given)
				require.NoError(t, e.ConsumeMetrics(t.Context(), metrics))
				require.Equal(t, inOrder(upstreamServer.taken), inOrder(server.taken), "seed %d", seed)
			}
		})
	}
}

func sendUpstream(t *testing.T, endpoint string, like *Config, metrics pmetric.Metrics) {
	t.Helper()
	factory := prometheusremotewriteexporter.NewFactory()
	config := factory.CreateDefaultConfig().(*prometheusremotewriteexporter.Config)
	config.ClientConfig.Endpoint = endpoint
	config.RemoteWriteQueue.Enabled = false
	config.Namespace = like.Namespace
	config.ExternalLabels = like.ExternalLabels
	config.TranslationStrategy = "UnderscoreEscapingWithSuffixes"
	if !like.AddMetricSuffixes {
		config.TranslationStrategy = "UnderscoreEscapingWithoutSuffixes"
	}
	config.DisableScopeInfo = like.DisableScopeInfo
	config.TargetInfo.Enabled = like.TargetInfo.Enabled
	config.ResourceToTelemetrySettings.Enabled = like.ResourceToTelemetry.Enabled
	config.ResourceToTelemetrySettings.ExcludeServiceAttributes = like.ResourceToTelemetry.ExcludeServiceAttributes
	upstream, err := factory.CreateMetrics(t.Context(), exportertest.NewNopSettings(factory.Type()), config)
	require.NoError(t, err)
	require.NoError(t, upstream.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, upstream.ConsumeMetrics(t.Context(), metrics))
	require.NoError(t, upstream.Shutdown(context.Background()))
}

type content struct {
	Samples   []sample
	Exemplars []prompb.Exemplar
}

// sample has the bits of a value, as NaN is not equal to itself.
type sample struct {
	Timestamp int64
	Bits      uint64
}

// inOrder brings what upstream leaves to chance into an order: of series, and of samples of one time.
func inOrder(requests []*prompb.WriteRequest) map[string]content {
	all := make(map[string]content)
	for _, request := range requests {
		for _, series := range request.Timeseries {
			key := labelText(series.Labels)
			c := all[key]
			for _, s := range series.Samples {
				c.Samples = append(c.Samples, sample{s.Timestamp, math.Float64bits(s.Value)})
			}
			slices.SortFunc(c.Samples, func(a, b sample) int {
				return cmp.Or(cmp.Compare(a.Timestamp, b.Timestamp), cmp.Compare(a.Bits, b.Bits))
			})
			c.Exemplars = append(c.Exemplars, series.Exemplars...)
			all[key] = c
		}
	}
	return all
}

func TestTwoValuesOfOneKeyAreJoinedAsUpstreamDoes(t *testing.T) {
	server := startServer(t, nil)
	e := startExporter(t, server.URL, nil)
	metrics := gauges(1)
	metrics.ResourceMetrics().At(0).Resource().Attributes().PutStr("site.name", "a")
	metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Gauge().DataPoints().At(0).Attributes().PutStr("site_name", "b")
	require.NoError(t, e.ConsumeMetrics(t.Context(), metrics))
	assert.Contains(t, server.series(), `__name__="temperature",host_name="edge-1",id="0",site_name="a;b",`)
}

// requireAsUpstream holds that both exporters, as shipped, send the same.
func requireAsUpstream(t *testing.T, metrics pmetric.Metrics) map[string]content {
	t.Helper()
	server, upstreamServer := startServer(t, nil), startServer(t, nil)
	e := startExporter(t, server.URL, nil)
	given := pmetric.NewMetrics()
	metrics.CopyTo(given)
	sendUpstream(t, upstreamServer.URL, e.config, given)
	require.NoError(t, e.ConsumeMetrics(t.Context(), metrics))
	for _, request := range server.taken {
		seen := make(map[string]bool)
		for _, series := range request.Timeseries {
			require.False(t, seen[labelText(series.Labels)], "one series twice in a request")
			seen[labelText(series.Labels)] = true
		}
	}
	sent := inOrder(server.taken)
	require.Equal(t, inOrder(upstreamServer.taken), sent)
	return sent
}

func TestSameSeriesOfTwoResourcesIsOne(t *testing.T) {
	metrics := gauges(3)
	for range 2 {
		gauges(3).ResourceMetrics().MoveAndAppendTo(metrics.ResourceMetrics())
	}
	sent := requireAsUpstream(t, metrics)
	require.Len(t, sent, 3)
	for _, series := range sent {
		assert.Len(t, series.Samples, 3)
	}
}

func TestTwoValuesOfOneKeyOfADataPoint(t *testing.T) {
	text := fmt.Sprintf(`{"resourceMetrics":[{"resource":{"attributes":[{"key":"b","value":{"stringValue":"r"}}]},
		"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[{"timeUnixNano":"%d","asInt":"1","attributes":[
		{"key":"a","value":{"stringValue":"1"}},{"key":"a","value":{"stringValue":"2"}},
		{"key":"b","value":{"stringValue":"x"}}]}]}}]}]}]}`, time.Now().UnixNano())
	unmarshaler := pmetric.JSONUnmarshaler{}
	metrics, err := unmarshaler.UnmarshalMetrics([]byte(text))
	require.NoError(t, err)
	assert.Contains(t, requireAsUpstream(t, metrics), `__name__="m",a="1;2",b="r",`)
}
