package deploy

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

const chart = "helm/breakwater"

// kubeVersion is what the chart is rendered for; a helm that is built from its module does not know one.
const kubeVersion = "--kube-version=1.34.0"

// objects are the documents of a rendered chart.
type objects []any

// template renders the chart with a file of values and decodes each document strictly: a field that the API does not
// have, a value of the wrong type and a duplicate key are errors.
func template(t *testing.T, values string) objects {
	output, err := run(t, nil, built(t, "tools/helm"), "template", "release", chart, kubeVersion, "--namespace", "telemetry", "--values", values)
	require.NoError(t, err, output)
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var all objects
	names := map[string]bool{}
	for _, document := range regexp.MustCompile(`(?m)^---$`).Split(output, -1) {
		var head struct {
			APIVersion, Kind string
			Metadata         struct{ Name string }
		}
		require.NoError(t, yaml.Unmarshal([]byte(document), &head), document)
		if head.Kind == "" {
			continue // a comment
		}
		key := head.Kind + "/" + head.Metadata.Name
		assert.False(t, names[key], "%s twice", key)
		names[key] = true
		if strings.HasPrefix(head.APIVersion, "keda.sh/") {
			all = append(all, decodeKEDA(t, head.Kind, document))
			continue
		}
		if head.APIVersion == "monitoring.coreos.com/v1" {
			rule := &prometheusRule{}
			require.Equal(t, "PrometheusRule", head.Kind)
			require.NoError(t, yaml.UnmarshalStrict([]byte(document), rule), document)
			all = append(all, rule)
			continue
		}
		object, _, err := decoder.Decode([]byte(document), nil, nil)
		require.NoError(t, err, "%s\n%s", key, document)
		all = append(all, object)
	}
	return all
}

// only returns the objects of one type.
func only[T any](all objects) []T {
	var found []T
	for _, object := range all {
		if of, ok := object.(T); ok {
			found = append(found, of)
		}
	}
	return found
}

// podSpecs are the pods that the objects make, by the component's label.
func podSpecs(all objects) map[string]corev1.PodTemplateSpec {
	pods := map[string]corev1.PodTemplateSpec{}
	add := func(pod corev1.PodTemplateSpec) { pods[pod.Labels["app.kubernetes.io/component"]] = pod }
	for _, object := range all {
		switch object := object.(type) {
		case *appsv1.DaemonSet:
			add(object.Spec.Template)
		case *appsv1.Deployment:
			add(object.Spec.Template)
		case *appsv1.StatefulSet:
			add(object.Spec.Template)
		case *batchv1.Job:
			add(object.Spec.Template)
		}
	}
	return pods
}

func valueSets(t *testing.T) []string {
	sets, err := filepath.Glob(filepath.Join(chart, "ci", "*-values.yaml"))
	require.NoError(t, err)
	require.Len(t, sets, 4)
	return sets
}

func TestChart(t *testing.T) {
	for _, values := range valueSets(t) {
		t.Run(strings.TrimSuffix(filepath.Base(values), "-values.yaml"), func(t *testing.T) {
			output, err := run(t, nil, built(t, "tools/helm"), "lint", "--strict", kubeVersion, chart, "--values", values)
			require.NoError(t, err, output)
			all := template(t, values)
			for component, pod := range podSpecs(all) {
				requireConfined(t, component, pod.Spec)
				requireVolumes(t, component, pod.Spec)
				if component != "topics" {
					requireValid(t, pod.Spec, only[*corev1.ConfigMap](all))
				}
			}
		})
	}
}

// requireConfined holds that every pod meets the restricted Pod Security Standard, but for the agent's user, capability
// and directories of the node, without which it could read no log file.
func requireConfined(t *testing.T, component string, pod corev1.PodSpec) {
	require.Len(t, pod.Containers, 1)
	container := pod.Containers[0]
	security := container.SecurityContext
	assert.False(t, *security.AllowPrivilegeEscalation, component)
	assert.True(t, *security.ReadOnlyRootFilesystem, component)
	assert.Equal(t, []corev1.Capability{"ALL"}, security.Capabilities.Drop, component)
	assert.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, pod.SecurityContext.SeccompProfile.Type, component)
	assert.NotEmpty(t, container.Resources.Limits.Memory().String(), component)
	assert.False(t, pod.HostNetwork || pod.HostPID || pod.HostIPC, component)
	if component == "agent" {
		assert.Equal(t, []corev1.Capability{"DAC_READ_SEARCH"}, security.Capabilities.Add)
		for _, mount := range container.VolumeMounts {
			assert.True(t, mount.ReadOnly || mount.Name == "state", mount.Name)
		}
	} else {
		assert.Empty(t, security.Capabilities.Add, component)
		assert.True(t, *security.RunAsNonRoot, component)
		assert.EqualValues(t, 10001, *pod.SecurityContext.RunAsUser, component)
		assert.False(t, *pod.AutomountServiceAccountToken, component)
		for _, volume := range pod.Volumes {
			assert.Nil(t, volume.HostPath, "%s: %s", component, volume.Name)
		}
	}
	if component != "topics" {
		assert.NotNil(t, container.LivenessProbe, component)
		assert.NotNil(t, container.ReadinessProbe, component)
		assert.EqualValues(t, 60, *pod.TerminationGracePeriodSeconds, "the drain of %s", component)
	}
}

// requireVolumes holds that every mount has its volume; a StatefulSet has one of its own in addition.
func requireVolumes(t *testing.T, component string, pod corev1.PodSpec) {
	volumes := map[string]bool{"state": component == "consumer"}
	for _, volume := range pod.Volumes {
		volumes[volume.Name] = true
	}
	for _, mount := range pod.Containers[0].VolumeMounts {
		assert.True(t, volumes[mount.Name], "%s has no volume %s", component, mount.Name)
	}
}

// requireValid holds that breakwater takes what a pod runs it with, arguments, environment and files, and that no secret
// is in one of them.
func requireValid(t *testing.T, pod corev1.PodSpec, configs []*corev1.ConfigMap) {
	node := t.TempDir()
	container := pod.Containers[0]
	write := func(path string, content []byte) string {
		path = filepath.Join(node, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, content, 0o600))
		return path
	}
	for _, volume := range pod.Volumes {
		for _, config := range configs {
			if volume.ConfigMap == nil || volume.ConfigMap.Name != config.Name {
				continue
			}
			for name, text := range config.Data {
				// The node's root, which has to be there for the receiver to be valid.
				text = strings.ReplaceAll(text, "root_path: /host", "root_path: /")
				write(filepath.Join(mountPath(t, container, volume.Name), name), []byte(text))
				assert.NotContains(t, text, "a}ss", "a password")
			}
		}
	}
	profiles, err := filepath.Abs(filepath.Join("..", "configs"))
	require.NoError(t, err)
	require.NoError(t, os.CopyFS(filepath.Join(node, "etc", "breakwater"), os.DirFS(profiles)), "as the image has them")
	args := []string{"validate"}
	for _, arg := range container.Args {
		name, path, found := strings.Cut(arg, "=")
		require.True(t, found && name == "--config", arg)
		args = append(args, name, filepath.Join(node, path))
	}
	certificate, key := selfSigned(t)
	secrets := map[string][]byte{
		"/etc/kafka/sasl/password": []byte("p: {a}ss"), "/etc/kafka/ca/ca.crt": certificate,
		"/etc/kafka/client/tls.crt": certificate, "/etc/kafka/client/tls.key": key,
	}
	var env []string
	for _, variable := range container.Env {
		value := variable.Value
		if content, ok := secrets[value]; ok {
			value = write(value, content)
		} else if variable.ValueFrom != nil {
			value = "of-the-cluster"
			assert.NotContains(t, strings.ToLower(variable.Name), "password", "in the environment, which /proc shows")
		} else if variable.Name == "BREAKWATER_STORAGE_DIR" {
			value = filepath.Join(node, value)
			require.NoError(t, os.MkdirAll(value, 0o700))
		}
		env = append(env, variable.Name+"="+value)
	}
	output, err := run(t, env, built(t, "breakwater"), args...)
	require.NoError(t, err, "%s: %s", container.Name, output)
	assert.NotContains(t, output, "a}ss")
}

func mountPath(t *testing.T, container corev1.Container, volume string) string {
	for _, mount := range container.VolumeMounts {
		if mount.Name == volume {
			return mount.MountPath
		}
	}
	t.Fatalf("%s does not mount %s", container.Name, volume)
	return ""
}

// selfSigned makes a certificate and its key, in PEM.
func selfSigned(t *testing.T) (certificate, key []byte) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

func TestChartSecure(t *testing.T) {
	all := template(t, filepath.Join(chart, "ci", "secure-keda-values.yaml"))
	require.Len(t, only[*appsv1.StatefulSet](all), 1, "consumers with a volume each")
	require.Empty(t, only[*appsv1.Deployment](all))
	require.Nil(t, only[*appsv1.StatefulSet](all)[0].Spec.Replicas, "the autoscaler's")
	for _, secret := range only[*corev1.Secret](all) {
		assert.Equal(t, map[string]string{"sasl": "scram_sha512", "tls": "enable"}, secret.StringData)
	}
	scaled := only[*scaledObject](all)
	require.Len(t, scaled, 1)
	var groups []string
	for _, trigger := range scaled[0].Spec.Triggers {
		groups = append(groups, trigger.Metadata["consumerGroup"]+" "+trigger.Metadata["topic"])
		assert.Equal(t, "kafka.example.net:9094", trigger.Metadata["bootstrapServers"])
		assert.Equal(t, only[*triggerAuthentication](all)[0].Metadata.Name, trigger.AuthenticationRef.Name)
	}
	// The groups of configs/consumer.yaml.
	assert.ElementsMatch(t, []string{
		"breakwater-consumer-logs otel-logs-v1", "breakwater-consumer-metrics otel-metrics-v1",
		"breakwater-consumer-fluent-bit fluent-bit-logs-v1",
	}, groups)
	pods := podSpecs(all)
	require.Len(t, pods, 3)
	for component, pod := range pods {
		assert.Equal(t, "/etc/kafka/sasl/password", envVar(t, pod, "KAFKA_SASL_PASSWORD_FILE").Value, component)
		assert.Equal(t, "/etc/kafka/ca/ca.crt", envVar(t, pod, "KAFKA_TLS_CA_FILE").Value, component)
		assert.Equal(t, "kafka-login", envVar(t, pod, "KAFKA_SASL_USERNAME").ValueFrom.SecretKeyRef.Name, component)
		if component != "topics" {
			args := pod.Spec.Containers[0].Args
			assert.Contains(t, args, "--config=/etc/breakwater/security.d/kafka-sasl.yaml", component)
			assert.Contains(t, args, "--config=/etc/breakwater/security.d/kafka-tls.yaml", component)
		}
	}
	wantPorts := map[string][]string{
		"release-breakwater-agent":    {"53", "53", "9094", "443", "6443"}, // the last two: the API server
		"release-breakwater-consumer": {"53", "53", "9094", "443"},         // the last: both backends
		"release-breakwater-topics":   {"53", "53", "9094"},
	}
	for _, policy := range only[*networkingv1.NetworkPolicy](all) {
		assert.Equal(t, wantPorts[policy.Name], egressPorts(policy), policy.Name)
	}
}

func TestChartHPA(t *testing.T) {
	all := template(t, filepath.Join(chart, "ci", "hpa-values.yaml"))
	require.Empty(t, only[*appsv1.DaemonSet](all))
	require.Empty(t, only[*scaledObject](all))
	hpa := only[*autoscalingv2.HorizontalPodAutoscaler](all)
	require.Len(t, hpa, 1)
	require.Len(t, hpa[0].Spec.Metrics, 2)
	assert.Equal(t, "kafka_consumergroup_lag", hpa[0].Spec.Metrics[1].External.Metric.Name)
	assert.Equal(t, only[*appsv1.Deployment](all)[0].Name, hpa[0].Spec.ScaleTargetRef.Name)
	secrets := only[*corev1.Secret](all)
	require.Len(t, secrets, 1)
	assert.Equal(t, "p: {a}ss", secrets[0].StringData["password"])
}

// TestChartMinimal holds what is there when nothing is asked for, and that the agent's own log is not read.
func TestChartMinimal(t *testing.T) {
	all := template(t, filepath.Join(chart, "ci", "minimal-values.yaml"))
	pods := podSpecs(all)
	require.Len(t, pods, 3)
	assert.Equal(t, "kafka-0.kafka:9092,kafka-1.kafka:9092,kafka-2.kafka:9092", envVar(t, pods["topics"], "KAFKA_BROKERS").Value)
	assert.Equal(t, []string{"/usr/bin/breakwater-topics"}, pods["topics"].Spec.Containers[0].Command)
	agent := only[*appsv1.DaemonSet](all)[0]
	for _, config := range only[*corev1.ConfigMap](all) {
		if config.Name == agent.Name {
			assert.Contains(t, config.Data["kubernetes.yaml"], "/var/log/pods/telemetry_"+agent.Name+"-*/*/*")
		}
	}
	assert.Len(t, only[*networkingv1.NetworkPolicy](all), 3)
}

// TestChartProfiles holds that the chart has the very profiles that are shipped otherwise.
func TestChartProfiles(t *testing.T) {
	dir := t.TempDir()
	output, err := run(t, nil, built(t, "tools/helm"), "package", chart, "--destination", dir, "--version", "1.2.3", "--app-version", "1.2.3")
	require.NoError(t, err, output)
	archive := filepath.Join(dir, "breakwater-1.2.3.tgz")
	for _, profile := range []string{"agent.yaml", "consumer.yaml"} {
		shipped, err := os.ReadFile(filepath.Join("..", "configs", profile))
		require.NoError(t, err)
		packaged, err := run(t, nil, "tar", "-xzOf", archive, "breakwater/profiles/"+profile)
		require.NoError(t, err, packaged)
		assert.Equal(t, string(shipped), packaged)
	}
	output, err = run(t, nil, built(t, "tools/helm"), "template", "release", archive, kubeVersion, "--values", valueSets(t)[0])
	require.NoError(t, err, output)
	assert.Contains(t, output, ":1.2.3")
}

// TestChartMonitoring holds that the chart has the very dashboards and rules of monitoring/.
func TestChartMonitoring(t *testing.T) {
	all := template(t, filepath.Join(chart, "ci", "secure-keda-values.yaml"))
	dashboards, err := filepath.Glob(filepath.Join("..", "monitoring", "dashboards", "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, dashboards)
	have := map[string]string{}
	for _, config := range only[*corev1.ConfigMap](all) {
		if config.Labels["grafana_dashboard"] == "1" {
			for name, text := range config.Data {
				have[name] = text
			}
		}
	}
	for _, file := range dashboards {
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, strings.TrimSpace(string(want)), strings.TrimSpace(have[filepath.Base(file)]), file)
	}
	assert.Len(t, have, len(dashboards))

	rules := only[*prometheusRule](all)
	require.Len(t, rules, 1)
	assert.Equal(t, "prometheus", rules[0].Metadata.Labels["release"])
	text, err := os.ReadFile(filepath.Join("..", "monitoring", "rules", "breakwater.yaml"))
	require.NoError(t, err)
	var want struct {
		Groups []map[string]any `json:"groups"`
	}
	require.NoError(t, yaml.Unmarshal(text, &want))
	assert.Equal(t, want.Groups, rules[0].Spec.Groups)
	assert.Empty(t, only[*prometheusRule](template(t, filepath.Join(chart, "ci", "minimal-values.yaml"))))
}

// prometheusRule is monitoring.coreos.com/v1 as far as the chart has it.
type prometheusRule struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   kedaMeta `json:"metadata"`
	Spec       struct {
		Groups []map[string]any `json:"groups"`
	} `json:"spec"`
}

func TestChartRefuses(t *testing.T) {
	minimal := filepath.Join(chart, "ci", "minimal-values.yaml")
	for _, refused := range []struct{ set, why string }{
		{"kafka.brokers=null", "brokers"},
		{"kafka.brokers={kafka}", "/kafka/brokers/0"},
		{"kafka.topic=logs", "topic"},
		{"agent.queueBytes=1000", "/agent/queueBytes"},
		{"consumer.replicas=0", "/consumer/replicas"},
		{"consumer.victoriaLogs.endpoint=", "consumer.victoriaLogs.endpoint must be set"},
		{"consumer.victoriaLogs.endpoint=logs:9428", "/consumer/victoriaLogs/endpoint"},
		{"consumer.victoriaLogs.retention=7d", "/consumer/victoriaLogs/retention"},
		{"consumer.autoscaling.enabled=true,consumer.autoscaling.maxReplicas=7", "kafka.partitions"},
		{"kafka.sasl.enabled=true", "kafka.sasl.username"},
		{"kafka.sasl.mechanism=GSSAPI", "/kafka/sasl/mechanism"},
	} {
		t.Run(refused.set, func(t *testing.T) {
			output, err := run(t, nil, built(t, "tools/helm"), "template", "release", chart, kubeVersion, "--values", minimal, "--set", refused.set)
			require.Error(t, err)
			// Helm writes the place with dots or slashes, by its version.
			assert.Contains(t, strings.ReplaceAll(output, ".", "/"), strings.ReplaceAll(refused.why, ".", "/"))
		})
	}
}

func envVar(t *testing.T, pod corev1.PodTemplateSpec, name string) corev1.EnvVar {
	for _, variable := range pod.Spec.Containers[0].Env {
		if variable.Name == name {
			return variable
		}
	}
	t.Fatalf("no variable %s", name)
	return corev1.EnvVar{}
}

func egressPorts(policy *networkingv1.NetworkPolicy) []string {
	var ports []string
	for _, rule := range policy.Spec.Egress {
		for _, port := range rule.Ports {
			ports = append(ports, port.Port.String())
		}
	}
	return ports
}

// What the chart uses of KEDA's API (keda.sh/v1alpha1, KEDA 2.18); any other field is an error.
type (
	kedaMeta struct {
		Name   string            `json:"name"`
		Labels map[string]string `json:"labels"`
	}
	scaledObject struct {
		APIVersion string   `json:"apiVersion"`
		Kind       string   `json:"kind"`
		Metadata   kedaMeta `json:"metadata"`
		Spec       struct {
			ScaleTargetRef  struct{ APIVersion, Kind, Name string } `json:"scaleTargetRef"`
			MinReplicaCount int32                                   `json:"minReplicaCount"`
			MaxReplicaCount int32                                   `json:"maxReplicaCount"`
			Fallback        struct {
				FailureThreshold int32  `json:"failureThreshold"`
				Replicas         int32  `json:"replicas"`
				Behavior         string `json:"behavior"`
			} `json:"fallback"`
			Advanced struct {
				HorizontalPodAutoscalerConfig struct {
					Behavior autoscalingv2.HorizontalPodAutoscalerBehavior `json:"behavior"`
				} `json:"horizontalPodAutoscalerConfig"`
			} `json:"advanced"`
			Triggers []struct {
				Type              string                 `json:"type"`
				Name              string                 `json:"name"`
				Metadata          map[string]string      `json:"metadata"`
				AuthenticationRef *struct{ Name string } `json:"authenticationRef"`
			} `json:"triggers"`
		} `json:"spec"`
	}
	triggerAuthentication struct {
		APIVersion string   `json:"apiVersion"`
		Kind       string   `json:"kind"`
		Metadata   kedaMeta `json:"metadata"`
		Spec       struct {
			SecretTargetRef []struct{ Parameter, Name, Key string } `json:"secretTargetRef"`
		} `json:"spec"`
	}
)

func decodeKEDA(t *testing.T, kind, document string) any {
	var object any
	switch kind {
	case "ScaledObject":
		object = &scaledObject{}
	case "TriggerAuthentication":
		object = &triggerAuthentication{}
	default:
		t.Fatal(fmt.Errorf("%s is nothing of KEDA's that the chart should have", kind))
	}
	require.NoError(t, yaml.UnmarshalStrict(bytes.TrimSpace([]byte(document)), object), document)
	return object
}
