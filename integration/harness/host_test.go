package harness_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/integration/netlab"
	"github.com/breakwater-otel/breakwater/integration/netlab/proxy"
)

// newLab makes a lab that is closed after the parts in it.
func newLab(t *testing.T) *netlab.Lab {
	t.Helper()
	if err := netlab.Supported(); err != nil {
		t.Skipf("SKIPPED, because this machine has no labs: %v", err)
	}
	lab, err := netlab.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, lab.Close()) })
	return lab
}

func newHost(t *testing.T, lab *netlab.Lab, name string) *netlab.Host {
	t.Helper()
	h, err := lab.Host(name)
	require.NoError(t, err)
	return h
}

// reaches tells whether a host can connect to the server of a URL.
func reaches(t *testing.T, from *netlab.Host, base string) error {
	t.Helper()
	u, err := url.Parse(base)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	conn, err := from.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	return conn.Close()
}

func TestBackendsInHosts(t *testing.T) {
	t.Parallel()
	ctx := soon(t)
	lab := newLab(t)
	other := newHost(t, lab, "other")
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Host: newHost(t, lab, "logs"), DiskBytes: 64 << 20})
	metrics := harness.StartVictoriaMetrics(t, harness.VictoriaMetricsOptions{Host: newHost(t, lab, "metrics")})
	require.NoError(t, reaches(t, other, logs.URL()))
	require.NoError(t, reaches(t, other, metrics.URL()))
	assert.Nil(t, metrics.Disk())

	lab.Isolate(newHost(t, lab, "logs"))
	require.Error(t, reaches(t, other, logs.URL()))
	require.NoError(t, reaches(t, other, metrics.URL()))
	insert := func() error {
		return logs.InsertJSON(ctx, nil, harness.LogRow{"_msg": "ahoy", "_time": time.Now().Format(time.RFC3339Nano)})
	}
	require.NoError(t, insert(), "the test reaches it all the same")

	require.NoError(t, logs.Disk().Fill())
	require.NoError(t, harness.Eventually(ctx, 100*time.Millisecond, func(context.Context) error {
		if insert() == nil {
			return errors.New("it takes rows for which there is no space")
		}
		return nil
	}))
	require.NoError(t, logs.Disk().Free())
	require.NoError(t, harness.Eventually(ctx, 100*time.Millisecond, func(context.Context) error { return insert() }))
	require.NoError(t, logs.Stop(ctx))
	assert.DirExists(t, filepath.Join(logs.Disk().Path(), "partitions"), "the data is on the disk")
	require.NoError(t, logs.Start(ctx))
	n, err := logs.Count(ctx, "*")
	require.NoError(t, err)
	assert.GreaterOrEqual(t, n, int64(2), "a restart finds the same disk")

	_, err = harness.NewVictoriaLogs(harness.VictoriaLogsOptions{Binary: "/bin/sh", DiskBytes: 1 << 20})
	require.ErrorContains(t, err, "not in a Host")
}

func TestBreakwaterInAHost(t *testing.T) {
	t.Parallel()
	ctx := soon(t)
	lab := newLab(t)
	h := newHost(t, lab, "agent")
	b := harness.StartBreakwater(t, harness.BreakwaterOptions{Name: "agent", Configs: []string{tinyConfig}, Host: h, DiskBytes: 8 << 20})
	resp, err := b.Client().Post(b.OTLPHTTP()+"/v1/logs", "application/json", strings.NewReader(
		`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"ahoy"}}]}]}]}`))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	_, err = b.Metrics(ctx)
	require.NoError(t, err)
	require.Error(t, reaches(t, newHost(t, lab, "other"), "http://"+net.JoinHostPort(h.IP(), b.Env("METRICS_PORT"))), "on the loopback of its host")
	assert.Equal(t, b.StorageDir(), b.Disk().Dir())
	require.NoError(t, b.Validate(ctx))
}

func TestAProcessEndsWithItsHost(t *testing.T) {
	t.Parallel()
	lab := newLab(t)
	h := newHost(t, lab, "h")
	p := shell(t, "readlink /proc/self/ns/net; exec sleep 1000", func(o *harness.ProcessOptions) { o.Within = h.Run })
	outer, err := os.Readlink("/proc/self/ns/net")
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, p.Start(t.Context()))
		require.NoError(t, p.WaitLog(soon(t), "net:["))
		assert.NotContains(t, p.Log(), outer)
		require.NoError(t, p.Kill())
	}
	require.NoError(t, p.Start(t.Context()))
	require.NoError(t, lab.Close())
	code, err := p.Wait(soon(t))
	require.NoError(t, err)
	assert.Equal(t, -1, code, "by a signal")
	require.ErrorIs(t, p.Start(t.Context()), netlab.ErrClosed)
}

func TestKafkaInHosts(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	lab := newLab(t)
	var hosts []*netlab.Host
	for i := range 3 {
		hosts = append(hosts, newHost(t, lab, fmt.Sprintf("kafka-%d", i+1)))
	}
	k := harness.StartKafka(t, harness.KafkaOptions{
		Hosts: hosts, DiskBytes: 256 << 20, Clients: &harness.KafkaListener{SASL: true},
		Properties: map[string]string{
			"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500",
			"replica.lag.time.max.ms": "3000",
		},
	})
	c, err := k.NewClient()
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Admin().CreateTopic(ctx, 3, 3, map[string]*string{"min.insync.replicas": ptr("2")}, "boats")
	require.NoError(t, err)
	require.NoError(t, c.WaitISR(ctx, 3, "boats"))
	produceBoats(ctx, t, c, 0, 100)

	lab.Isolate(hosts[1])
	require.NoError(t, harness.Eventually(ctx, 100*time.Millisecond, func(ctx context.Context) error {
		topics, err := c.Admin().ListTopics(ctx, "boats")
		if err != nil {
			return err
		}
		for _, p := range topics["boats"].Partitions.Sorted() {
			// The isolated broker answers us too, and knows nothing of it.
			if len(p.ISR) != 2 {
				return fmt.Errorf("in sync: %v", p.ISR)
			}
		}
		return nil
	}))
	produceBoats(ctx, t, c, 100, 200)
	lab.Heal()
	require.NoError(t, c.WaitISR(ctx, 3, "boats"))
	requireBoats(ctx, t, c, 200)

	require.NoError(t, k.KillBroker(1))
	assert.FileExists(t, filepath.Join(k.Disk(1).Path(), "meta.properties"))
	require.NoError(t, k.StartBroker(ctx, 1))
	require.NoError(t, c.WaitISR(ctx, 3, "boats"))
	requireBoats(ctx, t, c, 200)

	// The second listener, as the pipeline sees it: from a host, with credentials.
	_, err = c.Admin().AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{
		User: "agent", Mechanism: kadm.ScramSha256, Iterations: 4096, Password: "secret",
	}})
	require.NoError(t, err)
	agent := newHost(t, lab, "agent")
	login := func(password string) *harness.KafkaClient {
		client, err := harness.NewKafkaClient(k.ClientBrokers(), kgo.Dialer(agent.DialContext), kgo.RequestRetries(3),
			kgo.SASL(scram.Auth{User: "agent", Pass: password}.AsSha256Mechanism()))
		require.NoError(t, err)
		t.Cleanup(client.Close)
		return client
	}
	_, err = login("wrong").Admin().BrokerMetadata(ctx)
	require.ErrorIs(t, err, kerr.SaslAuthenticationFailed)
	a := login("secret")
	record := &kgo.Record{Topic: "boats", Value: []byte("by the agent")}
	require.ErrorIs(t, a.Produce(ctx, record), kerr.TopicAuthorizationFailed)
	_, err = c.Admin().CreateACLs(ctx, kadm.NewACLs().Allow("User:agent").AllowHosts().
		Topics("boats").Operations(kadm.OpAll).ResourcePatternType(kadm.ACLPatternLiteral))
	require.NoError(t, err)
	require.NoError(t, harness.Eventually(ctx, 100*time.Millisecond, func(ctx context.Context) error {
		return a.Produce(ctx, &kgo.Record{Topic: "boats", Value: []byte("by the agent")})
	}))
	assert.NotZero(t, lab.Link(agent, hosts[0]).Counters().Bytes+lab.Link(agent, hosts[1]).Counters().Bytes+lab.Link(agent, hosts[2]).Counters().Bytes)
}

func ptr(s string) *string { return &s }

func TestKafkaBehindProxies(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var proxies []*proxy.TCPProxy
	opts := harness.KafkaOptions{
		Brokers: 1, Dist: harness.RequireKafka(t), Dir: t.TempDir(),
		Clients: &harness.KafkaListener{Advertised: func(i int) string { return proxies[i-1].Addr() }},
	}
	k, err := harness.NewKafka(opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, k.Close()) })
	p, err := proxy.New(k.ListenAddr(1), 1)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	proxies = append(proxies, p)
	require.NoError(t, k.Start(ctx))
	assert.Equal(t, []string{p.Addr()}, k.ClientBrokers())

	c, err := k.NewClient()
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Admin().CreateTopic(ctx, 1, 1, nil, "boats")
	require.NoError(t, err)
	produceBoats(ctx, t, c, 0, 10)
	assert.Zero(t, p.Counters().Connections, "the harness does not go through the proxy")

	agent, err := harness.NewKafkaClient(k.ClientBrokers(), kgo.ProducerBatchMaxBytes(1<<20))
	require.NoError(t, err)
	defer agent.Close()
	produceBoats(ctx, t, agent, 10, 20)
	requireBoats(ctx, t, c, 20)
	before := p.Counters().Bytes
	assert.NotZero(t, before)
	p.Set(proxy.Both(proxy.Direction{Cut: true}))
	short, stop := context.WithTimeout(ctx, 500*time.Millisecond)
	defer stop()
	require.Error(t, agent.Client().Ping(short))
	assert.Equal(t, before, p.Counters().Bytes)
	p.Set(proxy.Impairment{})
	produceBoats(ctx, t, agent, 20, 30)
}
