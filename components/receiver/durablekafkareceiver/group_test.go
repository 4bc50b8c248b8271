package durablekafkareceiver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// recorder checks, over all receivers of a group, that a message that is delivered
// again is marked so.
type recorder struct {
	mu       sync.Mutex
	taken    map[string]int
	unmarked []string
	answer   func(context.Context, got) error
}

func (m *recorder) sink() *sink {
	return &sink{answer: func(ctx context.Context, g got) error {
		if m.answer != nil {
			if err := m.answer(ctx, g); err != nil {
				return err
			}
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, message := range g.messages {
			if m.taken[message] > 0 && !g.redelivered {
				m.unmarked = append(m.unmarked, fmt.Sprintf("%s in %d-%d", message, g.from, g.to))
			}
			m.taken[message]++
		}
		return nil
	}}
}

func (m *recorder) missing(topic string, partitions int32, messages int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	missing := 0
	for partition := range partitions {
		for offset := range messages {
			if m.taken[messageAt(topic, partition, offset)] == 0 {
				missing++
			}
		}
	}
	return missing
}

// Receivers join and leave all the time. Every message is delivered, and when it is so
// twice the second delivery is marked.
func TestRebalancesLoseNothingAndMarkWhatIsDeliveredAgain(t *testing.T) {
	const partitions, messages = 6, 1500
	k := newKafka(t, partitions, "logs")
	m := &recorder{taken: make(map[string]int), answer: func(ctx context.Context, _ got) error {
		if rand.IntN(10) == 0 {
			return errors.New("down")
		}
		if !sleep(ctx, time.Duration(rand.IntN(5))*time.Millisecond) {
			return ctx.Err()
		}
		return nil
	}}
	watch := &fakeWatch{}
	configure := func(merge bool) *Config {
		config := k.config("logs")
		config.Merge.MaxMessages = 20
		config.Merge.Enabled = merge
		config.MaxUnsettledMessages = 500
		return config
	}
	stay := start(t, configure(true), m.sink(), watch)
	ctx, cancel := context.WithCancel(t.Context())
	var background sync.WaitGroup
	background.Go(func() {
		for ctx.Err() == nil {
			watch.settle()
			sleep(ctx, 20*time.Millisecond)
		}
	})
	background.Go(func() {
		for round := range messages / 50 {
			for partition := range int32(partitions) {
				k.text(t, "logs", partition, round*50, (round+1)*50)
			}
			sleep(ctx, 50*time.Millisecond)
		}
	})
	for round := range 8 {
		other := start(t, configure(round%3 > 0), m.sink(), watch)
		sleep(ctx, 300*time.Millisecond)
		if round%2 == 0 {
			other.stop(t)
		} else {
			other.kill(t)
		}
	}
	require.Eventually(t, func() bool { return m.missing("logs", partitions, messages) == 0 }, 40*time.Second, 10*time.Millisecond)
	for partition := range int32(partitions) {
		k.waitCommit(t, "logs", partition, messages)
	}
	cancel()
	background.Wait()
	stay.stop(t)
	assert.Empty(t, m.unmarked)
}

// The committed offset never is behind something that is not settled: with deliveries
// that end in any order, some of them never, restarts of the backend and of receivers.
func TestTheCommitNeverPassesWhatIsNotSettled(t *testing.T) {
	const partitions, messages = 3, 1200
	k := newKafka(t, partitions, "logs")
	watch := &fakeWatch{}
	var mu sync.Mutex
	stored := make(map[string]bool)   // on disk
	volatile := make(map[string]bool) // in the memory of the backend
	flush := func(survives bool) {
		mu.Lock()
		defer mu.Unlock()
		watch.mu.Lock()
		defer watch.mu.Unlock()
		if survives {
			for message := range volatile {
				stored[message] = true
			}
			watch.flushed()
		} else {
			watch.generation++
		}
		clear(volatile)
	}
	next := func() *sink {
		return &sink{answer: func(ctx context.Context, g got) error {
			sleep(ctx, time.Duration(rand.IntN(4))*time.Millisecond)
			switch rand.IntN(12) {
			case 0:
				return errors.New("down")
			case 1:
				return nilAtTheEnd(ctx)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, message := range g.messages {
				volatile[message] = true
			}
			return nil
		}}
	}
	// Each commit is checked when it arrives, not when somebody happens to look.
	var wrong atomic.Int32
	var commits atomic.Int32
	k.ControlKey(int16(kmsg.OffsetCommit), func(request kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		commits.Add(1)
		mu.Lock()
		defer mu.Unlock()
		for _, topic := range request.(*kmsg.OffsetCommitRequest).Topics {
			for _, p := range topic.Partitions {
				for offset := range int(p.Offset) {
					if !stored[messageAt("logs", p.Partition, offset)] {
						wrong.Add(1)
					}
				}
			}
		}
		return nil, nil, false
	})
	config := func() *Config {
		config := k.config("logs")
		config.Merge.MaxMessages = 5 + rand.IntN(20)
		config.MaxUnsettledMessages = 300
		return config
	}
	ctx, cancel := context.WithCancel(t.Context())
	var background sync.WaitGroup
	background.Go(func() {
		for ctx.Err() == nil {
			flush(rand.IntN(8) > 0)
			watch.tell()
			sleep(ctx, time.Duration(10+rand.IntN(30))*time.Millisecond)
		}
	})
	background.Go(func() {
		for round := range messages / 40 {
			for partition := range int32(partitions) {
				k.text(t, "logs", partition, round*40, (round+1)*40)
			}
			sleep(ctx, 40*time.Millisecond)
		}
	})
	r := start(t, config(), next(), watch)
	for range 6 {
		sleep(ctx, 250*time.Millisecond)
		other := start(t, config(), next(), watch)
		sleep(ctx, 150*time.Millisecond)
		r.kill(t)
		r = other
	}
	for partition := range int32(partitions) {
		k.waitCommit(t, "logs", partition, messages)
	}
	cancel()
	background.Wait()
	assert.Positive(t, commits.Load())
	assert.Zero(t, wrong.Load())
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, partitions*messages, len(stored))
}

// nilAtTheEnd is an exporter that waits, and answers nil when its context has ended.
func nilAtTheEnd(ctx context.Context) error {
	if sleep(ctx, 100*time.Millisecond) {
		return errors.New("timeout")
	}
	return nil
}

// A commit that fails holds what has to be announced, and is tried again.
func TestNothingIsSentBeforeItIsAnnounced(t *testing.T) {
	k := newKafka(t, 1, "logs")
	var refuse atomic.Bool
	refuse.Store(true)
	k.ControlKey(int16(kmsg.OffsetCommit), func(request kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		if !refuse.Load() {
			return nil, nil, false
		}
		return refuseCommit(request, kerr.CoordinatorLoadInProgress), nil, true
	})
	next := &sink{}
	config := k.config("logs")
	r := start(t, config, next, nil)
	k.text(t, "logs", 0, 0, 20)
	require.Never(t, func() bool { return len(next.taken()) > 0 }, 300*time.Millisecond, tick)
	lag, _ := r.value(t, "otelcol_receiver_durable_kafka_lag")
	assert.Equal(t, 20.0, lag, "what waits is not handed on")
	seconds, _ := r.value(t, "otelcol_receiver_durable_kafka_lag_seconds")
	assert.Positive(t, seconds)
	refuse.Store(false)
	next.waitTaken(t, "logs", 0, 0, 20)
	k.waitCommit(t, "logs", 0, 20)
}

// A broker with a small offset.metadata.max.bytes costs exactness after a restart, not
// the delivery.
func TestABrokerThatTakesNoMetadataDoesNotStopDeliveries(t *testing.T) {
	k := newKafka(t, 1, "logs")
	k.ControlKey(int16(kmsg.OffsetCommit), func(request kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		for _, topic := range request.(*kmsg.OffsetCommitRequest).Topics {
			for _, p := range topic.Partitions {
				if p.Metadata != nil && len(*p.Metadata) > 10 {
					return refuseCommit(request, kerr.OffsetMetadataTooLarge), nil, true
				}
			}
		}
		return nil, nil, false
	})
	next := &sink{}
	config := k.config("logs")
	config.Merge.MaxMessages = 5
	watch := &fakeWatch{}
	r := start(t, config, next, watch)
	k.text(t, "logs", 0, 0, 200)
	next.waitTaken(t, "logs", 0, 0, 200)
	watch.settleTo(t, k, "logs", 0, 200)
	assert.Equal(t, 1, r.logs.FilterMessageSnippet("offset.metadata.max.bytes").Len())
}

func refuseCommit(request kmsg.Request, err *kerr.Error) kmsg.Response {
	commit := request.(*kmsg.OffsetCommitRequest)
	response := commit.ResponseKind().(*kmsg.OffsetCommitResponse)
	for _, topic := range commit.Topics {
		t := kmsg.NewOffsetCommitResponseTopic()
		t.Topic, t.TopicID = topic.Topic, topic.TopicID
		for _, p := range topic.Partitions {
			refused := kmsg.NewOffsetCommitResponseTopicPartition()
			refused.Partition, refused.ErrorCode = p.Partition, err.Code
			t.Partitions = append(t.Partitions, refused)
		}
		response.Topics = append(response.Topics, t)
	}
	return response
}

func TestAStaticMemberKeepsItsPartitionsOverARestart(t *testing.T) {
	k := newKafka(t, 2, "logs")
	k.text(t, "logs", 0, 0, 10)
	next := &sink{}
	config := k.config("logs")
	config.GroupInstanceID = "one"
	r := start(t, config, next, nil)
	next.waitTaken(t, "logs", 0, 0, 10)
	k.waitCommit(t, "logs", 0, 10)
	r.stop(t)
	assert.Len(t, k.GroupInfo(testGroup).Members, 1)
	k.text(t, "logs", 0, 10, 20)
	start(t, config, next, nil)
	next.waitTaken(t, "logs", 0, 10, 20)
	for message, count := range next.counts() {
		assert.Equal(t, 1, count, message)
	}
}
