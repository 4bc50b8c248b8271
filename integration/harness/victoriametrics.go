package harness

import (
	"context"
	"path/filepath"
	"time"
)

// VictoriaMetricsOptions configures a VictoriaMetrics. The zero value will do.
type VictoriaMetricsOptions struct {
	Name      string        // "victoriametrics" by default
	Dir       string        // data and log; a temporary directory by default
	Retention time.Duration // -retentionPeriod; 100 years by default
	Args      []string      // further flags
	Binary    string        // the cached build by default (package prepare)
}

// VictoriaMetrics is a single-node VictoriaMetrics on a loopback port, with the
// deduplication (1 ms) that makes a repeated sample harmless.
type VictoriaMetrics struct {
	*Process
	place *place
	url   string
}

// NewVictoriaMetrics takes a port and a directory for a VictoriaMetrics and
// starts nothing.
func NewVictoriaMetrics(opts VictoriaMetricsOptions) (*VictoriaMetrics, error) {
	if opts.Name == "" {
		opts.Name = "victoriametrics"
	}
	binary, err := backendBinary(opts.Binary, "victoria-metrics")
	if err != nil {
		return nil, err
	}
	place, err := newPlace(opts.Name, opts.Dir, 1)
	if err != nil {
		return nil, err
	}
	addr := Loopback(place.ports[0])
	url := "http://" + addr
	args := []string{
		"-httpListenAddr=" + addr,
		"-storageDataPath=" + filepath.Join(place.dir, "data"),
		"-retentionPeriod=" + retentionFlag(opts.Retention),
		"-dedup.minScrapeInterval=1ms",
		// By default a query does not see the last 30 s.
		"-search.latencyOffset=0s",
		"-search.maxQueryDuration=10m",
	}
	return &VictoriaMetrics{
		Process: NewProcess(ProcessOptions{
			Name:    opts.Name,
			Path:    binary,
			Args:    append(args, opts.Args...),
			Dir:     place.dir,
			LogFile: filepath.Join(place.dir, opts.Name+".log"),
			Ready:   httpReady(url + "/health"),
		}),
		place: place,
		url:   url,
	}, nil
}

// URL returns the base URL, http://127.0.0.1:port.
func (v *VictoriaMetrics) URL() string { return v.url }

// UI returns the URL of the web interface.
func (v *VictoriaMetrics) UI() string { return v.url + "/vmui/" }

// Metrics reads VictoriaMetrics' own metrics.
func (v *VictoriaMetrics) Metrics(ctx context.Context) (Metrics, error) {
	return scrape(ctx, v.url+"/metrics")
}

// Flush makes everything that was accepted so far visible to queries. It does
// not make it durable.
func (v *VictoriaMetrics) Flush(ctx context.Context) error {
	return httpCall(ctx, v.url+"/internal/force_flush")
}

// Close stops the process and removes what the harness made for it.
func (v *VictoriaMetrics) Close() error { return closePart(v.Process, v.place) }
