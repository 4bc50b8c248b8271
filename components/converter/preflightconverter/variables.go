package preflightconverter

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"

	"github.com/breakwater-otel/breakwater/components/internal/componentids"
)

// prefixes are what the variables of the environment contract begin with, by the type of the component.
var prefixes = map[string]string{
	"kafka":                 "KAFKA",
	"durable_kafka":         "KAFKA",
	"dead_letter_store":     "KAFKA",
	"victorialogs":          "VICTORIALOGS",
	"remote_write":          "VICTORIAMETRICS",
	"prometheusremotewrite": "VICTORIAMETRICS",
	"ledger":                "KAFKA",
	"otlp":                  "OTLP",
}

// kafkaClients are the components that speak to Kafka, by their paths.
func kafkaClients(conf *confmap.Conf) iter.Seq2[[]string, map[string]any] {
	return func(yield func([]string, map[string]any) bool) {
		for _, section := range []string{"receivers", "exporters", "extensions"} {
			for id, settings := range componentids.OfTypes(conf, section, "kafka", "durable_kafka", "dead_letter_store", "ledger") {
				if !yield([]string{section, id}, settings) {
					return
				}
			}
		}
	}
}

// below is a path of a setting below another one.
func below(path []string, names ...string) []string { return append(slices.Clone(path), names...) }

// variablePrefix returns the prefix for a component, or "" where the contract has none. Authenticators and the backends
// of durability have the name of the backend.
func variablePrefix(path []string) string {
	kind, name, _ := strings.Cut(path[1], "/")
	switch {
	case kind == "durability" && len(path) > 3:
		name = path[3]
	case kind == "otlp" && path[0] == "exporters":
		return ""
	case prefixes[kind] != "":
		return prefixes[kind]
	case kind != "otlp_http" && kind != "otlphttp" && kind != "basicauth" && kind != "bearertokenauth":
		return ""
	}
	switch name {
	case "victorialogs", "victoriametrics", "loki":
		return strings.ToUpper(name)
	}
	return ""
}

// text is a value that is read as a string. Out of a variable, one that looks like a number or a truth value is one here.
func text(value any) string {
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

// setting is a name for messages: the path, and the variable of the contract, if there is one.
func setting(path []string, prefix, suffix string) string {
	name := "`" + strings.Join(path, "::") + "`"
	if prefix == "" {
		return name
	}
	return fmt.Sprintf("%s (%s_%s in the shipped profiles)", name, prefix, suffix)
}
