package swap

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// TestLogBackends runs its cases one after the other on one broker.
func TestLogBackends(t *testing.T) {
	t.Parallel()
	kafka := harness.StartKafka(t, harness.KafkaOptions{Brokers: 1})
	t.Run("swap", func(t *testing.T) { testSwap(t, kafka) })
	t.Run("both", func(t *testing.T) { testBoth(t, kafka) })
}

// testSwap puts Loki in the place of VictoriaLogs, and then VictoriaLogs back, while the agents run.
func testSwap(t *testing.T, kafka *harness.Kafka) {
	s := newSite(t, kafka)
	pids := []int{s.agents[0].PID(), s.agents[1].PID()}
	before, after := victoriaLogs{s.logs}, loki{s.loki}

	consumer := s.startConsumer(t, "consumer.yaml")
	awaitCount(t, before, 2000)
	require.NoError(t, consumer.Stop(t.Context()))

	consumer = s.startConsumer(t, "consumer-loki.yaml")
	awaitCount(t, after, 4000)
	s.stopWriting(t)
	s.requireAll(t, after)
	s.requireOnce(t, before, false)
	s.requireLabels(t)
	require.NoError(t, consumer.Stop(t.Context()))

	// Back again: VictoriaLogs gets what it has missed.
	s.startConsumer(t, "consumer.yaml")
	s.requireAll(t, before)
	for i, agent := range s.agents {
		assert.True(t, agent.Running())
		assert.Equal(t, pids[i], agent.PID(), "the agent was restarted")
	}
	s.requireNoDeadLetters(t)
}

// requireLabels holds that the label set makes the streams of Loki.
func (s *site) requireLabels(t *testing.T) {
	from, to := lokiRange()
	entries, err := s.loki.Query(t.Context(), `{service_name="checkout"}`, from, to)
	require.NoError(t, err)
	require.NotEmpty(t, entries)
	for _, e := range entries[:10] {
		host := e.Stream["host_name"]
		assert.Contains(t, []string{"edge-1", "edge-2"}, host)
		assert.Equal(t, map[string]string{
			"site_name": "lab", "env": "test", "host_name": host, "service_name": "checkout", "service_namespace": "shop", "job": "shop/checkout",
		}, e.Stream)
		assert.NotEmpty(t, e.Metadata["log_file_path"])
	}
	entries, err = s.loki.Query(t.Context(), `{service_name="billing"}`, from, to)
	require.NoError(t, err)
	require.NotEmpty(t, entries)
	assert.Equal(t, map[string]string{
		"site_name": "lab", "env": "test", "host_name": "edge-9", "service_name": "billing", "service_namespace": "shop", "stream": "stdout",
	}, entries[0].Stream)
	assert.Equal(t, "fluent-bit-kafka-consumer", entries[0].Metadata["consumer_name"])
	assert.Equal(t, "kafka-to-loki", entries[0].Metadata["pipeline"])
}

func (s *site) requireNoDeadLetters(t *testing.T) {
	n, err := s.client.Count(t.Context(), s.env["KAFKA_DLQ_TOPIC"])
	require.NoError(t, err)
	assert.Zero(t, n, "dead letters")
}

// testBoth takes away each of two backends in turn, Loki by a kill and three times. The other one goes on, and what is
// back catches up.
func testBoth(t *testing.T, kafka *harness.Kafka) {
	s := newSite(t, kafka)
	first, second := victoriaLogs{s.logs}, loki{s.loki}
	s.startConsumer(t, "consumer-both.yaml")
	awaitCount(t, first, 1000)
	awaitCount(t, second, 1000)

	for range 3 {
		require.NoError(t, s.loki.Kill())
		s.requireGoesOn(t, first)
		require.NoError(t, s.loki.Start(t.Context()))
		awaitCount(t, second, s.written()-1000)
	}

	require.NoError(t, s.logs.Kill())
	s.requireGoesOn(t, second)
	// The group of what is down has not moved past what it has not got.
	lagging, err := s.client.GroupLag(t.Context(), s.env["KAFKA_GROUP_ID"]+"-logs", s.env["KAFKA_LOGS_TOPIC"])
	require.NoError(t, err)
	assert.NotZero(t, lagging[s.env["KAFKA_LOGS_TOPIC"]])
	require.NoError(t, s.logs.Start(t.Context()))

	s.stopWriting(t)
	s.requireAll(t, first)
	s.requireAll(t, second)
	s.requireNoDeadLetters(t)
	// Offsets go to the end when it is on the disks of their backend.
	for _, group := range []string{"-logs", "-loki-logs", "-fluent-bit", "-loki-fluent-bit"} {
		topic := s.env["KAFKA_LOGS_TOPIC"]
		if group == "-fluent-bit" || group == "-loki-fluent-bit" {
			topic = s.env["KAFKA_FLUENTBIT_TOPIC"]
		}
		ctx, cancel := context.WithTimeout(t.Context(), arriveTimeout)
		require.NoError(t, s.client.WaitLag(ctx, s.env["KAFKA_GROUP_ID"]+group, 0, topic))
		cancel()
	}
}

// requireGoesOn holds that a backend gets what is written from now on, within seconds.
func (s *site) requireGoesOn(t *testing.T, b backend) {
	t.Helper()
	target := s.written()
	begin := time.Now()
	require.NoError(t, harness.Eventually(t.Context(), 200*time.Millisecond, func(ctx context.Context) error {
		n, err := b.count(ctx)
		if err == nil && n < target {
			err = fmt.Errorf("%s has %d lines of %d while the other one is down", b.Name(), n, target)
		}
		if err != nil && time.Since(begin) > time.Minute {
			err = harness.Permanent(err)
		}
		return err
	}))
	t.Logf("%s had every line after %s while the other one was down", b.Name(), time.Since(begin).Round(100*time.Millisecond))
}
