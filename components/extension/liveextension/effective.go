package liveextension

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"
)

// metricsURL is where the process serves its own metrics, by the effective configuration; empty: nowhere.
func metricsURL(conf *confmap.Conf) string {
	readers, _ := conf.Get("service::telemetry::metrics::readers").([]any)
	for _, reader := range readers {
		exporter := section(section(section(reader)["pull"])["exporter"])
		for name, value := range exporter {
			settings := section(value)
			if !strings.HasPrefix(name, "prometheus") || settings["port"] == nil {
				continue
			}
			host, _ := settings["host"].(string)
			u := url.URL{Scheme: "http", Host: net.JoinHostPort(reachable(host), fmt.Sprint(settings["port"])), Path: "/metrics"}
			return u.String()
		}
	}
	return ""
}

// reachable is the address to ask at for one that is listened on.
func reachable(host string) string {
	switch strings.Trim(host, "[]") {
	case "":
		return "localhost"
	case "0.0.0.0", "::":
		return "127.0.0.1"
	}
	return strings.Trim(host, "[]")
}

// topicsRead are the topics of the durable_kafka receivers that are in a pipeline. Patterns are left out: which topics
// they are Kafka knows.
func topicsRead(conf *confmap.Conf) []string {
	var topics []string
	for id, value := range section(conf.Get("receivers")) {
		if kind, _, _ := strings.Cut(id, "/"); kind != "durable_kafka" {
			continue
		}
		for _, signal := range []string{"logs", "metrics", "traces"} {
			for _, topic := range list(section(section(value)[signal])["topics"]) {
				// A signal that no pipeline has keeps its default topic in the configuration.
				if topic != "" && !strings.HasPrefix(topic, "^") && inPipelineOf(conf, signal, id) {
					topics = append(topics, topic)
				}
			}
		}
	}
	slices.Sort(topics)
	return slices.Compact(topics)
}

// inPipelineOf says whether a receiver is in a pipeline of the signal.
func inPipelineOf(conf *confmap.Conf, signal, receiver string) bool {
	for name, pipeline := range section(conf.Get("service::pipelines")) {
		if kind, _, _ := strings.Cut(name, "/"); kind == signal && slices.Contains(list(section(pipeline)["receivers"]), receiver) {
			return true
		}
	}
	return false
}

func section(value any) map[string]any {
	m, _ := value.(map[string]any)
	return m
}

func list(value any) []string {
	var texts []string
	items, _ := value.([]any)
	for _, item := range items {
		texts = append(texts, fmt.Sprint(item))
	}
	return texts
}
