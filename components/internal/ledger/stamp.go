package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// HeaderKey is the header of a Kafka message that has its Stamp, encoded.
const HeaderKey = "breakwater-ledger"

// Signals, as they are in a Stamp.
const (
	Logs Signal = iota + 1
	Metrics
	Traces
)

// Signal is what the records are: log records, data points or spans.
type Signal uint8

func (s Signal) String() string {
	switch s {
	case Logs:
		return "logs"
	case Metrics:
		return "metrics"
	case Traces:
		return "traces"
	}
	return "unknown"
}

func signalOf(name string) (Signal, bool) {
	for _, s := range []Signal{Logs, Metrics, Traces} {
		if s.String() == name {
			return s, true
		}
	}
	return 0, false
}

// RunID is one run of an agent, from its start to its end. A later one is larger: it begins with the Unix time of the
// start in milliseconds.
type RunID uint64

const runRandomBits = 20

// NewRunID returns the ID of a run that starts now, and after the one before it.
func NewRunID(now time.Time, random uint32, before RunID) RunID {
	return max(RunID(now.UnixMilli())<<runRandomBits|RunID(random&(1<<runRandomBits-1)), before+1)
}

// Start is when the run started, by the clock of the agent.
func (r RunID) Start() time.Time { return time.UnixMilli(int64(r >> runRandomBits)) }

func (r RunID) String() string { return fmt.Sprintf("%016x", uint64(r)) }

func parseRunID(text string) (RunID, error) {
	n, err := strconv.ParseUint(text, 16, 64)
	return RunID(n), err
}

// Stamped are the records [First, First+Count) of a run. Of run 0 nothing is known: they were never stamped.
type Stamped struct {
	Run         RunID
	First       uint64
	Count       uint64
	From, Until int64 // Unix milliseconds of the stamps of the first and the last of them
}

// Announced is what an agent says of one of its runs.
type Announced struct {
	Run RunID
	// Floor: every number below it was given to records that a queue has taken, or is in Void.
	Floor uint64
	// Final: the run has ended, and the floor will not rise.
	Final bool
	void  set
}

// Void says that the records [first, end) were refused: who gave them was told, and gives them again under other numbers.
func (a *Announced) Void(first, end uint64) { a.void.add(first, end) }

// VoidEnd is the end of the last void range, or 0.
func (a *Announced) VoidEnd() uint64 { return a.void.end() }

// Forget drops the first void ranges as long as there are more than so many, and they end before a number.
func (a *Announced) Forget(kept int, before uint64) {
	n := 0
	for len(a.void)-n > kept && a.void[n].end <= before {
		n++
	}
	a.void = a.void[n:]
}

// Stamp is what a message says of its records.
type Stamp struct {
	Agent   string
	Signal  Signal
	Records []Stamped
	Runs    []Announced
}

// Count is of how many stamped records the message is.
func (s *Stamp) Count() (n uint64) {
	for _, r := range s.Records {
		n += r.Count
	}
	return n
}

// Append adds records, which come behind those that are there.
func (s *Stamp) Append(records ...Stamped) {
	for _, r := range records {
		if r.Count == 0 {
			continue
		}
		if n := len(s.Records); n > 0 {
			last := &s.Records[n-1]
			if last.Run == r.Run && (r.Run == 0 || last.First+last.Count == r.First) {
				last.Count += r.Count
				last.From, last.Until = min(last.From, r.From), max(last.Until, r.Until)
				continue
			}
		}
		s.Records = append(s.Records, r)
	}
}

// Announce adds what is said of runs.
func (s *Stamp) Announce(runs ...Announced) {
	for _, a := range runs {
		i := slices.IndexFunc(s.Runs, func(b Announced) bool { return b.Run == a.Run })
		if i < 0 {
			a.void = slices.Clone(a.void)
			s.Runs = append(s.Runs, a)
			continue
		}
		known := &s.Runs[i]
		known.Floor, known.Final = max(known.Floor, a.Floor), known.Final || a.Final
		known.void.union(a.void)
	}
}

// Cut takes the first n records off, with all that is announced.
func (s *Stamp) Cut(n uint64) Stamp {
	cut := Stamp{Agent: s.Agent, Signal: s.Signal}
	cut.Announce(s.Runs...)
	for n > 0 && len(s.Records) > 0 {
		first := &s.Records[0]
		if first.Count <= n {
			cut.Append(*first)
			n -= first.Count
			s.Records = s.Records[1:]
			continue
		}
		part := *first
		part.Count = n
		cut.Append(part)
		first.Count -= n
		if first.Run != 0 {
			first.First += n
		}
		n = 0
	}
	return cut
}

const (
	stampVersion = 1
	// maxAgentBytes is the longest name of a host that systems allow, and a label.
	maxAgentBytes = 255
	flagFinal     = 1
)

var errStamp = errors.New("not a stamp of the ledger")

// Encode writes the stamp. It is as long as the name of the agent and some 20 bytes for each range.
func (s *Stamp) Encode() []byte {
	b := make([]byte, 0, 16+len(s.Agent)+32*(len(s.Records)+len(s.Runs)))
	b = append(b, stampVersion, byte(s.Signal))
	b = binary.AppendUvarint(b, uint64(len(s.Agent)))
	b = append(b, s.Agent...)
	b = binary.AppendUvarint(b, uint64(len(s.Records)))
	for _, r := range s.Records {
		b = binary.BigEndian.AppendUint64(b, uint64(r.Run))
		b = binary.AppendUvarint(b, r.First)
		b = binary.AppendUvarint(b, r.Count)
		b = binary.AppendUvarint(b, uint64(r.From))
		b = binary.AppendUvarint(b, uint64(r.Until-r.From))
	}
	b = binary.AppendUvarint(b, uint64(len(s.Runs)))
	for _, a := range s.Runs {
		b = binary.BigEndian.AppendUint64(b, uint64(a.Run))
		b = binary.AppendUvarint(b, a.Floor)
		flags := byte(0)
		if a.Final {
			flags |= flagFinal
		}
		void := a.void.encode()
		b = append(b, flags)
		b = binary.AppendUvarint(b, uint64(len(void)))
		b = append(b, void...)
	}
	return b
}

// Decode reads what Encode wrote. It keeps nothing of b.
func Decode(b []byte) (Stamp, error) {
	d := decoder{b: b}
	var s Stamp
	if d.byte() != stampVersion {
		return s, errStamp
	}
	s.Signal = Signal(d.byte())
	s.Agent = string(d.bytes(maxAgentBytes))
	for range d.length(12) {
		r := Stamped{Run: RunID(d.uint64()), First: d.uvarint(), Count: d.uvarint(), From: int64(d.uvarint())}
		r.Until = r.From + int64(d.uvarint())
		if r.First+r.Count < r.First || r.From < 0 || r.Until < r.From {
			d.failed = true
		}
		s.Records = append(s.Records, r)
	}
	for range d.length(11) {
		a := Announced{Run: RunID(d.uint64()), Floor: d.uvarint(), Final: d.byte()&flagFinal != 0}
		void, err := parseSet(d.bytes(math.MaxInt))
		d.failed = d.failed || err != nil
		a.void = void
		s.Runs = append(s.Runs, a)
	}
	if d.failed || len(d.b) > 0 || s.Signal < Logs || s.Signal > Traces {
		return Stamp{}, errStamp
	}
	return s, nil
}

type decoder struct {
	b      []byte
	failed bool
}

func (d *decoder) fail() { d.failed, d.b = true, nil }

func (d *decoder) byte() byte {
	if len(d.b) < 1 {
		d.fail()
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) uint64() uint64 {
	if len(d.b) < 8 {
		d.fail()
		return 0
	}
	n := binary.BigEndian.Uint64(d.b)
	d.b = d.b[8:]
	return n
}

func (d *decoder) uvarint() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[size:]
	return n
}

// int64 reads a number that was not negative.
func (d *decoder) int64() int64 {
	n := d.uvarint()
	if n > math.MaxInt64 {
		d.fail()
		return 0
	}
	return int64(n)
}

func (d *decoder) int() int { return int(d.int64()) }

func (d *decoder) bytes(most int) []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) || n > uint64(most) {
		d.fail()
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

// length reads how many there are of something that takes at least so many bytes.
func (d *decoder) length(least int) uint64 {
	n := d.uvarint()
	if n > uint64(len(d.b)/least) {
		d.fail()
		return 0
	}
	return n
}
