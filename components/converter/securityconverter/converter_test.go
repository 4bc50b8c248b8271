package securityconverter

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// resolve reads YAML texts as files that follow each other.
func resolve(t *testing.T, texts ...string) (*confmap.Conf, error) {
	uris := make([]string, 0, len(texts))
	for _, text := range texts {
		uris = append(uris, "yaml:"+text)
	}
	resolver, err := confmap.NewResolver(confmap.ResolverSettings{
		URIs:               uris,
		ProviderFactories:  []confmap.ProviderFactory{yamlprovider.NewFactory(), envprovider.NewFactory()},
		ConverterFactories: []confmap.ConverterFactory{NewFactory()},
		DefaultScheme:      "env",
	})
	require.NoError(t, err)
	return resolver.Resolve(t.Context())
}

func resolved(t *testing.T, texts ...string) map[string]any {
	conf, err := resolve(t, texts...)
	require.NoError(t, err)
	return conf.ToStringMap()
}

func want(t *testing.T, text string) map[string]any {
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(text))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	return conf.ToStringMap()
}

func TestEveryClientOfAPartyGetsItsSettings(t *testing.T) {
	sasl := "{sasl: {mechanism: PLAIN, username: u, password: p}}"
	tls := "{ca_file: a, cert_file: '', key_file: '', reload_interval: 1m}"
	tests := map[string]struct{ profile, security, want string }{
		"kafka": {
			profile:  "{receivers: {durable_kafka/a: {group_id: g}, durable_kafka/b: {}, file_log: {}}, exporters: {kafka: {brokers: b}, dead_letter_store: {}, debug: {}}}",
			security: "{security: {kafka: {auth: " + sasl + "}}}",
			want: "{receivers: {durable_kafka/a: {group_id: g, auth: " + sasl + "}, durable_kafka/b: {auth: " + sasl + "}, file_log: {}}, " +
				"exporters: {kafka: {brokers: b, auth: " + sasl + "}, dead_letter_store: {auth: " + sasl + "}, debug: {}}}",
		},
		"backends": {
			profile: "{exporters: {victorialogs: {}, remote_write: {}, loki: {}, otlp_http/loki: {}, otlp_http: {}}, " +
				"extensions: {durability: {backends: {a: {type: victorialogs}, b: {type: victoriametrics}, c: {type: loki}}}}}",
			security: "{security: {victorialogs: {tls: " + tls + "}, victoriametrics: {}, loki: {tls: " + tls + "}}}",
			want: "{exporters: {victorialogs: {tls: " + tls + "}, remote_write: {}, loki: {tls: " + tls + "}, otlp_http/loki: {tls: " + tls + "}, otlp_http: {}}, " +
				"extensions: {durability: {backends: {a: {type: victorialogs, tls: " + tls + "}, b: {type: victoriametrics}, c: {type: loki, tls: " + tls + "}}}}}",
		},
		"queries for agents": {
			profile:  "{extensions: {live: {agents: {endpoint: e}}}}",
			security: "{security: {victoriametrics: {tls: " + tls + "}}}",
			want:     "{extensions: {live: {agents: {endpoint: e, tls: " + tls + "}}}}",
		},
		"otlp": {
			profile:  "{receivers: {otlp: {protocols: {grpc: {endpoint: e}}}, otlp/spool: {protocols: {grpc: {endpoint: e}}}}}",
			security: "{security: {otlp: {tls: {cert_file: c, key_file: k, client_ca_file: a, client_ca_file_reload: true}}}}",
			want: "{receivers: {otlp: {protocols: {grpc: {endpoint: e, tls: {ca_file: '', cert_file: c, key_file: k, client_ca_file: a, client_ca_file_reload: true}}}}, " +
				"otlp/spool: {protocols: {grpc: {endpoint: e}}}}}",
		},
		"what a component sets itself stays": {
			profile:  "{exporters: {kafka: {tls: {ca_file: mine}}}}",
			security: "{security: {kafka: {tls: " + tls + "}}}",
			want:     "{exporters: {kafka: {tls: {ca_file: mine, cert_file: '', key_file: '', reload_interval: 1m}}}}",
		},
		"nobody to get them": {profile: "{exporters: {debug: {}}}", security: "{security: {kafka: {tls: " + tls + "}}}", want: "{exporters: {debug: {}}}"},
		"no section":         {profile: "{exporters: {debug: {}}}", security: "{}", want: "{exporters: {debug: {}}}"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, want(t, test.want), resolved(t, test.profile, test.security))
		})
	}
}

func TestTwoFilesForOnePartyAreMerged(t *testing.T) {
	assert.Equal(t,
		want(t, "{exporters: {kafka: {auth: {sasl: {username: u}}, tls: {ca_file: a, cert_file: '', key_file: ''}}}}"),
		resolved(t, "{exporters: {kafka: {}}}", "{security: {kafka: {auth: {sasl: {username: u}}}}}", "{security: {kafka: {tls: {ca_file: a}}}}"))
}

// TestTextOfAVariableStaysText is about values that look like something else: in a string they are what was written.
func TestTextOfAVariableStaysText(t *testing.T) {
	t.Setenv("USER_NAME", "007")
	t.Setenv("FILE", "1e3")
	t.Setenv("OWN", "0x10")
	conf, err := resolve(t, "{exporters: {kafka: {client_id: '${env:OWN}'}}}",
		"{security: {kafka: {auth: {sasl: {username: '${env:USER_NAME}'}}, tls: {ca_file: '${env:FILE}'}}}}")
	require.NoError(t, err)
	var got struct {
		Exporters map[string]struct {
			ClientID string `mapstructure:"client_id"`
			Auth     struct {
				SASL struct {
					Username string `mapstructure:"username"`
				} `mapstructure:"sasl"`
			} `mapstructure:"auth"`
			TLS struct {
				CAFile string `mapstructure:"ca_file"`
			} `mapstructure:"tls"`
		} `mapstructure:"exporters"`
	}
	require.NoError(t, conf.Unmarshal(&got, confmap.WithIgnoreUnused()))
	assert.Equal(t, "007", got.Exporters["kafka"].Auth.SASL.Username)
	assert.Equal(t, "1e3", got.Exporters["kafka"].TLS.CAFile)
	assert.Equal(t, "0x10", got.Exporters["kafka"].ClientID, "what the component has is left as it was")
}

func TestMistakesAreNamed(t *testing.T) {
	_, err := resolve(t, "{security: {kafkaa: {}}}")
	require.ErrorContains(t, err, "`security::kafkaa` is none of kafka, loki, otlp, victorialogs, victoriametrics")
	for _, settings := range []string{"{tlss: {}}", "{auth: {sasl: {password: {hunter: 2}}}}", "{auth: hunter}"} {
		_, err = resolve(t, "{security: {kafka: "+settings+"}}")
		require.ErrorContains(t, err, "`security::kafka`: takes `auth::authenticator`, `auth::sasl` and `tls`", settings)
		assert.NotContains(t, err.Error(), "hunter")
	}
	_, err = resolve(t, "{security: x}")
	require.ErrorContains(t, err, "`security`: ")
}

func TestAuthenticatorsAreSwitchedOn(t *testing.T) {
	tests := map[string]struct {
		config string
		want   []any
	}{
		"of an exporter": {
			config: "{exporters: {x: {auth: {authenticator: basicauth/x}}}, extensions: {basicauth/x: {}}, service: {extensions: [a]}}",
			want:   []any{"a", "basicauth/x"},
		},
		"deep in an extension and in a receiver": {
			config: "{receivers: {r: {protocols: {http: {auth: {authenticator: c}}}}}, extensions: {b: {}, c: {}, d: {backends: {v: {auth: {authenticator: b}}}}}, service: {extensions: [d]}}",
			want:   []any{"d", "b", "c"},
		},
		"of the section": {
			config: "{exporters: {victorialogs: {}}, extensions: {basicauth/x: {}}, security: {victorialogs: {auth: {authenticator: basicauth/x}}}, service: {extensions: [a]}}",
			want:   []any{"a", "basicauth/x"},
		},
		"once":                  {config: "{exporters: {x: {auth: {authenticator: a}}, y: {auth: {authenticator: a}}}, extensions: {a: }, service: {}}", want: []any{"a"}},
		"on already":            {config: "{exporters: {x: {auth: {authenticator: a}}}, extensions: {a: }, service: {extensions: [a, b]}}", want: []any{"a", "b"}},
		"not configured":        {config: "{exporters: {x: {auth: {authenticator: a}}}, service: {extensions: [b]}}", want: []any{"b"}},
		"no component names it": {config: "{exporters: {x: {auth: {sasl: {}}}}, extensions: {a: }, service: {extensions: [b]}}", want: []any{"b"}},
		"in a list":             {config: "{exporters: {x: {y: [{auth: {authenticator: a}}]}}, extensions: {a: }}", want: []any{"a"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			conf, err := resolve(t, test.config)
			require.NoError(t, err)
			assert.Equal(t, test.want, conf.Get("service::extensions"))
		})
	}
}
