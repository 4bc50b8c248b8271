package ledger

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var now = time.UnixMilli(1_800_000_000_000)

func runAt(t time.Time) RunID { return NewRunID(t, 0, 0) }

// stampOf is what a message of one range says.
func stampOf(agent string, run RunID, first, count uint64, said ...Announced) []byte {
	s := Stamp{Agent: agent, Signal: Logs}
	s.Append(Stamped{Run: run, First: first, Count: count, From: now.UnixMilli() - 1500, Until: now.UnixMilli() - 500})
	s.Announce(said...)
	return s.Encode()
}

func fresh(partition int32) *Assignment {
	return &Assignment{Place: Place{"g", "t", partition}, Committed: -1, Fresh: true}
}

func watching(t *testing.T) *Book {
	b := NewBook(time.Minute)
	b.Watch("g")
	assert.Empty(t, b.Accounts())
	return b
}

func only(t *testing.T, b *Book) Account {
	accounts := b.Accounts()
	require.Len(t, accounts, 1)
	a := accounts[0]
	require.Equal(t, a.Stamped, a.Stored+a.DeadLettered+a.Missing)
	return a
}

func TestAccountOfOneAgent(t *testing.T) {
	b, a, run := watching(t), fresh(0), runAt(now)
	said := Announced{Run: run, Floor: 400}
	said.Void(100, 120)
	b.Settle(Settlement{Assignment: a, Offset: 10, Messages: []Message{
		{Offset: 0, Stamp: stampOf("a", run, 0, 100)},
		{Offset: 4, Stamp: stampOf("a", run, 120, 80), Dead: 5},
		{Offset: 5, Stamp: stampOf("a", run, 300, 10), AllDead: true},
		{Offset: 6, Stamp: stampOf("a", run, 120, 80, said), Dead: 5}, // produced twice
		{Offset: 7}, // of an agent without stamps
	}}, now)
	got := only(t, b)
	assert.Equal(t, Account{
		Group: "g", Agent: "a", Signal: "logs", Stamped: 380, Stored: 175, DeadLettered: 15, Missing: 190, Duplicated: 80,
		MissingRanges: []Range{{run.String(), 200, 300}, {run.String(), 310, 400}},
		LastStamp:     now.Add(-500 * time.Millisecond), Delay: 1500 * time.Millisecond,
	}, got)
	assert.Equal(t, 1, b.Settle(Settlement{Assignment: a, Offset: 11, Messages: []Message{{Offset: 10, Stamp: []byte("?")}}}, now))
}

func TestOffsetsCountOnce(t *testing.T) {
	b, a, run := watching(t), fresh(0), runAt(now)
	s := Settlement{Assignment: a, Offset: 1, Messages: []Message{{Stamp: stampOf("a", run, 0, 100)}}}
	b.Settle(s, now)
	b.Settle(s, now)
	assert.Zero(t, only(t, b).Duplicated)
	// The topic was deleted and made again: the offset has another message.
	s = Settlement{Assignment: a, Restarts: 1, Offset: 1, Messages: []Message{{Stamp: stampOf("a", run, 100, 100)}}}
	b.Settle(s, now)
	got := only(t, b)
	assert.Equal(t, uint64(200), got.Stored)
	assert.Zero(t, got.Duplicated)
}

func TestTopicMadeAgain(t *testing.T) {
	b, run := watching(t), runAt(now)
	a := fresh(0)
	a.TopicID = "one"
	b.Settle(Settlement{Assignment: a, Offset: 3, Messages: []Message{{Stamp: stampOf("a", run, 0, 100)}, {Offset: 2, Stamp: stampOf("a", run, 100, 50)}}}, now)
	again := fresh(0)
	again.TopicID, again.End = "two", 9
	b.Settle(Settlement{Assignment: again, Offset: 2, Messages: []Message{{Offset: 1, Stamp: stampOf("a", run, 150, 50, Announced{Run: run, Floor: 200})}}}, now)
	got := only(t, b)
	assert.Equal(t, uint64(200), got.Stored)
	assert.Zero(t, got.Missing)
}

// A consumer that had no ledger has settled what nobody accounted.
func TestWhatWasBeforeIsNotMissing(t *testing.T) {
	old := runAt(now.Add(-time.Hour))
	b := watching(t)
	a0 := &Assignment{Place: Place{"g", "t", 0}, Committed: 50, End: 60}
	a1 := &Assignment{Place: Place{"g", "t", 1}, Committed: 70, End: 70}
	said := Announced{Run: old, Floor: 2000}
	b.Settle(Settlement{Assignment: a0, Offset: 61, Messages: []Message{
		{Offset: 55, Stamp: stampOf("a", old, 500, 100)},
		{Offset: 60, Stamp: stampOf("a", old, 1000, 100, said)},
	}}, now)
	b.Mark("g", now, map[Place]int64{a0.Place: 61, a1.Place: 70}, map[Place]int64{a0.Place: 61, a1.Place: 70})
	assert.Zero(t, only(t, b).Missing, "partition 1 has another owner still, who may have no ledger")
	b.Settle(Settlement{Assignment: a1, Offset: 71, Messages: []Message{{Offset: 70, Stamp: stampOf("a", old, 1200, 100)}}}, now)
	b.Mark("g", now, map[Place]int64{a0.Place: 61, a1.Place: 70}, map[Place]int64{a0.Place: 61, a1.Place: 71})
	assert.Equal(t, []Range{{old.String(), 1300, 2000}}, only(t, b).MissingRanges)
	// A run that began when the account did is whole.
	later := runAt(now.Add(clockMargin + time.Second))
	b.Settle(Settlement{Assignment: a1, Offset: 72, Messages: []Message{{Offset: 71, Stamp: stampOf("a", later, 7, 1, Announced{Run: later, Floor: 8})}}}, now)
	assert.Equal(t, []Range{{old.String(), 1300, 2000}, {later.String(), 0, 7}}, only(t, b).MissingRanges)
}

// The group went back to a consumer without a ledger for a while.
func TestUnaccountedCommitsBeginAnew(t *testing.T) {
	b, run := watching(t), runAt(now.Add(-time.Hour))
	b.Settle(Settlement{Assignment: fresh(0), Offset: 1, Messages: []Message{{Stamp: stampOf("a", run, 0, 100)}}}, now)
	again := &Assignment{Place: Place{"g", "t", 0}, Committed: 9, End: 9}
	b.Settle(Settlement{Assignment: again, Offset: 10, Messages: []Message{{Offset: 9, Stamp: stampOf("a", run, 900, 100, Announced{Run: run, Floor: 1000})}}}, now)
	got := only(t, b)
	assert.Equal(t, uint64(200), got.Stored)
	assert.Zero(t, got.Missing)
}

func TestGap(t *testing.T) {
	b, a, run := watching(t), fresh(0), runAt(now)
	place := a.Place
	at := func(d time.Duration) time.Time { return now.Add(d) }
	settle := func(offset int64, stamp []byte, when time.Time) {
		b.Settle(Settlement{Assignment: a, Offset: offset + 1, Messages: []Message{{Offset: offset, Stamp: stamp}}}, when)
	}
	stamp := func(first, count, floor uint64, when time.Time) []byte {
		s := Stamp{Agent: "a", Signal: Logs}
		s.Append(Stamped{Run: run, First: first, Count: count, From: when.UnixMilli(), Until: when.UnixMilli()})
		s.Announce(Announced{Run: run, Floor: floor})
		return s.Encode()
	}
	settle(0, stamp(0, 10, 1000, now), now)
	assert.Empty(t, b.Review(at(0)))
	assert.Equal(t, uint64(990), only(t, b).Missing)
	assert.True(t, only(t, b).OldestMissing.IsZero(), "what is behind it in the queue has not come either")
	settle(1, stamp(20, 10, 1000, now), at(time.Second))
	assert.Empty(t, b.Review(at(time.Second)))
	assert.Equal(t, at(time.Second), only(t, b).OldestMissing)
	assert.Empty(t, b.Review(at(2*time.Minute)), "it may be in Kafka, or at the end of the queue")
	b.Mark("g", at(2*time.Minute), map[Place]int64{place: 5}, map[Place]int64{place: 2})
	assert.Empty(t, b.Review(at(2*time.Minute)))
	settle(4, stamp(30, 10, 1000, at(time.Minute)), at(2*time.Minute))
	assert.Empty(t, b.Review(at(2*time.Minute)))
	b.Mark("g", at(2*time.Minute), map[Place]int64{place: 5}, map[Place]int64{place: 5})
	assert.Equal(t, []Gap{{"g", "a", "logs", Range{run.String(), 10, 20}, at(time.Second)}}, b.Review(at(2*time.Minute)))
	assert.Equal(t, uint64(10), only(t, b).Gap)
	assert.Empty(t, b.Review(at(3*time.Minute)), "it is told once")
	settle(5, stamp(10, 10, 1000, at(time.Minute)), at(4*time.Minute))
	assert.Empty(t, b.Review(at(4*time.Minute)))
	assert.Zero(t, only(t, b).Gap)
	assert.True(t, only(t, b).OldestMissing.IsZero())
}

// The end of a run that is gone with the queue is found by the next run.
func TestGapAtTheEndOfARun(t *testing.T) {
	b, a, first := watching(t), fresh(0), runAt(now)
	second := NewRunID(now.Add(time.Minute), 0, first)
	b.Settle(Settlement{Assignment: a, Offset: 1, Messages: []Message{{Stamp: stampOf("a", first, 0, 10, Announced{Run: first, Floor: 10})}}}, now)
	b.Settle(Settlement{Assignment: a, Offset: 2, Messages: []Message{{Offset: 1, Stamp: stampOf("a", second, 0, 1,
		Announced{Run: first, Floor: 50, Final: true}, Announced{Run: second, Floor: 1})}}}, now)
	b.Mark("g", now, map[Place]int64{a.Place: 2}, map[Place]int64{a.Place: 2})
	assert.Empty(t, b.Review(now))
	require.Len(t, b.Review(now.Add(patience*time.Minute)), 1)
	got := only(t, b)
	assert.Equal(t, []Range{{first.String(), 10, 50}}, got.MissingRanges)
	assert.Equal(t, uint64(40), got.Gap)
}

func TestOldRunsAreAddedUp(t *testing.T) {
	b, a := watching(t), fresh(0)
	run, total := RunID(0), uint64(0)
	var offset int64
	var firstRun RunID
	for i := range 100 {
		before := run
		run = NewRunID(now.Add(time.Duration(i)*time.Minute), 0, before)
		if i == 0 {
			firstRun = run
		}
		said := []Announced{{Run: run, Floor: 10}}
		if i > 0 {
			said = append(said, Announced{Run: before, Floor: 10, Final: true})
		}
		b.Settle(Settlement{Assignment: a, Offset: offset + 1, Messages: []Message{{Offset: offset, Stamp: stampOf("a", run, 0, 10, said...)}}}, now)
		offset++
		total += 10
	}
	got := only(t, b)
	assert.Equal(t, total, got.Stored)
	assert.Zero(t, got.Missing)
	records := b.Dirty()
	for _, r := range records {
		assert.Less(t, len(r.Value), 2000)
	}
	// A copy of something of a run that is not known one by one any more.
	b.Settle(Settlement{Assignment: a, Offset: offset + 1, Messages: []Message{{Offset: offset, Stamp: stampOf("a", firstRun, 0, 10)}}}, now)
	got = only(t, b)
	assert.Equal(t, total, got.Stored)
	assert.Equal(t, uint64(10), got.Duplicated)
	other := watching(t)
	for _, r := range b.Dirty() {
		require.NoError(t, other.Read(r))
	}
	assert.Equal(t, got.Stored, only(t, other).Stored)
}

func TestReadRefuses(t *testing.T) {
	book, a := watching(t), fresh(0)
	book.Settle(Settlement{Assignment: a, Offset: 1, Messages: []Message{{Stamp: stampOf("a", runAt(now), 0, 10)}}}, now)
	good := book.Dirty()
	require.Len(t, good, 2)
	for _, r := range good {
		require.NoError(t, NewBook(time.Minute).Read(r))
		for n := range r.Value {
			require.ErrorIs(t, NewBook(time.Minute).Read(Record{r.Key, r.Value[:n]}), errRecord)
		}
		later := slices.Clone(r.Value)
		later[0] = recordVersion + 1
		require.ErrorIs(t, NewBook(time.Minute).Read(Record{r.Key, later}), errRecord)
		for _, key := range []string{"", "g\x00t", "g\x00t\x00x", "g\x00t\x000\x00unknown\x00a", "g\x00t\x000\x00logs"} {
			require.ErrorIs(t, NewBook(time.Minute).Read(Record{[]byte(key), r.Value}), errRecord, "%q", key)
		}
	}
}

func FuzzRead(f *testing.F) {
	book := NewBook(time.Minute)
	book.Settle(Settlement{Assignment: fresh(0), Offset: 1, Messages: []Message{{Stamp: stampOf("a", runAt(now), 0, 10)}}}, now)
	for _, r := range book.Dirty() {
		f.Add(r.Key, r.Value)
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		b := NewBook(time.Minute)
		b.Watch("g")
		if b.Read(Record{key, value}) == nil {
			b.Review(now)
			b.Accounts()
		}
	})
}

// A site is a model of agents, Kafka and consumers, with a topic of the ledger, and with the truth.
type site struct {
	t *testing.T
	r *rand.Rand

	agents    []*modelAgent
	log       [][]modelMessage // by partition
	committed []int64
	owner     []int // the consumer of each partition
	consumers []*modelConsumer
	topic     []topicRecord
}

type modelAgent struct {
	name     string
	run      RunID
	next     uint64
	said     []Announced // of earlier runs
	void     Announced
	refused  map[RunID]naive
	floor    map[RunID]uint64
	produced map[RunID]naive
}

type modelMessage struct {
	agent string
	run   RunID
	first uint64
	count uint64
	dead  uint64
	stamp []byte
}

type topicRecord struct {
	Record
	writer *modelConsumer
}

// modelConsumer is one start of a consumer.
type modelConsumer struct {
	book        *Book
	read        int // how far it has read the topic
	assignments map[int]*Assignment
	position    map[int]int64 // settled, not all of it is committed
}

func newSite(t *testing.T, seed uint64) *site {
	s := &site{t: t, r: rand.New(rand.NewPCG(seed, 5))}
	for i := range 1 + s.r.IntN(3) {
		a := &modelAgent{name: fmt.Sprint("agent-", i), refused: map[RunID]naive{}, floor: map[RunID]uint64{}, produced: map[RunID]naive{}}
		a.restart(uint64(i))
		s.agents = append(s.agents, a)
	}
	partitions := 1 + s.r.IntN(4)
	s.log, s.committed, s.owner = make([][]modelMessage, partitions), make([]int64, partitions), make([]int, partitions)
	for p := range s.committed {
		s.committed[p] = -1
	}
	for range 1 + s.r.IntN(3) {
		s.consumers = append(s.consumers, newConsumer())
	}
	return s
}

func newConsumer() *modelConsumer {
	c := &modelConsumer{book: NewBook(time.Minute), assignments: map[int]*Assignment{}, position: map[int]int64{}}
	c.book.Watch("g")
	return c
}

func (a *modelAgent) restart(random uint64) {
	if a.run != 0 {
		a.said = append(a.said, Announced{Run: a.run, Floor: a.next, Final: true, void: slices.Clone(a.void.void)})
	}
	a.run = NewRunID(now, uint32(random), a.run)
	a.next, a.void = 0, Announced{}
	a.refused[a.run], a.produced[a.run] = naive{}, naive{}
}

func (s *site) produce(lose bool) {
	a := s.agents[s.r.IntN(len(s.agents))]
	count := 1 + s.r.Uint64N(9)
	first := a.next
	a.next += count
	if s.r.IntN(6) == 0 {
		a.refused[a.run].add(first, first+count)
		a.void.Void(first, first+count)
		return
	}
	a.floor[a.run] = a.next
	for copies := 1 + s.r.IntN(8)/7; copies > 0; copies-- {
		stamp := Stamp{Agent: a.name, Signal: Logs}
		stamp.Append(Stamped{Run: a.run, First: first, Count: count, From: now.UnixMilli(), Until: now.UnixMilli()})
		current := a.void
		current.Run, current.Floor = a.run, a.next
		stamp.Announce(a.said...)
		stamp.Announce(current)
		if lose {
			return
		}
		a.produced[a.run].add(first, first+count)
		m := modelMessage{agent: a.name, run: a.run, first: first, count: count, stamp: stamp.Encode()}
		if s.r.IntN(5) == 0 && copies == 1 {
			m.dead = s.r.Uint64N(count + 1)
		}
		p := s.r.IntN(len(s.log))
		s.log[p] = append(s.log[p], m)
	}
}

// readTopic has a consumer read some of the topic, or all.
func (s *site) readTopic(c *modelConsumer, all bool) {
	end := len(s.topic)
	if !all && end > c.read {
		end = c.read + s.r.IntN(end-c.read)
	}
	for ; c.read < end; c.read++ {
		if r := s.topic[c.read]; r.writer != c {
			require.NoError(s.t, c.book.Read(r.Record))
		}
	}
}

func (s *site) consume(p int, crash bool) {
	c := s.consumers[s.owner[p]]
	a := c.assignments[p]
	if a == nil {
		a = &Assignment{Place: Place{"g", "t", int32(p)}, Committed: s.committed[p], End: int64(len(s.log[p])), Fresh: s.committed[p] < 0}
		c.assignments[p] = a
		c.position[p] = max(s.committed[p], 0)
	}
	if !c.book.Knows(a) {
		s.readTopic(c, true)
	}
	from := c.position[p]
	to := from + s.r.Int64N(int64(len(s.log[p]))-from+1)
	settlement := Settlement{Assignment: a, Offset: to}
	for offset := from; offset < to; offset++ {
		m := s.log[p][offset]
		settlement.Messages = append(settlement.Messages, Message{Offset: offset, Stamp: m.stamp, Dead: m.dead})
	}
	c.position[p] = to
	require.Zero(s.t, c.book.Settle(settlement, now))
	dirty := c.book.Dirty()
	if s.r.IntN(4) == 0 && !crash {
		c.book.Failed(dirty) // and nothing is committed
		return
	}
	for _, r := range dirty {
		s.topic = append(s.topic, topicRecord{r, c})
	}
	if crash {
		s.consumers[s.owner[p]] = newConsumer()
		return
	}
	s.committed[p] = to
}

// move gives a partition to another consumer. The one before may write once more what it knew.
func (s *site) move(p int) {
	old := s.consumers[s.owner[p]]
	delete(old.assignments, p)
	s.owner[p] = s.r.IntN(len(s.consumers))
	delete(s.consumers[s.owner[p]].assignments, p)
}

// compact keeps the last record of each key.
func (s *site) compact() {
	last := map[string]int{}
	for i, r := range s.topic {
		last[string(r.Key)] = i
	}
	kept := make([]topicRecord, 0, len(last))
	for _, i := range slices.Sorted(maps.Values(last)) {
		kept = append(kept, s.topic[i])
	}
	for _, c := range s.consumers {
		s.readTopic(c, true)
		c.read = len(kept)
	}
	s.topic = kept
}

// check holds all accounts against the truth, when everything is settled.
func (s *site) check() {
	for p := range s.log {
		for s.committed[p] < int64(len(s.log[p])) {
			s.consume(p, false)
		}
	}
	for range 2 { // what is written over something newer is healed
		for _, c := range s.consumers {
			s.readTopic(c, true)
			for _, r := range c.book.Dirty() {
				s.topic = append(s.topic, topicRecord{r, c})
			}
		}
	}
	cold := newConsumer()
	s.readTopic(cold, true)
	for _, a := range s.agents {
		want := Account{Group: "g", Agent: a.name, Signal: "logs"}
		came := uint64(0)
		distinct := map[RunID]naive{}
		for _, messages := range s.log {
			for _, m := range messages {
				if m.agent != a.name {
					continue
				}
				came += m.count
				if distinct[m.run] == nil {
					distinct[m.run] = naive{}
				}
				distinct[m.run].add(m.first, m.first+m.count)
			}
		}
		have := uint64(0)
		for _, d := range distinct {
			have += uint64(len(d))
		}
		if have == 0 {
			continue
		}
		want.Duplicated = came - have
		seen := s.announced(a)
		for run, floor := range seen {
			for i := range floor {
				if !distinct[run][i] && !a.refused[run][i] {
					want.Missing++
				}
			}
		}
		for _, c := range append(slices.Clone(s.consumers), cold) {
			var got *Account
			for _, account := range c.book.Accounts() {
				if account.Agent == a.name {
					got = &account
				}
			}
			require.NotNil(s.t, got)
			require.Equal(s.t, want.Missing, got.Missing)
			require.Equal(s.t, want.Duplicated, got.Duplicated)
			require.Equal(s.t, have, got.Stored+got.DeadLettered)
			require.Equal(s.t, got.Stamped, got.Stored+got.DeadLettered+got.Missing)
		}
	}
}

// announced is what all messages together say of the runs of an agent.
func (s *site) announced(a *modelAgent) map[RunID]uint64 {
	floors := map[RunID]uint64{}
	for _, messages := range s.log {
		for _, m := range messages {
			if m.agent != a.name {
				continue
			}
			stamp, err := Decode(m.stamp)
			require.NoError(s.t, err)
			for _, said := range stamp.Runs {
				floors[said.Run] = max(floors[said.Run], said.Floor)
			}
		}
	}
	return floors
}

var seeds = flag.Uint64("seeds", 3000, "how many schedules TestAccountIsTheTruth runs")

// Whatever happens, in whatever order: the account is that of somebody who has seen everything.
func TestAccountIsTheTruth(t *testing.T) {
	for seed := range *seeds {
		s := newSite(t, seed)
		for range 20 + s.r.IntN(150) {
			p := s.r.IntN(len(s.log))
			switch n := s.r.IntN(100); {
			case n < 55:
				s.produce(n < 4)
			case n < 85:
				s.consume(p, false)
			case n < 89:
				s.consume(p, true)
			case n < 93:
				s.move(p)
			case n < 95:
				s.compact()
			case n < 97:
				s.agents[s.r.IntN(len(s.agents))].restart(s.r.Uint64())
			default:
				s.readTopic(s.consumers[s.r.IntN(len(s.consumers))], false)
			}
		}
		s.check()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func BenchmarkSettle(b *testing.B) {
	book, a, run := NewBook(time.Minute), fresh(0), runAt(now)
	offset := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		first := uint64(offset) * 2000
		stamp := stampOf("agent-1", run, first, 2000, Announced{Run: run, Floor: first})
		book.Settle(Settlement{Assignment: a, Offset: offset + 1, Messages: []Message{{Offset: offset, Stamp: stamp}}}, now)
		book.Dirty()
		offset++
	}
}
