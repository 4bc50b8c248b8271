package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// BackendOptions configures a VictoriaLogs or a VictoriaMetrics. The zero value will do.
type BackendOptions struct {
	Name string // "victorialogs" or "victoriametrics" by default
	Dir  string // data and log; a temporary directory by default
	// Retention is -retentionPeriod; 100 years by default, so that tests can use
	// any time. The products' own defaults are 7 days and a month.
	Retention time.Duration
	Args      []string // further flags
	Binary    string   // the cached build by default (package prepare)
}

// backend is what VictoriaLogs and VictoriaMetrics have in common: they are of one
// code base.
type backend struct {
	*Process
	place *place
	url   string
}

// newBackend takes a port and a directory for a backend and starts nothing. args
// are flags of this kind of backend, before those of opts.
func newBackend(opts BackendOptions, name, binaryName string, args ...string) (*backend, error) {
	if opts.Name == "" {
		opts.Name = name
	}
	binary, err := backendBinary(opts.Binary, binaryName)
	if err != nil {
		return nil, err
	}
	place, err := newPlace(opts.Name, opts.Dir, 1)
	if err != nil {
		return nil, err
	}
	addr := Loopback(place.ports[0])
	url := "http://" + addr
	flags := append([]string{
		"-httpListenAddr=" + addr,
		"-storageDataPath=" + filepath.Join(place.dir, "data"),
		"-retentionPeriod=" + retentionFlag(opts.Retention),
		// Checks of a whole run may read millions of rows on a busy machine.
		"-search.maxQueryDuration=10m",
	}, args...)
	return &backend{
		Process: NewProcess(ProcessOptions{
			Name:    opts.Name,
			Path:    binary,
			Args:    append(flags, opts.Args...),
			Dir:     place.dir,
			LogFile: filepath.Join(place.dir, opts.Name+".log"),
			Ready:   httpReady(url + "/health"),
		}),
		place: place,
		url:   url,
	}, nil
}

// URL returns the base URL, http://127.0.0.1:port.
func (b *backend) URL() string { return b.url }

// Metrics reads the backend's own metrics.
func (b *backend) Metrics(ctx context.Context) (Metrics, error) {
	return scrape(ctx, b.url+"/metrics")
}

// Flush makes everything that was accepted so far visible to queries. It does
// not make it durable.
func (b *backend) Flush(ctx context.Context) error {
	return httpCall(ctx, b.url+"/internal/force_flush")
}

// Close stops the process and removes what the harness made for it.
func (b *backend) Close() error { return closePart(b.Process, b.place) }

// backendBinary returns the path of a backend's binary, given or cached.
func backendBinary(given, name string) (string, error) {
	path := given
	if path == "" {
		root, err := Root()
		if err != nil {
			return "", err
		}
		path = filepath.Join(root, ".cache", "bin", name)
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is missing: run `go run ./cmd/prepare -backends` in integration/ first", path)
	}
	return path, nil
}

func retentionFlag(d time.Duration) string {
	if d == 0 {
		return "100y"
	}
	return fmt.Sprintf("%ds", int64(d.Seconds()))
}
