package oracle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/crucible/load"
	"github.com/breakwater-otel/breakwater/integration/harness"
)

// TestRealLoki pushes to a real server, and some of it once more under another label.
func TestRealLoki(t *testing.T) {
	server := harness.StartLoki(t, harness.LokiOptions{})
	start := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	push := func(service string, atLeast int64) load.Account {
		w, err := load.NewOTLPLogs(load.OTLPOptions{
			Common:  load.Common{Name: "loki", Seed: 2, Rate: 1000, Labels: map[string]string{"service_name": "shop", "host_name": "edge-7"}},
			BaseURL: server.URL() + "/otlp", Base: start,
			Resource: map[string]string{"service.name": service, "host.name": "edge-7"},
		})
		require.NoError(t, err)
		require.NoError(t, w.Start())
		require.Eventually(t, func() bool { return w.Written() >= atLeast }, time.Minute, time.Millisecond)
		accounts, err := w.Stop(t.Context())
		require.NoError(t, err)
		return accounts[0]
	}
	account := push("shop", 1500)
	source := Loki{URL: server.URL(), Limit: 200}
	report, waited, err := WaitComplete(t.Context(), Wait{Accounts: accountsOf(account), Stores: []Source{source}})
	require.NoError(t, err)
	require.True(t, waited.Complete, report.Err())
	assert.Equal(t, []WriterReport{all(account)}, report.Writers)
	assert.Zero(t, report.Foreign)

	again := push("other", 100)
	n, err := source.Count(t.Context())
	require.NoError(t, err)
	assert.Equal(t, account.Written+again.Written, n)
	report, err = Check(t.Context(), accountsOf(account), []Source{source}, nil)
	require.NoError(t, err)
	want := all(account)
	want.Duplicated, want.DuplicatedSeqs = again.Written, []harness.SeqRange{{First: 0, Last: again.Written - 1}}
	want.Mislabelled = again.Written
	require.Len(t, report.Writers[0].LabelExamples, maxExamples)
	assert.Equal(t, "other", report.Writers[0].LabelExamples[0].Got)
	report.Writers[0].LabelExamples = nil
	assert.Equal(t, []WriterReport{want}, report.Writers)
}
