package preflightconverter

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap"

	"github.com/breakwater-otel/breakwater/components/internal/componentids"
	"github.com/breakwater-otel/breakwater/internal/secretfile"
)

// saslMechanisms are those of the contract that have a user and a password. Others are left to the component.
var saslMechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}

// checkAuth looks at the credentials of Kafka and of the backends.
func checkAuth(conf *confmap.Conf, logger *zap.Logger) error {
	var errs []error
	for path, settings := range kafkaClients(conf) {
		errs = append(errs, checkSASL(path, settings, logger))
	}
	for id, settings := range componentids.OfTypes(conf, "extensions", "basicauth") {
		if client, ok := settings["client_auth"].(map[string]any); ok {
			errs = append(errs, checkBasicAuth([]string{"extensions", id, "client_auth"}, client, logger))
		}
	}
	for id, settings := range componentids.OfTypes(conf, "extensions", "bearertokenauth") {
		_, hasToken := settings["token"]
		_, hasTokens := settings["tokens"]
		if !hasToken && !hasTokens {
			path := []string{"extensions", id, "filename"}
			errs = append(errs, checkSecretFile(setting(path, variablePrefix(path), "TOKEN_FILE"), settings["filename"], logger))
		}
	}
	for _, section := range []string{"exporters", "extensions"} {
		walk([]string{section}, conf.Get(section), func(path []string, block map[string]any) { warnOfClearText(path, block, logger) })
	}
	return errors.Join(errs...)
}

func checkSASL(path []string, settings map[string]any, logger *zap.Logger) error {
	auth, _ := settings["auth"].(map[string]any)
	sasl, ok := auth["sasl"].(map[string]any)
	if !ok {
		return nil
	}
	name := func(key string) string {
		return setting(below(path, "auth", "sasl", key), "KAFKA", "SASL_"+strings.ToUpper(key))
	}
	mechanism := text(sasl["mechanism"])
	switch mechanism {
	case "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
	case "OAUTHBEARER", "AWS_MSK_IAM_OAUTHBEARER":
		return nil
	default:
		return fmt.Errorf("%s is %q; it must be one of %s", name("mechanism"), mechanism, strings.Join(saslMechanisms, ", "))
	}
	if text(sasl["username"]) == "" {
		return fmt.Errorf("%s must not be empty", name("username"))
	}
	if secure, _ := settings["tls"].(map[string]any); secure == nil && mechanism == "PLAIN" {
		logger.Warn(fmt.Sprintf("%s is PLAIN without TLS: the password travels in the clear", name("mechanism")))
	}
	return nil
}

func checkBasicAuth(path []string, client map[string]any, logger *zap.Logger) error {
	prefix := variablePrefix(path)
	name := func(key string) string {
		return setting(below(path, key), prefix, strings.ToUpper(key))
	}
	var errs []error
	user := text(client["username"])
	switch {
	case user == "" && text(client["username_file"]) == "":
		errs = append(errs, fmt.Errorf("%s must not be empty", name("username")))
	case strings.Contains(user, ":"):
		errs = append(errs, fmt.Errorf("%s must not hold a colon", name("username")))
	}
	if _, inline := client["password"]; !inline {
		errs = append(errs, checkSecretFile(name("password_file"), client["password_file"], logger))
	}
	return errors.Join(errs...)
}

// checkSecretFile reports a file that the authenticators could not use, or would use otherwise than it says: they trim
// blanks at both ends.
func checkSecretFile(name string, value any, logger *zap.Logger) error {
	path := text(value)
	if path == "" {
		return fmt.Errorf("%s %w", name, secretfile.ErrNotSet)
	}
	secret, err := secretfile.Read(path)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if strings.TrimSpace(secret.Value) != secret.Value {
		return fmt.Errorf("%s: the secret in %s begins or ends with blanks, which are not sent", name, path)
	}
	if secret.Exposed {
		logger.Warn(fmt.Sprintf("%s: every user of this machine may read %s; chmod o-r it", name, path))
	}
	return nil
}

// warnOfClearText tells of credentials that leave the machine without TLS.
func warnOfClearText(path []string, block map[string]any, logger *zap.Logger) {
	if _, ok := block["auth"].(map[string]any); !ok {
		return
	}
	endpoint, _ := block["endpoint"].(string)
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" || isLoopback(u.Hostname()) {
		return
	}
	logger.Warn(fmt.Sprintf("%s begins with http:// and `auth` is set: the credentials travel in the clear",
		setting(below(path, "endpoint"), variablePrefix(path), "ENDPOINT")))
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
