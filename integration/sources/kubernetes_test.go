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
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// object is a JSON object.
type object = map[string]any

const podUID = "0a1b2c3d-0000-4000-8000-000000000001"

// kubernetesAPI stands for the API server: it lists one pod and what owns it, and says nothing more to watchers. There is
// no cluster here; the paths and objects are those of the API.
func kubernetesAPI(t *testing.T) map[string]string {
	owner := func(kind, name string) []object {
		return []object{{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "uid-" + name, "controller": true}}
	}
	pod := object{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": object{
			"name": "web-5d4f7c-x2x4z", "namespace": "shop", "uid": podUID, "resourceVersion": "1",
			"labels":          object{"app.kubernetes.io/name": "web", "team": "checkout", "pod-template-hash": "5d4f7c"},
			"ownerReferences": owner("ReplicaSet", "web-5d4f7c"), "creationTimestamp": "2026-01-02T03:04:05Z",
		},
		"spec": object{"nodeName": "node-1", "containers": []object{{"name": "web", "image": "shop/web:1.2"}}},
		"status": object{"podIP": "10.0.0.7", "startTime": "2026-01-02T03:04:05Z", "containerStatuses": []object{{
			"name": "web", "restartCount": 0, "containerID": "containerd://" + strings.Repeat("ab", 32),
		}}},
	}
	replicaSet := object{"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": object{
		"name": "web-5d4f7c", "namespace": "shop", "uid": "uid-web-5d4f7c", "resourceVersion": "1", "ownerReferences": owner("Deployment", "web"),
	}}
	lists := map[string][]object{
		"/api/v1/pods":              {pod},
		"/apis/apps/v1/replicasets": {replicaSet},
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Query().Get("sendInitialEvents") != "" {
			// As servers before 1.32 do; the client then lists.
			w.WriteHeader(http.StatusUnprocessableEntity)
			_ = json.NewEncoder(w).Encode(object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid", "code": 422})
			return
		}
		if r.URL.Query().Get("watch") != "" {
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		list := object{"kind": "List", "apiVersion": "v1", "metadata": object{"resourceVersion": "1"}, "items": []object{}}
		if items := lists[r.URL.Path]; items != nil {
			list["items"] = items
		}
		if strings.Contains(r.Header.Get("Accept"), "PartialObjectMetadataList") {
			list["kind"], list["apiVersion"] = "PartialObjectMetadataList", "meta.k8s.io/v1"
		} else if r.URL.Path == "/api/v1/pods" {
			list["kind"] = "PodList"
		}
		_ = json.NewEncoder(w).Encode(list)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	host, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	return map[string]string{"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port, "K8S_AUTH_TYPE": "none", "K8S_NODE_NAME": "node-1"}
}

// kubelet stands for the kubelet: it answers /stats/summary to clients with a certificate.
func kubelet(t *testing.T) map[string]string {
	usage := object{"time": "2026-01-02T03:04:05Z", "usageNanoCores": 250_000_000, "usageCoreNanoSeconds": 1_000_000_000}
	memory := object{"time": "2026-01-02T03:04:05Z", "usageBytes": 1000, "workingSetBytes": 900, "rssBytes": 800, "pageFaults": 1, "majorPageFaults": 0}
	summary := object{
		"node": object{"nodeName": "node-1", "startTime": "2026-01-02T03:04:05Z", "cpu": usage, "memory": memory},
		"pods": []object{{
			"podRef": object{"name": "web-5d4f7c-x2x4z", "namespace": "shop", "uid": podUID}, "startTime": "2026-01-02T03:04:05Z",
			"cpu": usage, "memory": memory,
			"containers": []object{{"name": "web", "startTime": "2026-01-02T03:04:05Z", "cpu": usage, "memory": memory}},
		}},
	}
	ca := newAuthority(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/stats/summary" {
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(summary)
	}))
	server.TLS = ca.serverConfig(t)
	server.StartTLS()
	t.Cleanup(server.Close)
	cert, key := ca.files(t, "agent")
	return map[string]string{
		"K8S_KUBELET_ENDPOINT": server.URL, "K8S_KUBELET_AUTH_TYPE": "tls", "K8S_KUBELET_CA_FILE": ca.file(t),
		"K8S_KUBELET_CERT_FILE": cert, "K8S_KUBELET_KEY_FILE": key,
	}
}

func kubernetesEnv(t *testing.T, more map[string]string) map[string]string {
	env := map[string]string{"HOST_NAME": hostName}
	for _, part := range []map[string]string{kubernetesAPI(t), kubelet(t), more} {
		for name, value := range part {
			env[name] = value
		}
	}
	return env
}

func testKubernetes(t *testing.T, s *site) {
	pods := t.TempDir()
	dir := filepath.Join(pods, "shop_web-5d4f7c-x2x4z_"+podUID, "web")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	f := &logFile{t: t, path: filepath.Join(dir, "0.log"), encode: criPiece}
	agent := s.agent(t, kubernetesEnv(t, map[string]string{"K8S_LOG_INCLUDE": pods + "/*/*/*.log*"}), "kubernetes")
	f.throughRestarts(s, agent, func() { f.rename(f.path + ".20260102-030405") }, []string{"stdout", "stderr"})
	rows := s.requireRows(t, f.want)
	for _, r := range rows {
		assert.Equal(t, fmt.Sprintf(`{env="test",host_name="edge-7",service_name="web",service_namespace="shop",site_name="kubernetes",stream=%q}`,
			r["stream"]), r["_stream"])
	}
	requireFields(t, rowOf(t, rows, "end"), map[string]string{
		"k8s.namespace.name": "shop", "k8s.pod.name": "web-5d4f7c-x2x4z", "k8s.pod.uid": podUID, "k8s.container.name": "web",
		"k8s.container.restart_count": "0", "k8s.node.name": "node-1", "k8s.deployment.name": "web", "k8s.pod.label.team": "checkout",
		"container.image.name": "shop/web", "container.image.tag": "1.2", "log.file.path": f.path,
	})
}

func testKubeletMetrics(t *testing.T, s *site) {
	s.agent(t, kubernetesEnv(t, map[string]string{"K8S_LOG_INCLUDE": t.TempDir() + "/*/*/*.log*"}), "kubernetes")
	for _, metric := range []string{"k8s_node_cpu_usage", "k8s_pod_memory_working_set_bytes", "container_memory_rss_bytes"} {
		got := s.series(t, metric)
		require.Len(t, got, 1, metric)
		assert.Equal(t, "edge-7", got[0].Labels["host_name"])
		assert.Equal(t, "test", got[0].Labels["env"])
	}
	pod := s.series(t, "k8s_pod_memory_working_set_bytes")[0]
	assert.InDelta(t, 900, pod.Value, 0)
	assert.Equal(t, "web-5d4f7c-x2x4z", pod.Labels["k8s_pod_name"])
	assert.Equal(t, "web", pod.Labels["k8s_deployment_name"])
	assert.Equal(t, "web", pod.Labels["service_name"])
	assert.Equal(t, "shop", pod.Labels["service_namespace"])
}
