package durabilityextension

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/xconfmap"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/breakwater-otel/breakwater/components/extension/durabilityextension/internal/metadata"
	"github.com/breakwater-otel/breakwater/components/extension/durabilityextension/internal/metadatatest"
	"github.com/breakwater-otel/breakwater/components/internal/durability"
)

// fakeNode is a backend that has a start time.
type fakeNode struct {
	*httptest.Server
	mu     sync.Mutex
	start  int
	began  time.Time
	flush  string
	answer http.HandlerFunc // in place of the metrics
	asked  int
}

func newFakeNode(t *testing.T) *fakeNode {
	f := unstartedFakeNode()
	f.Start()
	t.Cleanup(f.Close)
	return f
}

func unstartedFakeNode() *fakeNode {
	f := &fakeNode{start: 1000, began: time.Now().Add(-time.Hour), flush: "5s"}
	f.Server = httptest.NewUnstartedServer(f)
	return f
}

func (f *fakeNode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.answer != nil {
		f.answer(w, r)
		return
	}
	if r.URL.Path != "/metrics" {
		http.NotFound(w, r)
		return
	}
	fmt.Fprintf(w, "vm_app_start_timestamp %d\nvm_app_uptime_seconds %d\n", f.start, int(time.Since(f.began).Seconds()))
	fmt.Fprintf(w, "process_start_time_seconds %d\nflag{name=\"inmemoryDataFlushInterval\", value=%q} 1\n", f.start, f.flush)
}

func (f *fakeNode) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeNode) polls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// statusHost keeps the status events that were reported.
type statusHost struct {
	component.Host
	extensions map[component.ID]component.Component
	mu         sync.Mutex
	events     []*componentstatus.Event
}

func (h *statusHost) Report(event *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, event)
}

func (h *statusHost) GetExtensions() map[component.ID]component.Component { return h.extensions }

func (h *statusHost) last() (componentstatus.Status, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.events) == 0 {
		return componentstatus.StatusNone, nil
	}
	event := h.events[len(h.events)-1]
	return event.Status(), event.Err()
}

type running struct {
	*durabilityExtension
	host *statusHost
	logs *observer.ObservedLogs
	tel  *componenttest.Telemetry
}

func load(t *testing.T, backends map[string]any) *Config {
	cfg := createDefaultConfig().(*Config)
	conf := map[string]any{"poll_interval": "20ms", "backends": backends}
	require.NoError(t, confmap.NewFromStringMap(conf).Unmarshal(cfg))
	require.NoError(t, xconfmap.Validate(cfg))
	return cfg
}

func start(t *testing.T, backends map[string]any, extensions map[component.ID]component.Component) *running {
	core, logs := observer.New(zap.InfoLevel)
	tel := componenttest.NewTelemetry()
	set := extensiontest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = tel.NewTelemetrySettings()
	set.Logger = zap.New(core)
	ext, err := NewFactory().Create(t.Context(), set, load(t, backends))
	require.NoError(t, err)
	r := &running{
		durabilityExtension: ext.(*durabilityExtension), logs: logs, tel: tel,
		host: &statusHost{Host: componenttest.NewNopHost(), extensions: extensions},
	}
	require.NoError(t, r.Start(t.Context(), r.host))
	t.Cleanup(func() {
		assert.NoError(t, r.Shutdown(context.Background()))
		assert.NoError(t, tel.Shutdown(context.Background()))
	})
	return r
}

func (r *running) watch(t *testing.T, backends ...string) durability.Watch {
	w, err := r.Watch(backends...)
	require.NoError(t, err)
	return w
}

func eventually(t *testing.T, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, 10*time.Second, time.Millisecond, what)
}

// pollsAgain waits until the node was asked, from begin to end, after the call.
func (f *fakeNode) pollsAgain(t *testing.T) {
	t.Helper()
	before := f.polls()
	eventually(t, func() bool { return f.polls() >= before+3 }, "two polls")
}

func single(kind string, f *fakeNode, more map[string]any) map[string]any {
	b := map[string]any{"type": kind, "endpoint": f.URL}
	for k, v := range more {
		b[k] = v
	}
	return map[string]any{"b": b}
}

func TestSettlesAndFindsARestart(t *testing.T) {
	f := newFakeNode(t)
	f.flush = "10ms"
	r := start(t, single("victorialogs", f, map[string]any{"flush_window": "100ms"}), nil)
	w := r.watch(t)
	stamp := w.Stamp()
	assert.EqualValues(t, 1, stamp.Generation, "Start waits for the first poll")

	events, cancel := w.Subscribe()
	acked := time.Now()
	assert.Equal(t, durability.Pending, w.Judge(stamp, acked))
	for w.Judge(stamp, acked) == durability.Pending {
		select {
		case <-events:
		case <-time.After(10 * time.Second):
			t.Fatal("no event")
		}
	}
	assert.Equal(t, durability.Settled, w.Judge(stamp, acked))
	assert.GreaterOrEqual(t, time.Since(acked), 100*time.Millisecond)
	cancel()

	f.set(func() { f.start++ })
	eventually(t, func() bool { return w.Judge(stamp, acked) == durability.Lost }, "a restart")
	eventually(t, func() bool { return r.logs.FilterMessageSnippet("was restarted").Len() == 1 }, "the line in the log")
	again := w.Stamp()
	acked = time.Now()
	eventually(t, func() bool { return w.Judge(again, acked) == durability.Settled }, "settled in the new epoch")
	assert.Equal(t, 1, r.logs.FilterMessageSnippet("was restarted").Len())
}

func TestARestartWithinASecondIsFoundByUptime(t *testing.T) {
	f := newFakeNode(t)
	r := start(t, single("victorialogs", f, nil), nil)
	stamp := r.watch(t).Stamp()
	f.set(func() { f.began = time.Now().Add(-time.Minute) })
	eventually(t, func() bool { return r.watch(t).Stamp() != stamp }, "a restart")
	eventually(t, func() bool { return r.logs.FilterMessageSnippet("restarted or stood still").Len() == 1 }, "the line in the log")
}

func TestAYoungProcessIsNotKnown(t *testing.T) {
	f := newFakeNode(t)
	f.began = time.Now()
	r := start(t, single("victorialogs", f, nil), nil)
	w := r.watch(t)
	f.pollsAgain(t)
	if stamp := w.Stamp(); time.Since(f.began) < minUptime {
		assert.Zero(t, stamp.Generation)
		assert.True(t, stamp.Starting)
	}
	eventually(t, func() bool { return w.Stamp().Generation == 1 }, "known")
	assert.GreaterOrEqual(t, time.Since(f.began), minUptime)
	assert.False(t, w.Stamp().Starting)
}

func TestANodeThatDoesNotAnswerIsNotStarting(t *testing.T) {
	f := newFakeNode(t)
	r := start(t, single("victorialogs", f, nil), nil)
	w := r.watch(t)
	events, cancel := w.Subscribe()
	defer cancel()
	eventually(t, func() bool {
		f.set(func() { f.began = time.Now() })
		return w.Stamp().Starting
	}, "starting")
	f.set(func() {
		f.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
	})
	for w.Stamp().Starting {
		select {
		case <-events:
		case <-time.After(10 * time.Second):
			t.Fatal("no event")
		}
	}
}

func TestNothingSettlesWhenABackendCannotBeAsked(t *testing.T) {
	elsewhere := newFakeNode(t)
	for name, answer := range map[string]http.HandlerFunc{
		"no answer": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"an error":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"other metrics": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(w, "up 1")
		},
		"a redirect to another node": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/metrics", http.StatusFound)
		},
		"a page that is too large": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "vm_app_start_timestamp 1000\nvm_app_uptime_seconds 3600\n%s\n", strings.Repeat("x", maxMetricsBytes))
		},
		"half a page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprintf(w, "vm_app_start_timestamp 1000\nvm_app_uptime_seconds 3600\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeNode(t)
			f.flush = ""
			r := start(t, single("victorialogs", f, map[string]any{"flush_window": "10ms"}), nil)
			w := r.watch(t)
			f.set(func() { f.answer = answer })
			eventually(t, func() bool { status, _ := r.host.last(); return status == componentstatus.StatusRecoverableError }, "status")
			stamp, acked := w.Stamp(), time.Now()
			for range 3 {
				f.pollsAgain(t)
				assert.Equal(t, durability.Pending, w.Judge(stamp, acked))
			}
			_, err := r.host.last()
			assert.ErrorContains(t, err, "of backend b cannot be asked")
			assert.Equal(t, 1, r.logs.FilterMessageSnippet("cannot be asked").Len(), "logged once")

			f.set(func() { f.answer = nil })
			eventually(t, func() bool { return w.Judge(stamp, acked) == durability.Settled }, "settled")
			eventually(t, func() bool { status, _ := r.host.last(); return status == componentstatus.StatusOK }, "status")
			assert.Equal(t, stamp, w.Stamp(), "no restart was seen")
		})
	}
	assert.Zero(t, elsewhere.polls())
}

func TestTimeout(t *testing.T) {
	f := newFakeNode(t)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	f.answer = func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
	r := start(t, single("victorialogs", f, map[string]any{"timeout": "50ms"}), nil)
	status, err := r.host.last()
	assert.Equal(t, componentstatus.StatusRecoverableError, status)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
}

// A node that does not answer holds neither Start nor Shutdown.
func TestStartAndShutdownDoNotWaitForANode(t *testing.T) {
	f := newFakeNode(t)
	f.answer = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	began := time.Now()
	r := start(t, single("victorialogs", f, map[string]any{"timeout": "1h"}), nil)
	require.NoError(t, r.Shutdown(t.Context()))
	assert.Less(t, time.Since(began), 10*time.Second)
}

func TestBackendsApart(t *testing.T) {
	logs, more, loki := newFakeNode(t), newFakeNode(t), newFakeNode(t)
	r := start(t, map[string]any{
		"logs": map[string]any{"type": "victorialogs", "endpoints": []any{logs.URL, more.URL}},
		"loki": map[string]any{"type": "loki", "endpoint": loki.URL, "flush_window": "0s"},
	}, nil)
	all, onlyLogs, onlyLoki := r.watch(t), r.watch(t, "logs"), r.watch(t, "loki")
	assert.Same(t, onlyLogs, r.watch(t, "logs", "logs"))
	assert.Same(t, all, r.watch(t, "loki", "logs"))
	_, err := r.Watch("logs", "metrics")
	require.EqualError(t, err, "backend \"metrics\" is not among `backends` of the durability extension: logs, loki")

	stamp, logsStamp, lokiStamp := all.Stamp(), onlyLogs.Stamp(), onlyLoki.Stamp()
	now := time.Now()
	assert.Equal(t, durability.Settled, onlyLoki.Judge(lokiStamp, now))
	assert.Equal(t, durability.Pending, all.Judge(stamp, now))

	// Without a window a restart is seen, and loses nothing.
	loki.set(func() { loki.start++ })
	eventually(t, func() bool { return r.logs.FilterMessageSnippet("was restarted").Len() == 1 }, "a restart of Loki")
	assert.Equal(t, durability.Settled, onlyLoki.Judge(lokiStamp, now))
	assert.Equal(t, durability.Pending, all.Judge(stamp, now))

	// Any node of a list.
	more.set(func() { more.start++ })
	eventually(t, func() bool { return all.Judge(stamp, now) == durability.Lost }, "a restart of a node")
	eventually(t, func() bool { return onlyLogs.Judge(logsStamp, now) == durability.Lost }, "a restart of a node")
	assert.Equal(t, durability.Settled, onlyLoki.Judge(lokiStamp, now))
}

func TestFlagRaisesTheWindowAndIsLogged(t *testing.T) {
	f := newFakeNode(t)
	f.flush = "1m0s"
	r := start(t, single("victoriametrics", f, nil), nil)
	f.pollsAgain(t)
	entries := r.logs.FilterMessageSnippet("raises its flush window").All()
	require.Len(t, entries, 1)
	assert.Equal(t, 3*time.Minute, entries[0].ContextMap()["flush_window"])
}

func TestTLSAndHeaders(t *testing.T) {
	f := unstartedFakeNode()
	f.StartTLS()
	t.Cleanup(f.Close)
	f.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Token") != "secret-token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, "vm_app_start_timestamp 1000\nvm_app_uptime_seconds 3600\n")
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw})
	require.NoError(t, os.WriteFile(ca, certificate, 0o600))
	headers := map[string]any{"X-Token": "secret-token"}

	r := start(t, single("victorialogs", f, map[string]any{"headers": headers, "tls": map[string]any{"ca_file": ca}}), nil)
	assert.EqualValues(t, 1, r.watch(t).Stamp().Generation)

	r = start(t, single("victorialogs", f, map[string]any{"headers": headers}), nil)
	_, err := r.host.last()
	var unverified *tls.CertificateVerificationError
	require.ErrorAs(t, err, &unverified)
	assert.NotContains(t, err.Error(), "secret-token")

	r = start(t, single("victorialogs", f, map[string]any{"tls": map[string]any{"ca_file": ca}}), nil)
	_, err = r.host.last()
	require.ErrorContains(t, err, "status 401")
}

// authenticator is an auth extension.
type authenticator struct {
	component.StartFunc
	component.ShutdownFunc
}

func (authenticator) RoundTripper(base http.RoundTripper) (http.RoundTripper, error) {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer secret-token")
		return base.RoundTrip(r)
	}), nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAuth(t *testing.T) {
	f := newFakeNode(t)
	f.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret-token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, "vm_app_start_timestamp 1000\nvm_app_uptime_seconds 3600\n")
	}
	backends := single("victorialogs", f, map[string]any{"auth": map[string]any{"authenticator": "fake"}})
	r := start(t, backends, map[component.ID]component.Component{component.MustNewID("fake"): authenticator{}})
	assert.EqualValues(t, 1, r.watch(t).Stamp().Generation)

	ext, err := newExtension(load(t, backends), extensiontest.NewNopSettings(metadata.Type))
	require.NoError(t, err)
	err = ext.Start(t.Context(), componenttest.NewNopHost())
	require.ErrorContains(t, err, "`backends::b`")
	require.NoError(t, ext.Shutdown(t.Context()))
}

func TestSubscribe(t *testing.T) {
	w := &watch{subscribers: map[chan struct{}]struct{}{}, nodes: []*node{newTestNode(VictoriaLogs, time.Second)}}
	w.update()
	a, cancelA := w.Subscribe()
	b, cancelB := w.Subscribe()
	defer cancelB()
	change := func(s float64) {
		w.nodes[0].observe(sec(s), sec(s), process{start: 1000, since: -100}.at(s))
		w.update()
	}
	change(1)
	change(2) // nobody reads, and nobody waits for that
	<-a
	<-b
	w.update()
	assert.Empty(t, a, "nothing has changed")
	cancelA()
	change(3)
	assert.Empty(t, a)
	assert.Len(t, b, 1)
	assert.Equal(t, 1, cap(b))
}

func TestTelemetry(t *testing.T) {
	f, loki := newFakeNode(t), newFakeNode(t)
	f.flush = "10s"
	r := start(t, map[string]any{
		"b":    map[string]any{"type": "victorialogs", "endpoint": f.URL},
		"loki": map[string]any{"type": "loki", "endpoint": loki.URL, "flush_window": "0s"},
	}, nil)
	attributes := func(backend string, f *fakeNode, more ...attribute.KeyValue) attribute.Set {
		name := strings.TrimPrefix(f.URL, "http://")
		return attribute.NewSet(append(more, attribute.String("backend", backend), attribute.String("node", name))...)
	}
	logs, other := attributes("b", f), attributes("loki", loki)
	metadatatest.AssertEqualExtensionDurabilityEpoch(t, r.tel,
		[]metricdata.DataPoint[float64]{{Attributes: logs, Value: 1000}, {Attributes: other, Value: 1000}},
		metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualExtensionDurabilityEpochChanges(t, r.tel,
		[]metricdata.DataPoint[int64]{{Attributes: logs, Value: 1}, {Attributes: other, Value: 1}},
		metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualExtensionDurabilityFlushWindow(t, r.tel,
		[]metricdata.DataPoint[float64]{{Attributes: logs, Value: 30}, {Attributes: other, Value: 0}},
		metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualExtensionDurabilityUp(t, r.tel,
		[]metricdata.DataPoint[int64]{{Attributes: logs, Value: 1}, {Attributes: other, Value: 1}},
		metricdatatest.IgnoreTimestamp())
	assert.InDelta(t, 0.02, r.gauge(t, "otelcol_extension_durability_poll_age", logs), 5)
	assert.InDelta(t, 30, r.gauge(t, "otelcol_extension_durability_settle_delay", logs), 5)
	assert.Zero(t, r.gauge(t, "otelcol_extension_durability_settle_delay", other))

	loki.set(func() { loki.start++ })
	f.set(func() { f.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) } })
	eventually(t, func() bool { status, _ := r.host.last(); return status == componentstatus.StatusRecoverableError }, "status")
	eventually(t, func() bool { return r.logs.FilterMessageSnippet("was restarted").Len() == 1 }, "a restart")
	metadatatest.AssertEqualExtensionDurabilityUp(t, r.tel,
		[]metricdata.DataPoint[int64]{{Attributes: logs, Value: 0}, {Attributes: other, Value: 1}},
		metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualExtensionDurabilityPollFailures(t, r.tel,
		[]metricdata.DataPoint[int64]{{Attributes: attributes("b", f, attribute.String("reason", "status"))}},
		metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreValue())
	eventually(t, func() bool {
		return r.gauge(t, "otelcol_extension_durability_poll_age", logs) > 0.3
	}, "the age of the last poll grows while polls fail")
}

func (r *running) gauge(t *testing.T, name string, attributes attribute.Set) float64 {
	t.Helper()
	m, err := r.tel.GetMetric(name)
	require.NoError(t, err)
	for _, point := range m.Data.(metricdata.Gauge[float64]).DataPoints {
		if point.Attributes.Equals(&attributes) {
			return point.Value
		}
	}
	t.Fatalf("%s has no point %v", name, attributes.ToSlice())
	return 0
}

func TestReasonsOfFailures(t *testing.T) {
	for want, err := range map[string]error{
		"unreachable": errors.New("connection refused"),
		"status":      fmt.Errorf("poll: %w", statusError(404)),
		"malformed":   fmt.Errorf("poll: %w", errNoStart),
	} {
		assert.Equal(t, want, failureReason(err))
	}
}
