package ledger

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/components/internal/durability"
)

// The tests of this file run a ledger in a model of what is around it: a topic, a
// backend that forgets what it has not flushed when it is killed, polls of that
// backend that take their time, deliveries that end in any order and way, dead
// letters, and rebalances that leave nothing but the commit.

const window = 50 // ms, of the model's backend

// backend holds what it took on disk some time within the window, and forgets the
// rest when it is killed.
type backend struct {
	epoch  int
	memory map[int64]int64 // offset → time of the flush
	disk   map[int64]bool
}

func (b *backend) flush(now int64) {
	for offset, due := range b.memory {
		if due <= now {
			b.disk[offset] = true
			delete(b.memory, offset)
		}
	}
}

func (b *backend) kill(now int64) {
	b.flush(now)
	b.epoch++
	clear(b.memory)
}

// watch is the rule of the durability extension.
type watch struct {
	generation uint64
	epoch      int
	lastPoll   int64 // begin of the last successful poll
	began      int64 // of the poll under way
	polling    bool
	seen       int // epoch that the poll under way read, -1 before it did
}

func (w *watch) judge(s durability.Stamp, acked time.Time) durability.Verdict {
	switch {
	case s.Generation != w.generation || w.generation == 0:
		return durability.Lost
	case w.lastPoll >= acked.UnixMilli()+window:
		return durability.Settled
	}
	return durability.Pending
}

func (w *watch) stamp() durability.Stamp { return durability.Stamp{Generation: w.generation} }

func (w *watch) step(b *backend, now int64, r *rand.Rand, faults bool) {
	switch {
	case !w.polling:
		w.polling, w.began, w.seen = true, now, -1
	case w.seen < 0:
		w.seen = b.epoch
	default:
		w.polling = false
		if faults && r.IntN(5) == 0 {
			return // the answer got lost
		}
		if w.generation == 0 || w.seen != w.epoch {
			w.generation++
			w.epoch = w.seen
		}
		w.lastPoll = w.began
	}
}

// delivery is an entry under way.
type delivery struct {
	ledger  *Ledger
	entry   *Entry
	records []int64
	phase   int // 0 waits for its attempt, 1 stamped, 2 stored, 3 answered
	stamp   durability.Stamp
	acked   time.Time
}

type schedule struct {
	t       *testing.T
	r       *rand.Rand
	seed    uint64
	now     int64
	faults  bool
	end     int64
	topic   map[int64]bool // offset → the message is small, and merged
	backend backend
	dead    map[int64]bool
	watch   watch

	committed int64
	metadata  string

	ledger *Ledger
	owed   []Range
	next   int64
	open   []*delivery

	// form is the request in which a record was first sent.
	form map[int64]Range
}

func newSchedule(t *testing.T, seed uint64) *schedule {
	s := &schedule{
		t: t, seed: seed, r: rand.New(rand.NewPCG(seed, 1)), faults: true,
		topic: map[int64]bool{}, dead: map[int64]bool{}, form: map[int64]Range{},
		backend: backend{memory: map[int64]int64{}, disk: map[int64]bool{}},
	}
	s.committed = int64(s.r.IntN(5))
	s.end = s.committed + 10 + int64(s.r.IntN(60))
	for o := s.committed; o < s.end; o++ {
		if s.r.IntN(8) > 0 || o == s.end-1 {
			s.topic[o] = s.r.IntN(3) > 0
		}
	}
	s.assign()
	return s
}

func (s *schedule) assign() {
	s.ledger = New(s.committed)
	s.owed = nil
	if m, ok := ParseMetadata(s.metadata, s.committed); ok {
		s.ledger.Restore(m)
		s.owed = m.Ranges
	} else if s.metadata != "" {
		s.fail("metadata %q of its own commit cannot be read", s.metadata)
	}
	s.next = s.ledger.End()
}

func (s *schedule) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("seed %d, time %d: %s", s.seed, s.now, fmt.Sprintf(format, args...))
}

func (s *schedule) rewind() {
	s.owed = s.ledger.Rewind()
	s.next = s.ledger.End()
}

// begin opens the next entry, as the receiver does.
func (s *schedule) begin() {
	for s.next < s.end {
		if end, ok := s.ledger.SettledAt(s.next); ok {
			s.next = end
			continue
		}
		if _, ok := s.topic[s.next]; ok {
			break
		}
		s.next++
	}
	for len(s.owed) > 0 && s.owed[0].To <= s.next {
		s.owed = s.owed[1:]
	}
	if s.next >= s.end {
		return
	}
	from, to := s.next, s.next+1
	merged := s.topic[from]
	switch {
	case len(s.owed) > 0 && s.owed[0].From <= from:
		from, to, merged = s.owed[0].From, s.owed[0].To, true
	case merged:
		size := s.r.IntN(6)
		for o := to; o < s.end && size > 0; o++ {
			small, ok := s.topic[o]
			_, settled := s.ledger.SettledAt(o)
			if settled || ok && !small || len(s.owed) > 0 && s.owed[0].From <= o {
				break
			}
			if ok {
				to, size = o+1, size-1
			}
		}
	}
	d := &delivery{ledger: s.ledger, entry: s.ledger.Begin(from, to)}
	d.entry.Merged = merged
	for o := from; o < to; o++ {
		if _, ok := s.topic[o]; ok {
			d.records = append(d.records, o)
		}
	}
	s.next = to
	s.open = append(s.open, d)
	s.commit() // written ahead
}

func (s *schedule) step(d *delivery) (done bool) {
	switch d.phase {
	case 0:
		d.stamp = s.watch.stamp()
		d.phase = 1
	case 1:
		if s.faults && s.r.IntN(6) == 0 {
			d.phase = 0
			return false
		}
		if s.faults && s.r.IntN(12) == 0 {
			for _, o := range d.records {
				s.dead[o] = true
			}
			d.ledger.Resolve(d.entry)
			return true
		}
		s.store(d)
		d.phase = 2
	case 2:
		switch {
		case s.faults && s.r.IntN(8) == 0:
			d.phase = 0 // ambiguous: stored, not answered
		case s.faults && s.r.IntN(12) == 0:
			d.ledger.Abandon(d.entry)
			return true
		default:
			d.acked = time.UnixMilli(s.now)
			d.phase = 3
		}
	default:
		d.ledger.Ack(d.entry, d.stamp, d.acked)
		return true
	}
	return false
}

func (s *schedule) store(d *delivery) {
	for _, o := range d.records {
		form, sent := s.form[o]
		if !sent {
			s.form[o] = d.entry.Range()
		} else if form != d.entry.Range() {
			s.fail("record %d was sent in %v and now in %v", o, form, d.entry.Range())
		}
		if _, ok := s.backend.memory[o]; !ok && !s.backend.disk[o] {
			s.backend.memory[o] = s.now + 1 + s.r.Int64N(window)
		}
	}
}

func (s *schedule) commit() {
	next := s.ledger.Committable()
	if next < s.committed {
		s.fail("commit of %d after %d", next, s.committed)
	}
	for o := s.committed; o < next; o++ {
		if _, ok := s.topic[o]; ok && !s.backend.disk[o] && !s.dead[o] {
			s.fail("commit of %d, and record %d is not durable", next, o)
		}
	}
	s.committed = next
	s.metadata = s.ledger.Metadata(s.ledger.End()).Encode(next)
}

// act does one thing, at random.
func (s *schedule) act() {
	s.now += s.r.Int64N(6)
	s.backend.flush(s.now)
	switch action := s.r.IntN(100); {
	case action < 15:
		s.begin()
	case action < 60 && len(s.open) > 0:
		i := s.r.IntN(len(s.open))
		if s.step(s.open[i]) {
			s.open = append(s.open[:i], s.open[i+1:]...)
		}
	case action < 75:
		s.watch.step(&s.backend, s.now, s.r, s.faults)
	case action < 85:
		if s.ledger.Review(s.watch.judge) {
			s.rewind()
		}
	case action < 92:
		s.commit()
	case !s.faults:
	case action < 94:
		s.backend.kill(s.now)
	case action < 96:
		s.assign()
	case action < 97:
		s.rewind()
	}
	s.check()
}

// check compares what the ledger counts with what it was told.
func (s *schedule) check() {
	inFlight := 0
	for _, d := range s.open {
		if d.ledger == s.ledger && d.entry.session == s.ledger.session {
			inFlight++
		}
	}
	if inFlight != s.ledger.InFlight() {
		s.fail("%d in flight, the ledger says %d", inFlight, s.ledger.InFlight())
	}
	if s.ledger.End() < s.ledger.Committable() || s.ledger.Unsettled() != s.ledger.End()-s.ledger.Committable() {
		s.fail("end %d, committable %d", s.ledger.End(), s.ledger.Committable())
	}
}

func (s *schedule) run() {
	for range 150 + s.r.IntN(250) {
		s.act()
	}
	s.faults = false
	s.rewind()
	for n := 0; s.committed < s.end; n++ {
		s.act()
		if n > 100_000 {
			s.fail("stands at %d of %d", s.committed, s.end)
		}
	}
	for o := range s.topic {
		if !s.backend.disk[o] && !s.dead[o] {
			s.fail("record %d was lost", o)
		}
	}
}

func TestCommitNeverPassesWhatIsNotDurable(t *testing.T) {
	const schedules = 10_000
	for seed := range uint64(schedules) {
		newSchedule(t, seed).run()
	}
}

// What the model must be able to find: a rule that trusts the answer of the backend.
func TestTheModelFindsLoss(t *testing.T) {
	found := 0
	for seed := range uint64(200) {
		s := newSchedule(t, seed)
		for range 300 {
			s.act()
			s.ledger.Review(func(durability.Stamp, time.Time) durability.Verdict { return durability.Settled })
			for o := range s.topic {
				if o < s.ledger.Committable() && !s.backend.disk[o] && !s.dead[o] {
					found++
				}
			}
			if found > 0 {
				break
			}
			s.committed = max(s.committed, s.ledger.Committable())
		}
	}
	require.Positive(t, found)
}
