package preflightconverter

import (
	"errors"
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/confmap"

	"github.com/breakwater-otel/breakwater/components/internal/componentids"
)

// checkUnused reports security settings of the contract that are set and that the configuration does not take: the
// connection would be less secure than the operator thinks, in silence.
func checkUnused(conf *confmap.Conf, getenv func(string) string) error {
	var errs []error
	missing := func(path []string, block, overlay string, variables ...string) {
		for _, name := range variables {
			if getenv(name) != "" {
				errs = append(errs, fmt.Errorf("%s is set, but `%s` has no `%s`: add --config %s (configs/security.d), or unset it",
					name, strings.Join(path, "::"), block, overlay))
				return
			}
		}
	}
	for path, settings := range kafkaClients(conf) {
		if auth, _ := settings["auth"].(map[string]any); auth == nil {
			missing(path, "auth::sasl", "kafka-sasl.yaml", "KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD_FILE")
		}
		if secure, _ := settings["tls"].(map[string]any); secure == nil {
			missing(path, "tls", "kafka-tls.yaml", tlsVariables("KAFKA")...)
		}
	}
	for id, settings := range componentids.OfTypes(conf, "receivers", "otlp") {
		protocols, _ := settings["protocols"].(map[string]any)
		for _, protocol := range []string{"grpc", "http"} {
			block, _ := protocols[protocol].(map[string]any)
			// Others, as the spool of standalone, stay in this process.
			if secure, _ := block["tls"].(map[string]any); id == "otlp" && block != nil && secure == nil {
				missing([]string{"receivers", id, "protocols", protocol}, "tls", "otlp-tls.yaml",
					"OTLP_TLS_CERT_FILE", "OTLP_TLS_KEY_FILE", "OTLP_TLS_CLIENT_CA_FILE")
			}
		}
	}
	for _, section := range []string{"exporters", "extensions"} {
		walk([]string{section}, conf.Get(section), func(path []string, block map[string]any) {
			endpoint, ok := block["endpoint"].(string)
			if !ok {
				return
			}
			prefix := variablePrefix(path)
			if prefix == "" || prefix == "KAFKA" || prefix == "OTLP" {
				return
			}
			backend := strings.ToLower(prefix)
			if auth, _ := block["auth"].(map[string]any); auth == nil {
				missing(path, "auth", backend+"-basic.yaml", prefix+"_USERNAME", prefix+"_PASSWORD_FILE")
				missing(path, "auth", backend+"-bearer.yaml", prefix+"_TOKEN_FILE")
			}
			if !strings.HasPrefix(endpoint, "https://") {
				for _, name := range tlsVariables(prefix) {
					if getenv(name) != "" {
						errs = append(errs, fmt.Errorf("%s is set, but %s does not begin with https://", name,
							setting(below(path, "endpoint"), prefix, "ENDPOINT")))
						break
					}
				}
			}
		})
	}
	return errors.Join(errs...)
}

func tlsVariables(prefix string) []string {
	return []string{prefix + "_TLS_CA_FILE", prefix + "_TLS_CERT_FILE", prefix + "_TLS_KEY_FILE", prefix + "_TLS_SERVER_NAME"}
}
