package victorialogs

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// startGate starts a proxy that asks about each request first; where the answer is false, check has answered it.
func startGate(t *testing.T, logs *harness.VictoriaLogs, check func(http.ResponseWriter, *http.Request) bool) *httptest.Server {
	t.Helper()
	target, err := url.Parse(logs.URL())
	require.NoError(t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if check(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(gate.Close)
	return gate
}

// startScript starts a proxy whose first requests to insert meet the faults, one each.
func startScript(t *testing.T, logs *harness.VictoriaLogs, faults ...harness.Fault) *harness.FaultProxy {
	t.Helper()
	return harness.StartFaultProxy(t, harness.FaultProxyOptions{
		Target: logs.URL(), Record: true, ReceiveBuffer: 64 << 10,
		Choose: func(r *http.Request) harness.Fault {
			if len(faults) == 0 || !strings.HasPrefix(r.URL.Path, "/insert/") {
				return harness.FaultNone
			}
			fault := faults[0]
			faults = faults[1:]
			return fault
		},
	})
}
