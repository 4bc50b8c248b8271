package topics

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// State is what was found or done.
type State string

// The states of a topic.
const (
	Created State = "created" // by this call, with the wanted settings
	Exists  State = "exists"  // before, or created by somebody else meanwhile
	Missing State = "missing" // and not created, by Verify
)

// Result is about one topic.
type Result struct {
	Want  Spec // what was asked for, lowered to what the cluster can give
	State State
	// What the topic has; zero when it is missing.
	Partitions int32
	Replicas   int
	Configs    map[string]string

	Weaker   []Weakness // what guarantees less than wanted
	Warnings []string
}

// Report is about all topics.
type Report struct {
	Brokers  int // that the cluster has now
	Topics   []Result
	Warnings []string // about the cluster
}

// Problems returns a line for everything that is missing or weaker than wanted.
// It is empty when the pipeline can keep its promise, as far as the number of
// brokers allows: that is a warning.
func (r Report) Problems() []string {
	var lines []string
	for _, t := range r.Topics {
		if t.State == Missing {
			lines = append(lines, fmt.Sprintf("topic %s does not exist", t.Want.Name))
		}
		for _, w := range t.Weaker {
			lines = append(lines, fmt.Sprintf("topic %s: %s", t.Want.Name, w))
		}
	}
	return lines
}

// AllWarnings returns the warnings about the cluster and about each topic.
func (r Report) AllWarnings() []string {
	lines := append([]string(nil), r.Warnings...)
	for _, t := range r.Topics {
		for _, w := range t.Warnings {
			lines = append(lines, fmt.Sprintf("topic %s: %s", t.Want.Name, w))
		}
	}
	return lines
}

// WriteTable writes one line for each topic: what it has and what was done.
func (r Report) WriteTable(w io.Writer) error {
	// What cannot be written is told by Flush.
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "TOPIC\tPARTITIONS\tREPLICAS\tMIN ISR\tRETENTION\tMAX MESSAGE\tSTATE")
	for _, t := range r.Topics {
		state := string(t.State)
		if len(t.Weaker) > 0 {
			state += ", weaker than wanted"
		}
		if t.State == Missing {
			_, _ = fmt.Fprintf(table, "%s\t-\t-\t-\t-\t-\t%s\n", t.Want.Name, state)
			continue
		}
		_, _ = fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%s\t%s\t%s\n", t.Want.Name, t.Partitions, t.Replicas,
			t.Configs[minInsync], retentionText(t.Configs), t.Configs[maxMessage], state)
	}
	return table.Flush()
}

func retentionText(configs map[string]string) string {
	millis := configs[retentionMillis]
	switch {
	case configs[cleanupPolicy] == "compact":
		return "compacted"
	case millis == "-1":
		return "for ever"
	}
	d, err := time.ParseDuration(millis + "ms")
	if err != nil {
		return millis
	}
	return hours(d)
}
