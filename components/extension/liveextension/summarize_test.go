package liveextension

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// One topic goes to two backends, by two groups, one of which is behind.
func TestATopicOfTwoGroups(t *testing.T) {
	s := newSummary(time.Minute)
	s.add(began, metricsOf(t, `
		receiver_durable_kafka_lag{topic="logs",group="here",partition="0"} 100
		receiver_durable_kafka_lag{topic="logs",group="there",partition="0"} 0
		receiver_durable_kafka_lag{topic="metrics",group="here",partition="0"} 0
	`))
	state := s.add(began.Add(10*time.Second), metricsOf(t, `
		receiver_durable_kafka_lag{topic="logs",group="here",partition="0"} 200
		receiver_durable_kafka_lag{topic="logs",group="there",partition="0"} 0
		receiver_durable_kafka_lag_seconds{topic="logs",group="here",partition="0"} 600
		receiver_durable_kafka_lag_seconds{topic="logs",group="there",partition="0"} 0
		receiver_durable_kafka_settled_messages_total{topic="logs",group="there",partition="0"} 7
		receiver_durable_kafka_lag{topic="metrics",group="here",partition="0"} 0
	`))
	require.Len(t, state.Topics, 3)
	here, there, alone := &state.Topics[0], &state.Topics[1], &state.Topics[2]
	assert.Equal(t, []string{"logs (here)", "logs (there)", "metrics"}, []string{here.Title(), there.Title(), alone.Title()})
	assert.Equal(t, []int64{200, 0, 0}, []int64{here.Lag, there.Lag, alone.Lag})
	assert.Equal(t, []float64{10, 0}, []float64{here.LagPerSecond, there.LagPerSecond})
	assert.Zero(t, here.Partitions[0].Settled)
	assert.EqualValues(t, 7, there.Partitions[0].Settled)

	config := createDefaultConfig().(*Config)
	(&examiner{warn: config.Warn, topics: []string{"logs", "metrics"}, state: &state, m: metrics{}, past: &s.history}).examine()
	require.Len(t, state.Problems, 1)
	assert.Equal(t, "logs (here) is behind by 10 min", state.Problems[0].Title)

	p, err := newPage(config)
	require.NoError(t, err)
	var html bytes.Buffer
	require.NoError(t, p.write(&html, &state))
	assert.Contains(t, html.String(), "<h3>logs (there)</h3>")
}
