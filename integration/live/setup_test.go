// Package live tests the live page of the consumer: what it says of a real pipeline in which VictoriaLogs is stopped, and how it looks
// in Chromium, wide and narrow, light and dark, with and without JavaScript.
package live

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/internal/topics"
)

// patience is how long a state of the page may take to come: the flush window, the longest backoff of the profiles, and what a
// loaded machine of two cores needs.
const patience = 2 * time.Minute

type pipeline struct {
	logs     *harness.VictoriaLogs
	consumer *harness.Breakwater
}

// startPipeline starts the shipped profiles on real parts, with a writer that writes until the test ends.
func startPipeline(t *testing.T) *pipeline {
	kafka := harness.StartKafka(t, harness.KafkaOptions{})
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.Brokers()...))
	require.NoError(t, err)
	defer client.Close()
	report, err := topics.Ensure(t.Context(), client, topics.Defaults(func(string) string { return "" }))
	require.NoError(t, err)
	require.Empty(t, report.Problems())

	p := &pipeline{logs: harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{})}
	metrics := harness.StartVictoriaMetrics(t, harness.VictoriaMetricsOptions{})
	kafkaEnv := map[string]string{"KAFKA_BROKERS": kafka.BootstrapServers()}
	with := func(env map[string]string) map[string]string {
		all := maps.Clone(kafkaEnv)
		maps.Copy(all, env)
		return all
	}
	p.consumer = harness.StartBreakwater(t, harness.BreakwaterOptions{
		Name: "consumer", Configs: []string{"configs/consumer.yaml"},
		Env: with(map[string]string{"VICTORIALOGS_ENDPOINT": p.logs.URL(), "VICTORIAMETRICS_ENDPOINT": metrics.URL()}),
	})
	writer, err := harness.NewLogWriter(harness.LogWriterOptions{Dir: t.TempDir(), Files: 2, Rate: 500})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, writer.Close()) })
	require.NoError(t, writer.Start())
	harness.StartBreakwater(t, harness.BreakwaterOptions{
		Name: "agent", Configs: []string{"configs/agent.yaml"},
		Env: with(map[string]string{
			"LOG_INCLUDE": writer.Glob(), "SITE_NAME": "zrh-1", "DEPLOY_ENV": "prod", "HOST_NAME": "edge-7", "SERVICE_NAME": "checkout",
		}),
	})
	return p
}

// state is what the test needs of the API.
type state struct {
	Status   string
	Problems []struct{ Code, Title string }
	Topics   []struct {
		Name       string
		Partitions []struct{}
		Lag        int64   `json:"lag_messages"`
		LagSeconds float64 `json:"lag_seconds"`
		Unsettled  int64   `json:"unsettled_messages"`
		Settled    float64 `json:"settled_per_second"`
	}
	Backends []struct {
		Name        string
		Up          bool
		SettleDelay float64 `json:"settle_delay_seconds"`
	}
	Agents struct {
		Hosts []struct {
			Site string `json:"site_name"`
			Host string `json:"host_name"`
		}
	}
	History []struct {
		Lag []float64 `json:"lag_messages"`
	}
}

// has says whether there is a problem of the kind.
func (s state) has(code string) bool {
	for _, problem := range s.Problems {
		if problem.Code == code {
			return true
		}
	}
	return false
}

// waitState asks the API until the check has no error.
func (p *pipeline) waitState(t *testing.T, what string, check func(state) error) state {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var last state
	began := time.Now()
	err := harness.Eventually(ctx, 250*time.Millisecond, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.consumer.LiveURL()+"api/v1/state", nil)
		if err != nil {
			return err
		}
		response, err := p.consumer.Client().Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("answered with %d", response.StatusCode)
		}
		last = state{}
		if err := json.NewDecoder(response.Body).Decode(&last); err != nil {
			return err
		}
		return check(last)
	})
	require.NoError(t, err, "%s: %+v", what, last)
	t.Logf("%s: after %s", what, time.Since(began).Round(100*time.Millisecond))
	return last
}
