package report

import (
	"time"

	"github.com/breakwater-otel/breakwater/integration/crucible/oracle"
)

// Point is the state of a case at a moment. Written and Stored count from the beginning.
type Point struct {
	Seconds float64 `json:"seconds"` // since the beginning
	Written int64   `json:"written"`
	Stored  int64   `json:"stored"`
	Backlog int64   `json:"backlog"`
}

// Window is a fault, in seconds since the beginning. One that is over at once ends when it begins.
type Window struct {
	Name string  `json:"name"`
	From float64 `json:"from"`
	To   float64 `json:"to"`
}

// Result is what came out of a case.
type Result struct {
	Case    string `json:"case"`
	About   string `json:"about,omitempty"`   // one sentence
	Profile string `json:"profile,omitempty"` // which agent and consumer ran
	Seed    uint64 `json:"seed"`
	// Notes say what is different from what the case asks for, such as losses that are emulated.
	Notes    []string      `json:"notes,omitempty"`
	Faults   []Window      `json:"faults,omitempty"`
	Started  time.Time     `json:"started,omitzero"`
	Duration time.Duration `json:"duration_ns"`
	// Recovery is the time from the end of the last fault until the backlog was gone; negative when it never was.
	Recovery time.Duration `json:"recovery_ns"`
	// Audits are the reports of the oracle: one, or one for each backend that is to hold the same.
	Audits []oracle.Report `json:"audits"`
	// Ledger is what the consumers' delivery ledger says, of each audit the logs and the metrics, and Disagreements where
	// that is something else than what the oracle has found.
	Ledger        []Ledger         `json:"ledger,omitempty"`
	Disagreements []string         `json:"disagreements,omitempty"`
	PeakRSS       map[string]int64 `json:"peak_rss_bytes,omitempty"` // by process
	Series        []Point          `json:"series,omitempty"`
	// Forbids are numbers that must be 0 beside those that always must.
	Forbids []Number `json:"forbids,omitempty"`
	// Error says why the case could not be run to its end.
	Error string `json:"error,omitempty"`

	// What follows is set by Judge.

	Expected string   `json:"expected"` // "holds", or the names of the known losses
	Verdict  Verdict  `json:"verdict"`
	Why      []string `json:"why,omitempty"`
}

// Ledger is an account of the delivery ledger: a consumer group's, of all agents together, in records.
type Ledger struct {
	Group        string `json:"group"`
	Stamped      int64  `json:"stamped"`
	Stored       int64  `json:"stored"`
	DeadLettered int64  `json:"dead_lettered"`
	Missing      int64  `json:"missing"`
	Duplicated   int64  `json:"duplicated"`
}

// Number names one of the numbers of a result.
type Number string

// The numbers. The first five must always be 0.
const (
	Lost         Number = "lost"
	Corrupted    Number = "corrupted"
	Mislabelled  Number = "mislabelled"
	Retimed      Number = "retimed"
	Unwritten    Number = "unwritten"
	Duplicated   Number = "duplicated"
	OutOfOrder   Number = "out of order"
	DeadLettered Number = "dead-lettered"
	Foreign      Number = "foreign"
)

var (
	always  = []Number{Lost, Corrupted, Mislabelled, Retimed, Unwritten}
	numbers = append(always[:len(always):len(always)], Duplicated, OutOfOrder, DeadLettered, Foreign)
)

// Number gives one of the numbers, over all audits.
func (r Result) Number(n Number) int64 {
	var sum int64
	for _, audit := range r.Audits {
		total := audit.Totals()
		switch n {
		case Lost:
			sum += total.Lost
		case Corrupted:
			// Records of which there are only pieces have no corrupted copy, and corrupted copies may be beside whole ones.
			sum += max(total.Corrupted, total.CorruptedCopies)
		case Mislabelled:
			sum += total.Mislabelled
		case Retimed:
			sum += total.Retimed
		case Unwritten:
			sum += total.Unwritten
		case Duplicated:
			sum += total.Duplicated
		case OutOfOrder:
			sum += total.OutOfOrder
		case DeadLettered:
			sum += total.DeadLettered
		case Foreign:
			sum += audit.Foreign
		}
	}
	return sum
}

// Written is how many records were acknowledged to the writers, for each of the audits.
func (r Result) Written() int64 {
	var sum int64
	for _, audit := range r.Audits {
		sum += audit.Totals().Written
	}
	return sum
}

// Recovery is the time from the end of a fault until the backlog was as small again as it was at most before it began. ok
// is false when that never was. One moment will not do: a consumer that has just come back may not know its lag.
func Recovery(series []Point, fault Window) (after time.Duration, ok bool) {
	var usual int64
	for _, p := range series {
		if p.Seconds < fault.From {
			usual = max(usual, p.Backlog)
		}
	}
	for i, p := range series {
		if p.Seconds < fault.To || p.Backlog > usual || i+1 < len(series) && series[i+1].Backlog > usual {
			continue
		}
		return time.Duration((p.Seconds - fault.To) * float64(time.Second)), true
	}
	return 0, false
}
