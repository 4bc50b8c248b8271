package security

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

func TestSecurity(t *testing.T) {
	s := newSite(t)
	t.Run("kafka", func(t *testing.T) { testKafka(t, s) })
	t.Run("pipeline", func(t *testing.T) { testPipeline(t, s) })
	t.Run("standalone", func(t *testing.T) { testStandalone(t, s) })
}

// testPipeline runs agent and consumer with everything secured, and lets each credential be wrong for a while.
func testPipeline(t *testing.T, s *site) {
	metrics := harness.StartVictoriaMetrics(t, harness.VictoriaMetricsOptions{})
	before := s.startProxy(t, metrics.URL())
	before.ask(token)
	serverPassword := s.secret(t, "server-password", logsPassword)
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Secure: &harness.BackendSecurity{
		Certificate: s.issue(t, s.authority, "logs", harness.IssueOptions{}), Username: logsUser, PasswordFile: serverPassword,
	}})
	writer, err := harness.NewLogWriter(harness.LogWriterOptions{Dir: t.TempDir()})
	require.NoError(t, err)
	defer func() { assert.NoError(t, writer.Close()) }()
	write := func() { require.NoError(t, writer.Write(t.Context(), 1000)) }

	consumerEnv := s.consumerEnv()
	maps.Copy(consumerEnv, map[string]string{
		"VICTORIALOGS_ENDPOINT":         logs.URL(),
		"VICTORIALOGS_TLS_CA_FILE":      s.authority.CAFile,
		"VICTORIALOGS_USERNAME":         logsUser,
		"VICTORIALOGS_PASSWORD_FILE":    s.secret(t, "logs-password", logsPassword),
		"VICTORIAMETRICS_ENDPOINT":      before.URL,
		"VICTORIAMETRICS_TLS_CA_FILE":   s.authority.CAFile,
		"VICTORIAMETRICS_TLS_CERT_FILE": s.client.CertFile,
		"VICTORIAMETRICS_TLS_KEY_FILE":  s.client.KeyFile,
		"VICTORIAMETRICS_TOKEN_FILE":    s.secret(t, "metrics-token", token),
	})
	consumer := harness.StartBreakwater(t, harness.BreakwaterOptions{
		Name: "consumer", Env: consumerEnv,
		Configs: []string{
			"configs/consumer.yaml", "configs/security.d/kafka-tls.yaml", "configs/security.d/backends-tls.yaml",
			"configs/security.d/victorialogs-basic.yaml", "configs/security.d/victoriametrics-bearer.yaml",
			// A minute is long for a test.
			"yaml:security::kafka::tls::reload_interval: 1s",
			"yaml:security::victoriametrics::tls::reload_interval: 1s",
		},
	})
	agentEnv := s.agentEnv(t)
	maps.Copy(agentEnv, map[string]string{
		"LOG_INCLUDE":             writer.Glob(),
		"OTLP_TLS_CERT_FILE":      s.agentCert.CertFile,
		"OTLP_TLS_KEY_FILE":       s.agentCert.KeyFile,
		"OTLP_TLS_CLIENT_CA_FILE": s.authority.CAFile,
	})
	agent := harness.StartBreakwater(t, harness.BreakwaterOptions{
		Name: "agent", Env: agentEnv,
		Configs: []string{
			"configs/agent.yaml", "configs/security.d/kafka-sasl.yaml", "configs/security.d/kafka-tls.yaml", "configs/security.d/otlp-tls.yaml",
		},
	})

	// All is right.
	right, err := s.authority.ClientTLS(&s.client)
	require.NoError(t, err)
	write()
	require.NoError(t, sendPoint(t, agent, right, "all_is_right"))
	requireRows(t, logs, writer)
	requirePoint(t, metrics, "all_is_right")

	// Who may not send to the agent.
	foreign := s.issue(t, s.stranger, "client", harness.IssueOptions{})
	none, err := s.authority.ClientTLS(nil)
	require.NoError(t, err)
	require.ErrorContains(t, sendPoint(t, agent, none, "no_certificate"), "certificate required")
	wrong, err := s.authority.ClientTLS(&foreign)
	require.NoError(t, err)
	require.Error(t, sendPoint(t, agent, wrong, "foreign_certificate"))

	// VictoriaLogs asks for another password.
	s.secret(t, "server-password", newLogsPassword)
	write()
	requireLog(t, consumer, "401 Unauthorized")
	write()
	s.secret(t, "logs-password", newLogsPassword)
	requireRows(t, logs, writer)

	// The proxy asks for another token.
	before.ask(newToken)
	require.NoError(t, sendPoint(t, agent, right, "another_token"))
	require.Eventually(t, func() bool { return before.refused.Load() > 0 }, patience, 50*time.Millisecond)
	s.secret(t, "metrics-token", newToken)
	requirePoint(t, metrics, "another_token")

	// The agent has another password than Kafka knows. A SIGHUP reads the right one.
	require.NoError(t, agent.Stop(t.Context()))
	s.secret(t, "agent-password", otherPassword)
	write()
	require.NoError(t, agent.Start(t.Context()))
	requireLog(t, agent, "SASL_AUTHENTICATION_FAILED")
	write()
	s.secret(t, "agent-password", agentPassword)
	require.NoError(t, agent.Signal(syscall.SIGHUP))
	requireRows(t, logs, writer)

	// The consumer's certificate has expired, and is replaced while it runs.
	require.NoError(t, consumer.Stop(t.Context()))
	s.issue(t, s.authority, consumerName, harness.IssueOptions{NotAfter: time.Now().Add(-time.Hour)})
	write()
	require.NoError(t, sendPoint(t, agent, right, "another_certificate"))
	require.NoError(t, consumer.Start(t.Context()))
	requireLog(t, consumer, "expired on")
	requireLog(t, consumer, "remote error: tls:")
	s.issue(t, s.authority, consumerName, harness.IssueOptions{})
	requireRows(t, logs, writer)
	requirePoint(t, metrics, "another_certificate")

	// What is stored is sent again, and found.
	replay(t, logs, consumerEnv, writer.Written())
	requireRows(t, logs, writer)

	for _, b := range []*harness.Breakwater{agent, consumer} {
		requireNoSecrets(t, b)
	}
	for _, name := range []string{"no_certificate", "foreign_certificate"} {
		series, err := metrics.Export(t.Context(), name)
		require.NoError(t, err)
		assert.Empty(t, series, name)
	}
}

// replay has the logs topic replayed by a consumer with the certificate, into what has all of its rows, and adds none.
func replay(t *testing.T, logs *harness.VictoriaLogs, env map[string]string, rows int64) {
	binary, err := harness.BinaryPath()
	require.NoError(t, err)
	root, err := harness.Root()
	require.NoError(t, err)
	dir := t.TempDir()
	command := exec.CommandContext(t.Context(), harness.BuildCommand(t, "breakwater-replay"), "run", "-source", "logs", "-from", "start", "-yes",
		"-bin", binary, "-log", filepath.Join(dir, "consumer.log"), "-config", strings.Join([]string{
			"configs/consumer.yaml", "configs/security.d/kafka-tls.yaml", "configs/security.d/backends-tls.yaml",
			"configs/security.d/victorialogs-basic.yaml", "configs/security.d/victoriametrics-bearer.yaml",
		}, ","))
	command.Dir = root
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "BREAKWATER_STORAGE_DIR=" + dir}
	for name, value := range env {
		command.Env = append(command.Env, name+"="+value)
	}
	output, err := command.CombinedOutput()
	require.NoError(t, err, string(output))
	requireClean(t, "the output of breakwater-replay", string(output))
	// Of what the live consumer has settled: the rest is still its own to deliver.
	assert.Regexp(t, `rows already there +[1-9]`, string(output))
	assert.Regexp(t, `rows stored +0\b`, string(output))
	count, err := logs.Count(t.Context(), "*")
	require.NoError(t, err)
	assert.Equal(t, rows, count)
}

// testStandalone is about the other exporter of metrics, and a password of digits.
func testStandalone(t *testing.T, s *site) {
	password := s.secret(t, "standalone-password", standalonePass)
	secure := func(name string) *harness.BackendSecurity {
		return &harness.BackendSecurity{
			Certificate: s.issue(t, s.authority, name, harness.IssueOptions{}), Username: logsUser, PasswordFile: password,
		}
	}
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Secure: secure("logs2")})
	metrics := harness.StartVictoriaMetrics(t, harness.VictoriaMetricsOptions{Secure: secure("metrics2")})
	writer, err := harness.NewLogWriter(harness.LogWriterOptions{Dir: t.TempDir()})
	require.NoError(t, err)
	defer func() { assert.NoError(t, writer.Close()) }()
	require.NoError(t, writer.Write(t.Context(), 1000))
	standalone := harness.StartBreakwater(t, harness.BreakwaterOptions{
		Name: "standalone",
		Configs: []string{
			"configs/standalone.yaml", "configs/security.d/backends-tls.yaml", "configs/security.d/otlp-tls.yaml",
			"configs/security.d/victorialogs-basic.yaml", "configs/security.d/victoriametrics-basic.yaml",
		},
		Env: map[string]string{
			"LOG_INCLUDE":                   writer.Glob(),
			"OTLP_TLS_CERT_FILE":            s.agentCert.CertFile,
			"OTLP_TLS_KEY_FILE":             s.agentCert.KeyFile,
			"VICTORIALOGS_ENDPOINT":         logs.URL(),
			"VICTORIALOGS_TLS_CA_FILE":      s.authority.CAFile,
			"VICTORIALOGS_USERNAME":         logsUser,
			"VICTORIALOGS_PASSWORD_FILE":    password,
			"VICTORIAMETRICS_ENDPOINT":      metrics.URL(),
			"VICTORIAMETRICS_TLS_CA_FILE":   s.authority.CAFile,
			"VICTORIAMETRICS_USERNAME":      logsUser,
			"VICTORIAMETRICS_PASSWORD_FILE": password,
		},
	})
	// Without OTLP_TLS_CLIENT_CA_FILE a client needs no certificate.
	anybody, err := s.authority.ClientTLS(nil)
	require.NoError(t, err)
	require.NoError(t, sendPoint(t, standalone, anybody, "by_anybody"))
	requireRows(t, logs, writer)
	requirePoint(t, metrics, "by_anybody")
	requireNoSecrets(t, standalone)
}
