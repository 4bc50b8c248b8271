package liveextension

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/breakwater-otel/breakwater/components/extension/liveextension/internal/metadata"
	"github.com/breakwater-otel/breakwater/components/internal/ledger"
)

// serve returns a handler that shows the state.
func serve(t *testing.T, state *State, change func(*Config)) http.Handler {
	t.Helper()
	config := createDefaultConfig().(*Config)
	if change != nil {
		change(config)
	}
	e := newExtension(config, extensiontest.NewNopSettings(metadata.Type))
	if state != nil {
		e.state.Store(state)
	}
	handler, err := e.handler()
	require.NoError(t, err)
	return handler
}

func get(handler http.Handler, method, path, host string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, path, nil)
	request.Host = host
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder
}

func TestOnlyGetAndHead(t *testing.T) {
	handler := serve(t, nil, nil)
	for _, path := range []string{"/", "/api/v1/state", "/api/v1/problems", "/assets/style.css", "/assets/live.js", "/assets/icon.svg"} {
		answer := get(handler, http.MethodGet, path, "127.0.0.1:13135")
		assert.Equal(t, http.StatusOK, answer.Code, path)
		assert.NotEmpty(t, answer.Body.String(), path)
		assert.Equal(t, http.StatusOK, get(handler, http.MethodHead, path, "127.0.0.1:13135").Code, path)
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, "PROPFIND"} {
			assert.Equal(t, http.StatusMethodNotAllowed, get(handler, method, path, "127.0.0.1:13135").Code, "%s %s", method, path)
		}
	}
	for _, path := range []string{"/other", "/assets/", "/assets/page.html", "/api/v1/", "/index.html", "/debug/pprof/"} {
		assert.Equal(t, http.StatusNotFound, get(handler, http.MethodGet, path, "127.0.0.1:13135").Code, path)
	}
}

func TestHeaders(t *testing.T) {
	handler := serve(t, nil, nil)
	for _, c := range []struct{ path, host string }{{"/", "localhost"}, {"/api/v1/state", "localhost"}, {"/nothing", "localhost"}, {"/", "evil.example"}} {
		h := get(handler, http.MethodGet, c.path, c.host).Header()
		assert.Contains(t, h.Get("Content-Security-Policy"), "default-src 'none'")
		assert.NotContains(t, h.Get("Content-Security-Policy"), "unsafe")
		assert.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
		assert.Equal(t, "no-store", h.Get("Cache-Control"))
		assert.Equal(t, "same-origin", h.Get("Cross-Origin-Resource-Policy"))
		assert.Empty(t, h.Get("Access-Control-Allow-Origin"))
	}
}

func TestNamesOfThePage(t *testing.T) {
	loopback, others := "127.0.0.1:13135", "0.0.0.0:13135"
	for _, c := range []struct {
		bound   string
		allowed []string
		host    string
		want    int
	}{
		{loopback, nil, "127.0.0.1:13135", 200},
		{loopback, nil, "localhost", 200},
		{loopback, nil, "localhost:9999", 200}, // through ssh or kubectl, by another port
		{loopback, nil, "[::1]:13135", 200},
		{loopback, nil, "evil.example:13135", 403}, // DNS rebinding
		{loopback, nil, "localhost.evil.example", 403},
		{loopback, nil, "127.0.0.1.evil.example:13135", 403},
		{loopback, nil, "10.0.0.1", 403},
		{loopback, nil, "", 403},
		{loopback, []string{"pipeline.example.com"}, "pipeline.example.com", 200},
		{loopback, []string{"pipeline.example.com"}, "PIPELINE.example.com:443", 200},
		{loopback, []string{"pipeline.example.com"}, "evil.example", 403},
		{others, nil, "consumer-0.example.com:13135", 200},
		{others, []string{"pipeline.example.com"}, "pipeline.example.com", 200},
		{others, []string{"pipeline.example.com"}, "evil.example", 403},
	} {
		handler := serve(t, nil, func(config *Config) {
			config.NetAddr.Endpoint, config.AllowNonLoopback, config.AllowedHosts = c.bound, true, c.allowed
		})
		for _, path := range []string{"/", "/api/v1/state"} {
			answer := get(handler, http.MethodGet, path, c.host)
			assert.Equal(t, c.want, answer.Code, "%+v", c)
			if c.want == 403 && c.host != "" {
				assert.NotContains(t, answer.Body.String(), c.host, "what was sent is not sent back")
			}
		}
	}
}

// hostile names are what whoever can write to Kafka may call an agent.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `{{.Process}}`, `javascript:alert(1)`,
	"\x00\x1b[31m\u202e", "</title></style></svg><h1>", strings.Repeat("long", 500), `&lt;b&gt;`,
}

func TestHostileNames(t *testing.T) {
	for _, name := range hostile {
		state := &State{
			Time: now, Status: Critical, Process: Process{Host: name, Version: name},
			Problems:    []Problem{missing.problem(name, "%s", name)},
			Topics:      []Topic{{Name: name, Partitions: []Partition{{Number: 1}}}},
			History:     []TopicCurve{{Topic: name, Lag: []float64{1, 2}, LagSeconds: []float64{1, 2}, SettledPerSecond: []float64{1, 2}}},
			Backends:    []Backend{{Name: name, Node: name}},
			Exporters:   []Exporter{{Name: name, Unit: name, Curve: []float64{1, 2}}},
			DeadLetters: []Count{{What: name, Reason: name, Unit: name, Total: 1}},
			Letters:     []Count{{What: name, Reason: name, Total: 1}},
			Losses:      []Loss{{Topic: name, Cause: name, Messages: 1}},
			Queues:      []Queue{{Exporter: name, Signal: name}},
			Agents:      &Agents{Error: name, Hosts: []Agent{{Site: name, Env: name, Host: name, Queues: []Queue{{Exporter: name, Signal: name}}}}},
			Ledger: &Ledger{Accounts: []ledger.Account{{
				Agent: name, Signal: name, Missing: 1, OldestMissing: began, MissingRanges: []ledger.Range{{Run: name}},
			}}},
		}
		answer := get(serve(t, state, nil), http.MethodGet, "/", "localhost")
		require.Equal(t, http.StatusOK, answer.Code)
		page := answer.Body.String()
		for _, markup := range []string{"<script>alert", "<img src=x", "onmouseover='", "</style>", "<b>\n<"} {
			assert.NotContains(t, page, markup, name)
		}
		assert.Equal(t, 1, strings.Count(page, "<script"), name)
		assert.Equal(t, 1, strings.Count(page, "<h1"), name)
		// Names are nowhere an address: the only ones are ours.
		assert.NotContains(t, page, `href="javascript:`)

		answer = get(serve(t, state, nil), http.MethodGet, "/api/v1/state", "localhost")
		assert.Equal(t, "application/json", answer.Header().Get("Content-Type"))
		var decoded State
		require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &decoded))
		assert.Equal(t, strings.ToValidUTF8(name, "\ufffd"), decoded.Ledger.Accounts[0].Agent)
	}
}

// Everything that is known is in the HTML: no script is needed to read it.
func TestThePageIsWholeWithoutAScript(t *testing.T) {
	state := examined(t, situation{before: healthy, now: with(healthy, `
		receiver_durable_kafka_lag{topic="logs",partition="0"} 6000
		receiver_durable_kafka_lag_seconds{topic="logs",partition="0"} 400
		receiver_durable_kafka_lost_messages_total{topic="logs",partition="1",cause="retention"} 1234
		extension_durability_up{backend="victoriametrics",node="metrics:8428"} 0
		exporter_victorialogs_rejected_records_total{reason="row_bytes"} 7
		exporter_victorialogs_sent_records_total{path="jsonline"} 65000`),
		ledger: []ledger.Account{{
			Agent: "host-1", Signal: "logs", Stamped: 100, Stored: 88, Missing: 12, Duplicated: 3, Delay: 1500 * time.Millisecond,
			LastStamp: now.Add(-4 * time.Second), OldestMissing: now.Add(-20 * time.Minute),
			MissingRanges: []ledger.Range{{Run: "r7", First: 10, End: 22}},
		}},
		agents: &Agents{Asked: now, Hosts: []Agent{{Site: "zrh-1", Env: "prod", Host: "h1", LastSeen: now.Add(-7 * time.Second),
			Queues: []Queue{{Exporter: "durable_kafka", Signal: "logs", Size: 25e8, Capacity: 1e10, FullInSeconds: 9000}}}}},
	})
	state.Process.Version = "0.1.0"
	page := get(serve(t, state, nil), http.MethodGet, "/", "localhost").Body.String()
	for _, text := range []string{
		`<noscript><meta http-equiv="refresh" content="5"></noscript>`,
		"<title>3 critical problems, 2 warnings – Breakwater</title>",
		"1,234 messages of logs lost", "What to do:", "victoriametrics (metrics:8428) does not answer",
		"6,000 <span>messages", "6 min 40 s", "grows by 100/s", "1,000 <small>rows/s", // 60,000 rows in a minute
		`<span class="state down">down`, "2026-03-01 12:00:00 UTC", "16 s <small>of 15 s",
		"host-1 <small>logs", "for 20 min: 10 to 21 of run r7", "4 s ago",
		"zrh-1 <small>prod", "7 s ago", "25 % <small>of 10.0 GB, full in 2 h 30 min",
		"row bytes", "lost: retention", "up 10 min · 123 MB of memory", "version 0.1.0",
	} {
		assert.Contains(t, page, text)
	}

	var answer struct {
		Status   Severity
		Problems []Problem
	}
	require.NoError(t, json.Unmarshal(get(serve(t, state, nil), http.MethodGet, "/api/v1/problems", "localhost").Body.Bytes(), &answer))
	assert.Equal(t, Critical, answer.Status)
	assert.Equal(t, state.Problems, answer.Problems)
}

func TestBeforeTheFirstLook(t *testing.T) {
	handler := serve(t, nil, nil)
	page := get(handler, http.MethodGet, "/", "localhost").Body.String()
	assert.Contains(t, page, "<h2>Starting</h2>")
	assert.Contains(t, page, "No ledger")
	assert.NotContains(t, page, "All well")
	state := get(handler, http.MethodGet, "/api/v1/state", "localhost").Body.String()
	assert.Contains(t, state, `"status": "starting"`)
	assert.Contains(t, state, `"topics": []`, "no null where there is a list")
}

// A fleet does not make a page that no phone can show.
func TestManyAgents(t *testing.T) {
	state := &State{Time: now, Status: OK, Agents: &Agents{Asked: now}, Ledger: &Ledger{}}
	for i := range 5000 {
		name := "host-" + string(rune('a'+i%26)) + strings.Repeat("x", i%50)
		state.Agents.Hosts = append(state.Agents.Hosts, Agent{Host: name, LastSeen: now})
		state.Ledger.Accounts = append(state.Ledger.Accounts, ledger.Account{Agent: name, Signal: "logs", LastStamp: now})
	}
	state.Agents.Hosts[4321].Queues = []Queue{{Exporter: "fullest", Size: 99, Capacity: 100}}
	state.Ledger.Accounts[4321] = ledger.Account{Agent: "unlucky", Missing: 1, OldestMissing: began}
	page := get(serve(t, state, nil), http.MethodGet, "/", "localhost").Body.String()
	assert.Less(t, len(page), 150_000)
	assert.Contains(t, page, "And 4,900 more in")
	assert.Contains(t, page, "fullest", "trouble is not left out")
	assert.Contains(t, page, "unlucky", "trouble is not left out")
}
