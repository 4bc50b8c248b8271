package durablekafkareceiver

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/kafka/configkafka"

	"github.com/breakwater-otel/breakwater/components/internal/deadletter"
)

// A topic that may not be read beside one that may: upstream's receiver discards the
// good records of such a poll, and commits past them.
func TestAForbiddenTopicTakesNothingFromOthers(t *testing.T) {
	allow := func(resource kmsg.ACLResourceType, name string, operation kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: resource, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: operation, Allow: true}
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "good", "forbidden"), kfake.EnableSASL(), kfake.EnableACLs(),
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}), kfake.GroupMinSessionTimeout(time.Second),
		kfake.Superuser("PLAIN", "admin", "admin"),
		kfake.User("PLAIN", "reader", "secret",
			allow(kmsg.ACLResourceTypeTopic, "good", kmsg.ACLOperationRead),
			allow(kmsg.ACLResourceTypeTopic, "good", kmsg.ACLOperationDescribe),
			allow(kmsg.ACLResourceTypeTopic, "forbidden", kmsg.ACLOperationDescribe),
			allow(kmsg.ACLResourceTypeGroup, testGroup, kmsg.ACLOperationRead),
		))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	admin, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.SASL(plain.Auth{User: "admin", Pass: "admin"}.AsMechanism()))
	require.NoError(t, err)
	t.Cleanup(admin.Close)
	k := &kafka{Cluster: cluster, client: admin}
	next := &sink{}
	config := k.config("good", "forbidden")
	config.Authentication.SASL = &configkafka.SASLConfig{Mechanism: "PLAIN", Username: "reader", Password: "secret"}
	r := start(t, config, next, nil)
	for round := range 20 {
		for partition := range int32(2) {
			k.text(t, "good", partition, round*50, (round+1)*50)
			k.text(t, "forbidden", partition, round, round+1)
		}
	}
	next.waitTaken(t, "good", 0, 0, 1000)
	next.waitTaken(t, "good", 1, 0, 1000)
	for message, count := range next.counts() {
		assert.Equal(t, 1, count, message)
	}
	logged := r.logs.FilterMessageSnippet("cannot be fetched").Len()
	assert.Positive(t, logged)
	assert.Less(t, logged, 5, "a failure that goes on is told once in a while")
	for _, entry := range r.logs.All() {
		assert.NotContains(t, entry.Message, "secret")
	}
}

// Shutdown during an outage of the backend: what was not delivered is after the restart.
func TestShutdownInAnOutageLosesNothing(t *testing.T) {
	k := newKafka(t, 2, "logs")
	var down atomic.Bool
	next := &sink{answer: func(context.Context, got) error {
		if down.Load() {
			return errors.New("down")
		}
		return nil
	}}
	watch := &fakeWatch{}
	r := start(t, k.config("logs"), next, watch)
	k.text(t, "logs", 0, 0, 20)
	next.waitTaken(t, "logs", 0, 0, 20)
	watch.settleTo(t, k, "logs", 0, 20)
	down.Store(true)
	k.text(t, "logs", 0, 20, 2000)
	k.text(t, "logs", 1, 0, 2000)
	require.Eventually(t, func() bool {
		next.mu.Lock()
		defer next.mu.Unlock()
		return len(next.requests) > 3
	}, waitFor, tick)
	r.stop(t)
	at, _ := k.commitOf(t, "logs", 0)
	assert.EqualValues(t, 20, at)
	at, _ = k.commitOf(t, "logs", 1)
	assert.LessOrEqual(t, at, int64(0))

	down.Store(false)
	start(t, k.config("logs"), next, watch)
	next.waitTaken(t, "logs", 0, 20, 2000)
	next.waitTaken(t, "logs", 1, 0, 2000)
	for offset := range 20 {
		assert.Equal(t, 1, next.counts()[messageAt("logs", 0, offset)])
	}
}

// A delivery that does not end is cancelled at shutdown. That the pipeline answers nil
// then, as exporters do, does not mean that it was delivered.
func TestNilAfterTheContextHasEndedIsNotDelivered(t *testing.T) {
	k := newKafka(t, 1, "logs")
	entered := make(chan struct{}, 100)
	next := &sink{answer: func(ctx context.Context, _ got) error {
		entered <- struct{}{}
		<-ctx.Done()
		return nil
	}}
	config := k.config("logs")
	config.ShutdownTimeout = 50 * time.Millisecond
	r := start(t, config, next, nil)
	k.text(t, "logs", 0, 0, 5)
	<-entered
	r.stop(t)
	at, _ := k.commitOf(t, "logs", 0)
	assert.EqualValues(t, 0, at)
}

func TestAPermanentErrorStopsItsPartitionOnly(t *testing.T) {
	k := newKafka(t, 2, "logs")
	next := &sink{answer: func(_ context.Context, g got) error {
		if g.partition == "0" && g.from <= 3 && g.to > 3 {
			return consumererror.NewPermanent(errors.New("refused"))
		}
		return nil
	}}
	config := k.config("logs")
	config.Merge.Enabled = false
	config.MaxUnsettledMessages = 10
	r := start(t, config, next, nil)
	k.text(t, "logs", 0, 0, 100)
	k.text(t, "logs", 1, 0, 1000)
	next.waitTaken(t, "logs", 1, 0, 1000)
	k.waitCommit(t, "logs", 1, 1000)
	k.waitCommit(t, "logs", 0, 3)
	next.waitTaken(t, "logs", 0, 0, 3)
	assert.Zero(t, next.counts()[messageAt("logs", 0, 3)])
	for message := range next.counts() {
		assert.False(t, strings.HasPrefix(message, "logs/0/") && len(message) > len("logs/0/1")+1, "no more than max_unsettled_messages ahead: %s", message)
	}
	assert.Equal(t, 1, r.logs.FilterMessageSnippet("cannot succeed").Len())
}

func TestASlowPartitionStopsNoOther(t *testing.T) {
	k := newKafka(t, 2, "logs")
	release := make(chan struct{})
	next := &sink{answer: stuckUntil(release, func(g got) bool { return g.partition == "0" })}
	config := k.config("logs")
	config.MaxInFlightBytes = 200_000
	config.MaxPartitionFetchSize = 10_000
	config.MaxFetchSize = 20_000
	r := start(t, config, next, nil)
	for part := range 10 {
		k.text(t, "logs", 0, part*500, (part+1)*500)
		k.text(t, "logs", 1, part*500, (part+1)*500)
	}
	next.waitTaken(t, "logs", 1, 0, 5000)
	assert.Zero(t, next.counts()[messageAt("logs", 0, 0)])
	assert.LessOrEqual(t, r.bytes.Load(), config.MaxInFlightBytes+20_000*10)
	close(release)
	next.waitTaken(t, "logs", 0, 0, 5000)
	for message, count := range next.counts() {
		assert.Equal(t, 1, count, message)
	}
	require.Eventually(t, func() bool { return r.bytes.Load() == 0 }, waitFor, tick)
}

// TestAPausedPartitionGoesOnWhenThereIsRoom holds that a partition that was paused for its
// bytes is read on as soon as they are delivered, although nothing settles and no other
// partition has anything that would end the poll.
func TestAPausedPartitionGoesOnWhenThereIsRoom(t *testing.T) {
	k := newKafka(t, 2, "logs")
	release := make(chan struct{})
	next := &sink{answer: func(context.Context, got) error {
		<-release
		return nil
	}}
	config := k.config("logs")
	config.MaxInFlightBytes = 100_000
	config.MaxPartitionFetchSize = 10_000
	config.MaxFetchSize = 20_000
	r := start(t, config, next, &fakeWatch{})
	for part := range 10 {
		k.text(t, "logs", 0, part*500, (part+1)*500)
	}
	paused := func() bool {
		for _, s := range r.partitions() {
			s.mu.Lock()
			is := s.partition == 0 && s.paused && s.overBytes
			s.mu.Unlock()
			if is {
				return true
			}
		}
		return false
	}
	require.Eventually(t, paused, waitFor, tick)
	close(release)
	next.waitTaken(t, "logs", 0, 0, 5000)
}

// TestADeliveryOfTheWholeRoomStopsNoOther has one delivery that is stuck with all of max_in_flight_bytes, before the
// other partition has anything.
func TestADeliveryOfTheWholeRoomStopsNoOther(t *testing.T) {
	k := newKafka(t, 2, "logs")
	release := make(chan struct{})
	next := &sink{answer: stuckUntil(release, func(g got) bool { return g.partition == "0" })}
	config := k.config("logs")
	config.MaxInFlightBytes = 200_000
	config.Merge.MaxMessageBytes = 100
	r := start(t, config, next, nil)
	k.produce(t, &kgo.Record{Topic: "logs", Partition: 0, Value: []byte(messageAt("logs", 0, 0) + strings.Repeat(" ", 200_000))})
	require.Eventually(t, func() bool { return r.delivering.Load() > config.MaxInFlightBytes }, waitFor, tick)
	k.text(t, "logs", 0, 1, 100)
	k.text(t, "logs", 1, 0, 500)
	next.waitTaken(t, "logs", 1, 0, 500)
	k.text(t, "logs", 1, 500, 5000)
	next.waitTaken(t, "logs", 1, 500, 5000)
	assert.Less(t, r.bytes.Load(), 2*config.MaxInFlightBytes)
	assert.Zero(t, next.counts()[messageAt("logs", 0, 1)])
	close(release)
	next.waitTaken(t, "logs", 0, 1, 100)
	require.Eventually(t, func() bool { return r.bytes.Load() == 0 }, waitFor, tick)
	for message, count := range next.counts() {
		assert.Equal(t, 1, count, message)
	}
}

// TestThePipelineTakesAFewDeliveriesAtATime holds what is in the pipeline to its part of
// max_in_flight_bytes, beside one delivery of each partition, and that one that is stuck
// there holds neither its partition nor others.
func TestThePipelineTakesAFewDeliveriesAtATime(t *testing.T) {
	const partitions, messages, bytes = 3, 40, 40_000
	k := newKafka(t, partitions, "logs")
	value := func(partition, i int) string {
		return messageAt("logs", int32(partition), i) + strings.Repeat(" ", bytes)
	}
	for partition := range partitions {
		var records []*kgo.Record
		for i := range messages {
			records = append(records, &kgo.Record{Topic: "logs", Partition: int32(partition), Value: []byte(value(partition, i))})
		}
		k.produce(t, records...)
	}
	config := k.config("logs")
	config.Merge.MaxMessageBytes = 100
	config.MaxInFlightBytes = pipelineShare * 5 * (bytes + 1000) // five at a time
	release, stuck := make(chan struct{}), make(chan struct{})
	var inside, most atomic.Int64
	next := &sink{answer: func(_ context.Context, g got) error {
		n := inside.Add(1)
		defer inside.Add(-1)
		for {
			seen := most.Load()
			if n <= seen || most.CompareAndSwap(seen, n) {
				break
			}
		}
		<-release
		if g.partition == "0" && g.from == 0 {
			<-stuck
		}
		return nil
	}}
	start(t, config, next, nil)
	require.Eventually(t, func() bool { return inside.Load() >= 5 }, waitFor, tick)
	close(release)
	require.Eventually(t, func() bool { return len(next.taken()) == partitions*messages-1 }, waitFor, tick)
	close(stuck)
	require.Eventually(t, func() bool { return len(next.taken()) == partitions*messages }, waitFor, tick)
	// Two partitions have all room, and then the third begins its first one.
	assert.LessOrEqual(t, most.Load(), int64(6))
}

func TestBytesInFlightAreBounded(t *testing.T) {
	k := newKafka(t, 3, "logs")
	value := strings.Repeat("x", 5000)
	var records []*kgo.Record
	for i := range 900 {
		records = append(records, &kgo.Record{Topic: "logs", Partition: int32(i % 3), Value: []byte(value)})
	}
	large := strings.Repeat("y", 400_000)
	records = append(records, &kgo.Record{Topic: "logs", Value: []byte(large)})
	k.produce(t, records...)
	config := k.config("logs")
	config.MaxInFlightBytes = 100_000
	config.MaxPartitionFetchSize = 30_000
	config.MaxFetchSize = 60_000
	config.Merge.MaxBytes = 20_000
	config.Merge.MaxMessageBytes = 6000
	var most atomic.Int64
	var r *running
	ready := make(chan struct{})
	next := &sink{answer: func(_ context.Context, g got) error {
		<-ready
		if len(g.messages[0]) < 100_000 {
			most.Store(max(most.Load(), r.bytes.Load()))
		}
		time.Sleep(time.Millisecond)
		return nil
	}}
	r = start(t, config, next, nil)
	close(ready)
	require.Eventually(t, func() bool { c := next.counts(); return c[value] == 900 && c[large] == 1 }, waitFor, tick)
	// One poll can overshoot by what the client has of a fetch.
	assert.LessOrEqual(t, most.Load(), config.MaxInFlightBytes+2*int64(config.MaxFetchSize)+410_000)
	require.Eventually(t, func() bool { return r.bytes.Load() == 0 }, waitFor, tick)
}

// panicking is an encoding extension.
type panicking struct {
	component.StartFunc
	component.ShutdownFunc
}

func (panicking) UnmarshalLogs(data []byte) (plog.Logs, error) {
	switch {
	case strings.HasSuffix(string(data), "/7"):
		panic("seven")
	case strings.HasSuffix(string(data), "/8"):
		return plog.Logs{}, errors.New("eight")
	}
	logs := plog.NewLogs()
	logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr(string(data))
	return logs, nil
}

func TestPoisonGoesToTheDeadLetters(t *testing.T) {
	for _, merge := range []bool{true, false} {
		k := newKafka(t, 1, "logs")
		directory := t.TempDir()
		config := k.config("logs")
		config.Merge.Enabled = merge
		config.Logs.Encoding = "poison"
		config.DeadLetter = configoptional.Some(deadletter.Config{Directory: directory})
		var records []*kgo.Record
		for offset := range 20 {
			records = append(records, &kgo.Record{Topic: "logs", Key: []byte("key"), Value: []byte(messageAt("logs", 0, offset)),
				Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}}})
		}
		k.produce(t, records...)
		next := &sink{}
		watch := &fakeWatch{}
		r := startWith(t, config, next, watch, map[component.ID]component.Component{component.MustNewID("poison"): panicking{}})
		next.waitTaken(t, "logs", 0, 9, 20)
		next.waitTaken(t, "logs", 0, 0, 7)
		watch.settleTo(t, k, "logs", 0, 20)
		assert.Len(t, next.counts(), 18)
		r.stop(t)
		files, err := filepath.Glob(filepath.Join(directory, "*"))
		require.NoError(t, err)
		var lines []string
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			lines = append(lines, strings.Split(strings.TrimSpace(string(data)), "\n")...)
		}
		require.Len(t, lines, 2)
		for _, line := range lines {
			require.True(t, json.Valid([]byte(line)))
			assert.Contains(t, line, deadletter.ReasonUndecodable)
		}
	}
}

func TestPoisonWithoutDeadLettersStopsItsPartitionOnly(t *testing.T) {
	k := newKafka(t, 2, "logs")
	config := k.config("logs")
	config.Merge.Enabled = false
	config.Logs.Encoding = "poison"
	k.text(t, "logs", 0, 0, 20)
	k.text(t, "logs", 1, 0, 7)
	next := &sink{}
	r := startWith(t, config, next, nil, map[component.ID]component.Component{component.MustNewID("poison"): panicking{}})
	next.waitTaken(t, "logs", 1, 0, 7)
	k.waitCommit(t, "logs", 1, 7)
	k.waitCommit(t, "logs", 0, 7)
	require.Eventually(t, func() bool { return r.logs.FilterMessageSnippet("cannot succeed").Len() > 0 }, waitFor, tick)
	for _, entry := range r.logs.FilterMessageSnippet("cannot succeed").All() {
		assert.NotContains(t, entry.ContextMap()["error"], "logs/0/", "no payload")
	}
}

func TestLossByRetentionIsReported(t *testing.T) {
	k := newKafka(t, 1, "logs")
	next, watch := &sink{}, &fakeWatch{}
	r := start(t, k.config("logs"), next, watch)
	k.text(t, "logs", 0, 0, 10)
	next.waitTaken(t, "logs", 0, 0, 10)
	watch.settleTo(t, k, "logs", 0, 10)
	r.stop(t)
	k.text(t, "logs", 0, 10, 50)
	require.NoError(t, k.DeleteRecords("logs", 0, 30))

	r = start(t, k.config("logs"), next, watch)
	next.waitTaken(t, "logs", 0, 30, 50)
	lost := r.logs.FilterMessageSnippet("Loss by retention").All()
	require.Len(t, lost, 1)
	assert.EqualValues(t, 10, lost[0].ContextMap()["from_offset"])
	assert.EqualValues(t, 30, lost[0].ContextMap()["to_offset"])
	watch.settleTo(t, k, "logs", 0, 50)
}

// Retention takes what was announced of messages that are sent alone, and the partition is quiet: what comes then does not
// wait for more, and the group has no lag where nothing is left.
func TestLossByRetentionHoldsNothingUp(t *testing.T) {
	k := newKafka(t, 1, "logs")
	config := k.config("logs")
	config.Merge.Enabled = false
	next, watch := &sink{}, &fakeWatch{}
	r := start(t, config, next, watch)
	k.text(t, "logs", 0, 0, 10)
	next.waitTaken(t, "logs", 0, 0, 10)
	watch.settleTo(t, k, "logs", 0, 10)
	r.stop(t)
	_, metadata := k.commitOf(t, "logs", 0)
	require.Greater(t, metadata.Reserved, int64(31), "announced")
	k.text(t, "logs", 0, 10, 30)
	require.NoError(t, k.DeleteRecords("logs", 0, 30))

	r = start(t, config, next, watch)
	k.waitCommit(t, "logs", 0, 30)
	k.text(t, "logs", 0, 30, 31)
	next.waitTaken(t, "logs", 0, 30, 31)
	watch.settleTo(t, k, "logs", 0, 31)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		settled, _ := r.value(t, "otelcol_receiver_durable_kafka_settled_messages")
		assert.Equal(c, 1.0, settled, "what is lost is not settled")
	}, waitFor, tick)
}

// Retention takes what is to be read next from a partition that is paused.
func TestLossByRetentionWhilePausedIsReported(t *testing.T) {
	k := newKafka(t, 1, "logs")
	watch := &fakeWatch{}
	next := &sink{}
	config := k.config("logs")
	config.Merge.Enabled = false
	config.MaxUnsettledMessages = 10
	config.MaxPartitionFetchSize = 200
	r := start(t, config, next, watch)
	for offset := range 40 {
		k.text(t, "logs", 0, offset, offset+1)
	}
	next.waitTaken(t, "logs", 0, 0, 10)
	var fetched int64
	require.Eventually(t, func() bool {
		s := r.partitions()[0]
		s.mu.Lock()
		defer s.mu.Unlock()
		fetched = s.fetched
		return s.paused
	}, waitFor, tick)
	require.Less(t, fetched, int64(35))
	require.NoError(t, k.DeleteRecords("logs", 0, 35))
	require.Eventually(t, func() bool { watch.settle(); return next.counts()[messageAt("logs", 0, 39)] > 0 }, waitFor, tick)
	lost := r.logs.FilterMessageSnippet("Loss by retention").All()
	require.Len(t, lost, 1)
	assert.EqualValues(t, fetched, lost[0].ContextMap()["from_offset"])
	assert.EqualValues(t, 35, lost[0].ContextMap()["to_offset"])
	next.waitTaken(t, "logs", 0, 0, int(fetched))
	require.Eventually(t, func() bool { watch.settle(); at, _ := k.commitOf(t, "logs", 0); return at == 40 }, waitFor, tick)
}

func TestATopicMadeAgainIsReadFromItsBeginning(t *testing.T) {
	k := newKafka(t, 1, "logs")
	next := &sink{}
	r := start(t, k.config("logs"), next, nil)
	k.text(t, "logs", 0, 0, 100)
	k.waitCommit(t, "logs", 0, 100)
	r.stop(t)
	next.reset()
	require.NoError(t, k.DeleteTopic("logs"))
	require.NoError(t, k.CreateTopic("logs", 1, nil))
	var records []*kgo.Record
	for offset := range 10 {
		records = append(records, &kgo.Record{Topic: "logs", Value: []byte(messageAt("logs", 0, offset))})
	}
	fresh, err := kgo.NewClient(kgo.SeedBrokers(k.ListenAddrs()...))
	require.NoError(t, err)
	defer fresh.Close()
	require.NoError(t, fresh.ProduceSync(t.Context(), records...).FirstErr())

	r = start(t, k.config("logs"), next, nil)
	next.waitTaken(t, "logs", 0, 0, 10)
	k.waitCommit(t, "logs", 0, 10)
	assert.LessOrEqual(t, r.logs.FilterMessageSnippet("ends before the offset").Len(), 1)
}
