package securityconverter

import (
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"

	"github.com/breakwater-otel/breakwater/components/internal/componentids"
)

// clientsOf returns the paths of the settings that `auth` and `tls` belong into, by the party.
var clientsOf = map[string]func(*confmap.Conf) [][]string{
	"kafka": func(conf *confmap.Conf) [][]string {
		return append(components(conf, "receivers", "kafka", "durable_kafka", "kafka_metrics", "kafkametrics"),
			append(components(conf, "exporters", "kafka", "durable_kafka", "dead_letter_store"),
				components(conf, "extensions", "ledger")...)...)
	},
	"victorialogs": func(conf *confmap.Conf) [][]string {
		return append(components(conf, "exporters", "victorialogs"), watched(conf, "victorialogs")...)
	},
	"victoriametrics": func(conf *confmap.Conf) [][]string {
		clients := append(components(conf, "exporters", "remote_write", "prometheusremotewrite"), watched(conf, "victoriametrics")...)
		for _, path := range components(conf, "extensions", "live") {
			clients = append(clients, append(path, "agents"))
		}
		return clients
	},
	"loki": func(conf *confmap.Conf) [][]string {
		clients := components(conf, "exporters", "loki")
		for _, path := range components(conf, "exporters", "otlp_http", "otlphttp") {
			if _, name, _ := strings.Cut(path[1], "/"); name == "loki" {
				clients = append(clients, path)
			}
		}
		return append(clients, watched(conf, "loki")...)
	},
	// The receiver that others send to; one with a name is for something else.
	"otlp": func(conf *confmap.Conf) [][]string {
		var clients [][]string
		for _, protocol := range []string{"grpc", "http"} {
			if path := []string{"receivers", "otlp", "protocols", protocol}; conf.IsSet(strings.Join(path, confmap.KeyDelimiter)) {
				clients = append(clients, path)
			}
		}
		return clients
	},
}

// components returns the paths of the components of the types.
func components(conf *confmap.Conf, section string, types ...string) [][]string {
	var paths [][]string
	for id := range componentids.OfTypes(conf, section, types...) {
		paths = append(paths, []string{section, id})
	}
	return paths
}

// watched returns the paths of the backends of the type that a durability extension watches.
func watched(conf *confmap.Conf, kind string) [][]string {
	var paths [][]string
	for _, extension := range components(conf, "extensions", "durability") {
		key := strings.Join(append(extension, "backends"), confmap.KeyDelimiter)
		backends, _ := conf.Get(key).(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(backends)) {
			if settings, _ := backends[name].(map[string]any); settings["type"] == kind {
				paths = append(paths, append(slices.Clone(extension), "backends", name))
			}
		}
	}
	return paths
}
