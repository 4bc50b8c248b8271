package oracle

import (
	"errors"
	"fmt"
	"strings"

	"github.com/breakwater-otel/breakwater/integration/crucible/load"
	"github.com/breakwater-otel/breakwater/integration/harness"
)

// Report is what became of all accounts.
type Report struct {
	Writers []WriterReport `json:"writers"`
	// Foreign counts what was found and is of none of the writers, with the beginning of a few of them.
	Foreign         int64    `json:"foreign,omitempty"`
	ForeignExamples []string `json:"foreign_examples,omitempty"`
}

// WriterReport is what became of one account. Written = Stored + DeadLettered + Corrupted + Lost, always.
type WriterReport struct {
	Writer string    `json:"writer"`
	Kind   load.Kind `json:"kind"`

	Written      int64              `json:"written"`
	Stored       int64              `json:"stored"`        // distinct
	DeadLettered int64              `json:"dead_lettered"` // distinct, and not stored
	DeadByReason map[string]int64   `json:"dead_by_reason,omitempty"`
	Lost         int64              `json:"lost"`
	LostSeqs     []harness.SeqRange `json:"lost_seqs,omitempty"`
	// Corrupted are records of which there are only copies, or pieces, that are not as written.
	Corrupted     int64              `json:"corrupted,omitempty"`
	CorruptedSeqs []harness.SeqRange `json:"corrupted_seqs,omitempty"`
	// CorruptedCopies are all copies that are not as written, of whatever record.
	CorruptedCopies int64 `json:"corrupted_copies,omitempty"`

	Duplicated     int64              `json:"duplicated"` // further copies
	DuplicatedSeqs []harness.SeqRange `json:"duplicated_seqs,omitempty"`
	ResentCopies   int64              `json:"resent_copies,omitempty"` // further copies of what the writer itself pushed twice
	// OutOfOrder counts stored records whose time in the backend is before that of the stored record before them. It is 0
	// for accounts that have no order (Account.Unordered), for samples, whose time is their number, and for poison.
	OutOfOrder    int64           `json:"out_of_order,omitempty"`
	Mislabelled   int64           `json:"mislabelled,omitempty"` // copies
	LabelExamples []LabelMismatch `json:"label_examples,omitempty"`
	Retimed       int64           `json:"retimed,omitempty"`   // copies
	Unwritten     int64           `json:"unwritten,omitempty"` // copies
}

// LabelMismatch is an example of a record with a wrong label.
type LabelMismatch struct {
	Seq   int64  `json:"seq"`
	Label string `json:"label"`
	Want  string `json:"want"`
	Got   string `json:"got"`
}

// Totals adds up all writers. Ranges and examples are theirs alone.
func (r Report) Totals() WriterReport {
	sum := WriterReport{Writer: "all"}
	for _, w := range r.Writers {
		sum.Written += w.Written
		sum.Stored += w.Stored
		sum.DeadLettered += w.DeadLettered
		sum.Lost += w.Lost
		sum.Corrupted += w.Corrupted
		sum.CorruptedCopies += w.CorruptedCopies
		sum.Duplicated += w.Duplicated
		sum.ResentCopies += w.ResentCopies
		sum.OutOfOrder += w.OutOfOrder
		sum.Mislabelled += w.Mislabelled
		sum.Retimed += w.Retimed
		sum.Unwritten += w.Unwritten
		for reason, n := range w.DeadByReason {
			if sum.DeadByReason == nil {
				sum.DeadByReason = map[string]int64{}
			}
			sum.DeadByReason[reason] += n
		}
	}
	return sum
}

// Err is nil when every record that was acknowledged is stored or dead-lettered, as it was written, and nothing is there
// that was not written. Copies and dead letters are no error.
func (r Report) Err() error {
	var err error
	for _, w := range r.Writers {
		if w.Lost+w.Corrupted+w.CorruptedCopies+w.Mislabelled+w.Retimed+w.Unwritten > 0 {
			err = errors.Join(err, errors.New(w.String()))
		}
	}
	return err
}

// Ranges writes the first few ranges of numbers, and … when there are more.
func Ranges(ranges []harness.SeqRange) string {
	const shown = 10
	texts := make([]string, 0, shown+1)
	for i, r := range ranges {
		if i == shown {
			texts = append(texts, "…")
			break
		}
		texts = append(texts, r.String())
	}
	return strings.Join(texts, ", ")
}

func (w WriterReport) String() string {
	text := fmt.Sprintf("%s: written %d, stored %d, dead-lettered %d, lost %d, duplicated %d",
		w.Writer, w.Written, w.Stored, w.DeadLettered, w.Lost, w.Duplicated)
	for _, more := range []struct {
		name string
		n    int64
	}{
		{"corrupted", w.Corrupted}, {"corrupted copies", w.CorruptedCopies}, {"mislabelled", w.Mislabelled},
		{"retimed", w.Retimed}, {"unwritten", w.Unwritten}, {"out of order", w.OutOfOrder},
		{"copies by the writer", w.ResentCopies},
	} {
		if more.n > 0 {
			text += fmt.Sprintf(", %s %d", more.name, more.n)
		}
	}
	if len(w.LostSeqs) > 0 {
		text += "; lost: " + Ranges(w.LostSeqs)
	}
	if len(w.CorruptedSeqs) > 0 {
		text += "; corrupted: " + Ranges(w.CorruptedSeqs)
	}
	for _, e := range w.LabelExamples {
		text += fmt.Sprintf("; %d has %s=%q instead of %q", e.Seq, e.Label, e.Got, e.Want)
	}
	return text
}
