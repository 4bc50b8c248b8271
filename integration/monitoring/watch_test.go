package monitoring

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// watch notes what vmalert says, all the time: which alerts fire now, and which have.
type watch struct {
	vmalert *harness.VMAlert
	began   time.Time

	mu    sync.Mutex
	now   map[string]bool // by name and labels
	fired map[string]bool
	// wrong are annotations that are not as somebody who gets them could read them.
	wrong map[string]bool
	err   error
}

func startWatch(t *testing.T, vmalert *harness.VMAlert) *watch {
	w := &watch{vmalert: vmalert, began: time.Now(), fired: map[string]bool{}, wrong: map[string]bool{}}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		for tick := time.NewTicker(200 * time.Millisecond); ; {
			w.look(ctx)
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
			}
		}
	})
	t.Cleanup(func() { cancel(); done.Wait() })
	return w
}

func (w *watch) look(ctx context.Context) {
	alerts, err := w.vmalert.Alerts(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err = err; err != nil {
		return
	}
	w.now = map[string]bool{}
	for _, a := range alerts {
		if a.State != "firing" {
			continue
		}
		for _, name := range []string{"summary", "description", "runbook_url"} {
			if text := a.Annotations[name]; text == "" || strings.Contains(text, "{{") || strings.Contains(text, "no value") {
				w.wrong[a.Name+": "+name+": "+text] = true
			}
		}
		key := describe(a)
		w.now[key], w.fired[key] = true, true
	}
}

// describe is the name of an alert with those of its labels that a test asks for, in the order of their names.
func describe(a harness.Alert) string {
	var labels []string
	for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
		switch name {
		case "alertname", "alertgroup", "severity", "instance", "node":
		default:
			labels = append(labels, name+"="+a.Labels[name])
		}
	}
	return a.Name + "{" + strings.Join(labels, ",") + "}"
}

// matches tells whether an alert has the name and all the labels of want, as Name or Name{label=value}.
func matches(alert, want string) bool {
	name, labels, _ := strings.Cut(strings.TrimSuffix(want, "}"), "{")
	if !strings.HasPrefix(alert, name+"{") {
		return false
	}
	_, has, _ := strings.Cut(strings.TrimSuffix(alert, "}"), "{")
	for label := range strings.SplitSeq(labels, ",") {
		if label != "" && !slices.Contains(strings.Split(has, ","), label) {
			return false
		}
	}
	return true
}

// firing are the alerts that fire now, but for those that are expected.
func (w *watch) firing(but ...string) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var others []string
	for _, alert := range slices.Sorted(maps.Keys(w.now)) {
		if !slices.ContainsFunc(but, func(expected string) bool { return matches(alert, expected) }) {
			others = append(others, alert)
		}
	}
	return others, w.err
}

func (w *watch) hasFired(want string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return contains(w.fired, want)
}

func (w *watch) firesNow(want string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return contains(w.now, want)
}

func contains[V any](alerts map[string]V, want string) bool {
	for alert := range alerts {
		if matches(alert, want) {
			return true
		}
	}
	return false
}

func (w *watch) unreadable() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.wrong))
}

const alertTimeout = 2 * time.Minute

// requireFired waits until each of the alerts has fired since the start.
func (w *watch) requireFired(t *testing.T, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), alertTimeout)
	defer cancel()
	require.NoError(t, harness.Eventually(ctx, 100*time.Millisecond, func(context.Context) error {
		for _, alert := range want {
			if !w.hasFired(alert) {
				now, err := w.firing()
				return errors.Join(fmt.Errorf("%s has not fired; firing: %v", alert, now), err)
			}
		}
		return nil
	}))
	t.Logf("%5.1f s: %s", time.Since(w.began).Seconds(), strings.Join(want, ", "))
}

// requireCleared waits until an alert that has fired does not any more.
func (w *watch) requireCleared(t *testing.T, alert string) {
	t.Helper()
	require.True(t, w.hasFired(alert), alert)
	ctx, cancel := context.WithTimeout(t.Context(), alertTimeout)
	defer cancel()
	require.NoError(t, harness.Eventually(ctx, 100*time.Millisecond, func(context.Context) error {
		now, err := w.firing()
		if err == nil && w.firesNow(alert) {
			err = fmt.Errorf("%s still fires; firing: %v", alert, now)
		}
		return err
	}))
	t.Logf("%5.1f s: cleared: %s", time.Since(w.began).Seconds(), alert)
}

// requireOnly waits until no other alert fires than these.
func (w *watch) requireOnly(t *testing.T, expected ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), alertTimeout)
	defer cancel()
	require.NoError(t, harness.Eventually(ctx, 100*time.Millisecond, func(context.Context) error {
		if alerts, err := w.firing(expected...); err != nil || len(alerts) > 0 {
			return errors.Join(fmt.Errorf("firing: %v", alerts), err)
		}
		return nil
	}))
	t.Logf("%5.1f s: nothing fires but %s", time.Since(w.began).Seconds(), strings.Join(expected, ", "))
}
