// Command breakwater-size says how large the buffers of the pipeline have to be:
// BREAKWATER_QUEUE_BYTES and the disk of an agent, retention and disk of Kafka, how
// many consumers, how much memory they take and how long they need to catch up.
//
//	breakwater-size -rate 500 -outage 4h -hosts 40
//
// It exits with 0, or with 1 when the figures make no sense or nothing could ever
// catch up.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/breakwater-otel/breakwater/internal/sizing"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main with everything that it takes from the process; it returns the exit
// status.
func run(args []string, stdout, stderr io.Writer) int {
	need := sizing.Default()
	flags := flag.NewFlagSet("breakwater-size", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Float64Var(&need.Lines, "rate", 0, "log `lines` a second of one host; required")
	flags.DurationVar(&need.KafkaOutage, "outage", 0, "how long the agents have to do without Kafka, such as 4h; required")
	flags.DurationVar(&need.BackendOutage, "backend-outage", need.BackendOutage, "how long Kafka has to do without consumer or backend, for logs")
	flags.DurationVar(&need.MetricsOutage, "metrics-outage", need.MetricsOutage, "the same for metrics")
	flags.IntVar(&need.Hosts, "hosts", need.Hosts, "agents that send as much")
	flags.IntVar(&need.LineBytes, "line-bytes", need.LineBytes, "`bytes` of a line, on average")
	flags.Float64Var(&need.Points, "points", need.Points, "data points a second of one host")
	flags.Float64Var(&need.Headroom, "headroom", need.Headroom, "`factor` by which queue and retention are larger than the outage asks for")
	flags.Float64Var(&need.Compression, "compression", need.Compression, "how many `times` smaller a batch is in Kafka")
	flags.IntVar(&need.Partitions, "partitions", need.Partitions, "of a topic")
	flags.IntVar(&need.Replicas, "replicas", need.Replicas, "of a partition")
	flags.IntVar(&need.Brokers, "brokers", need.Brokers, "of the cluster")
	flags.IntVar(&need.Consumers, "consumers", need.Consumers, "how many there are; 0: as many as catch up within the outage")
	flags.Float64Var(&need.ConsumerRate, "consumer-rate", need.ConsumerRate, "`records` a second of one consumer")
	flags.Float64Var(&need.AgentRate, "agent-rate", need.AgentRate, "`lines` a second that an agent takes out of its queue")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 1 // the flag package has told it
	}
	err := need.Validate()
	if flags.NArg() > 0 {
		err = errors.Join(fmt.Errorf("unexpected argument %q", flags.Arg(0)), err)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "breakwater-size: error:", err)
		return 1
	}
	plan := sizing.Size(need)
	_, _ = io.WriteString(stdout, plan.Text())
	if plan.AgentCatchUp < 0 || plan.ConsumerCatchUp < 0 {
		return 1
	}
	return 0
}
