package preflightconverter

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap"

	"github.com/breakwater-otel/breakwater/internal/secretfile"
)

// checkTLS looks at the files of every `tls` block of a component. The collector loads them too, and then says neither
// which component nor which variable it was.
func checkTLS(conf *confmap.Conf, logger *zap.Logger) error {
	var errs []error
	settings := conf.ToStringMap()
	for _, section := range []string{"receivers", "exporters", "extensions", "connectors", "processors"} {
		walk([]string{section}, settings[section], func(path []string, block map[string]any) {
			if path[len(path)-1] == "tls" {
				errs = append(errs, checkTLSBlock(path, block, logger))
			}
		})
	}
	return errors.Join(errs...)
}

// walk calls the function for each component of the section and each map in it, in a fixed order.
func walk(path []string, value any, f func(path []string, block map[string]any)) {
	switch v := value.(type) {
	case []any:
		for i, element := range v {
			walk(below(path, strconv.Itoa(i)), element, f)
		}
	case map[string]any:
		if len(path) > 1 {
			f(path, v)
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			walk(below(path, key), v[key], f)
		}
	}
}

func checkTLSBlock(path []string, block map[string]any, logger *zap.Logger) error {
	prefix := variablePrefix(path)
	name := func(key string) string {
		return setting(below(path, key), prefix, "TLS_"+strings.ToUpper(key))
	}
	file := func(key string) string { return text(block[key]) }
	isSet := func(kind string) bool { return file(kind+"_file") != "" || block[kind+"_pem"] != nil }

	var errs []error
	for _, key := range []string{"ca_file", "client_ca_file"} {
		if path := file(key); path != "" {
			if err := checkAuthorities(path); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name(key), err))
			}
		}
	}
	switch cert, key := file("cert_file"), file("key_file"); {
	case isSet("cert") && !isSet("key"):
		errs = append(errs, fmt.Errorf("%s must be set: a certificate is of no use without its key", name("key_file")))
	case isSet("key") && !isSet("cert"):
		errs = append(errs, fmt.Errorf("%s must be set: a key is of no use without its certificate", name("cert_file")))
	case cert != "" && key != "":
		errs = append(errs, checkPair(cert, key, name, logger))
	case path[0] == "receivers" && !isSet("cert") && file("client_ca_file") != "":
		errs = append(errs, fmt.Errorf("%s must be set: without a certificate of its own the receiver cannot ask for one", name("cert_file")))
	}
	return errors.Join(errs...)
}

func checkAuthorities(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !x509.NewCertPool().AppendCertsFromPEM(content) {
		return fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return nil
}

// checkPair reports a certificate and key that cannot be used. An expired certificate is a warning: it may be replaced
// while the collector runs.
func checkPair(cert, key string, name func(string) string, logger *zap.Logger) error {
	var errs []error
	for setting, path := range map[string]string{"cert_file": cert, "key_file": key} {
		if _, err := os.ReadFile(path); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name(setting), err))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("%s and %s are no certificate and its key: %w", name("cert_file"), name("key_file"), err)
	}
	if now := time.Now(); pair.Leaf != nil && now.After(pair.Leaf.NotAfter) {
		logger.Warn(fmt.Sprintf("%s: the certificate in %s expired on %s; the other side will refuse it",
			name("cert_file"), cert, pair.Leaf.NotAfter.Format(time.DateOnly)))
	}
	if info, err := os.Stat(key); err == nil && secretfile.Exposed(info) {
		logger.Warn(fmt.Sprintf("%s: every user of this machine may read %s; chmod o-r it", name("key_file"), key))
	}
	return nil
}
