package crucible

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"
)

// Case is one way to break the pipeline.
type Case struct {
	Name  string
	About string // a sentence for the report
	// Length is how long records are written; 24 s by default. It is longer when a fault lasts longer.
	Length time.Duration
	Load   Load
	// Secure lets agents and consumers log in to Kafka, with SASL/SCRAM.
	Secure bool
	// Loki stores what the consumers read in Loki instead of VictoriaLogs.
	Loki bool
	// Both stores it in VictoriaLogs and in Loki. Each is to hold all.
	Both bool
	// Swapped begins with VictoriaLogs and has a fault that swaps it for Loki, which is to hold all in the end: it has a
	// consumer group of its own.
	Swapped bool
	// SmallDisk is the part whose data is on a disk of its own that can be filled.
	SmallDisk string
	// Synced keeps what the agents write on a file system that forgets at a power loss what was not synced.
	Synced bool
	// Exact cases may leave no duplicates, where the profile promises it.
	Exact bool
	// Short cases are in the subset that the tests run.
	Short bool
	// Seeds cases are those of the promise of the consumer: they are run with several seeds, too.
	Seeds bool

	plan func(*planner)
}

// Load is what is written beside files, OTLP logs and OTLP metrics.
type Load struct {
	FluentBit bool // one record a message, where the consumer reads such a topic
	Large     bool // a line of 1 MiB now and then
	Jumps     bool // times that are off by hours and days
}

const (
	defaultLength = 24 * time.Second
	// afterFault is how long records are written at least after the last fault is healed.
	afterFault = 6 * time.Second
)

// Plan gives the events of a case, which depend on the seed and the name alone.
func (c Case) Plan(seed uint64) Plan {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(c.Name))
	p := &planner{rng: rand.New(rand.NewPCG(seed, hash.Sum64())), plan: Plan{Length: c.Length}} //nolint:gosec // G404: repeatable
	if p.plan.Length == 0 {
		p.plan.Length = defaultLength
	}
	c.plan(p)
	slices.SortStableFunc(p.plan.Events, func(a, b Event) int { return int(a.At - b.At) })
	for _, e := range p.plan.Events {
		p.plan.Length = max(p.plan.Length, e.At+e.For+afterFault)
	}
	return p.plan
}

// planner collects the events of a plan.
type planner struct {
	rng  *rand.Rand
	plan Plan
}

// about is a time around the given one, in seconds.
func (p *planner) about(seconds float64) time.Duration {
	return time.Duration((seconds + p.rng.Float64()*2 - 1) * float64(time.Second)).Round(100 * time.Millisecond)
}

// lasting is a duration of about so many seconds.
func (p *planner) lasting(seconds float64) time.Duration {
	return time.Duration(seconds * (0.9 + p.rng.Float64()*0.2) * float64(time.Second)).Round(100 * time.Millisecond)
}

func (p *planner) add(at, lasts time.Duration, f Fault) {
	p.plan.Events = append(p.plan.Events, Event{Fault: f, At: at, For: lasts})
}

func (p *planner) agent() string    { return fmt.Sprintf("agent-%d", 1+p.rng.IntN(2)) }
func (p *planner) consumer() string { return fmt.Sprintf("consumer-%d", 1+p.rng.IntN(2)) }
func (p *planner) broker() string   { return brokerName(1 + p.rng.IntN(brokerCount)) }

// once plans a fault that lasts about as long as given, in seconds.
func once(kind Kind, target func(*planner) string, lasts float64) func(*planner) {
	return func(p *planner) {
		p.add(p.about(7), p.lasting(lasts), Fault{Kind: kind, Target: target(p)})
	}
}

// thrice plans a fault three times in a run, each time long enough after the last that the pipeline is in its stride.
func thrice(kind Kind, target func(*planner) string) func(*planner) {
	return func(p *planner) {
		for i := range 3 {
			p.add(p.about(7+float64(i)*10), p.lasting(2), Fault{Kind: kind, Target: target(p)})
		}
	}
}

// between plans a fault of a link.
func between(kind Kind, from, to func(*planner) string, lasts float64) func(*planner) {
	return func(p *planner) {
		p.add(p.about(7), p.lasting(lasts), Fault{Kind: kind, Target: from(p), Peer: to(p)})
	}
}

// all plans everything in one case.
func all(plans ...func(*planner)) func(*planner) {
	return func(p *planner) {
		for _, plan := range plans {
			plan(p)
		}
	}
}

// killed plans that parts are killed at the same moment, as when the machine dies that they run on.
func killed(lasts float64, targets ...func(*planner) string) func(*planner) {
	return func(p *planner) {
		at := p.about(9)
		for _, target := range targets {
			p.add(at, p.lasting(lasts), Fault{Kind: Kill, Target: target(p)})
		}
	}
}

func part(name string) func(*planner) string { return func(*planner) string { return name } }

func anyAgent(p *planner) string    { return p.agent() }
func anyConsumer(p *planner) string { return p.consumer() }
func anyBroker(p *planner) string   { return p.broker() }
