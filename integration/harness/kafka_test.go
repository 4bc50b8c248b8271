package harness_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/internal/topics"
)

// One cluster for all of it, because a start costs seconds.
func TestKafkaThreeBrokers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	k := harness.StartKafka(t, harness.KafkaOptions{Properties: map[string]string{
		// A broker that comes back waits until its old session is over.
		"broker.session.timeout.ms":    "3000",
		"broker.heartbeat.interval.ms": "500",
	}})
	require.Len(t, k.Brokers(), 3)
	c, err := harness.NewKafkaClient(k.Brokers())
	require.NoError(t, err)
	defer c.Close()

	specs := topics.Defaults(func(name string) string {
		return map[string]string{"KAFKA_LOGS_TOPIC": "boats"}[name]
	})
	report, err := topics.Ensure(ctx, c.Client(), specs)
	require.NoError(t, err)
	require.Empty(t, report.Problems())
	require.Empty(t, report.AllWarnings())
	for _, topic := range report.Topics {
		assert.Equal(t, topics.Created, topic.State)
		assert.EqualValues(t, topic.Want.Partitions, topic.Partitions)
		assert.Equal(t, 3, topic.Replicas)
		assert.Equal(t, "2", topic.Configs["min.insync.replicas"])
		assert.Equal(t, strconv.Itoa(topic.Want.MaxMessageBytes), topic.Configs["max.message.bytes"])
	}
	_, err = c.EndOffsets(ctx, "no-such-topic")
	require.ErrorContains(t, err, "no-such-topic")

	produceBoats(ctx, t, c, 0, 1000)
	commitAll(ctx, t, c, "harbour", "boats")

	// Two of three are a quorum, and enough for min.insync.replicas.
	require.NoError(t, k.StopBroker(ctx, 2))
	assert.False(t, k.Broker(2).Running())
	produceBoats(ctx, t, c, 1000, 2000)
	require.NoError(t, k.StartBroker(ctx, 2))
	require.NoError(t, c.WaitISR(ctx, 3, "boats"))
	requireBoats(ctx, t, c, 2000)

	require.NoError(t, k.KillBroker(1))
	produceBoats(ctx, t, c, 2000, 2500)
	require.NoError(t, k.StartBroker(ctx, 1))
	require.NoError(t, c.WaitISR(ctx, 3, "boats"))

	addrs := k.Brokers()
	require.NoError(t, k.Restart(ctx))
	assert.Equal(t, addrs, k.Brokers())
	requireBoats(ctx, t, c, 2500)
	lag, err := c.GroupLag(ctx, "harbour", "boats")
	require.NoError(t, err)
	assert.Equal(t, map[string]int64{"boats": 1500}, lag)
	commitAll(ctx, t, c, "harbour", "boats")
	require.NoError(t, c.WaitLag(ctx, "harbour", 0, "boats"))

	require.NoError(t, k.Kill())
	require.NoError(t, k.Start(ctx))
	requireBoats(ctx, t, c, 2500)
}

// skipRecorder takes the place of a test that is about to be skipped, so that no skipped test is in the summary of a run
// that skipped nothing.
type skipRecorder struct {
	testing.TB
	said string
}

func (s *skipRecorder) Skip(args ...any) {
	s.said = fmt.Sprint(args...)
	runtime.Goexit() // as Skip does
}

func TestSkipKafkaSkipsAloud(t *testing.T) {
	t.Setenv("SKIP_KAFKA", "1")
	recorder := &skipRecorder{TB: t}
	went := false
	var running sync.WaitGroup
	running.Go(func() {
		harness.RequireKafka(recorder)
		went = true
	})
	running.Wait()
	assert.False(t, went, "the test ends there")
	assert.Contains(t, recorder.said, "SKIPPED by SKIP_KAFKA=1")
}
