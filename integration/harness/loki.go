package harness

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"time"

	"github.com/breakwater-otel/breakwater/integration/netlab"
)

// LokiOptions configures a Loki. The zero value will do.
type LokiOptions struct {
	Name string // "loki" by default
	Dir  string // data and log; a temporary directory by default
	// Config is the configuration, relative to the root of the repository;
	// integration/loki/loki.yaml by default, which has no limits.
	Config string
	Args   []string // further flags, which win over the configuration
	// Binary is the cached build by default (package prepare).
	Binary string

	// Host is where it runs, reached by others at the host's address; by default it
	// is on the loopback of the machine.
	Host *netlab.Host
	// DiskBytes puts the data on a disk of that size, which needs a Host.
	DiskBytes int64
}

// lokiStartTimeout leaves time to replay the log of a long run.
const lokiStartTimeout = 2 * time.Minute

// Loki is a single process with all of Loki, on the file system, for one tenant,
// with its write-ahead log on.
type Loki struct{ *httpServer }

// NewLoki takes ports and a directory for a Loki and starts nothing.
func NewLoki(opts LokiOptions) (*Loki, error) {
	if opts.Name == "" {
		opts.Name = "loki"
	}
	binary, err := cachedBinary(opts.Binary, "loki", "-loki")
	if err != nil {
		return nil, err
	}
	root, err := Root()
	if err != nil {
		return nil, err
	}
	if opts.Config == "" {
		opts.Config = filepath.Join("integration", "loki", "loki.yaml")
	}
	place, err := newPlace(opts.Name, opts.Dir, 2)
	if err != nil {
		return nil, err
	}
	dataDir := filepath.Join(place.dir, "data")
	disk, err := place.mount(opts.Host, dataDir, opts.DiskBytes)
	if err != nil {
		return nil, errors.Join(err, place.release())
	}
	listenIP := "127.0.0.1"
	if opts.Host != nil {
		listenIP = opts.Host.IP()
	}
	url := "http://" + hostAddr(opts.Host, place.ports[0])
	client := hostClient(opts.Host)
	flags := []string{
		"-config.file=" + filepath.Join(root, opts.Config),
		"-server.http-listen-address=" + listenIP,
		"-server.http-listen-port=" + strconv.Itoa(place.ports[0]),
		// Its own parts talk to each other here.
		"-server.grpc-listen-address=127.0.0.1",
		"-server.grpc-listen-port=" + strconv.Itoa(place.ports[1]),
		// It would wait 15 s for others of its cluster, at each start.
		"-ingester.min-ready-duration=0s",
		"-common.path-prefix=" + dataDir,
		"-common.storage.filesystem.chunk-directory=" + filepath.Join(dataDir, "chunks"),
		"-common.storage.filesystem.rules-directory=" + filepath.Join(dataDir, "rules"),
	}
	return &Loki{&httpServer{
		Process: NewProcess(ProcessOptions{
			Name:         opts.Name,
			Path:         binary,
			Args:         append(flags, opts.Args...),
			Dir:          place.dir,
			LogFile:      filepath.Join(place.dir, opts.Name+".log"),
			Ready:        httpReady(client, url+"/ready"),
			StartTimeout: lokiStartTimeout,
			Within:       withinHost(opts.Host),
		}),
		place:  place,
		url:    url,
		client: client,
		disk:   disk,
	}}, nil
}

// OTLPURL returns the URL that takes logs by OTLP over HTTP.
func (l *Loki) OTLPURL() string { return l.url + "/otlp/v1/logs" }

// Flush asks Loki to write the chunks that it has in memory to disk; it does not
// wait for it. What is not flushed yet can be queried as well.
func (l *Loki) Flush(ctx context.Context) error {
	return httpPost(ctx, l.client, l.url+"/flush")
}
