package losslessextension

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/breakwater-otel/breakwater/components/extension/losslessextension/internal/metadata"
	"github.com/breakwater-otel/breakwater/components/internal/lossless"
)

type losslessExtension struct {
	config    *Config
	settings  component.TelemetrySettings
	telemetry *metadata.TelemetryBuilder
	host      component.Host
	cancel    context.CancelFunc
	running   sync.WaitGroup

	mu sync.Mutex
	// configuration and surroundings are what was found last, unchecked what did not answer then, with the error.
	configuration, surroundings lossless.Findings
	unchecked                   map[subject]string
}

// subject is something around the process that is asked: its kind is a value of the attribute `subject`.
type subject struct{ kind, name string }

var (
	_ extension.Extension                 = (*losslessExtension)(nil)
	_ extensioncapabilities.ConfigWatcher = (*losslessExtension)(nil)
)

func newExtension(config *Config, set extension.Settings) (*losslessExtension, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &losslessExtension{config: config, settings: set.TelemetrySettings, telemetry: telemetry}, nil
}

// Start keeps the host. The configuration comes with NotifyConfig, before any pipeline starts.
func (e *losslessExtension) Start(_ context.Context, host component.Host) error {
	e.host = host
	return errors.Join(
		e.telemetry.RegisterExtensionLosslessFindingsCallback(e.observeFindings),
		e.telemetry.RegisterExtensionLosslessUncheckedCallback(e.observeUnchecked),
	)
}

// NotifyConfig looks at the effective configuration. Its error ends the start.
func (e *losslessExtension) NotifyConfig(ctx context.Context, conf *confmap.Conf) error {
	found := e.config.Check(conf)
	e.mu.Lock()
	e.configuration = found
	e.mu.Unlock()
	e.log(lossless.Findings{}, found)
	if err := found.Err(); err != nil {
		return err
	}
	if e.config.Runtime.Mode == lossless.Off {
		return nil
	}
	around := newSurroundings(e, conf)
	if e.config.Runtime.Mode == lossless.Enforce {
		if err := e.look(ctx, around, true); err != nil {
			return err
		}
	}
	loop, cancel := context.WithCancel(context.WithoutCancel(ctx))
	e.cancel = cancel
	e.running.Go(func() { e.watch(loop, around) })
	return nil
}

// watch looks around until the context ends. What it finds after the start is never a reason to stop.
func (e *losslessExtension) watch(ctx context.Context, around *surroundings) {
	ticker := time.NewTicker(e.config.Runtime.Interval)
	defer ticker.Stop()
	if e.config.Runtime.Mode == lossless.Warn { // else the start has just looked
		_ = e.look(ctx, around, false) // never fails
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_ = e.look(ctx, around, false) // never fails
		}
	}
}

// look asks what is around once, and logs what has changed. At the start its error is what is enforced; later that is
// a warning.
func (e *losslessExtension) look(ctx context.Context, around *surroundings, starting bool) error {
	ctx, cancel := context.WithTimeout(ctx, e.config.Runtime.Timeout)
	defer cancel()
	findings, unchecked := around.ask(ctx)
	if !starting && errors.Is(ctx.Err(), context.Canceled) {
		return nil // the shutdown is why nobody answered
	}
	found := e.config.Judge(findings)
	err := found.Err()
	if !starting {
		found.Warned, found.Enforced, err = slices.Concat(found.Warned, found.Enforced), nil, nil
	}
	e.mu.Lock()
	before, uncheckedBefore := e.surroundings, e.unchecked
	e.surroundings, e.unchecked = found, unchecked
	e.mu.Unlock()

	e.log(before, found)
	for _, u := range slices.SortedFunc(maps.Keys(unchecked), subject.compare) {
		if _, known := uncheckedBefore[u]; !known {
			e.settings.Logger.Warn("could not be checked for ways to lose data", zap.String("subject", u.kind),
				zap.String("name", u.name), zap.String("error", unchecked[u]))
		}
	}
	return err
}

// log writes a line for each finding that was not there before, and for each that has gone. What is enforced is in an
// error.
func (e *losslessExtension) log(before, now lossless.Findings) {
	for _, f := range now.Warned {
		if !slices.Contains(before.Warned, f) {
			e.settings.Logger.Warn("data can be lost: "+f.String(), zap.String("code", f.Rule.Code))
		}
	}
	for _, f := range now.Ignored {
		if !slices.Contains(before.Ignored, f) {
			e.settings.Logger.Info("ignored: "+f.String(), zap.String("code", f.Rule.Code), zap.String("reason", e.config.Ignore[f.Rule.Code]))
		}
	}
	for _, f := range before.Warned {
		if !slices.Contains(now.Warned, f) {
			e.settings.Logger.Info("no longer found", zap.String("code", f.Rule.Code), zap.String("setting", f.Setting))
		}
	}
}

// Shutdown ends the loop.
func (e *losslessExtension) Shutdown(context.Context) error {
	if e.cancel != nil {
		e.cancel()
	}
	e.running.Wait()
	e.telemetry.Shutdown()
	return nil
}

func (e *losslessExtension) observeFindings(_ context.Context, o metric.Int64Observer) error {
	type key struct {
		code  string
		state string
	}
	counts := map[key]int64{}
	e.mu.Lock()
	for _, found := range []lossless.Findings{e.configuration, e.surroundings} {
		for _, f := range slices.Concat(found.Warned, found.Enforced) {
			counts[key{f.Rule.Code, "reported"}]++
		}
		for _, f := range found.Ignored {
			counts[key{f.Rule.Code, "ignored"}]++
		}
	}
	e.mu.Unlock()
	for k, n := range counts {
		o.Observe(n, metric.WithAttributes(attribute.String("code", k.code), attribute.String("state", k.state)))
	}
	return nil
}

func (e *losslessExtension) observeUnchecked(_ context.Context, o metric.Int64Observer) error {
	counts := map[string]int64{subjectTopics: 0, subjectStorage: 0, subjectBackend: 0}
	e.mu.Lock()
	for u := range e.unchecked {
		counts[u.kind]++
	}
	e.mu.Unlock()
	for kind, n := range counts {
		o.Observe(n, metric.WithAttributes(attribute.String("subject", kind)))
	}
	return nil
}
