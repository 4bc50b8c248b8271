package sources

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testPrometheus scrapes a target that the environment names and one that a file names.
func testPrometheus(t *testing.T, s *site) {
	var scrapes atomic.Int64
	target := func(kind string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			_, _ = fmt.Fprintf(w, "# TYPE orders_total counter\norders_total{kind=%q} %d\n", kind, 100+scrapes.Add(1))
			_, _ = fmt.Fprint(w, "# TYPE latency histogram\nlatency_bucket{le=\"1\"} 3\nlatency_bucket{le=\"+Inf\"} 4\nlatency_sum 5\nlatency_count 4\n")
		}))
		t.Cleanup(server.Close)
		return strings.TrimPrefix(server.URL, "http://")
	}
	static, file := target("static"), target("file")
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "shop.yaml"), fmt.Appendf(nil, "- targets: [%q]\n  labels: {team: checkout}\n", file), 0o600))
	s.agent(t, map[string]string{
		"HOST_NAME": hostName, "PROMETHEUS_TARGETS": "[" + static + "]", "PROMETHEUS_TARGETS_DIR": dir, "PROMETHEUS_JOB": "shop",
		"PROMETHEUS_SCRAPE_INTERVAL": "1s", "PROMETHEUS_SCRAPE_TIMEOUT": "1s",
	}, "prometheus")

	static0 := s.series(t, `{__name__="orders_total",kind="static"}`)
	require.Len(t, static0, 1)
	assert.Equal(t, "edge-7", static0[0].Labels["host_name"])
	assert.Equal(t, static, static0[0].Labels["instance"])
	assert.Equal(t, "shop", static0[0].Labels["job"])
	assert.Greater(t, static0[0].Value, 100.0)
	file0 := s.series(t, `{__name__="orders_total",kind="file"}`)
	require.Len(t, file0, 1)
	assert.Equal(t, file, file0[0].Labels["instance"])
	assert.Equal(t, "checkout", file0[0].Labels["team"])
	assert.Len(t, s.series(t, "latency_bucket"), 4, "two buckets of two targets")
	for _, up := range s.series(t, "up") {
		assert.InDelta(t, 1, up.Value, 0)
	}
}

// testDockerStats asks what stands for the docker daemon: there is none here. Paths and objects are those of its API.
func testDockerStats(t *testing.T, s *site) {
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	answer := func(w http.ResponseWriter, value any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value)
	}
	labels := object{"com.docker.compose.service": "web", "com.docker.compose.project": "shop"}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		// The paths begin with the version that was negotiated.
		path := r.URL.Path
		if strings.HasPrefix(path, "/v") {
			_, path, _ = strings.Cut(path[1:], "/")
			path = "/" + path
		}
		switch path {
		case "/_ping":
			w.Header().Set("Api-Version", "1.44")
		case "/containers/json":
			answer(w, []object{{"Id": id, "Names": []string{"/shop-web-1"}, "Image": "shop/web:1.2", "State": "running", "Labels": labels}})
		case "/containers/" + id + "/json":
			answer(w, object{
				"Id": id, "Name": "/shop-web-1", "Created": "2026-01-02T03:04:05Z", "RestartCount": 2,
				"State":      object{"Running": true, "Status": "running", "StartedAt": "2026-01-02T03:04:05Z"},
				"HostConfig": object{"Runtime": "runc"}, "Config": object{"Image": "shop/web:1.2", "Hostname": "web", "Labels": labels, "Env": []string{}},
			})
		case "/containers/" + id + "/stats":
			answer(w, object{
				"id": id, "name": "/shop-web-1", "read": "2026-01-02T03:04:05Z",
				"cpu_stats":    object{"cpu_usage": object{"total_usage": 4_000_000_000, "percpu_usage": []int{4_000_000_000}}, "system_cpu_usage": 9_000_000_000, "online_cpus": 1},
				"memory_stats": object{"usage": 1000, "limit": 4000, "stats": object{"rss": 800, "anon": 800, "file": 100}},
				"networks":     object{"eth0": object{"rx_bytes": 10, "tx_bytes": 20}},
			})
		case "/events":
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		default:
			http.NotFound(w, r)
		}
	})
	socket := filepath.Join(t.TempDir(), "docker.sock")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	server := &http.Server{Handler: mux} //nolint:gosec // a test on a socket of its own
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	s.agent(t, map[string]string{"HOST_NAME": hostName, "DOCKER_ENDPOINT": "unix://" + socket}, "docker-stats")

	for metric, value := range map[string]float64{
		"container_memory_usage_limit_bytes": 4000, "container_restarts_total": 2, "container_network_io_usage_rx_bytes_total": 10,
	} {
		got := s.series(t, metric)
		require.Len(t, got, 1, metric)
		assert.InDelta(t, value, got[0].Value, 0, metric)
		for name, want := range map[string]string{
			"host_name": "edge-7", "env": "test", "container_name": "shop-web-1", "container_id": id,
			"service_name": "web", "service_namespace": "shop", "job": "shop/web",
		} {
			assert.Equal(t, want, got[0].Labels[name], "%s of %s", name, metric)
		}
	}
}
