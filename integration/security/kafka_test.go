package security

import (
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// testKafka logs in to Kafka as the commands do, rightly and wrongly: the error says what to look at.
func testKafka(t *testing.T, s *site) {
	for _, mechanism := range []string{"", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		env := s.agentEnv(t)
		env["KAFKA_SASL_MECHANISM"] = mechanism
		require.NoError(t, ping(t, env), mechanism)
	}
	plain := s.agentEnv(t)
	maps.Copy(plain, map[string]string{
		"KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_SASL_USERNAME": "plain", "KAFKA_SASL_PASSWORD_FILE": s.secret(t, "plain", otherPassword),
	})
	require.NoError(t, ping(t, plain))
	require.NoError(t, ping(t, s.consumerEnv()))

	foreign := s.issue(t, s.stranger, "foreign", harness.IssueOptions{})
	expired := s.issue(t, s.authority, "expired", harness.IssueOptions{NotAfter: time.Now().Add(-time.Hour)})
	for name, test := range map[string]struct {
		base   map[string]string
		change map[string]string
		want   string
	}{
		"password": {
			s.agentEnv(t), map[string]string{"KAFKA_SASL_PASSWORD_FILE": s.secret(t, "other", otherPassword)}, "check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD_FILE",
		},
		"user":      {s.agentEnv(t), map[string]string{"KAFKA_SASL_USERNAME": "nobody"}, "check KAFKA_SASL_USERNAME"},
		"authority": {s.agentEnv(t), map[string]string{"KAFKA_TLS_CA_FILE": s.stranger.CAFile}, "check KAFKA_TLS_CA_FILE"},
		"system":    {s.agentEnv(t), map[string]string{"KAFKA_TLS_CA_FILE": "", "KAFKA_TLS": "true"}, "check KAFKA_TLS_CA_FILE"},
		"hostname":  {s.agentEnv(t), map[string]string{"KAFKA_TLS_SERVER_NAME": "kafka.example"}, "check KAFKA_BROKERS and KAFKA_TLS_SERVER_NAME"},
		"foreign": {
			s.consumerEnv(), map[string]string{"KAFKA_TLS_CERT_FILE": foreign.CertFile, "KAFKA_TLS_KEY_FILE": foreign.KeyFile}, "check KAFKA_TLS_CERT_FILE",
		},
		"expired": {
			s.consumerEnv(), map[string]string{"KAFKA_TLS_CERT_FILE": expired.CertFile, "KAFKA_TLS_KEY_FILE": expired.KeyFile}, "check KAFKA_TLS_CERT_FILE",
		},
		"no certificate": {s.consumerEnv(), map[string]string{"KAFKA_TLS_CERT_FILE": "", "KAFKA_TLS_KEY_FILE": ""}, "check KAFKA_TLS_CERT_FILE"},
	} {
		maps.Copy(test.base, test.change)
		err := ping(t, test.base)
		require.ErrorContains(t, err, test.want, name)
		requireClean(t, name, err.Error())
	}
}
