package durablekafkareceiver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/breakwater-otel/breakwater/components/receiver/durablekafkareceiver/internal/ledger"
)

// bytesOf returns the requests by their first offset.
func bytesOf(requests []got) map[int64]string {
	by := make(map[int64]string)
	for _, g := range requests {
		by[g.from] = fmt.Sprintf("%d-%d %x", g.from, g.to, g.bytes)
	}
	return by
}

// A process that is killed may have delivered anything that it announced. The next one
// marks it, and makes the same requests again.
func TestAfterAKillTheSameRequestsAreMadeAndMarked(t *testing.T) {
	k := newKafka(t, 1, "logs")
	next, watch := &sink{}, &fakeWatch{}
	config := k.config("logs")
	config.Merge.MaxMessages = 7
	r := start(t, config, next, watch)
	k.text(t, "logs", 0, 0, 100)
	next.waitTaken(t, "logs", 0, 0, 100)
	before := next.taken()
	require.Greater(t, len(before), 10)
	r.kill(t)
	at, m := k.commitOf(t, "logs", 0)
	require.EqualValues(t, 0, at)
	require.NotEmpty(t, m.Ranges)

	// What comes after could be merged with what was there.
	k.text(t, "logs", 0, 100, 150)
	again := &sink{}
	other := k.config("logs")
	other.Merge.MaxMessages = 50
	r = start(t, other, again, watch)
	again.waitTaken(t, "logs", 0, 0, 150)
	after := bytesOf(again.taken())
	for from, request := range bytesOf(before) {
		assert.Equal(t, request, after[from])
	}
	for _, g := range again.taken() {
		assert.Equal(t, g.from < 100, g.redelivered, "%d-%d", g.from, g.to)
	}
	watch.settleTo(t, k, "logs", 0, 150)
	for message, count := range again.counts() {
		assert.Equal(t, 1, count, message)
	}
	r.stop(t)
}

// What a backend takes while it is starting would have to be delivered again, so it is
// given nothing; and what it was not given is not marked.
func TestAStartingBackendIsGivenNothing(t *testing.T) {
	k := newKafka(t, 1, "logs")
	next, watch := &sink{}, &fakeWatch{}
	config := k.config("logs")
	config.Merge.Enabled = false
	start(t, config, next, watch)
	k.text(t, "logs", 0, 0, 3)
	next.waitTaken(t, "logs", 0, 0, 3)
	watch.start()
	k.text(t, "logs", 0, 3, 50)
	watch.waitAsked(t, 2*config.MaxConcurrentDeliveries)
	require.Len(t, next.taken(), 3)

	watch.restart()
	watch.settleTo(t, k, "logs", 0, 50)
	counts := next.counts()
	assert.Len(t, counts, 50)
	for offset := range 50 {
		want := 1
		if offset < 3 {
			want = 2
		}
		assert.Equal(t, want, counts[messageAt("logs", 0, offset)], "%d", offset)
	}
	for _, g := range next.taken()[3:] {
		assert.Equal(t, g.from < 3, g.redelivered, "%d", g.from)
	}
}

// A rewind marks what has been attempted. What it has not marked must not be attempted after
// it, or it would be there twice.
func TestNothingIsAttemptedBehindTheBackOfARewind(t *testing.T) {
	r := &kafkaReceiver{logger: zap.NewNop(), config: createDefaultConfig().(*Config)}
	s := r.newSession(topicPartition{"logs", 0})
	s.begin(0, ledger.Metadata{})
	attempted := &delivery{entry: s.ledger.Begin(0, 10), from: 0, to: 10, generation: s.generation}
	late := &delivery{entry: s.ledger.Begin(10, 20), from: 10, to: 20, generation: s.generation}
	require.True(t, s.attempting(attempted))
	s.rewind()
	assert.False(t, s.attempting(late))
	assert.EqualValues(t, 10, s.redeliveredBelow)
	assert.EqualValues(t, 10, s.attempted)
}

// A delivery that waits for a backend that never starts does not keep a receiver from ending.
func TestShutdownWhileABackendStarts(t *testing.T) {
	k := newKafka(t, 1, "logs")
	next, watch := &sink{}, &fakeWatch{}
	watch.start()
	r := start(t, k.config("logs"), next, watch)
	k.text(t, "logs", 0, 0, 5)
	watch.waitAsked(t, 2)
	r.stop(t)
	assert.Empty(t, next.taken())
	at, _ := k.commitOf(t, "logs", 0)
	assert.LessOrEqual(t, at, int64(0))
}

func TestAfterAKillSinglesAreMarked(t *testing.T) {
	k := newKafka(t, 1, "logs")
	next, watch := &sink{}, &fakeWatch{}
	config := k.config("logs")
	config.Merge.Enabled = false
	r := start(t, config, next, watch)
	k.text(t, "logs", 0, 0, 300)
	next.waitTaken(t, "logs", 0, 0, 300)
	r.kill(t)
	_, m := k.commitOf(t, "logs", 0)
	require.GreaterOrEqual(t, m.Reserved, int64(300), "what was sent was announced")

	again := &sink{}
	start(t, k.config("logs"), again, watch)
	again.waitTaken(t, "logs", 0, 0, 300)
	for _, g := range again.taken() {
		assert.True(t, g.redelivered)
		assert.Len(t, g.messages, 1, "they are made again as they were")
	}
}

func TestSettledBehindAGapIsNotSentAgain(t *testing.T) {
	k := newKafka(t, 1, "logs")
	watch := &fakeWatch{}
	var stuck atomic.Bool
	stuck.Store(true)
	next := &sink{answer: func(_ context.Context, g got) error {
		if g.from == 0 && stuck.Load() {
			return errors.New("down")
		}
		return nil
	}}
	config := k.config("logs")
	config.Merge.MaxMessages = 10
	r := start(t, config, next, watch)
	k.text(t, "logs", 0, 0, 50)
	next.waitTaken(t, "logs", 0, 10, 50)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		watch.settle()
		_, m := k.commitOf(t, "logs", 0)
		assert.NotEmpty(c, m.Settled)
	}, waitFor, tick)
	r.kill(t)
	at, _ := k.commitOf(t, "logs", 0)
	require.EqualValues(t, 0, at, "the first is a gap")

	again := &sink{}
	start(t, config, again, watch)
	again.waitTaken(t, "logs", 0, 0, 10)
	watch.settleTo(t, k, "logs", 0, 50)
	for _, g := range again.taken() {
		assert.Less(t, g.from, int64(10))
	}
}

func TestARestartOfTheBackendRewindsItsPartitions(t *testing.T) {
	k := newKafka(t, 2, "logs")
	next, watch := &sink{}, &fakeWatch{}
	r := start(t, k.config("logs"), next, watch)
	k.text(t, "logs", 0, 0, 40)
	next.waitTaken(t, "logs", 0, 0, 40)
	watch.settleTo(t, k, "logs", 0, 40)
	k.text(t, "logs", 0, 40, 90)
	k.text(t, "logs", 1, 0, 30)
	next.waitTaken(t, "logs", 0, 40, 90)
	next.waitTaken(t, "logs", 1, 0, 30)
	before := next.taken()
	watch.restart()
	require.Eventually(t, func() bool {
		counts := next.counts()
		for offset := 40; offset < 90; offset++ {
			if counts[messageAt("logs", 0, offset)] < 2 {
				return false
			}
		}
		for offset := range 30 {
			if counts[messageAt("logs", 1, offset)] < 2 {
				return false
			}
		}
		return true
	}, waitFor, tick)
	counts := next.counts()
	for offset := range 40 {
		assert.Equal(t, 1, counts[messageAt("logs", 0, offset)], "it was on disk")
	}
	first := make(map[string]string)
	for _, g := range before {
		first[fmt.Sprint(g.partition, g.from)] = g.bytes
	}
	for _, g := range next.taken()[len(before):] {
		assert.True(t, g.redelivered)
		assert.Equal(t, first[fmt.Sprint(g.partition, g.from)], g.bytes)
	}
	watch.settleTo(t, k, "logs", 0, 90)
	k.waitCommit(t, "logs", 1, 30)
	// What comes after is new.
	k.text(t, "logs", 0, 90, 95)
	next.waitTaken(t, "logs", 0, 90, 95)
	requests := next.taken()
	assert.False(t, requests[len(requests)-1].redelivered)
	r.stop(t)
}

// A delivery that is on its way during a rewind ends before the same messages go out
// again: otherwise both could be stored.
func TestARewindWaitsForWhatIsOnItsWay(t *testing.T) {
	k := newKafka(t, 1, "logs")
	watch := &fakeWatch{}
	release := make(chan struct{})
	var inside, most atomic.Int32
	var hold atomic.Bool
	stuck := stuckUntil(release, func(g got) bool { return g.from >= 10 && hold.Load() })
	next := &sink{answer: func(ctx context.Context, g got) error {
		most.Store(max(most.Load(), inside.Add(1)))
		defer inside.Add(-1)
		return stuck(ctx, g)
	}}
	config := k.config("logs")
	config.Merge.MaxMessages = 10
	config.MaxConcurrentDeliveries = 1
	start(t, config, next, watch)
	k.text(t, "logs", 0, 0, 10)
	next.waitTaken(t, "logs", 0, 0, 10)
	hold.Store(true)
	k.text(t, "logs", 0, 10, 20)
	require.Eventually(t, func() bool { return inside.Load() == 1 }, waitFor, tick)
	watch.restart()
	require.Never(t, func() bool { return len(next.taken()) > 1 }, 100*time.Millisecond, tick)
	hold.Store(false)
	close(release)
	require.Eventually(t, func() bool {
		counts := next.counts()
		return counts[messageAt("logs", 0, 0)] == 2 && counts[messageAt("logs", 0, 10)] == 2
	}, waitFor, tick)
	assert.EqualValues(t, 1, most.Load())
	watch.settleTo(t, k, "logs", 0, 20)
}

// Upstream's receiver, which the group may come from, says nothing about what it has
// delivered.
func TestTheCommitOfAnotherClientMarksWhatFollows(t *testing.T) {
	k := newKafka(t, 1, "logs")
	k.text(t, "logs", 0, 0, 50)
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: "logs", Partition: 0, At: 10, LeaderEpoch: -1, Metadata: "member"})
	require.NoError(t, k.admin.CommitAllOffsets(t.Context(), testGroup, offsets))
	next := &sink{}
	config := k.config("logs")
	config.MaxUnsettledMessages = 20
	watch := &fakeWatch{always: true}
	start(t, config, next, watch)
	require.Eventually(t, func() bool { watch.tell(); return next.counts()[messageAt("logs", 0, 49)] == 1 }, waitFor, tick)
	for _, g := range next.taken() {
		assert.GreaterOrEqual(t, g.from, int64(10))
		assert.Equal(t, g.from < 30, g.redelivered, g.from)
	}
	require.Eventually(t, func() bool { watch.tell(); at, _ := k.commitOf(t, "logs", 0); return at == 50 }, waitFor, tick)
	k.text(t, "logs", 0, 50, 60)
	next.waitTaken(t, "logs", 0, 50, 60)
	requests := next.taken()
	assert.False(t, requests[len(requests)-1].redelivered)
}

func TestEachFurtherAttemptIsMarked(t *testing.T) {
	k := newKafka(t, 1, "logs")
	var attempts atomic.Int32
	next := &sink{answer: func(context.Context, got) error {
		if attempts.Add(1) <= 2 {
			return errors.New("down")
		}
		return nil
	}}
	r := start(t, k.config("logs"), next, nil)
	k.text(t, "logs", 0, 0, 5)
	next.waitTaken(t, "logs", 0, 0, 5)
	next.mu.Lock()
	requests := slices.Clone(next.requests)
	next.mu.Unlock()
	require.Len(t, requests, 3)
	for i, g := range requests {
		assert.Equal(t, i > 0, g.redelivered)
		assert.Equal(t, requests[0].bytes, g.bytes)
	}
	k.waitCommit(t, "logs", 0, 5)
	r.stop(t)
}

// Merged ranges do not depend on how the messages arrive once they are announced, nor
// do they cross messages of other headers or that are large.
func TestMergingKeepsItsBounds(t *testing.T) {
	k := newKafka(t, 1, "logs")
	config := k.config("logs")
	config.Merge.MaxMessages = 100
	config.Merge.MaxBytes = 2000
	config.Merge.MaxMessageBytes = 1000
	config.Merge.Linger = 200 * time.Millisecond
	var records []*kgo.Record
	add := func(size int, headers ...kgo.RecordHeader) {
		records = append(records, &kgo.Record{Topic: "logs", Value: []byte(strings.Repeat("x", size)), Headers: headers})
	}
	tenant := func(name string) kgo.RecordHeader { return kgo.RecordHeader{Key: "tenant", Value: []byte(name)} }
	for range 5 {
		add(500) // 4 and 1
	}
	add(1001) // alone
	add(10, tenant("a"))
	add(10, tenant("a"))
	add(10, tenant("b"))
	add(10)
	k.produce(t, records...)
	next := &sink{}
	start(t, config, next, &fakeWatch{})
	var ranges []string
	require.Eventually(t, func() bool {
		ranges = nil
		total := 0
		for _, g := range next.taken() {
			ranges = append(ranges, fmt.Sprintf("%d-%d", g.from, g.to))
			total += len(g.messages)
		}
		slices.Sort(ranges)
		return total == len(records)
	}, waitFor, tick)
	assert.Equal(t, []string{"0-4", "4-5", "5-6", "6-8", "8-9", "9-10"}, ranges)
}
