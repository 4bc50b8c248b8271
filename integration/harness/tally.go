package harness

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
)

// Tally counts the lines of LogWriters that were found somewhere: in a backend, in
// a topic, in the dead letters. Compare tells what is missing. A Tally is not safe
// for concurrent use.
type Tally struct {
	found   map[string]*seqSet
	Foreign int64 // lines that no LogWriter wrote
	Corrupt int64 // lines of a LogWriter that are not as they were written
}

// seqSet is a set of sequence numbers that counts repetitions.
type seqSet struct {
	words      []uint64
	duplicates int64
}

// NewTally returns an empty Tally.
func NewTally() *Tally { return &Tally{found: map[string]*seqSet{}} }

// Add counts a line.
func (t *Tally) Add(line string) {
	writer, seq, err := ParseLine(line)
	switch {
	case errors.Is(err, errForeignLine):
		t.Foreign++
	case err != nil:
		t.Corrupt++
	default:
		set := t.found[writer]
		if set == nil {
			set = &seqSet{}
			t.found[writer] = set
		}
		set.add(seq)
	}
}

// SeqRange is the numbers from First to Last, both included.
type SeqRange struct{ First, Last int64 }

func (r SeqRange) String() string {
	if r.First == r.Last {
		return fmt.Sprint(r.First)
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// TallyReport compares what one writer wrote with what was found.
type TallyReport struct {
	Writer     string
	Written    int64
	Found      int64 // distinct
	Missing    []SeqRange
	Lost       int64 // the sum of Missing
	Duplicates int64 // further copies of lines that were found
	Unwritten  int64 // found, and never written
}

// Compare tells which of the lines that w has written were found, and how often.
func (t *Tally) Compare(w *LogWriter) TallyReport { return t.CompareTo(w.Name(), w.Written()) }

// CompareTo is Compare for whoever has written as many lines of FormatLine, from 0 on.
func (t *Tally) CompareTo(writer string, written int64) TallyReport {
	report := TallyReport{Writer: writer, Written: written}
	set := t.found[writer]
	if set == nil {
		set = &seqSet{}
	}
	report.Duplicates = set.duplicates
	for seq := range report.Written {
		if set.has(seq) {
			report.Found++
			continue
		}
		report.Lost++
		if n := len(report.Missing); n > 0 && report.Missing[n-1].Last == seq-1 {
			report.Missing[n-1].Last = seq
		} else {
			report.Missing = append(report.Missing, SeqRange{seq, seq})
		}
	}
	report.Unwritten = set.len() - report.Found
	return report
}

// Exact tells whether every line was found once, and nothing else.
func (r TallyReport) Exact() bool {
	return r.Found == r.Written && r.Duplicates == 0 && r.Unwritten == 0
}

// Err is nil when every line that was written was found. Duplicates are no error.
func (r TallyReport) Err() error {
	if r.Lost == 0 && r.Unwritten == 0 {
		return nil
	}
	return errors.New(r.String())
}

func (r TallyReport) String() string {
	const shown = 10
	var ranges []string
	for _, missing := range r.Missing[:min(shown, len(r.Missing))] {
		ranges = append(ranges, missing.String())
	}
	if len(r.Missing) > shown {
		ranges = append(ranges, "…")
	}
	text := fmt.Sprintf("%s: written %d, found %d, lost %d, duplicated %d", r.Writer, r.Written, r.Found, r.Lost, r.Duplicates)
	if len(ranges) > 0 {
		text += " (missing " + strings.Join(ranges, ", ") + ")"
	}
	if r.Unwritten > 0 {
		text += fmt.Sprintf(", found %d that were never written", r.Unwritten)
	}
	return text
}

func (s *seqSet) add(seq int64) {
	word, bit := int(seq/64), uint64(1)<<(seq%64)
	if word >= len(s.words) {
		s.words = append(s.words, make([]uint64, word+1-len(s.words))...)
	}
	if s.words[word]&bit != 0 {
		s.duplicates++
	}
	s.words[word] |= bit
}

func (s *seqSet) has(seq int64) bool {
	word := int(seq / 64)
	return word < len(s.words) && s.words[word]&(1<<(seq%64)) != 0
}

func (s *seqSet) len() int64 {
	var n int64
	for _, word := range s.words {
		n += int64(bits.OnesCount64(word))
	}
	return n
}
