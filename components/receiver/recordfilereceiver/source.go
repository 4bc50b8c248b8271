package recordfilereceiver

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fastjson"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// source is what the path of a file tells about who has written it.
type source struct {
	resource pcommon.Map
	checked  time.Time
}

// sources knows the source of each file. What docker says of a container is read again now and then: it can be renamed.
type sources struct {
	format string
	labels labelFilter

	mu    sync.Mutex
	known map[string]*source
}

const (
	sourceMaxAge = 30 * time.Second
	// maxSources bounds what is remembered of files that are long gone.
	maxSources = 4096
)

func newSources(config *Config) (*sources, error) {
	labels, err := newLabelFilter(config.ContainerLabels)
	return &sources{format: config.Format, labels: labels, known: make(map[string]*source)}, err
}

// of returns the source of a file, which must not be changed.
func (s *sources) of(file string) *source {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	known := s.known[file]
	if known != nil && now.Sub(known.checked) < sourceMaxAge {
		return known
	}
	found := &source{resource: pcommon.NewMap(), checked: now}
	switch s.format {
	case formatDocker:
		if !s.container(file, found.resource) && known != nil {
			// The container is gone, the rest of its file is not.
			found.resource = known.resource
		}
	case formatCRI:
		pod(file, found.resource)
	}
	if len(s.known) >= maxSources {
		clear(s.known)
	}
	s.known[file] = found
	return found
}

// podPath is where the kubelet has the logs of pods, rotated ones included: pods/NAMESPACE_NAME_UID/CONTAINER/RESTARTS.log.
var podPath = regexp.MustCompile(`/([^/_]+)_([^/_]+)_([^/_]+)/([^/]+)/(\d+)\.log[^/]*$`)

func pod(file string, resource pcommon.Map) {
	parts := podPath.FindStringSubmatch(file)
	if parts == nil {
		return
	}
	resource.PutStr("k8s.namespace.name", parts[1])
	resource.PutStr("k8s.pod.name", parts[2])
	resource.PutStr("k8s.pod.uid", parts[3])
	resource.PutStr("k8s.container.name", parts[4])
	if restarts, err := strconv.ParseInt(parts[5], 10, 64); err == nil {
		resource.PutInt("k8s.container.restart_count", restarts)
	}
}

// dockerContainer is what is needed of /var/lib/docker/containers/ID/config.v2.json.
type dockerContainer struct {
	Name   string
	Config struct {
		Image  string
		Labels map[string]string
	}
}

// container fills in what docker says of the container that a file belongs to. Without config.v2.json, which the agent
// may not be allowed to read, it is the ID alone.
func (s *sources) container(file string, resource pcommon.Map) bool {
	dir := filepath.Dir(file)
	id := filepath.Base(dir)
	resource.PutStr("container.id", id)
	text, err := os.ReadFile(filepath.Join(dir, "config.v2.json"))
	if err != nil {
		return false
	}
	var c dockerContainer
	if err := json.Unmarshal(text, &c); err != nil {
		return false
	}
	name := strings.TrimPrefix(c.Name, "/")
	putNotEmpty(resource, "container.name", name)
	putNotEmpty(resource, "container.image.name", c.Config.Image)
	for label, value := range c.Config.Labels {
		if s.labels.has(label) {
			resource.PutStr("container.label."+label, value)
		}
	}
	putNotEmpty(resource, "service.name", firstOf(c.Config.Labels[labelOTelName], c.Config.Labels["com.docker.compose.service"],
		c.Config.Labels["com.docker.swarm.service.name"], name))
	putNotEmpty(resource, "service.namespace", firstOf(c.Config.Labels[labelOTelNamespace],
		c.Config.Labels["com.docker.compose.project"], c.Config.Labels["com.docker.stack.namespace"]))
	return true
}

// Labels by which a container names its service, after the annotations resource.opentelemetry.io/… of Kubernetes.
const (
	labelOTelName      = "resource.opentelemetry.io/service.name"
	labelOTelNamespace = "resource.opentelemetry.io/service.namespace"
)

// labelFilter is patterns of labels.
type labelFilter []string

func newLabelFilter(patterns []string) (labelFilter, error) {
	for _, pattern := range patterns {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("pattern `%s`: %w", pattern, err)
		}
	}
	return patterns, nil
}

func (f labelFilter) has(label string) bool {
	for _, pattern := range f {
		if pattern == "*" {
			return true
		}
		if ok, _ := path.Match(pattern, label); ok {
			return true
		}
	}
	return false
}

// putDockerAttrs keeps what --log-opt labels, env and tag have put into the line.
func putDockerAttrs(attributes pcommon.Map, attrs []byte) {
	if len(attrs) == 0 {
		return
	}
	value, err := fastjson.ParseBytes(attrs)
	if err != nil {
		return
	}
	object, err := value.Object()
	if err != nil {
		return
	}
	object.Visit(func(name []byte, value *fastjson.Value) {
		attributes.PutStr("docker.attrs."+string(name), string(value.GetStringBytes()))
	})
}

func putNotEmpty(attributes pcommon.Map, name, value string) {
	if value != "" {
		attributes.PutStr(name, value)
	}
}

func firstOf(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}
