package harness

// VictoriaMetricsOptions configures a VictoriaMetrics. The zero value will do.
type VictoriaMetricsOptions = BackendOptions

// VictoriaMetrics is a single-node VictoriaMetrics on a loopback port, with the
// deduplication (1 ms) that makes a repeated sample harmless.
type VictoriaMetrics struct{ *backend }

// NewVictoriaMetrics takes a port and a directory for a VictoriaMetrics and
// starts nothing.
func NewVictoriaMetrics(opts VictoriaMetricsOptions) (*VictoriaMetrics, error) {
	b, err := newBackend(opts, "victoriametrics", "victoria-metrics",
		"-dedup.minScrapeInterval=1ms",
		// By default a query does not see the last 30 s.
		"-search.latencyOffset=0s",
	)
	if err != nil {
		return nil, err
	}
	return &VictoriaMetrics{b}, nil
}

// UI returns the URL of the web interface.
func (v *VictoriaMetrics) UI() string { return v.url + "/vmui/" }
