package durablekafkareceiver

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"

	"github.com/breakwater-otel/breakwater/components/internal/ledger"
)

var ledgerID = component.MustNewID("ledger")

// bookkeeper keeps the account, and what the group had committed when it was told.
type bookkeeper struct {
	component.StartFunc
	component.ShutdownFunc
	t *testing.T
	k *kafka

	mu      sync.Mutex
	book    *ledger.Book
	told    []ledger.Settlement
	early   bool // something was committed before it was told
	watched []string
}

func newBookkeeper(t *testing.T, k *kafka) *bookkeeper {
	b := &bookkeeper{t: t, k: k, book: ledger.NewBook(time.Minute)}
	b.book.Watch(testGroup)
	return b
}

func (b *bookkeeper) Watch(group string, topics []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watched = append(b.watched, group+" "+fmt.Sprint(topics))
}

func (b *bookkeeper) Settled(_ context.Context, settlements []ledger.Settlement) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range settlements {
		place := s.Assignment.Place
		if at, _ := b.k.commitOf(b.t, place.Topic, place.Partition); at > 0 && len(s.Messages) > 0 && at > s.Messages[0].Offset {
			b.early = true
		}
		b.told = append(b.told, s)
		b.book.Settle(s, time.Now())
	}
}

func (b *bookkeeper) account() ledger.Account {
	accounts := b.book.Accounts()
	if len(accounts) != 1 {
		return ledger.Account{}
	}
	return accounts[0]
}

func (b *bookkeeper) start(t *testing.T, next *sink, watch *fakeWatch, change func(*Config)) *running {
	config := b.k.config("logs")
	config.Ledger = configoptional.Some(LedgerConfig{Extension: ledgerID})
	if change != nil {
		change(config)
	}
	return startWith(t, config, next, watch, map[component.ID]component.Component{ledgerID: b})
}

var testRun = ledger.NewRunID(time.Now(), 0, 0)

// stamped produces messages that say where they are, with stamps of ten records for each.
func (k *kafka) stamped(t *testing.T, topic string, partition int32, from, to int) {
	var records []*kgo.Record
	for offset := from; offset < to; offset++ {
		now := time.Now().UnixMilli()
		stamp := ledger.Stamp{Agent: "web-1", Signal: ledger.Logs}
		stamp.Append(ledger.Stamped{Run: testRun, First: uint64(offset) * 10, Count: 10, From: now, Until: now})
		stamp.Announce(ledger.Announced{Run: testRun, Floor: uint64(offset)*10 + 10})
		records = append(records, &kgo.Record{
			Topic: topic, Partition: partition, Value: []byte(messageAt(topic, partition, offset)),
			Headers: []kgo.RecordHeader{{Key: "tenant", Value: []byte("a")}, {Key: ledger.HeaderKey, Value: stamp.Encode()}},
		})
	}
	k.produce(t, records...)
}

// What is settled is in the account before it is committed, once, over the restart of a backend and a kill of the receiver;
// messages are merged although each has a stamp of its own, and nothing of it is in the pipeline.
func TestSettledMessagesAreAccounted(t *testing.T) {
	k := newKafka(t, 1, "logs")
	next, watch := &sink{}, &fakeWatch{}
	b := newBookkeeper(t, k)
	k.stamped(t, "logs", 0, 0, 50)
	r := b.start(t, next, watch, nil)
	next.waitTaken(t, "logs", 0, 0, 50)
	assert.Less(t, len(next.taken()), 10, "they are merged")
	assert.Zero(t, b.account().Stored, "nothing is settled")
	watch.restart()
	require.Eventually(t, func() bool { return next.counts()[messageAt("logs", 0, 0)] == 2 }, waitFor, tick)
	watch.settleTo(t, k, "logs", 0, 50)
	assert.Equal(t, uint64(500), b.account().Stored)
	k.stamped(t, "logs", 0, 50, 60)
	next.waitTaken(t, "logs", 0, 50, 60)
	r.kill(t)
	again := &sink{}
	r = b.start(t, again, watch, nil)
	again.waitTaken(t, "logs", 0, 50, 60)
	watch.settleTo(t, k, "logs", 0, 60)
	r.stop(t)
	got := b.account()
	assert.Equal(t, uint64(600), got.Stored)
	assert.Zero(t, got.Missing)
	assert.Zero(t, got.Duplicated)
	assert.False(t, b.early)
	assert.Contains(t, b.watched, testGroup+" [logs]")
}

func TestDeadLettersAreAccounted(t *testing.T) {
	k := newKafka(t, 1, "logs", "dead")
	b := newBookkeeper(t, k)
	watch := &fakeWatch{always: true}
	next := &sink{answer: func(ctx context.Context, g got) error {
		ledger.DeadLettered(ctx, 3*len(g.messages))
		return nil
	}}
	k.stamped(t, "logs", 0, 0, 4)
	r := b.start(t, next, watch, nil)
	watch.settleTo(t, k, "logs", 0, 4)
	r.stop(t)
	assert.Equal(t, uint64(12), b.account().DeadLettered)
	assert.Equal(t, uint64(28), b.account().Stored)
}

func TestTopicMadeAgainIsAccounted(t *testing.T) {
	var e entries
	e.assignment = &ledger.Assignment{}
	record := func(offset int64, stamp string) *kgo.Record {
		return &kgo.Record{Offset: offset, Headers: []kgo.RecordHeader{{Key: ledger.HeaderKey, Value: []byte(stamp)}}}
	}
	e.push([]*kgo.Record{record(3, "a"), {Offset: 4}, record(5, "b")})
	e.push([]*kgo.Record{record(5, "b"), record(6, "c")}) // fetched again
	s, ok := e.take(5)
	require.True(t, ok)
	require.Len(t, s.Messages, 1)
	e.restart(6)
	e.push([]*kgo.Record{record(6, "d")})
	s, _ = e.take(7)
	assert.Equal(t, 1, s.Restarts)
	assert.Equal(t, int64(6), s.RestartedAt)
	assert.Equal(t, []ledger.Message{{Offset: 5, Stamp: []byte("b")}, {Offset: 6, Stamp: []byte("d")}}, s.Messages)
}

func TestReplayHasNoAccount(t *testing.T) {
	k := newKafka(t, 1, "logs")
	b := newBookkeeper(t, k)
	next := &sink{}
	k.stamped(t, "logs", 0, 0, 4)
	r := b.start(t, next, &fakeWatch{always: true}, func(c *Config) { c.Until = PlaceConfig{Time: untilNow} })
	next.waitTaken(t, "logs", 0, 0, 4)
	r.stop(t)
	assert.Empty(t, b.told)
	assert.Empty(t, b.watched)
}

func TestLedgerOfAnotherKindIsRefused(t *testing.T) {
	config := createDefaultConfig().(*Config)
	config.Ledger = configoptional.Some(LedgerConfig{Extension: ledgerID})
	_, err := config.accountant(componenttest.NewNopHost())
	require.ErrorContains(t, err, "`ledger::extension`: \"ledger\" is not configured")
	_, err = config.accountant(&testHost{map[component.ID]component.Component{ledgerID: &fakeWatch{}}})
	require.ErrorContains(t, err, "`ledger::extension`: \"ledger\" is not a ledger extension")
}

func TestStampsAreNoHeaders(t *testing.T) {
	record := func(headers ...string) *kgo.Record {
		r := &kgo.Record{}
		for _, h := range headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h, Value: []byte(h)})
		}
		return r
	}
	a := record("tenant", ledger.HeaderKey)
	a.Headers[1].Value = []byte("another")
	for _, c := range []struct {
		b    *kgo.Record
		same bool
	}{
		{record("tenant"), true}, {record(ledger.HeaderKey, "tenant"), true}, {record("tenant", "x"), false},
		{record("x"), false}, {record(), false},
	} {
		assert.Equal(t, c.same, sameHeaders(a, c.b))
		assert.Equal(t, c.same, sameHeaders(c.b, a))
	}
	assert.True(t, slices.Equal(stampOf(a), []byte("another")))
}
