package liveextension

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.uber.org/zap"

	"github.com/breakwater-otel/breakwater/components/internal/ledger"
)

// lookTimeout bounds a look at the metrics of this process.
const lookTimeout = 5 * time.Second

type liveExtension struct {
	config   *Config
	settings component.TelemetrySettings
	process  Process
	server   *http.Server
	ledger   ledger.Source // nil: there is none
	querier  *agentQuerier // nil: nobody is asked
	own      *http.Client
	cancel   context.CancelFunc
	running  sync.WaitGroup

	state  atomic.Pointer[State] // the last; what it points to is never changed
	agents atomic.Pointer[Agents]
}

var (
	_ extension.Extension                 = (*liveExtension)(nil)
	_ extensioncapabilities.ConfigWatcher = (*liveExtension)(nil)
	_ extensioncapabilities.Dependent     = (*liveExtension)(nil)
)

func newExtension(config *Config, set extension.Settings) *liveExtension {
	host, _ := os.Hostname() // a page without it is a page
	e := &liveExtension{
		config: config, settings: set.TelemetrySettings,
		process: Process{Host: host, Version: set.BuildInfo.Version},
		// Without a proxy: it asks this process.
		own: &http.Client{Timeout: lookTimeout, Transport: &http.Transport{}},
	}
	e.state.Store(&State{Time: time.Now(), Status: Starting, Process: e.process})
	return e
}

// Dependencies are the extensions that authenticate those who ask for the page, and the queries for agents.
func (e *liveExtension) Dependencies() []component.ID {
	var ids []component.ID
	if auth := e.config.Auth.Get(); auth != nil {
		ids = append(ids, auth.AuthenticatorID)
	}
	if auth := e.config.Agents.Auth.Get(); auth != nil {
		ids = append(ids, auth.AuthenticatorID)
	}
	return ids
}

// Start serves the page. What is on it comes with NotifyConfig.
func (e *liveExtension) Start(ctx context.Context, host component.Host) error {
	for _, other := range host.GetExtensions() {
		if source, ok := other.(ledger.Source); ok {
			e.ledger = source
		}
	}
	if base := e.config.Agents.url(); base != "" {
		client, err := e.config.Agents.ToClient(ctx, host.GetExtensions(), e.settings)
		if err != nil {
			return fmt.Errorf("`agents`: %w", err)
		}
		e.querier = &agentQuerier{client: client, base: base, now: time.Now}
	}
	handler, err := e.handler()
	if err != nil {
		return err
	}
	if e.server, err = e.config.ToServer(ctx, host.GetExtensions(), e.settings, handler); err != nil {
		return err
	}
	listener, err := e.config.ToListener(ctx)
	if err != nil {
		return fmt.Errorf("`endpoint` (LIVE_ENDPOINT in the shipped profiles): %w", err)
	}
	e.settings.Logger.Info("the live page is served", zap.Stringer("address", listener.Addr()))
	e.running.Go(func() {
		if err := e.server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			componentstatus.ReportStatus(host, componentstatus.NewFatalErrorEvent(err))
		}
	})
	return nil
}

// NotifyConfig learns where the metrics of this process are, and begins to look at them.
func (e *liveExtension) NotifyConfig(ctx context.Context, conf *confmap.Conf) error {
	target := e.config.MetricsEndpoint
	if target == "" {
		target = metricsURL(conf)
	}
	loop, cancel := context.WithCancel(context.WithoutCancel(ctx))
	e.cancel = cancel
	look := newLooker(e, target, topicsRead(conf))
	e.running.Go(func() { every(loop, e.config.Interval, look.look) })
	if e.querier != nil {
		e.running.Go(func() { every(loop, e.config.Agents.Interval, e.askForAgents) })
	}
	return nil
}

// every calls do at once and then at each interval, until the context ends.
func every(ctx context.Context, interval time.Duration, do func(context.Context)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		do(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (e *liveExtension) askForAgents(ctx context.Context) {
	found, err := e.querier.ask(ctx)
	if err != nil {
		// The figures of before are better than none.
		found = &Agents{}
		if before := e.agents.Load(); before != nil {
			*found = *before
		}
		found.Error = err.Error()
	}
	e.agents.Store(found)
}

// Shutdown ends the page.
func (e *liveExtension) Shutdown(ctx context.Context) error {
	if e.cancel != nil {
		e.cancel()
	}
	var err error
	if e.server != nil {
		err = e.server.Shutdown(ctx)
	}
	e.running.Wait()
	e.own.CloseIdleConnections()
	if e.querier != nil {
		e.querier.client.CloseIdleConnections()
	}
	return err
}

// looker looks at the metrics of this process.
type looker struct {
	extension *liveExtension
	target    string // URL; empty: there are none
	topics    []string
	summary   *summary
}

func newLooker(e *liveExtension, target string, topics []string) *looker {
	return &looker{extension: e, target: target, topics: topics, summary: newSummary(e.config.History)}
}

// look makes the next state.
func (l *looker) look(ctx context.Context) {
	e := l.extension
	m, err := l.read(ctx)
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	if err != nil {
		// The figures stay those of before, and their time says so.
		stale := *e.state.Load()
		stale.Problems = []Problem{metricsUnreadable.problem("This process's own metrics cannot be read", "%s.", capital(err.Error()))}
		stale.Status = Critical
		e.state.Store(&stale)
		return
	}
	state := l.summary.add(now, m)
	state.Process.Host, state.Process.Version = e.process.Host, e.process.Version
	if e.ledger != nil {
		state.Ledger = &Ledger{Accounts: slices.Clone(e.ledger.Accounts())}
	}
	state.Agents = e.agents.Load()
	(&examiner{warn: e.config.Warn, topics: l.topics, state: &state, m: m, past: &l.summary.history}).examine()
	e.state.Store(&state)
}

func (l *looker) read(ctx context.Context) (metrics, error) {
	if l.target == "" {
		return nil, errors.New("there is no Prometheus reader in `service::telemetry::metrics::readers`")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, l.target, nil)
	if err != nil {
		return nil, errors.New("their URL is not one")
	}
	response, err := l.extension.own.Do(request)
	if err != nil {
		return nil, fmt.Errorf("no answer: %w", withoutURL(err))
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("they were answered with %d", response.StatusCode)
	}
	return parseMetrics(response.Body)
}
