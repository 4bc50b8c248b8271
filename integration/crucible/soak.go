package crucible

import (
	"fmt"
	"math"
	"time"
)

const (
	soakGap     = 8.0 // seconds from the end of a fault of a part to the next one of it, on average
	soakLongest = 20.0
)

// soakTargets are parts that are broken side by side; those of a group one at a time, as only then there is something
// that can be promised: of three brokers two have to be there.
var soakTargets = [][]string{
	{Agent1},
	{Agent2},
	{Consumer1, Consumer2},
	{brokerName(1), brokerName(2), brokerName(3), Brokers},
	{VictoriaLogs},
	{VictoriaMetrics},
}

var soakKinds = []Kind{Kill, Kill, Terminate, Freeze, Cut, Loss, Delay}

// Soak is a case of random faults for a given time.
func Soak(length time.Duration) Case {
	return Case{
		Name: "soak", About: fmt.Sprintf("Random faults for %s.", length), Length: length,
		plan: func(p *planner) {
			for _, group := range soakTargets {
				p.soak(group, length-afterFault)
			}
		},
	}
}

// soak breaks the parts of a group one after the other until the end.
func (p *planner) soak(group []string, end time.Duration) {
	for at := p.gap(); ; {
		f := Fault{Kind: soakKinds[p.rng.IntN(len(soakKinds))], Target: group[p.rng.IntN(len(group))]}
		lasts := p.lasting(1 + p.rng.Float64()*(soakLongest-1))
		if at+lasts > end {
			return
		}
		p.add(at, lasts, f)
		at += lasts + p.gap()
	}
}

// gap is the time until the next fault: at any moment as likely as at any other.
func (p *planner) gap() time.Duration {
	return time.Duration((2 - soakGap*math.Log(1-p.rng.Float64())) * float64(time.Second)).Round(100 * time.Millisecond)
}
