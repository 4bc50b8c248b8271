package harness

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/breakwater-otel/breakwater/integration/netlab"
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

	// Secure makes it a server with TLS that asks for a login.
	Secure *BackendSecurity

	// Host is where it runs, reached by others at the host's address; by default it
	// is on the loopback of the machine.
	Host *netlab.Host
	// DiskBytes puts the data on a disk of that size, which needs a Host.
	DiskBytes int64
}

// BackendSecurity is the certificate and the login of a backend.
type BackendSecurity struct {
	Certificate Certificate
	Username    string
	// PasswordFile is read anew by the server, and by Client, when it changes.
	PasswordFile string
}

// httpServer is what all backends have in common: one process that is asked by HTTP.
type httpServer struct {
	*Process
	place  *place
	url    string
	client *http.Client
	disk   *netlab.Disk
}

// backend is what VictoriaLogs and VictoriaMetrics have in common: they are of one
// code base.
type backend struct{ *httpServer }

// newBackend takes a port and a directory for a backend and starts nothing. args
// are flags of this kind of backend, before those of opts.
func newBackend(opts BackendOptions, name, binaryName string, args ...string) (*backend, error) {
	if opts.Name == "" {
		opts.Name = name
	}
	binary, err := cachedBinary(opts.Binary, binaryName, "-backends")
	if err != nil {
		return nil, err
	}
	place, err := newPlace(opts.Name, opts.Dir, 1)
	if err != nil {
		return nil, err
	}
	dataDir := filepath.Join(place.dir, "data")
	disk, err := place.mount(opts.Host, dataDir, opts.DiskBytes)
	if err != nil {
		return nil, errors.Join(err, place.release())
	}
	addr := hostAddr(opts.Host, place.ports[0])
	url := "http://" + addr
	client := hostClient(opts.Host)
	if s := opts.Secure; s != nil {
		url = "https://" + addr
		client = s.client(client)
		args = append(args, "-tls", "-tlsCertFile="+s.Certificate.CertFile, "-tlsKeyFile="+s.Certificate.KeyFile,
			"-httpAuth.username="+s.Username, "-httpAuth.password=file://"+s.PasswordFile)
	}
	flags := append([]string{
		"-httpListenAddr=" + addr,
		"-storageDataPath=" + dataDir,
		"-retentionPeriod=" + retentionFlag(opts.Retention),
		// Checks of a whole run may read millions of rows on a busy machine.
		"-search.maxQueryDuration=10m",
	}, args...)
	return &backend{&httpServer{
		Process: NewProcess(ProcessOptions{
			Name:    opts.Name,
			Path:    binary,
			Args:    append(flags, opts.Args...),
			Dir:     place.dir,
			LogFile: filepath.Join(place.dir, opts.Name+".log"),
			Ready:   httpReady(client, url+"/health"),
			Within:  withinHost(opts.Host),
		}),
		place:  place,
		url:    url,
		client: client,
		disk:   disk,
	}}, nil
}

// URL returns the base URL, http://127.0.0.1:port or that of the host.
func (s *httpServer) URL() string { return s.url }

// Client returns a client that reaches URL whatever the links of the host do.
func (s *httpServer) Client() *http.Client { return s.client }

// Disk returns the disk of the data; nil without DiskBytes.
func (s *httpServer) Disk() *netlab.Disk { return s.disk }

// Metrics reads the backend's own metrics.
func (s *httpServer) Metrics(ctx context.Context) (Metrics, error) {
	return scrape(ctx, s.client, s.url+"/metrics")
}

// Flush makes everything that was accepted so far visible to queries. It does
// not make it durable.
func (b *backend) Flush(ctx context.Context) error {
	return httpCall(ctx, b.client, b.url+"/internal/force_flush")
}

// Close stops the process and removes what the harness made for it.
func (s *httpServer) Close() error { return closePart(s.Process, s.place) }

// cachedBinary returns the path of a backend's binary, given or cached. The flag is
// that of the command that builds it.
func cachedBinary(given, name, flag string) (string, error) {
	path := given
	if path == "" {
		root, err := Root()
		if err != nil {
			return "", err
		}
		path = filepath.Join(root, ".cache", "bin", name)
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is missing: run `go run ./cmd/prepare %s` in integration/ first", path, flag)
	}
	return path, nil
}

func retentionFlag(d time.Duration) string {
	if d == 0 {
		return "100y"
	}
	return fmt.Sprintf("%ds", int64(d.Seconds()))
}
