package kafkaenv

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func environment(env map[string]string) func(string) string {
	return func(name string) string { return env[name] }
}

func file(t *testing.T, content string) string {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestBrokers(t *testing.T) {
	assert.Equal(t, "127.0.0.1:9092", Brokers(environment(nil)))
	assert.Equal(t, "k:1,k:2", Brokers(environment(map[string]string{"KAFKA_BROKERS": "k:1,k:2"})))
}

// TestMistakesNameTheVariable holds that every half-set combination is refused.
func TestMistakesNameTheVariable(t *testing.T) {
	secret := file(t, "hunter2\n")
	missing := filepath.Join(t.TempDir(), "missing")
	for want, env := range map[string]map[string]string{
		"KAFKA_SASL_USERNAME is not set":                                                                    {"KAFKA_SASL_PASSWORD_FILE": secret},
		"KAFKA_SASL_PASSWORD_FILE is not set; it names the file with the secret":                            {"KAFKA_SASL_USERNAME": "u"},
		"KAFKA_SASL_USERNAME is not set, although":                                                          {"KAFKA_SASL_MECHANISM": "PLAIN"},
		"KAFKA_SASL_PASSWORD_FILE: open " + missing:                                                         {"KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD_FILE": missing},
		`KAFKA_SASL_MECHANISM is "SCRAM"; it must be one of`:                                                {"KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD_FILE": secret, "KAFKA_SASL_MECHANISM": "SCRAM"},
		"KAFKA_TLS_CA_FILE: open " + missing:                                                                {"KAFKA_TLS_CA_FILE": missing},
		"KAFKA_TLS_CA_FILE: " + secret + " holds no certificate in PEM":                                     {"KAFKA_TLS_CA_FILE": secret},
		"KAFKA_TLS_KEY_FILE is not set, although KAFKA_TLS_CERT_FILE is":                                    {"KAFKA_TLS_CERT_FILE": secret},
		"KAFKA_TLS_CERT_FILE is not set, although KAFKA_TLS_KEY_FILE is":                                    {"KAFKA_TLS_KEY_FILE": secret},
		"KAFKA_TLS_CERT_FILE and KAFKA_TLS_KEY_FILE: tls: failed to find any PEM data in certificate input": {"KAFKA_TLS_CERT_FILE": secret, "KAFKA_TLS_KEY_FILE": secret},
		`KAFKA_TLS is "yes"; it must be true or false`:                                                      {"KAFKA_TLS": "yes"},
		"KAFKA_TLS is false, but a KAFKA_TLS_ variable is set":                                              {"KAFKA_TLS": "false", "KAFKA_TLS_SERVER_NAME": "k"},
	} {
		_, err := Options(environment(env))
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

func TestNothingSetIsPlaintext(t *testing.T) {
	opts, err := Options(environment(map[string]string{"KAFKA_TLS": "false"}))
	require.NoError(t, err)
	assert.Empty(t, opts)
}

func TestTLSIsOnByOneVariable(t *testing.T) {
	for _, env := range []map[string]string{{"KAFKA_TLS": "true"}, {"KAFKA_TLS_SERVER_NAME": "k"}} {
		config, err := tlsConfig(environment(env))
		require.NoError(t, err)
		require.NotNil(t, config)
		assert.False(t, config.InsecureSkipVerify)
		assert.Equal(t, env["KAFKA_TLS_SERVER_NAME"], config.ServerName)
	}
}

// TestLogin logs in to a cluster by each mechanism, and with a wrong password.
func TestLogin(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser(mechanism, "agent", "hunter2"))
		require.NoError(t, err)
		defer cluster.Close()
		ping := func(password string) error {
			opts, err := Options(environment(map[string]string{
				"KAFKA_SASL_MECHANISM": mechanism, "KAFKA_SASL_USERNAME": "agent", "KAFKA_SASL_PASSWORD_FILE": file(t, password+"\n"),
			}))
			require.NoError(t, err)
			client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(cluster.ListenAddrs()...))...)
			require.NoError(t, err)
			defer client.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			return client.Ping(ctx)
		}
		require.NoError(t, ping("hunter2"), mechanism)
		// A broker says so; this cluster would close the connection.
		cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(request kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			response := request.ResponseKind().(*kmsg.SASLAuthenticateResponse)
			response.ErrorCode = kerr.SaslAuthenticationFailed.Code
			return response, nil, true
		})
		err = ping("wrong-password")
		require.ErrorIs(t, err, kerr.SaslAuthenticationFailed, mechanism)
		require.ErrorContains(t, Explain(err), "check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD_FILE and KAFKA_SASL_MECHANISM")
		assert.NotContains(t, Explain(err).Error(), "wrong-password")
	}
}

func TestExplain(t *testing.T) {
	for want, err := range map[string]error{
		"check the ACLs of the user":          kerr.TopicAuthorizationFailed,
		"check KAFKA_SASL_MECHANISM":          kerr.UnsupportedSaslMechanism,
		"check KAFKA_TLS_CA_FILE":             x509.UnknownAuthorityError{},
		"KAFKA_TLS_SERVER_NAME":               x509.HostnameError{Certificate: &x509.Certificate{}, Host: "k"},
		"its date above all":                  x509.CertificateInvalidError{Reason: x509.Expired},
		"does not speak TLS":                  tls.RecordHeaderError{},
		"check KAFKA_TLS_CERT_FILE, its date": alertError("remote error: tls: bad certificate"),
	} {
		assert.ErrorContains(t, Explain(fmt.Errorf("dial: %w", err)), want)
	}
	assert.EqualError(t, Explain(os.ErrClosed), os.ErrClosed.Error())
	assert.NoError(t, Explain(nil))
}

type alertError string

func (a alertError) Error() string { return string(a) }
