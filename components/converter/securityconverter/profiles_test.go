package securityconverter

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"

	"github.com/breakwater-otel/breakwater/components/converter/preflightconverter"
	"github.com/breakwater-otel/breakwater/components/provider/secretfileprovider"
)

const configs = "../../../configs"

// TestNothingInAProfileIsLeftOut holds that with the files of configs/security.d everything that has brokers, and every
// https:// endpoint, has a login and TLS, whatever component it is of.
func TestNothingInAProfileIsLeftOut(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("hunter2\n"), 0o600))
	t.Setenv("KAFKA_SASL_USERNAME", "007")
	t.Setenv("KAFKA_SASL_PASSWORD_FILE", secret)
	t.Setenv("BREAKWATER_STORAGE_DIR", t.TempDir())
	for _, party := range []string{"VICTORIALOGS", "VICTORIAMETRICS", "LOKI"} {
		t.Setenv(party+"_ENDPOINT", "https://backend")
		t.Setenv(party+"_USERNAME", "008")
		t.Setenv(party+"_PASSWORD_FILE", secret)
		t.Setenv(party+"_TOKEN_FILE", secret)
	}
	profiles, err := filepath.Glob(filepath.Join(configs, "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, profiles)
	overlays, err := filepath.Glob(filepath.Join(configs, "security.d", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, overlays)
	for _, profile := range profiles {
		for _, login := range []string{"-basic", "-bearer"} {
			t.Run(filepath.Base(profile)+login, func(t *testing.T) {
				uris := []string{"file:" + profile}
				for _, overlay := range overlays {
					if !strings.HasSuffix(overlay, map[string]string{"-basic": "-bearer.yaml", "-bearer": "-basic.yaml"}[login]) {
						uris = append(uris, "file:"+overlay)
					}
				}
				resolver, err := confmap.NewResolver(confmap.ResolverSettings{
					URIs:               uris,
					ProviderFactories:  []confmap.ProviderFactory{fileprovider.NewFactory(), envprovider.NewFactory(), secretfileprovider.NewFactory()},
					ConverterFactories: []confmap.ConverterFactory{NewFactory(), preflightconverter.NewFactory()},
					DefaultScheme:      "env",
				})
				require.NoError(t, err)
				conf, err := resolver.Resolve(t.Context())
				require.NoError(t, err)
				assert.False(t, conf.IsSet(section))
				found := 0
				each(conf.ToStringMap(), "", func(path string, block map[string]any) {
					auth, _ := block["auth"].(map[string]any)
					secure, _ := block["tls"].(map[string]any)
					endpoint, _ := block["endpoint"].(string)
					switch {
					case block["brokers"] != nil:
						assert.Equal(t, map[string]any{"mechanism": "SCRAM-SHA-512", "username": "007", "password": "hunter2"}, auth["sasl"], path)
					case strings.HasPrefix(endpoint, "https://"):
						assert.NotEmpty(t, auth["authenticator"], path)
						assert.Contains(t, conf.Get("service::extensions"), auth["authenticator"], path)
					case strings.HasPrefix(path, "::receivers::otlp::protocols::") && endpoint != "":
					default:
						return
					}
					assert.NotEmpty(t, secure, path)
					found++
				})
				assert.GreaterOrEqual(t, found, 3, "the profile has clients")
			})
		}
	}
}

// each calls the function for every map at any depth.
func each(value any, path string, f func(path string, block map[string]any)) {
	block, ok := value.(map[string]any)
	if !ok {
		return
	}
	f(path, block)
	for name, element := range block {
		each(element, path+"::"+name, f)
	}
}
