package liveextension

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/breakwater-otel/breakwater/components/extension/liveextension/internal/metadata"
	"github.com/breakwater-otel/breakwater/components/internal/ledger"
)

// patience is how long something may take on a busy machine.
const patience = 20 * time.Second

// fakeLedger is another extension of the process.
type fakeLedger struct {
	component.StartFunc
	component.ShutdownFunc
}

func (fakeLedger) Accounts() []ledger.Account {
	return []ledger.Account{{Agent: "host-1", Signal: "logs", Stamped: 10, Stored: 10, LastStamp: time.Now()}}
}

type host struct {
	component.Host
	extensions map[component.ID]component.Component
}

func (h host) GetExtensions() map[component.ID]component.Component { return h.extensions }

// metricsServer serves the Collector's own metrics.
func metricsServer(t *testing.T, text func() (int, string)) (*url.URL, *confmap.Conf) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.NotFound(w, r)
			return
		}
		status, body := text()
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	return u, confmap.NewFromStringMap(map[string]any{
		"receivers": map[string]any{
			"durable_kafka/logs": map[string]any{
				"logs":    map[string]any{"topics": []any{"logs", "^pattern"}},
				"metrics": map[string]any{"topics": []any{"default_that_nobody_reads"}},
			},
			"durable_kafka/unused": map[string]any{"logs": map[string]any{"topics": []any{"others"}}},
		},
		"service": map[string]any{
			"pipelines": map[string]any{"logs/otlp": map[string]any{"receivers": []any{"durable_kafka/logs"}}},
			"telemetry": map[string]any{"metrics": map[string]any{"readers": []any{map[string]any{
				"pull": map[string]any{"exporter": map[string]any{"prometheus": map[string]any{"host": u.Hostname(), "port": u.Port()}}},
			}}}},
		},
	})
}

// start starts an extension on a free port, and returns the base URL of its page.
func start(t *testing.T, conf *confmap.Conf, change func(*Config), others map[component.ID]component.Component) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	config := createDefaultConfig().(*Config)
	config.NetAddr.Endpoint = listener.Addr().String()
	require.NoError(t, listener.Close())
	if change != nil {
		change(config)
	}
	require.NoError(t, config.Validate())
	config.Interval = 20 * time.Millisecond // faster than is allowed
	config.Agents.Interval = 20 * time.Millisecond
	e := newExtension(config, extensiontest.NewNopSettings(metadata.Type))
	require.NoError(t, e.Start(t.Context(), host{componenttest.NewNopHost(), others}))
	t.Cleanup(func() { require.NoError(t, e.Shutdown(context.Background())) })
	require.NoError(t, e.NotifyConfig(t.Context(), conf))
	return "http://" + config.NetAddr.Endpoint
}

func stateOf(t *testing.T, base string) (state State) {
	t.Helper()
	response, err := http.Get(base + "/api/v1/state")
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.NoError(t, json.NewDecoder(response.Body).Decode(&state))
	return state
}

func eventually(t *testing.T, base string, check func(State) bool) State {
	t.Helper()
	var state State
	require.Eventually(t, func() bool { state = stateOf(t, base); return check(state) }, patience, 10*time.Millisecond)
	return state
}

func TestOwnMetrics(t *testing.T) {
	var broken atomic.Bool
	_, conf := metricsServer(t, func() (int, string) {
		if broken.Load() {
			return http.StatusInternalServerError, ""
		}
		return http.StatusOK, `# TYPE otelcol_receiver_durable_kafka_settled_messages_total counter
otelcol_receiver_durable_kafka_settled_messages_total{topic="logs",partition="3",otel_scope_name="x"} 12
otelcol_receiver_durable_kafka_lag{topic="logs",partition="3"} 5
otelcol_receiver_durable_kafka_lag_seconds{topic="logs",partition="3"} 0.5
otelcol_process_uptime_total 700
go_goroutines 7
`
	})
	base := start(t, conf, nil, map[component.ID]component.Component{component.MustNewID("ledger"): fakeLedger{}})
	state := eventually(t, base, func(s State) bool { return len(s.Topics) > 0 })
	assert.Equal(t, OK, state.Status, "%+v", state.Problems)
	assert.Equal(t, "logs", state.Topics[0].Name)
	assert.Equal(t, []Partition{{Number: 3, Lag: 5, LagSeconds: 0.5, Committed: -1, Settled: 12, StalledSeconds: state.Topics[0].Partitions[0].StalledSeconds}},
		state.Topics[0].Partitions)
	require.NotNil(t, state.Ledger)
	assert.Equal(t, "host-1", state.Ledger.Accounts[0].Agent)
	assert.Nil(t, state.Agents, "nobody is asked")

	broken.Store(true)
	state = eventually(t, base, func(s State) bool { return s.Status == Critical })
	assert.Equal(t, "metrics-unreadable", state.Problems[0].Code)
	assert.Contains(t, state.Problems[0].Detail, "500")
	assert.NotEmpty(t, state.Topics, "what was known stays")
	broken.Store(false)
	eventually(t, base, func(s State) bool { return s.Status == OK })
}

func TestWithoutAReader(t *testing.T) {
	base := start(t, confmap.New(), nil, nil)
	state := eventually(t, base, func(s State) bool { return s.Status == Critical })
	assert.Equal(t, "metrics-unreadable", state.Problems[0].Code)
	assert.Contains(t, state.Problems[0].Detail, "no Prometheus reader")
	assert.Nil(t, state.Ledger)
}

func TestNotTheMetricsOfAnyone(t *testing.T) {
	_, conf := metricsServer(t, func() (int, string) { return http.StatusOK, "<html>" })
	base := start(t, conf, nil, nil)
	state := eventually(t, base, func(s State) bool { return s.Status == Critical })
	assert.Contains(t, state.Problems[0].Detail, "Not the text format of Prometheus")
}

func TestAgents(t *testing.T) {
	var broken atomic.Bool
	seen := time.Now().Add(-3 * time.Second)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if broken.Load() {
			http.Error(w, "secret", http.StatusBadGateway)
			return
		}
		assert.Equal(t, "/select/0/prometheus/api/v1/query", r.URL.Path)
		const labels = `"site_name":"zrh","env":"prod","host_name":"h1"`
		const queue = labels + `,"exporter":"durable_kafka","data_type":"logs"`
		results := map[string]string{
			lastSeenQuery: fmt.Sprintf(`{"metric":{%s},"value":[1,"%d"]},{"metric":{"host_name":"h0"},"value":[1,"%d"]}`, labels, seen.Unix(), seen.Unix()),
			queueQuery: `{"metric":{"__name__":"otelcol_exporter_queue_size",` + queue + `},"value":[1,"2000"]},
				{"metric":{"__name__":"otelcol_exporter_queue_capacity",` + queue + `},"value":[1,"10000"]},
				{"metric":{"__name__":"otelcol_exporter_queue_size","host_name":"gone"},"value":[1,"1"]}`,
			queueGrowth: `{"metric":{` + queue + `},"value":[1,"2"]}`,
		}
		_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[`+results[r.URL.Query().Get("query")]+`]}}`)
	}))
	t.Cleanup(backend.Close)
	_, conf := metricsServer(t, func() (int, string) { return http.StatusOK, "otelcol_process_uptime 1\n" })
	base := start(t, conf, func(c *Config) {
		c.Agents.Endpoint = "http://vminsert:8480/insert"
		c.Agents.QueryEndpoint = strings.Replace(backend.URL, "//", "//user:secret@", 1) + "/select/0/prometheus/"
	}, nil)
	state := eventually(t, base, func(s State) bool { return s.Agents != nil && len(s.Agents.Hosts) > 0 })
	assert.Equal(t, []Agent{
		{Host: "h0", LastSeen: seen.Truncate(time.Second).UTC()},
		{Site: "zrh", Env: "prod", Host: "h1", LastSeen: seen.Truncate(time.Second).UTC(),
			Queues: []Queue{{Exporter: "durable_kafka", Signal: "logs", Size: 2000, Capacity: 10000, FullInSeconds: 4000}}},
	}, state.Agents.Hosts)

	broken.Store(true)
	state = eventually(t, base, func(s State) bool { return s.Agents.Error != "" && len(s.Problems) > 0 })
	assert.Equal(t, "the query was answered with 502", state.Agents.Error)
	assert.Len(t, state.Agents.Hosts, 2, "what was known stays")
	assert.Equal(t, "agents-unknown", state.Problems[0].Code)
	assert.Equal(t, OK, state.Status, "delivery does not depend on it")

	backend.Close()
	state = eventually(t, base, func(s State) bool { return strings.HasPrefix(s.Agents.Error, "no answer") })
	assert.NotContains(t, state.Agents.Error, "secret")
}

func TestThePortIsTaken(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	config := createDefaultConfig().(*Config)
	config.NetAddr.Endpoint = listener.Addr().String()
	e := newExtension(config, extensiontest.NewNopSettings(metadata.Type))
	require.ErrorContains(t, e.Start(t.Context(), componenttest.NewNopHost()), "`endpoint` (LIVE_ENDPOINT")
	require.NoError(t, e.Shutdown(t.Context()))
}

func TestEffectiveConfiguration(t *testing.T) {
	target, conf := metricsServer(t, func() (int, string) { return http.StatusOK, "" })
	assert.Equal(t, target.String()+"/metrics", metricsURL(conf))
	assert.Equal(t, []string{"logs"}, topicsRead(conf))
	for host, want := range map[string]string{"0.0.0.0": "127.0.0.1", "::": "127.0.0.1", "": "localhost", "10.0.0.1": "10.0.0.1", "::1": "::1", "[::1]": "::1"} {
		assert.Equal(t, want, reachable(host), host)
	}
}
