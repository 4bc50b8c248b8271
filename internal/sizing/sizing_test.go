package sizing

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/internal/topics"
)

func need() Need {
	n := Default()
	n.Lines, n.KafkaOutage = 1000, 2*time.Hour
	return n
}

func TestSize(t *testing.T) {
	n := need()
	n.Hosts, n.Headroom, n.LineBytes, n.BackendOutage, n.MetricsOutage = 10, 2, 210, 24*time.Hour, 24*time.Hour
	require.NoError(t, n.Validate())
	p := Size(n)
	const line = 210 + RecordBytes
	assert.InDelta(t, 1000*line*7200*2, p.QueueBytes, 100_000_000, "two hours and headroom, in steps of 100 MB")
	assert.GreaterOrEqual(t, p.QueueBytes, int64(1000*line*7200*2), "never less")
	assert.EqualValues(t, DiskFactor*2*float64(p.QueueBytes), p.DiskBytes)
	assert.Less(t, p.OutageBytes, p.DiskBytes)
	assert.Equal(t, LogsRetention, p.LogsRetention, "no less than it is")
	assert.Equal(t, 48*time.Hour, p.MetricsRetention, "a day and headroom")
	assert.InDelta(t, 10*1000*line/float64(Compression)*72*3600/6, p.LogsPartition, 1)
	assert.InDelta(t, 6*(p.LogsPartition+p.MetricsPartition), p.BrokerBytes, 20, "as many replicas as brokers: each has everything")
	assert.EqualValues(t, 10*1000*86400, p.Backlog)
	assert.Equal(t, 1, p.Consumers)
	assert.InDelta(t, float64(10*1000*86400)/(ConsumerRate-10_000), p.ConsumerCatchUp.Seconds(), 1)
	assert.InDelta(t, 1000*7200/(AgentRate-1000.0), p.AgentCatchUp.Seconds(), 1)
	assert.Empty(t, p.Warnings)
}

func TestSmallQueues(t *testing.T) {
	n := need()
	n.Lines, n.KafkaOutage = 1, time.Minute
	p := Size(n)
	assert.EqualValues(t, MinQueueBytes, p.QueueBytes)
}

// TestConsumersAreEnough holds that those that it names have the backlog in no more than the time of the outage.
func TestConsumersAreEnough(t *testing.T) {
	for _, hosts := range []int{1, 12, 13, 40, 100, 1000} {
		n := need()
		n.Hosts = hosts
		p := Size(n)
		assert.Positive(t, p.ConsumerCatchUp, "%d hosts", hosts)
		assert.LessOrEqual(t, p.ConsumerCatchUp, n.BackendOutage, "%d hosts", hosts)
		n.Consumers = p.Consumers - 1
		if n.Consumers > 0 {
			fewer := Size(n)
			assert.True(t, fewer.ConsumerCatchUp < 0 || fewer.ConsumerCatchUp > n.BackendOutage, "%d hosts: one fewer would do", hosts)
		}
	}
}

func TestWarnings(t *testing.T) {
	for want, change := range map[string]func(*Need){
		"8 consumers for 6 partitions": func(n *Need) { n.Hosts = 200 },
		"the consumers never catch up": func(n *Need) { n.Hosts, n.Consumers = 100, 1 },
		"an agent never catches up":    func(n *Need) { n.Lines = AgentRate },
		"the topic keeps 72h":          func(n *Need) { n.Hosts, n.Consumers = 49, 1 },
	} {
		n := need()
		change(&n)
		p := Size(n)
		assert.Contains(t, p.Text(), want)
	}
}

// TestRetentionIsThatOfTopics holds the constants to what `make topics` sets.
func TestRetentionIsThatOfTopics(t *testing.T) {
	specs := topics.Defaults(func(string) string { return "" })
	assert.Equal(t, specs[topics.Logs].Retention, LogsRetention)
	assert.Equal(t, specs[topics.Metrics].Retention, MetricsRetention)
	assert.EqualValues(t, specs[topics.Logs].Partitions, Default().Partitions)
}

func TestText(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 9_950_000: "9.9 MB", 12_000_000: "12 MB", 3_200_000_000_000: "3.2 TB"} {
		assert.Equal(t, want, Bytes(n))
	}
	assert.Equal(t, "4h", Duration(4*time.Hour))
	assert.Equal(t, "4h30m", Duration(4*time.Hour+30*time.Minute))
	assert.Equal(t, "10s", Duration(10*time.Second))
	assert.Equal(t, "never", Duration(-1))
}
