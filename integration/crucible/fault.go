package crucible

import (
	"fmt"
	"strings"
	"time"
)

// The names of the parts, as faults, reports and logs have them.
const (
	Agent1          = "agent-1"
	Agent2          = "agent-2"
	Consumer1       = "consumer-1"
	Consumer2       = "consumer-2"
	Consumer3       = "consumer-3" // comes and goes, for rebalances
	Brokers         = "brokers"    // all of them
	VictoriaLogs    = "victorialogs"
	VictoriaMetrics = "victoriametrics"
	Loki            = "loki"
)

// brokerName is the name of broker i, from 1 on.
func brokerName(i int) string { return fmt.Sprintf("broker-%d", i) }

// members returns the names of the parts of a name, which may be that of all brokers.
func members(name string) []string {
	if name != Brokers {
		return []string{name}
	}
	names := make([]string, brokerCount)
	for i := range names {
		names[i] = brokerName(i + 1)
	}
	return names
}

// Kind is what a fault does.
type Kind string

// The kinds. A fault that lasts is healed after Event.For.
const (
	Kill      Kind = "SIGKILL"   // and started again
	Terminate Kind = "SIGTERM"   // and started again
	Freeze    Kind = "SIGSTOP"   // SIGCONT heals
	Cut       Kind = "cut off"   // from every other host
	OneWay    Kind = "one way"   // nothing from Target reaches Peer
	Loss      Kind = "30 % loss" // on every link of the target
	Delay     Kind = "500 ms delay"
	Reset     Kind = "reset"     // one connection from Target to Peer each second, in the middle of what it sends
	DiskFull  Kind = "disk full" // a part that ends by it is started again
	PowerLoss Kind = "power loss"

	RevokeCredentials Kind = "credentials revoked"
	RemoveACL         Kind = "ACL removed"
	DeleteTopic       Kind = "topic deleted"
	AddPartition      Kind = "partition added"
	Rebalance         Kind = "rebalances" // a third consumer joins and leaves all the time
	Burst             Kind = "burst × 10"
	Poison            Kind = "poison"
	Rolling           Kind = "rolling restart"               // of everything, one after the other
	Swap              Kind = "VictoriaLogs swapped for Loki" // by another configuration of the consumers
)

// Fault is one thing that goes wrong.
type Fault struct {
	Kind   Kind
	Target string
	Peer   string // the other end, for OneWay and Reset
}

func (f Fault) String() string {
	switch {
	case f.Peer != "":
		return fmt.Sprintf("%s %s → %s", f.Kind, f.Target, f.Peer)
	case f.Target != "":
		return fmt.Sprintf("%s %s", f.Kind, f.Target)
	default:
		return string(f.Kind)
	}
}

// process is the part whose process ends or stands still by the fault; all brokers are one. It is empty for other faults.
func (f Fault) process() string {
	switch f.Kind {
	case Kill, Terminate, Freeze, PowerLoss:
		if isBroker(f.Target) {
			return Brokers
		}
		return f.Target
	}
	return ""
}

// Event is a fault at a time.
type Event struct {
	Fault
	At  time.Duration // since the pipeline is in its stride
	For time.Duration // until it is healed, or the part is started again
}

func (e Event) String() string {
	text := fmt.Sprintf("%4.1f s %s", e.At.Seconds(), e.Fault)
	if e.For > 0 {
		text += fmt.Sprintf(" for %.1f s", e.For.Seconds())
	}
	return text
}

// Plan is what happens in a case.
type Plan struct {
	Length time.Duration // of writing
	Events []Event
}

func (p Plan) String() string {
	lines := make([]string, 0, len(p.Events)+1)
	for _, e := range p.Events {
		lines = append(lines, e.String())
	}
	lines = append(lines, fmt.Sprintf("%4.1f s the writers stop", p.Length.Seconds()))
	return strings.Join(lines, "\n")
}
