// Package ledger keeps the account of one partition: which offsets were handed out
// for delivery, which are acknowledged, which are settled, and how far the group may
// commit. It holds no goroutine and no clock, and is not safe for concurrent use.
package ledger

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"github.com/breakwater-otel/breakwater/components/internal/durability"
)

// Range is the offsets [From, To).
type Range struct{ From, To int64 }

// state of an Entry.
type state uint8

const (
	inFlight state = iota
	acked
	settled
	abandoned
)

// session is the time from New or Rewind to the next Rewind. It only has an
// identity, for which it must not be of size zero.
type session struct{ _ byte }

// Entry is one delivery: the records of an offset range that go out in one request.
type Entry struct {
	from, to int64
	// session is compared with that of the ledger, so that an outcome that arrives
	// after a rewind, or at the ledger of a later assignment, is of no effect.
	session *session
	state   state
	// Merged is set by the caller when the entry is a request made of several
	// messages, which has to be made again of the same ones.
	Merged bool
	// Written is set by the caller: when the first record of the entry was.
	Written time.Time
}

// Range returns the offsets of the entry as they were given to Begin.
func (e *Entry) Range() Range { return Range{e.from, e.to} }

// ack is an acknowledged entry that waits for its verdict.
type ack struct {
	entry *Entry
	at    time.Time
}

// acks are the acknowledged entries of one stamp, in the order of time.
type acks struct {
	stamp durability.Stamp
	queue queue[ack]
}

// span is a settled range behind a gap.
type span struct {
	Range
	// merged says that requests of several messages are in it.
	merged bool
}

// Ledger is the account of a partition.
type Ledger struct {
	session     *session
	committable int64
	end         int64

	// open are the entries from the first unsettled one on, by offset.
	open queue[*Entry]
	// waiting are the acknowledged entries, by stamp. There is a stamp for each epoch
	// that entries not settled yet were sent in: mostly one.
	waiting []acks
	// ahead are the ranges past committable that were settled before a rewind:
	// ordered, not overlapping, each with the offsets without records before it.
	ahead []span
	// owed are merged ranges that have to be made again and have not begun, by offset.
	owed []Range

	inFlight int
	acked    int
}

// New returns the ledger of a partition of which everything before start is settled.
func New(start int64) *Ledger {
	return &Ledger{session: new(session), committable: start, end: start}
}

// Restore takes over what an earlier assignment left in the metadata of its commit.
// It is to be called before the first Begin, with the metadata of the offset that was
// given to New. m.Ranges have to be made again exactly, and are in Metadata until they
// begin; m.Settled are found by SettledAt.
func (l *Ledger) Restore(m Metadata) {
	l.owed = slices.Clone(m.Ranges)
	l.ahead = make([]span, 0, len(m.Settled))
	for _, r := range m.Settled {
		l.ahead = append(l.ahead, span{r, true})
	}
	l.advance()
}

// Begin opens an entry for the offsets [from, to), from at or after End. Offsets
// between End and from have no records (they were compacted, or are markers of a
// transaction) or are settled, see SettledAt; they settle with the entry.
func (l *Ledger) Begin(from, to int64) *Entry {
	e := &Entry{from: from, to: to, session: l.session}
	l.open.push(e)
	l.inFlight++
	l.end = max(l.end, to)
	started := 0
	for started < len(l.owed) && l.owed[started].From < l.end {
		started++
	}
	l.owed = l.owed[started:]
	return e
}

// Ack says that a delivery whose successful attempt began at the stamp was
// acknowledged at a time.
func (l *Ledger) Ack(e *Entry, stamp durability.Stamp, at time.Time) {
	if !l.leave(e) {
		return
	}
	e.state = acked
	l.acked++
	i := len(l.waiting) - 1
	for i >= 0 && l.waiting[i].stamp != stamp {
		i--
	}
	if i < 0 {
		l.waiting = append(l.waiting, acks{stamp: stamp})
		i = len(l.waiting) - 1
	}
	q := &l.waiting[i].queue
	// Outcomes of concurrent deliveries come a little out of order. To take the later
	// time for such a one keeps the queue ordered, and can only settle it later.
	if last, ok := q.last(); ok && at.Before(last.at) {
		at = last.at
	}
	q.push(ack{entry: e, at: at})
}

// Resolve says that the records of the entry are durable in themselves, as dead
// letters are: they are settled at once.
func (l *Ledger) Resolve(e *Entry) {
	if l.leave(e) {
		e.state = settled
		l.advance()
	}
}

// Abandon says that the delivery ended without success. The entry stays unsettled,
// and holds Committable, until Rewind.
func (l *Ledger) Abandon(e *Entry) {
	if l.leave(e) {
		e.state = abandoned
	}
}

// Undelivered returns the first entry that is not acknowledged, or nil.
func (l *Ledger) Undelivered() *Entry {
	for _, e := range l.open.all() {
		if e.state == inFlight || e.state == abandoned {
			return e
		}
	}
	return nil
}

// leave takes the entry out of flight, if it is in flight in this session.
func (l *Ledger) leave(e *Entry) bool {
	if e.session != l.session || e.state != inFlight {
		return false
	}
	l.inFlight--
	return true
}

// Review asks for the verdict of what is acknowledged, in the order of time and as
// far as it is settled. It reports whether any of it is lost; that stays unsettled,
// and the caller has to rewind. Of two acks of one stamp judge must not settle the
// later one before the earlier one.
func (l *Ledger) Review(judge func(durability.Stamp, time.Time) durability.Verdict) (lost bool) {
	progress := false
	for i := range l.waiting {
		n, gone := l.review(&l.waiting[i], judge)
		progress = progress || n > 0
		lost = lost || gone
	}
	if progress {
		// The queue of a single stamp keeps its memory.
		if len(l.waiting) > 1 {
			l.waiting = slices.DeleteFunc(l.waiting, func(w acks) bool { return w.queue.len() == 0 })
		}
		l.advance()
	}
	return lost
}

// review settles what it can of one stamp.
func (l *Ledger) review(w *acks, judge func(durability.Stamp, time.Time) durability.Verdict) (count int, lost bool) {
	for {
		first, ok := w.queue.first()
		if !ok {
			return count, false
		}
		if verdict := judge(w.stamp, first.at); verdict != durability.Settled {
			return count, verdict == durability.Lost
		}
		w.queue.pop()
		first.entry.state = settled
		l.acked--
		count++
	}
}

// advance moves committable over what is settled.
func (l *Ledger) advance() {
	for {
		e, ok := l.open.first()
		if ok && e.state == settled {
			l.open.pop()
			l.committable = max(l.committable, e.to)
			continue
		}
		if len(l.ahead) == 0 || l.ahead[0].From > l.committable {
			return
		}
		r := l.ahead[0]
		if ok && e.from < r.To && l.committable < r.To {
			return // made again although it was settled: the entry will get there
		}
		l.ahead = l.ahead[1:]
		l.committable = max(l.committable, r.To)
		l.end = max(l.end, l.committable)
	}
}

// Committable returns the end of the longest settled prefix: the offset to commit.
func (l *Ledger) Committable() int64 { return l.committable }

// End returns the end of the last entry: the next offset to begin at, or after.
func (l *Ledger) End() int64 { return l.end }

// InFlight returns how many entries have no outcome yet.
func (l *Ledger) InFlight() int { return l.inFlight }

// Acked returns how many entries are acknowledged and not settled.
func (l *Ledger) Acked() int { return l.acked }

// Unsettled returns how many offsets are between Committable and End.
func (l *Ledger) Unsettled() int64 { return l.end - l.committable }

// Metadata returns what the next assignment has to know to send nothing a second time
// in another form: the merged ranges that are not settled, those included that have
// not begun again after Rewind or Restore, and what is settled behind a gap. Of the
// latter it leaves out the ranges of single messages when all would not fit: these are
// sent again in the same form anyhow. Thus the length does not grow when entries settle.
func (l *Ledger) Metadata(reserved int64) Metadata {
	m := Metadata{Reserved: reserved}
	unsettled, done := l.split()
	m.Ranges = unsettled
	all := union(l.ahead, done)
	m.Settled = settledRanges(all, true)
	if !m.Fits(l.committable) {
		m.Settled = settledRanges(all, false)
	}
	return m
}

// split returns the merged ranges that are not settled, and what is settled among the
// open entries.
func (l *Ledger) split() (unsettled []Range, done []span) {
	lo := l.committable
	for _, e := range l.open.all() {
		switch {
		case e.state != settled:
			if e.Merged {
				unsettled = append(unsettled, e.Range())
			}
		case e.to > lo:
			done = append(done, span{Range{lo, e.to}, e.Merged})
		}
		lo = max(lo, e.to)
	}
	return append(unsettled, l.owed...), done
}

// settledRanges returns the ranges of the spans, joined where they touch, with or
// without those that have single messages only.
func settledRanges(spans []span, singles bool) []Range {
	var out []Range
	for _, s := range spans {
		if !s.merged && !singles {
			continue
		}
		if n := len(out); n > 0 && out[n-1].To == s.From {
			out[n-1].To = s.To
		} else {
			out = append(out, s.Range)
		}
	}
	return out
}

// Rewind ends all entries that are not settled and moves End back to Committable. It
// returns the merged ranges that have to be made again, by offset. What is settled
// behind a gap stays so, see SettledAt. The outcome of an entry of before is ignored.
func (l *Ledger) Rewind() []Range {
	owed, done := l.split()
	l.owed = owed
	l.ahead = union(l.ahead, done)
	l.session = new(session)
	l.open = queue[*Entry]{}
	l.waiting = nil
	l.inFlight, l.acked = 0, 0
	l.advance()
	l.end = l.committable
	return slices.Clone(l.owed)
}

// SettledAt reports whether the offset was settled before a rewind or a restart, or is
// before Committable, and up to where. The caller skips to the end, and makes no
// request of records from both sides. It may go on with Begin there, or, so that
// offsets without records in front of the range settle even if nothing follows, Begin
// and Resolve the range.
func (l *Ledger) SettledAt(offset int64) (end int64, ok bool) {
	if offset < l.committable {
		return l.committable, true
	}
	i := sort.Search(len(l.ahead), func(i int) bool { return l.ahead[i].To > offset })
	for ; i < len(l.ahead) && l.ahead[i].From <= offset; i++ {
		offset, ok = l.ahead[i].To, true
	}
	if !ok {
		return 0, false
	}
	return offset, true
}

// union returns the spans of both, ordered, without overlaps, and with those joined
// that touch and are of a kind.
func union(a, b []span) []span {
	if len(a) == 0 && len(b) == 0 {
		return nil
	}
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(x, y span) int { return cmp.Compare(x.From, y.From) })
	out := all[:1]
	for _, s := range all[1:] {
		last := &out[len(out)-1]
		s.From = max(s.From, last.To)
		switch {
		case s.From >= s.To:
		case s.From == last.To && s.merged == last.merged:
			last.To = s.To
		default:
			out = append(out, s)
		}
	}
	return out
}
