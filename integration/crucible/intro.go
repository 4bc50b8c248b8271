package crucible

import (
	"fmt"
	"strings"
)

// Intro is what a reader of the document has to know, in Markdown.
func Intro() string {
	var b strings.Builder
	fmt.Fprintf(&b, `Written by `+"`make crucible`"+`; do not edit. The whole pipeline is started from real parts for each case: Apache Kafka
(%d brokers), two agents, two consumers, VictoriaLogs, VictoriaMetrics or Loki, each process in a network namespace of its
own where the machine allows it. Writers append numbered lines to rotated log files (plain, Docker JSON, CRI) and push numbered OTLP
logs and metrics, about %d records a second; a fault hits them in mid-stream. When it is healed and the pipeline is
empty, an oracle reads the backends and the dead-letter topic and accounts for each record: written = stored +
dead-lettered, or the case fails.

- **lost**: acknowledged to the writer, and nowhere to be found. **duplicated**: further copies. **recovery**: from the
  end of the last fault until the consumers had committed as much as before it.
- The same seed breaks the same parts at the same moments. `+"`make crucible CASE=name`"+` runs one case,
  `+"`SEED=n`"+` another schedule, `+"`RIVAL=name`"+` another consumer, `+"`SOAK=2h`"+` random faults; `+"`make crucible-seeds`"+` the cases of
  the promise of the consumer with three seeds ([crucible-seeds.md](crucible-seeds.md)).
- Other programs can be put in the place of the agent or the consumer: `+"`go run ./cmd/crucible -help`"+` in `+"`integration/`"+`
  says what they find in their environment.
- Kills are kills of processes. After a power loss a backend may have lost what the kernel had not written yet; the
  case power-loss-agent is about the queue of the agent.

The profiles:

`, brokerCount, 4*fileRate+2*otlpRate+4*sampleRate)
	for _, p := range Profiles() {
		fmt.Fprintf(&b, "- `%s`: %s\n", p.Name, p.About)
	}
	return b.String()
}

// SeedsIntro is Intro for the results of several seeds.
func SeedsIntro() string {
	return "Written by `make crucible-seeds`; do not edit. The cases of what the consumer promises, each with several seeds: the faults " +
		"hit\nother parts at other moments. What the columns mean, and how it is run, is in [crucible.md](crucible.md).\n"
}
