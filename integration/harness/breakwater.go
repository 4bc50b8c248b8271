package harness

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/breakwater-otel/breakwater/integration/netlab"
)

// BreakwaterOptions configures a bin/breakwater process.
type BreakwaterOptions struct {
	Name string // "breakwater" by default; "agent", "consumer", …
	// Configs are the --config files or URIs (yaml:…) in order; relative paths
	// are relative to the root of the repository.
	Configs []string
	Args    []string // further arguments, such as --set=…
	// Env are variables of the contract in DESIGN.md. They win over those that
	// the harness sets by itself: see NewBreakwater.
	Env map[string]string
	Dir string // storage and log; a temporary directory by default

	Binary string // BinaryPath() by default
	// HealthPath is the path of the health check; "/" by default.
	HealthPath   string
	StartTimeout time.Duration // 30 s by default
	StopTimeout  time.Duration // 60 s by default, to drain

	// Host is where it runs, with the loopback of that host; by default it is on
	// the loopback of the machine.
	Host *netlab.Host
	// DiskBytes puts BREAKWATER_STORAGE_DIR on a disk of that size, which needs a
	// Host.
	DiskBytes int64
}

// Breakwater is a bin/breakwater process.
type Breakwater struct {
	*Process
	place  *place
	disk   *netlab.Disk
	client *http.Client
	opts   BreakwaterOptions
	binary string
	env    map[string]string
}

// NewBreakwater takes ports and a directory for a process and starts nothing.
//
// The process sees PATH, HOME and the contract, and nothing else of the
// environment of the caller. Unless opts.Env says otherwise, these are set to
// free loopback ports and to a directory of its own: HEALTH_ENDPOINT,
// METRICS_PORT, OTLP_GRPC_ENDPOINT, OTLP_HTTP_ENDPOINT, PPROF_ENDPOINT,
// ZPAGES_ENDPOINT, SPOOL_ENDPOINT, LIVE_ENDPOINT, BREAKWATER_STORAGE_DIR.
func NewBreakwater(opts BreakwaterOptions) (*Breakwater, error) {
	if opts.Name == "" {
		opts.Name = "breakwater"
	}
	if opts.StopTimeout == 0 {
		opts.StopTimeout = time.Minute
	}
	if opts.HealthPath == "" {
		opts.HealthPath = "/"
	}
	binary := opts.Binary
	if binary == "" {
		var err error
		if binary, err = BinaryPath(); err != nil {
			return nil, err
		}
	}
	root, err := Root()
	if err != nil {
		return nil, err
	}
	place, err := newPlace(opts.Name, opts.Dir, 8)
	if err != nil {
		return nil, err
	}
	b := &Breakwater{place: place, client: hostClient(opts.Host), opts: opts, binary: binary}
	b.env = map[string]string{
		"PATH":                   os.Getenv("PATH"),
		"HOME":                   place.dir,
		"HEALTH_ENDPOINT":        Loopback(place.ports[0]),
		"METRICS_PORT":           strconv.Itoa(place.ports[1]),
		"OTLP_GRPC_ENDPOINT":     Loopback(place.ports[2]),
		"OTLP_HTTP_ENDPOINT":     Loopback(place.ports[3]),
		"PPROF_ENDPOINT":         Loopback(place.ports[4]),
		"ZPAGES_ENDPOINT":        Loopback(place.ports[5]),
		"SPOOL_ENDPOINT":         Loopback(place.ports[6]),
		"LIVE_ENDPOINT":          Loopback(place.ports[7]),
		"BREAKWATER_STORAGE_DIR": filepath.Join(place.dir, "storage"),
	}
	maps.Copy(b.env, opts.Env)
	if b.disk, err = place.mount(opts.Host, b.StorageDir(), opts.DiskBytes); err != nil {
		return nil, errors.Join(err, place.release())
	}

	b.Process = NewProcess(ProcessOptions{
		Name:         opts.Name,
		Path:         binary,
		Args:         append(b.configArgs(), opts.Args...),
		Env:          environ(b.env),
		Dir:          root, // configs and globs are relative to it
		LogFile:      filepath.Join(place.dir, opts.Name+".log"),
		Ready:        httpReady(b.client, "http://"+b.env["HEALTH_ENDPOINT"]+opts.HealthPath),
		StartTimeout: opts.StartTimeout,
		StopTimeout:  opts.StopTimeout,
		Within:       withinHost(opts.Host),
	})
	return b, nil
}

// Env returns a variable of the environment of the process.
func (b *Breakwater) Env(name string) string { return b.env[name] }

// OTLPGRPC returns host:port of the OTLP gRPC receiver (agent).
func (b *Breakwater) OTLPGRPC() string { return b.env["OTLP_GRPC_ENDPOINT"] }

// OTLPHTTP returns the base URL of the OTLP HTTP receiver (agent).
func (b *Breakwater) OTLPHTTP() string { return "http://" + b.env["OTLP_HTTP_ENDPOINT"] }

// HealthURL returns the URL of the health check.
func (b *Breakwater) HealthURL() string {
	return "http://" + b.env["HEALTH_ENDPOINT"] + b.opts.HealthPath
}

// MetricsURL returns the URL of the collector's own metrics.
func (b *Breakwater) MetricsURL() string {
	return "http://127.0.0.1:" + b.env["METRICS_PORT"] + "/metrics"
}

// LiveURL returns the URL of the live page (consumer, standalone).
func (b *Breakwater) LiveURL() string { return "http://" + b.env["LIVE_ENDPOINT"] + "/" }

// StorageDir returns the directory of queue and positions.
func (b *Breakwater) StorageDir() string { return b.env["BREAKWATER_STORAGE_DIR"] }

// Disk returns the disk of StorageDir; nil without DiskBytes.
func (b *Breakwater) Disk() *netlab.Disk { return b.disk }

// Client returns a client that reaches the URLs of this process from inside its
// host.
func (b *Breakwater) Client() *http.Client { return b.client }

// Metrics reads the collector's own metrics.
func (b *Breakwater) Metrics(ctx context.Context) (Metrics, error) {
	return scrape(ctx, b.client, b.MetricsURL())
}

// RunResult is what a short run of bin/breakwater left.
type RunResult struct {
	Output   string // stdout and stderr
	ExitCode int    // -1: ended by a signal
}

// Run runs bin/breakwater with the given arguments in the environment of this
// process and waits for its end, such as Run(ctx, "components"). A non-zero exit
// status is not an error; the end of ctx kills it and is one.
func (b *Breakwater) Run(ctx context.Context, args ...string) (RunResult, error) {
	cmd := exec.CommandContext(ctx, b.binary, args...)
	cmd.Env = environ(b.env)
	cmd.Dir, _ = Root()
	output, err := hostOutput(b.opts.Host, cmd)
	if ctx.Err() != nil {
		return RunResult{Output: string(output), ExitCode: -1}, ctx.Err()
	}
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		return RunResult{}, err
	}
	return RunResult{Output: string(output), ExitCode: cmd.ProcessState.ExitCode()}, nil
}

// Validate runs `breakwater validate` on the configuration of this process. The
// error holds its output.
func (b *Breakwater) Validate(ctx context.Context) error {
	result, err := b.Run(ctx, append(append([]string{"validate"}, b.configArgs()...), b.opts.Args...)...)
	if err != nil {
		return err
	}
	if result.ExitCode != 0 {
		return fmt.Errorf("validate %s: exit status %d: %s",
			strings.Join(b.opts.Configs, " "), result.ExitCode, strings.TrimSpace(result.Output))
	}
	return nil
}

// Close stops the process and removes what the harness made for it.
func (b *Breakwater) Close() error { return closePart(b.Process, b.place) }

func (b *Breakwater) configArgs() []string {
	args := make([]string, 0, len(b.opts.Configs))
	for _, config := range b.opts.Configs {
		args = append(args, "--config="+config)
	}
	return args
}

func environ(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}
