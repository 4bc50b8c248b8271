package oracle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/crucible/load"
	"github.com/breakwater-otel/breakwater/integration/harness"
)

// TestThroughAProfile writes by every kind of writer that needs no Kafka through the shipped standalone profile into real
// backends, and expects nothing to report.
func TestThroughAProfile(t *testing.T) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{})
	metrics := harness.StartVictoriaMetrics(t, harness.VictoriaMetricsOptions{})
	dir := t.TempDir()
	agent := harness.StartBreakwater(t, harness.BreakwaterOptions{
		Configs: []string{"configs/standalone.yaml"},
		Env: map[string]string{
			"VICTORIALOGS_ENDPOINT": logs.URL(), "VICTORIAMETRICS_ENDPOINT": metrics.URL(),
			"LOG_INCLUDE": dir + "/*.log", "SITE_NAME": "zürich-1", "DEPLOY_ENV": "test", "HOST_NAME": "edge-7",
			"SERVICE_NAME": "checkout", "SERVICE_NAMESPACE": "shop",
		},
	})
	want := map[string]string{
		"site_name": "zürich-1", "env": "test", "host_name": "edge-7", "service_name": "checkout", "service_namespace": "shop",
	}
	common := func(name string, rate float64) load.Common {
		return load.Common{Name: name, Seed: 5, Rate: rate, Labels: want}
	}
	large := common("large", 100)
	large.LargeEvery, large.LargeBytes = 100, 600_000
	resource := map[string]string{"service.name": "checkout"}
	jumping := common("otlp", 300)
	// Within the bounds of the server and outside them.
	jumping.JumpEvery, jumping.Jumps = 10, []time.Duration{24 * time.Hour, -24 * time.Hour, -6 * 24 * time.Hour, -30 * 24 * time.Hour, 96 * time.Hour}
	var writers []load.Writer
	keep := func(w load.Writer, err error) {
		require.NoError(t, err)
		writers = append(writers, w)
	}
	keep(load.NewFiles(load.FilesOptions{Common: common("plain", 500), Dir: dir, Rotation: load.RotateRename, RotateLines: 400}))
	keep(load.NewFiles(load.FilesOptions{Common: common("torn", 100), Dir: dir, Torn: true}))
	keep(load.NewFiles(load.FilesOptions{Common: common("docker", 300), Dir: dir, Format: load.DockerJSON}))
	keep(load.NewFiles(load.FilesOptions{Common: common("cri", 300), Dir: dir, Format: load.CRI, PartialEvery: 10}))
	keep(load.NewFiles(load.FilesOptions{Common: large, Dir: dir}))
	keep(load.NewOTLPLogs(load.OTLPOptions{Common: jumping, BaseURL: agent.OTLPHTTP(), Resource: resource}))
	keep(load.NewOTLPMetrics(load.OTLPOptions{Common: common("samples", 10), BaseURL: agent.OTLPHTTP(), Resource: resource}))
	for _, w := range writers {
		require.NoError(t, w.Start())
	}
	for _, w := range writers {
		require.Eventually(t, func() bool { return float64(w.Written()) > 2*w.Rate() }, time.Minute, 10*time.Millisecond)
	}
	var accounts []load.Account
	for _, w := range writers {
		stopped, err := w.Stop(t.Context())
		require.NoError(t, err)
		accounts = append(accounts, stopped...)
	}
	report, waited, err := WaitComplete(t.Context(), Wait{
		Accounts: accounts, Stores: []Source{VictoriaLogs{URL: logs.URL()}, VictoriaMetrics{URL: metrics.URL()}},
	})
	require.NoError(t, err)
	assert.True(t, waited.Complete)
	require.NoError(t, report.Err())
	assert.Zero(t, report.Foreign, report.ForeignExamples)
	for _, w := range report.Writers {
		t.Log(w)
		assert.Equal(t, w.Written, w.Stored, w.Writer)
		assert.Zero(t, w.Duplicated, w.Writer)
	}
}
