package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// VictoriaLogsOptions configures a VictoriaLogs. The zero value will do.
type VictoriaLogsOptions struct {
	Name string // "victorialogs" by default
	Dir  string // data and log; a temporary directory by default
	// Retention is -retentionPeriod; 100 years by default, so that tests can use
	// any time. The product's own default is 7 days.
	Retention time.Duration
	Args      []string // further flags
	Binary    string   // the cached build by default (package prepare)
}

// VictoriaLogs is a single-node VictoriaLogs on a loopback port.
type VictoriaLogs struct {
	*Process
	place *place
	url   string
}

// NewVictoriaLogs takes a port and a directory for a VictoriaLogs and starts
// nothing.
func NewVictoriaLogs(opts VictoriaLogsOptions) (*VictoriaLogs, error) {
	if opts.Name == "" {
		opts.Name = "victorialogs"
	}
	binary, err := backendBinary(opts.Binary, "victoria-logs")
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
		// Checks of a whole run may read millions of rows on a busy machine.
		"-search.maxQueryDuration=10m",
	}
	return &VictoriaLogs{
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
func (v *VictoriaLogs) URL() string { return v.url }

// UI returns the URL of the web interface.
func (v *VictoriaLogs) UI() string { return v.url + "/select/vmui/" }

// Metrics reads VictoriaLogs' own metrics.
func (v *VictoriaLogs) Metrics(ctx context.Context) (Metrics, error) {
	return scrape(ctx, v.url+"/metrics")
}

// Flush makes everything that was accepted so far visible to queries. It does
// not make it durable.
func (v *VictoriaLogs) Flush(ctx context.Context) error {
	return httpCall(ctx, v.url+"/internal/force_flush")
}

// Close stops the process and removes what the harness made for it.
func (v *VictoriaLogs) Close() error { return closePart(v.Process, v.place) }

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
