package oracle

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/breakwater-otel/breakwater/integration/crucible/load"
	"github.com/breakwater-otel/breakwater/integration/harness"
)

// bitset is a set of numbers from 0 on.
type bitset []uint64

func newBitset(n int64) bitset { return make(bitset, (n+63)/64) }

func (s bitset) add(i int64)      { s[i/64] |= 1 << (i % 64) }
func (s bitset) has(i int64) bool { return s[i/64]&(1<<(i%64)) != 0 }

// ledger is what was found of one account: a few bits a record, and eight bytes where an order is looked for.
type ledger struct {
	account load.Account
	stored  bitset
	dead    bitset
	damaged bitset // a copy of it was found that is not as written
	doubled bitset
	times   []int64 // Unix nanoseconds of the earliest copy; noTime where there is none. nil when there is no order
	// pieces counts the copies of each piece of a record that was written in pieces.
	pieces map[int64][]int64

	report WriterReport
}

const (
	noTime      = math.MinInt64
	maxExamples = 5
)

func newLedger(a load.Account) *ledger {
	l := &ledger{
		account: a,
		stored:  newBitset(a.Next), dead: newBitset(a.Next), damaged: newBitset(a.Next), doubled: newBitset(a.Next),
		pieces: map[int64][]int64{},
		report: WriterReport{Writer: a.Writer, Kind: a.Kind, Written: a.Written},
	}
	if !a.Unordered && a.Kind != load.KindPoison && a.Metric == "" {
		l.times = make([]int64, a.Next)
		for i := range l.times {
			l.times[i] = noTime
		}
	}
	return l
}

// place is where something was found.
type place struct {
	dead   bool
	reason string
	time   time.Time
	labels map[string]string
}

// find takes a text that says that it is record seq.
func (l *ledger) find(seq int64, text string, p place) {
	if !l.used(seq) {
		// Whole or not, it is none of the records that were written.
		l.report.Unwritten++
		return
	}
	record := l.account.Record(seq)
	if text == record.Text {
		l.look(seq, record, p)
		l.intact(seq, p)
		return
	}
	if l.account.Parts != nil {
		parts := l.account.Parts(seq)
		if i := slices.Index(parts, text); i >= 0 {
			l.look(seq, record, p)
			l.piece(seq, i, len(parts), p)
			return
		}
	}
	l.damage(seq)
}

// sample takes a sample.
func (l *ledger) sample(value float64, p place) {
	seq, ok := l.account.SeqAt(p.time)
	if !ok || !l.used(seq) {
		l.report.Unwritten++
		return
	}
	record := l.account.Record(seq)
	if value != record.Value {
		l.damage(seq)
		return
	}
	l.look(seq, record, p)
	l.intact(seq, p)
}

// used tells whether the number belongs to a record that may be in.
func (l *ledger) used(seq int64) bool {
	return seq >= 0 && seq < l.account.Next && !load.Contains(l.account.Refused, seq)
}

func (l *ledger) intact(seq int64, p place) {
	switch {
	case l.stored.has(seq) || l.dead.has(seq):
		l.copied(seq, 1, &l.report)
	case p.dead:
		l.bury(seq, p.reason)
	default:
		l.stored.add(seq)
	}
}

// look holds labels and times against the account. The dead letters have the original bytes: there is nothing to hold.
func (l *ledger) look(seq int64, record load.Record, p place) {
	if p.dead {
		return
	}
	if example, wrong := mislabelled(l.account.Labels, p.labels); wrong {
		l.report.Mislabelled++
		if len(l.report.LabelExamples) < maxExamples {
			example.Seq = seq
			l.report.LabelExamples = append(l.report.LabelExamples, example)
		}
	}
	if !record.Time.IsZero() && !record.Time.Equal(p.time) {
		l.report.Retimed++
	}
	if l.times != nil && !p.time.IsZero() {
		if at := p.time.UnixNano(); l.times[seq] == noTime || at < l.times[seq] {
			l.times[seq] = at
		}
	}
}

func mislabelled(want, got map[string]string) (LabelMismatch, bool) {
	var first LabelMismatch
	wrong := false
	for name, value := range want {
		// The first by name, so that the report does not depend on the order of a map.
		if got[name] != value && (!wrong || name < first.Label) {
			first, wrong = LabelMismatch{Label: name, Want: value, Got: got[name]}, true
		}
	}
	return first, wrong
}

// copied counts further copies of a record.
func (l *ledger) copied(seq, n int64, r *WriterReport) {
	if load.Contains(l.account.Resent, seq) || load.Contains(l.account.Unanswered, seq) {
		r.ResentCopies += n
		return
	}
	r.Duplicated += n
	l.doubled.add(seq)
}

func (l *ledger) bury(seq int64, reason string) {
	l.dead.add(seq)
	if !l.account.Acknowledged(seq) {
		return
	}
	if l.report.DeadByReason == nil {
		l.report.DeadByReason = map[string]int64{}
	}
	l.report.DeadByReason[reason]++
}

// piece takes piece i of n of a record.
func (l *ledger) piece(seq int64, i, n int, p place) {
	counts := l.pieces[seq]
	if counts == nil {
		counts = make([]int64, n)
		l.pieces[seq] = counts
	}
	counts[i]++
	if counts[i] == 1 && slices.Min(counts) > 0 {
		l.intact(seq, p)
	}
}

func (l *ledger) damage(seq int64) {
	l.report.CorruptedCopies++
	if l.used(seq) {
		l.damaged.add(seq)
	}
}

// settle counts up.
func (l *ledger) settle() WriterReport {
	r := l.report
	r.DeadByReason = maps.Clone(r.DeadByReason)
	r.LabelExamples = slices.Clone(r.LabelExamples)
	for seq, counts := range l.pieces {
		if copies := slices.Max(counts) - 1; copies > 0 {
			l.copied(seq, copies, &r)
		}
	}
	last := int64(noTime)
	for seq := range l.account.Next {
		stored := l.stored.has(seq)
		if l.doubled.has(seq) {
			r.DuplicatedSeqs = extend(r.DuplicatedSeqs, seq)
		}
		if stored && l.times != nil && l.times[seq] != noTime {
			if l.times[seq] < last {
				r.OutOfOrder++
			}
			last = l.times[seq]
		}
		if !l.account.Acknowledged(seq) {
			continue
		}
		switch {
		case stored:
			r.Stored++
		case l.dead.has(seq):
			r.DeadLettered++
		case l.damaged.has(seq) || l.pieces[seq] != nil:
			r.Corrupted++
			r.CorruptedSeqs = extend(r.CorruptedSeqs, seq)
		default:
			r.Lost++
			r.LostSeqs = extend(r.LostSeqs, seq)
		}
	}
	return r
}

// extend adds a number behind all that are there.
func extend(ranges []harness.SeqRange, seq int64) []harness.SeqRange {
	if n := len(ranges); n > 0 && ranges[n-1].Last == seq-1 {
		ranges[n-1].Last = seq
		return ranges
	}
	return append(ranges, harness.SeqRange{First: seq, Last: seq})
}
