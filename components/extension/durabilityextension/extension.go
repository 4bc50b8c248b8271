package durabilityextension

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/extension"
	"go.uber.org/zap"

	"github.com/breakwater-otel/breakwater/components/extension/durabilityextension/internal/metadata"
	"github.com/breakwater-otel/breakwater/components/internal/durability"
)

const (
	// After a failed poll the next one follows soon, so that a restart is found, and
	// deliveries are made again, soon. Deliveries wait for a process that is too young to
	// be known: it is asked again after minRetryDelay.
	minRetryDelay = 200 * time.Millisecond
	maxRetryDelay = time.Second
	// startTimeout is how long Start waits for the first polls. A receiver that starts
	// after them has to deliver nothing again only because nothing was known.
	startTimeout = time.Second
	// maxPollDuration is what a poll may take until the node counts as standing still.
	maxPollDuration = 2 * time.Second
)

type durabilityExtension struct {
	config    *Config
	settings  component.TelemetrySettings
	telemetry *metadata.TelemetryBuilder
	pollers   []*poller
	host      component.Host
	cancel    context.CancelFunc
	running   sync.WaitGroup

	statusMu sync.Mutex
	mu       sync.Mutex
	nodes    map[string][]*node // by backend
	watches  map[string]*watch  // by the names of their backends
}

// poller asks one node.
type poller struct {
	node   *node
	url    *url.URL
	client *http.Client
}

var (
	_ extension.Extension = (*durabilityExtension)(nil)
	_ durability.Watcher  = (*durabilityExtension)(nil)
)

func newExtension(config *Config, set extension.Settings) (*durabilityExtension, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	e := &durabilityExtension{
		config: config, settings: set.TelemetrySettings, telemetry: telemetry,
		nodes: map[string][]*node{}, watches: map[string]*watch{},
	}
	for _, name := range e.backendNames() {
		backend := config.Backends[name]
		urls, err := backend.nodes()
		if err != nil {
			return nil, err
		}
		for _, u := range urls {
			n := &node{
				backend:    name,
				name:       u.Host + strings.TrimSuffix(u.Path, "/metrics"),
				kind:       backend.Type,
				minWindow:  backend.FlushWindow,
				window:     backend.FlushWindow,
				maxPollGap: config.PollInterval + maxPollDuration,
				created:    time.Now(),
			}
			e.nodes[name] = append(e.nodes[name], n)
			e.pollers = append(e.pollers, &poller{node: n, url: u})
		}
	}
	return e, nil
}

func (e *durabilityExtension) backendNames() []string {
	return slices.Sorted(maps.Keys(e.config.Backends))
}

// Watch may be called at any time; before Start nothing is known of the backends.
func (e *durabilityExtension) Watch(backends ...string) (durability.Watch, error) {
	if len(backends) == 0 {
		backends = e.backendNames()
	}
	backends = slices.Compact(slices.Sorted(slices.Values(backends)))
	e.mu.Lock()
	defer e.mu.Unlock()
	key := strings.Join(backends, "\x00")
	if w, ok := e.watches[key]; ok {
		return w, nil
	}
	w := &watch{subscribers: map[chan struct{}]struct{}{}}
	for _, name := range backends {
		nodes, ok := e.nodes[name]
		if !ok {
			return nil, fmt.Errorf("backend %q is not among `backends` of the durability extension: %s",
				name, strings.Join(e.backendNames(), ", "))
		}
		for _, n := range nodes {
			if n.flushes() {
				w.nodes = append(w.nodes, n)
			}
		}
	}
	w.update()
	e.watches[key] = w
	return w, nil
}

// Dependencies are the extensions that authenticate the polls: they have no credentials before they are started.
func (e *durabilityExtension) Dependencies() []component.ID {
	var ids []component.ID
	for _, backend := range e.config.Backends {
		if auth := backend.Auth.Get(); auth != nil {
			ids = append(ids, auth.AuthenticatorID)
		}
	}
	return ids
}

func (e *durabilityExtension) Start(ctx context.Context, host component.Host) error {
	clients := map[string]*http.Client{}
	for _, name := range e.backendNames() {
		backend := e.config.Backends[name]
		client, err := backend.ToClient(ctx, host.GetExtensions(), e.settings)
		if err != nil {
			return fmt.Errorf("`backends::%s`: %w", name, err)
		}
		// A redirect leads to another process than the one that is watched.
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		clients[name] = client
	}
	if err := e.registerGauges(); err != nil {
		return err
	}
	e.host = host
	polling, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	asked := make(chan struct{}, len(e.pollers))
	for _, p := range e.pollers {
		p.client = clients[p.node.backend]
		e.running.Go(func() { e.run(polling, p, asked) })
	}
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	for range e.pollers {
		select {
		case <-asked:
		case <-timeout.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

func (e *durabilityExtension) Shutdown(context.Context) error {
	if e.cancel != nil {
		e.cancel()
	}
	e.running.Wait() // polls end with their context
	for _, p := range e.pollers {
		if p.client != nil {
			p.client.CloseIdleConnections()
		}
	}
	e.telemetry.Shutdown()
	return nil
}

// run polls a node until the context ends. It tells asked of the first poll.
func (e *durabilityExtension) run(ctx context.Context, p *poller, asked chan<- struct{}) {
	retry := minRetryDelay
	timer := time.NewTimer(0)
	defer timer.Stop()
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		answered, known := e.poll(ctx, p)
		if first {
			asked <- struct{}{}
		}
		if answered {
			retry = minRetryDelay
		}
		delay := e.config.PollInterval
		if !known {
			delay = min(retry, delay)
			retry = min(2*retry, maxRetryDelay)
		}
		timer.Reset(delay)
	}
}

// poll asks the node once, and reports whether it answered and whether its epoch is known.
func (e *durabilityExtension) poll(ctx context.Context, p *poller) (answered, known bool) {
	begin := time.Now()
	s, err := p.ask(ctx)
	end := time.Now()
	if ctx.Err() != nil {
		return false, false
	}
	n := p.node
	if err != nil {
		e.countFailure(ctx, n, err)
		e.mu.Lock()
		n.notStarting()
		e.updateWatches(n)
		e.mu.Unlock()
		e.setUp(n, err)
		return false, false
	}
	e.setUp(n, nil)

	e.mu.Lock()
	before, window := n.last, n.window
	found := n.observe(begin, end, s)
	now := n.window
	e.updateWatches(n)
	e.mu.Unlock()

	e.report(ctx, n, found, before, s)
	if now > window {
		e.settings.Logger.Warn("the flush interval of the backend raises its flush window",
			append(n.fields(), zap.Duration("flush_interval", s.flushInterval), zap.Duration("flush_window", now))...)
	}
	return true, found != tooYoung
}

// updateWatches tells those that watch the node. The caller holds the mutex.
func (e *durabilityExtension) updateWatches(n *node) {
	for _, w := range e.watches {
		if slices.Contains(w.nodes, n) {
			w.update()
		}
	}
}

func (e *durabilityExtension) report(ctx context.Context, n *node, found finding, before, s sample) {
	fields := append(n.fields(), zap.Time("started", unixTime(s.start)))
	switch found {
	case firstEpoch:
		e.settings.Logger.Info("watching a backend", fields...)
	case otherStart:
		e.settings.Logger.Warn("the backend was restarted: what it had not flushed is delivered again",
			append(fields, zap.Time("started_before", unixTime(before.start)))...)
	case otherUptime:
		e.settings.Logger.Warn("the backend was restarted or stood still: what it had not flushed is delivered again",
			append(fields, zap.Duration("uptime", s.uptime), zap.Duration("uptime_before", before.uptime))...)
	default:
		return
	}
	e.telemetry.ExtensionDurabilityEpochChanges.Add(ctx, 1, n.attributes())
}

// setUp notes the outcome of a poll. It logs, and reports as the status of the
// component, only what has changed.
func (e *durabilityExtension) setUp(n *node, err error) {
	// Held until the status is reported, so that the last one reported is the present one.
	e.statusMu.Lock()
	defer e.statusMu.Unlock()

	e.mu.Lock()
	changed := (n.err == nil) != (err == nil)
	n.up, n.err = err == nil, err
	var errs []error
	for _, name := range e.backendNames() {
		for _, other := range e.nodes[name] {
			if other.err != nil {
				errs = append(errs, fmt.Errorf("node %s of backend %s cannot be asked: %w", other.name, name, other.err))
			}
		}
	}
	e.mu.Unlock()

	if !changed {
		return
	}
	if err != nil {
		e.settings.Logger.Warn("a backend cannot be asked: nothing settles", append(n.fields(), zap.Error(err))...)
	} else {
		e.settings.Logger.Info("the backend answers again", n.fields()...)
	}
	if len(errs) > 0 {
		componentstatus.ReportStatus(e.host, componentstatus.NewRecoverableErrorEvent(errors.Join(errs...)))
	} else {
		componentstatus.ReportStatus(e.host, componentstatus.NewEvent(componentstatus.StatusOK))
	}
}

// statusError is an answer other than 200.
type statusError int

func (code statusError) Error() string {
	return fmt.Sprintf("status %d %s", int(code), http.StatusText(int(code)))
}

// ask reads the metrics of the node. The client bounds the time.
func (p *poller) ask(ctx context.Context) (sample, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url.String(), http.NoBody)
	if err != nil {
		return sample{}, err
	}
	response, err := p.client.Do(request)
	if err != nil {
		return sample{}, err
	}
	defer func() { _ = response.Body.Close() }() // what counts has been read
	if response.StatusCode != http.StatusOK {
		return sample{}, statusError(response.StatusCode)
	}
	return readSample(response.Body, p.node.kind)
}
