package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// consumer is the collector that does the replay.
type consumer struct {
	command *exec.Cmd
	// done is closed when it has ended.
	done    chan struct{}
	err     error
	log     string
	dir     string // of the configuration
	metrics string // URL
	client  http.Client
}

// findBinary returns the collector: the one that is named, or the first of those that are there.
func findBinary(given string) (string, error) {
	if given != "" {
		return exec.LookPath(given)
	}
	candidates := []string{filepath.Join("bin", "breakwater")}
	if own, err := os.Executable(); err == nil {
		candidates = append([]string{filepath.Join(filepath.Dir(own), "breakwater")}, candidates...)
	}
	for _, path := range candidates {
		if found, err := exec.LookPath(path); err == nil {
			return found, nil
		}
	}
	return exec.LookPath("breakwater")
}

// freePorts returns addresses on loopback that nothing listens on.
func freePorts(n int) ([]*net.TCPAddr, error) {
	ports := make([]*net.TCPAddr, 0, n)
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = listener.Close() }() // all are held until all are found
		ports = append(ports, listener.Addr().(*net.TCPAddr))
	}
	return ports, nil
}

// startConsumer starts the collector with the profile of the replay.
func startConsumer(p *profile, pl *plan, opts *options) (*consumer, error) {
	binary, err := findBinary(opts.binary)
	if err != nil {
		return nil, fmt.Errorf("the collector is not there, see -bin: %w", err)
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	config, err := p.consumerConfig(pl, ports[0].String(), ports[1].Port)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "breakwater-replay-") // mode 0700
	if err != nil {
		return nil, err
	}
	c := &consumer{
		done: make(chan struct{}), dir: dir, log: opts.logFile, metrics: fmt.Sprintf("http://%s/metrics", ports[1]),
		client: http.Client{Timeout: 5 * time.Second},
	}
	if c.log == "" {
		c.log = filepath.Join(dir, "consumer.log")
	}
	if err := c.start(binary, config); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return c, nil
}

func (c *consumer) start(binary string, config []byte) error {
	path := filepath.Join(c.dir, "replay.yaml")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		return err
	}
	log, err := os.OpenFile(c.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the process has its own
	c.command = exec.Command(binary, "--config", path)
	c.command.Stdout, c.command.Stderr = log, log
	// It is stopped here, and not by the terminal; nor may it outlive this process.
	c.command.SysProcAttr = processAttributes()
	started := make(chan error)
	go func() {
		// The kernel's notion of a parent is the thread, which must not end before the process does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.command.Start()
		started <- err
		if err == nil {
			c.err = c.command.Wait()
			close(c.done)
		}
	}()
	return <-started
}

// stopTimeout is how long it may take to end what is under way and to commit: longer than `shutdown_timeout`.
const stopTimeout = time.Minute

// stop ends the collector, which commits what is settled.
func (c *consumer) stop() error {
	if err := c.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-c.done:
		return nil
	case <-time.After(stopTimeout):
		_ = c.command.Process.Kill() // what it had under way is delivered again, and asked for
		<-c.done
		return fmt.Errorf("the consumer did not end within %s and was killed", stopTimeout)
	}
}

// clean removes what was made for the collector; after a failure its log stays.
func (c *consumer) clean(failed bool) error {
	if failed && strings.HasPrefix(c.log, c.dir) {
		return os.Remove(filepath.Join(c.dir, "replay.yaml"))
	}
	return os.RemoveAll(c.dir)
}

// lastLines returns the end of the log.
func (c *consumer) lastLines(n int) string {
	text, err := os.ReadFile(c.log)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], []byte("\n")))
}

// samples are the collector's own metrics: the sum of each over its labels, but for an exporter's of the helper, which
// are by exporter, too.
type samples map[string]float64

func (s samples) int(name string) int64 { return int64(s[name]) }

// scrape reads the metrics.
func (c *consumer) scrape(ctx context.Context) (samples, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.metrics, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := c.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // what counts has been read
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", c.metrics, response.Status)
	}
	return parseSamples(response.Body)
}

func parseSamples(body io.Reader) (samples, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(body)
	if err != nil {
		return nil, err
	}
	found := make(samples)
	for name, family := range families {
		// With and without the suffix, which depends on the version of the exporter.
		name = strings.TrimSuffix(strings.TrimPrefix(name, "otelcol_"), "_total")
		for _, m := range family.Metric {
			value := m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
			found[name] += value
			for _, label := range m.Label {
				if label.GetName() == "exporter" {
					found[name+" "+label.GetValue()] += value
				}
			}
		}
	}
	return found, nil
}
