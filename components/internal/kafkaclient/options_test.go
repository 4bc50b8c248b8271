package kafkaclient

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configtls"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/oauth2"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/kafka/configkafka"
)

type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

func config(cluster *kfake.Cluster) configkafka.ClientConfig {
	c := configkafka.NewDefaultClientConfig()
	if cluster != nil {
		c.Brokers = cluster.ListenAddrs()
	}
	return c
}

func newClient(t *testing.T, c configkafka.ClientConfig, h host) *kgo.Client {
	t.Helper()
	options, err := Options(t.Context(), h, c, zap.NewNop())
	require.NoError(t, err)
	client, err := kgo.NewClient(append(options, kgo.RetryTimeout(time.Second))...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

func TestOptionsOfEachSetting(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "topic"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	c := config(cluster)
	c.ClientID = "breakwater"
	c.RackID = "a"
	c.ProtocolVersion = "2.1.0"
	c.Metadata.RefreshInterval = time.Second
	c.ConnIdleTimeout = time.Minute
	client := newClient(t, c, nil)
	require.NoError(t, client.Ping(t.Context()))
	assert.Equal(t, "breakwater", client.OptValue(kgo.ClientID))
	assert.Equal(t, "a", client.OptValue(kgo.Rack))
	assert.Equal(t, time.Second, client.OptValue(kgo.MetadataMaxAge))
	assert.Equal(t, time.Minute, client.OptValue(kgo.ConnIdleTimeout))
	assert.NotNil(t, client.OptValue(kgo.MaxVersions))
}

func TestSASL(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(),
		kfake.Superuser("PLAIN", "plain", "p1"), kfake.Superuser("SCRAM-SHA-256", "s256", "p2"), kfake.Superuser("SCRAM-SHA-512", "s512", "p3"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	tests := map[string]struct {
		auth configkafka.AuthenticationConfig
		ok   bool
	}{
		"plain_text":     {configkafka.AuthenticationConfig{PlainText: &configkafka.PlainTextConfig{Username: "plain", Password: "p1"}}, true},
		"PLAIN":          {saslOf("PLAIN", "plain", "p1"), true},
		"SCRAM-SHA-256":  {saslOf("SCRAM-SHA-256", "s256", "p2"), true},
		"SCRAM-SHA-512":  {saslOf("SCRAM-SHA-512", "s512", "p3"), true},
		"wrong password": {saslOf("SCRAM-SHA-512", "s512", "p4"), false},
		"nothing":        {configkafka.AuthenticationConfig{}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := config(cluster)
			c.Authentication = test.auth
			client := newClient(t, c, nil)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			err := client.Ping(ctx)
			assert.Equal(t, test.ok, err == nil, "%v", err)
			if err != nil {
				assert.NotContains(t, err.Error(), "p4", "no credential in an error")
			}
		})
	}
}

func saslOf(mechanism, user, password string) configkafka.AuthenticationConfig {
	return configkafka.AuthenticationConfig{SASL: &configkafka.SASLConfig{Mechanism: mechanism, Username: user, Password: password}}
}

type tokens struct {
	component.StartFunc
	component.ShutdownFunc
	err error
}

func (s tokens) Token(context.Context) (*oauth2.Token, error) {
	return &oauth2.Token{AccessToken: "token"}, s.err
}

type other struct {
	component.StartFunc
	component.ShutdownFunc
}

func TestOAuthBearer(t *testing.T) {
	id := component.MustNewID("oauth2client")
	c := configkafka.AuthenticationConfig{SASL: &configkafka.SASLConfig{Mechanism: "OAUTHBEARER", OAuthBearerTokenSource: id}}
	m, err := saslMechanism(host{id: tokens{}}, c.SASL)
	require.NoError(t, err)
	_, message, err := m.Authenticate(t.Context(), "broker")
	require.NoError(t, err)
	assert.Contains(t, string(message), "Bearer token")

	m, err = saslMechanism(host{id: tokens{err: errors.New("expired")}}, c.SASL)
	require.NoError(t, err)
	_, _, err = m.Authenticate(t.Context(), "broker")
	require.ErrorContains(t, err, "expired")

	_, err = saslMechanism(host{}, c.SASL)
	require.ErrorContains(t, err, "`auth::sasl::oauthbearer_token_source`")
	_, err = saslMechanism(host{id: other{}}, c.SASL)
	require.ErrorContains(t, err, "has no tokens")
}

func TestErrorsNameTheSetting(t *testing.T) {
	tests := map[string]func(*configkafka.ClientConfig){
		"`protocol_version`": func(c *configkafka.ClientConfig) { c.ProtocolVersion = "0.0.1" },
		"`tls`: ": func(c *configkafka.ClientConfig) {
			c.TLS = &configtls.ClientConfig{Config: configtls.Config{CAFile: "missing.pem"}}
		},
		"`tls` must be set":                func(c *configkafka.ClientConfig) { c.Authentication = saslOf("AWS_MSK_IAM_OAUTHBEARER", "", "") },
		"`auth::sasl::mechanism` \"NTLM\"": func(c *configkafka.ClientConfig) { c.Authentication = saslOf("NTLM", "", "") },
		"`auth::kerberos`: `config_file`": func(c *configkafka.ClientConfig) {
			c.Authentication.Kerberos = &configkafka.KerberosConfig{ConfigPath: "missing"}
		},
		"`auth::kerberos`: `keytab_file`": func(c *configkafka.ClientConfig) {
			c.Authentication.Kerberos = &configkafka.KerberosConfig{KeyTabPath: "missing"}
		},
		"only one of `auth::plain_text`, `auth::sasl`": func(c *configkafka.ClientConfig) {
			c.Authentication = saslOf("PLAIN", "a", "b")
			c.Authentication.PlainText = &configkafka.PlainTextConfig{}
		},
	}
	for message, change := range tests {
		t.Run(message, func(t *testing.T) {
			c := config(nil)
			change(&c)
			_, err := Options(t.Context(), host{}, c, zap.NewNop())
			require.ErrorContains(t, err, message)
		})
	}
}

func TestTLSIsVerified(t *testing.T) {
	c := config(nil)
	c.TLS = &configtls.ClientConfig{}
	client := newClient(t, c, nil)
	settings := client.OptValue(kgo.DialTLSConfig)
	require.NotNil(t, settings)
	c.TLS = &configtls.ClientConfig{Insecure: true}
	options, err := tlsOptions(t.Context(), c)
	require.NoError(t, err)
	assert.Empty(t, options)
	// The deprecated place.
	c.TLS, c.Authentication.TLS = nil, &configtls.ClientConfig{}
	options, err = tlsOptions(t.Context(), c)
	require.NoError(t, err)
	assert.Len(t, options, 1)
}

func TestKerberosAndMSKAreSetUp(t *testing.T) {
	c := config(nil)
	c.Authentication.Kerberos = &configkafka.KerberosConfig{ServiceName: "kafka", Realm: "R", Username: "u", Password: "p"}
	_, err := Options(t.Context(), host{}, c, zap.NewNop())
	require.NoError(t, err)
	c = config(nil)
	c.TLS = &configtls.ClientConfig{}
	c.Authentication = saslOf("AWS_MSK_IAM_OAUTHBEARER", "", "")
	c.Authentication.SASL.AWSMSK.Region = "eu-west-1"
	_, err = Options(t.Context(), host{}, c, zap.NewNop())
	require.NoError(t, err)
}

// A broker that is down makes the client log each attempt.
func TestRepeatedLinesAreNotLogged(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	c := config(nil)
	c.Brokers = []string{"127.0.0.1:1"}
	c.ResolveCanonicalBootstrapServersOnly = true
	options, err := Options(t.Context(), host{}, c, zap.New(core))
	require.NoError(t, err)
	assert.Equal(t, 1, logs.FilterMessageSnippet("resolve_canonical").Len())
	client, err := kgo.NewClient(append(options, kgo.RetryBackoffFn(func(int) time.Duration { return time.Millisecond }))...)
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	require.Error(t, client.Ping(ctx))
	byMessage := make(map[string]int)
	for _, entry := range logs.All() {
		byMessage[entry.Message]++
	}
	for message, count := range byMessage {
		assert.LessOrEqual(t, count, maxRepeatedLogs, message)
	}
}
