// Package security tests the files of configs/security.d on real parts that ask for certificates and logins: Kafka by SASL
// and by client certificates, VictoriaLogs with TLS and a password, VictoriaMetrics behind a proxy that asks for a client
// certificate and a token. What goes wrong on purpose has to be said in the log, lose nothing, and leak no secret.
package security

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/internal/kafkaenv"
	"github.com/breakwater-otel/breakwater/internal/topics"
)

// The secrets have what configurations and HTTP could take for something else. None may be seen anywhere.
const (
	agentPassword   = `agent: "p$$w${env:HOME}" #1`
	otherPassword   = "quite-another-agent-password"
	logsPassword    = "logs%40p:a$s${x}word"
	newLogsPassword = "new-logs-password"
	token           = "metrics-token-1"
	newToken        = "metrics-token-2"
	standalonePass  = "314159265358979"
)

var secrets = []string{agentPassword, otherPassword, logsPassword, newLogsPassword, token, newToken, standalonePass}

const (
	agentUser    = "agent"
	adminUser    = "admin"
	logsUser     = "shipper"
	consumerName = "consumer"
)

// site is the secured parts that all tests share.
type site struct {
	dir       string
	authority *harness.Authority // of everything that is right
	stranger  *harness.Authority // of what is wrong
	kafka     *harness.Kafka
	agentCert harness.Certificate // of the OTLP port
	client    harness.Certificate // of the consumer
}

func newSite(t *testing.T) *site {
	s := &site{dir: t.TempDir()}
	var err error
	s.authority, err = harness.NewAuthority(s.dir, "right")
	require.NoError(t, err)
	s.stranger, err = harness.NewAuthority(s.dir, "wrong")
	require.NoError(t, err)
	broker := s.issue(t, s.authority, "broker", harness.IssueOptions{})
	s.agentCert = s.issue(t, s.authority, "agent", harness.IssueOptions{})
	s.client = s.issue(t, s.authority, consumerName, harness.IssueOptions{})
	listener := &harness.KafkaTLS{KeyStoreFile: broker.StoreFile, ClientCAFile: s.authority.CAFile}
	s.kafka = harness.StartKafka(t, harness.KafkaOptions{
		Brokers: 1, Mutual: listener,
		Clients: &harness.KafkaListener{SASL: true, TLS: listener, Plain: map[string]string{"plain": otherPassword}},
	})
	client, err := s.kafka.NewClient()
	require.NoError(t, err)
	defer client.Close()
	for _, mechanism := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} {
		_, err = client.Admin().AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{
			{User: agentUser, Mechanism: mechanism, Iterations: 4096, Password: agentPassword},
			{User: adminUser, Mechanism: mechanism, Iterations: 4096, Password: otherPassword},
		})
		require.NoError(t, err)
	}
	s.allow(t, client.Admin())
	s.createTopics(t)
	return s
}

// allow gives each user what docs/security.md says that it needs.
func (s *site) allow(t *testing.T, admin *kadm.Client) {
	specs := topics.Defaults(func(string) string { return "" })
	logs, metrics, dead := specs[topics.Logs].Name, specs[topics.Metrics].Name, specs[topics.DeadLetters].Name
	all := make([]string, 0, len(specs))
	for _, spec := range specs {
		all = append(all, spec.Name)
	}
	consumer := "User:CN=" + consumerName
	for _, acl := range []*kadm.ACLBuilder{
		kadm.NewACLs().Topics(all...).ResourcePatternType(kadm.ACLPatternLiteral).
			Operations(kadm.OpCreate, kadm.OpDescribe, kadm.OpDescribeConfigs).Allow("User:" + adminUser).AllowHosts("*"),
		kadm.NewACLs().Topics(logs, metrics).ResourcePatternType(kadm.ACLPatternLiteral).
			Operations(kadm.OpWrite, kadm.OpDescribe).Allow("User:" + agentUser).AllowHosts("*"),
		kadm.NewACLs().Topics(all...).ResourcePatternType(kadm.ACLPatternLiteral).
			Operations(kadm.OpRead, kadm.OpDescribe).Allow(consumer).AllowHosts("*"),
		kadm.NewACLs().Topics(dead, specs[topics.Ledger].Name).ResourcePatternType(kadm.ACLPatternLiteral).
			Operations(kadm.OpWrite, kadm.OpDescribe).Allow(consumer).AllowHosts("*"),
		kadm.NewACLs().Groups("breakwater-consumer").ResourcePatternType(kadm.ACLPatternPrefixed).
			Operations(kadm.OpRead).Allow(consumer).AllowHosts("*"),
		kadm.NewACLs().Groups("breakwater-replay-").ResourcePatternType(kadm.ACLPatternPrefixed).
			Operations(kadm.OpRead, kadm.OpDelete).Allow(consumer).AllowHosts("*"),
	} {
		results, err := admin.CreateACLs(t.Context(), acl)
		require.NoError(t, err)
		for _, r := range results {
			require.NoError(t, r.Err)
		}
	}
}

// createTopics does it as `make topics` does, with a login of its own.
func (s *site) createTopics(t *testing.T) {
	env := s.agentEnv(t)
	env["KAFKA_SASL_USERNAME"], env["KAFKA_SASL_PASSWORD_FILE"] = adminUser, s.secret(t, "admin-password", otherPassword)
	getenv := func(name string) string { return env[name] }
	opts, err := kafkaenv.Options(getenv)
	require.NoError(t, err)
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(s.kafka.ClientBrokers()...))...)
	require.NoError(t, err)
	defer client.Close()
	report, err := topics.Ensure(t.Context(), client, topics.Defaults(getenv))
	require.NoError(t, err)
	require.Empty(t, report.Problems())
}

func (s *site) issue(t *testing.T, authority *harness.Authority, name string, opts harness.IssueOptions) harness.Certificate {
	certificate, err := authority.Issue(name, opts)
	require.NoError(t, err)
	return certificate
}

// secret writes a file as `echo` and editors do, with a line feed. It is replaced at once where it is there already.
func (s *site) secret(t *testing.T, name, value string) string {
	path := filepath.Join(s.dir, name)
	require.NoError(t, os.WriteFile(path+".new", []byte(value+"\n"), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
	return path
}

// agentEnv is what the agent is told of Kafka: a login by password.
func (s *site) agentEnv(t *testing.T) map[string]string {
	return map[string]string{
		"KAFKA_BROKERS":            strings.Join(s.kafka.ClientBrokers(), ","),
		"KAFKA_SASL_USERNAME":      agentUser,
		"KAFKA_SASL_PASSWORD_FILE": s.secret(t, "agent-password", agentPassword),
		"KAFKA_TLS_CA_FILE":        s.authority.CAFile,
	}
}

// consumerEnv is what the consumer is told of Kafka: a certificate.
func (s *site) consumerEnv() map[string]string {
	return map[string]string{
		"KAFKA_BROKERS":       strings.Join(s.kafka.MutualBrokers(), ","),
		"KAFKA_TLS_CA_FILE":   s.authority.CAFile,
		"KAFKA_TLS_CERT_FILE": s.client.CertFile,
		"KAFKA_TLS_KEY_FILE":  s.client.KeyFile,
	}
}

// ping asks Kafka as the commands do.
func ping(t *testing.T, env map[string]string) error {
	getenv := func(name string) string { return env[name] }
	opts, err := kafkaenv.Options(getenv)
	require.NoError(t, err)
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(strings.Split(kafkaenv.Brokers(getenv), ",")...), kgo.RequestRetries(0))...)
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return kafkaenv.Explain(client.Ping(ctx))
}

// proxy is a server before a backend that asks for a certificate and a bearer token.
type proxy struct {
	*httptest.Server
	token   atomic.Pointer[string]
	refused atomic.Int64
}

func (s *site) startProxy(t *testing.T, backend string) *proxy {
	target, err := url.Parse(backend)
	require.NoError(t, err)
	p := &proxy{}
	forward := httputil.NewSingleHostReverseProxy(target)
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+*p.token.Load() {
			p.refused.Add(1)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	p.TLS, err = s.authority.ServerTLS(s.issue(t, s.authority, "proxy", harness.IssueOptions{}))
	require.NoError(t, err)
	p.Config.ErrorLog = log.New(io.Discard, "", 0) // of each refused handshake
	p.StartTLS()
	t.Cleanup(p.Close)
	return p
}

func (p *proxy) ask(token string) { p.token.Store(&token) }

// sendPoint sends a data point by OTLP over HTTP, and returns what the client is told.
func sendPoint(t *testing.T, agent *harness.Breakwater, secure *tls.Config, name string) error {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: secure, DisableKeepAlives: true}, Timeout: 20 * time.Second}
	body := fmt.Sprintf(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":%q,"gauge":{"dataPoints":[{"asDouble":1,"timeUnixNano":"%d"}]}}]}]}]}`,
		name, time.Now().UnixNano())
	response, err := client.Post("https://"+agent.Env("OTLP_HTTP_ENDPOINT")+"/v1/metrics", "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		return fmt.Errorf("%s: %s", response.Status, text)
	}
	return nil
}

const patience = 2 * time.Minute

func requireLog(t *testing.T, b *harness.Breakwater, text string) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, b.WaitLog(ctx, text))
}

// requireRows waits until all lines of the writer are rows, and holds that none is there twice.
func requireRows(t *testing.T, logs *harness.VictoriaLogs, writer *harness.LogWriter) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var report harness.TallyReport
	err := harness.Eventually(ctx, 500*time.Millisecond, func(ctx context.Context) error {
		tally := harness.NewTally()
		if err := logs.QueryEach(ctx, "*", func(row harness.LogRow) error { tally.Add(row["_msg"]); return nil }); err != nil {
			return err
		}
		report = tally.Compare(writer)
		return report.Err()
	})
	t.Log(report)
	require.NoError(t, err)
	assert.Zero(t, report.Duplicates)
}

func requirePoint(t *testing.T, metrics *harness.VictoriaMetrics, name string) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, harness.Eventually(ctx, 500*time.Millisecond, func(ctx context.Context) error {
		if err := metrics.Flush(ctx); err != nil {
			return err
		}
		series, err := metrics.Export(ctx, name)
		if err == nil && (len(series) != 1 || len(series[0].Values) != 1) {
			err = fmt.Errorf("%s: %d series", name, len(series))
		}
		return err
	}))
}

// requireNoSecrets looks for every secret in the log and in every page that the process serves.
func requireNoSecrets(t *testing.T, b *harness.Breakwater) {
	pages := []string{b.MetricsURL(), b.HealthURL()}
	for _, page := range []string{"servicez", "pipelinez", "extensionz", "featurez", "tracez"} {
		pages = append(pages, "http://"+b.Env("ZPAGES_ENDPOINT")+"/debug/"+page)
	}
	pages = append(pages, "http://"+b.Env("PPROF_ENDPOINT")+"/debug/pprof/cmdline")
	if b.Name() == "consumer" {
		pages = append(pages, b.LiveURL(), b.LiveURL()+"api/v1/state")
	}
	for _, page := range pages {
		response, err := b.Client().Get(page)
		require.NoError(t, err)
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		require.NoError(t, err)
		require.NotEmpty(t, text, page)
		requireClean(t, page, string(text))
	}
	requireCleanLog(t, b)
}

func requireCleanLog(t *testing.T, b *harness.Breakwater) {
	text, err := os.ReadFile(b.LogFile())
	require.NoError(t, err)
	require.NotEmpty(t, text)
	requireClean(t, b.LogFile(), string(text))
}

func requireClean(t *testing.T, where, text string) {
	for _, secret := range secrets {
		for _, form := range []string{
			secret, url.QueryEscape(secret), strings.Trim(fmt.Sprintf("%q", secret), `"`),
			base64.StdEncoding.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte(logsUser + ":" + secret)),
		} {
			require.NotContains(t, text, form, "%s has a secret", where)
		}
	}
}
