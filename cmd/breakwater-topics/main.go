// Command breakwater-topics creates and verifies the Kafka topics of the
// pipeline: it creates those that are missing and reports those that guarantee
// less than wanted, which it never changes.
//
// KAFKA_SASL_* and KAFKA_TLS_* say how it logs in, as for the collector (docs/security.md).
//
// It exits with 0 when every topic is there and as strong as the cluster allows,
// and with 1 when one is weaker or missing, or Kafka cannot be reached.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/breakwater-otel/breakwater/internal/kafkaenv"
	"github.com/breakwater-otel/breakwater/internal/topics"
)

type options struct {
	brokers   []string
	secure    []kgo.Opt
	timeout   time.Duration
	checkOnly bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run is main with everything that it takes from the process; it returns the exit
// status.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	opts, err := parse(args, getenv, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 1 // the flag package has told it
	}
	tell := func(kind string, lines ...string) {
		for _, line := range lines {
			_, _ = fmt.Fprintf(stderr, "breakwater-topics: %s: %s\n", kind, oneLine(line))
		}
	}
	report, err := check(ctx, opts, topics.Defaults(getenv))
	if err != nil {
		tell("error", err.Error())
		return 1
	}
	if err := report.WriteTable(stdout); err != nil {
		tell("error", err.Error())
		return 1
	}
	tell("warning", report.AllWarnings()...)
	if problems := report.Problems(); len(problems) > 0 {
		tell("error", problems...)
		return 1
	}
	return 0
}

func parse(args []string, getenv func(string) string, stderr io.Writer) (options, error) {
	flags := flag.NewFlagSet("breakwater-topics", flag.ContinueOnError)
	flags.SetOutput(stderr)
	brokers := kafkaenv.Brokers(getenv)
	var opts options
	flags.StringVar(&brokers, "brokers", brokers, "comma-separated `addresses` of Kafka; KAFKA_BROKERS by default")
	flags.DurationVar(&opts.timeout, "timeout", 15*time.Second, "how long to try to reach Kafka and to create the topics")
	flags.BoolVar(&opts.checkOnly, "check", false, "verify only, create nothing")
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	for _, broker := range strings.Split(brokers, ",") {
		if broker = strings.TrimSpace(broker); broker != "" {
			opts.brokers = append(opts.brokers, broker)
		}
	}
	var err error
	opts.secure, err = kafkaenv.Options(getenv)
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case len(opts.brokers) == 0:
		err = errors.New("no broker given: set KAFKA_BROKERS or -brokers")
	case opts.timeout <= 0:
		err = errors.New("-timeout must be positive")
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "breakwater-topics: error:", err)
	}
	return opts, err
}

func check(ctx context.Context, opts options, specs []topics.Spec) (topics.Report, error) {
	client, err := kgo.NewClient(append(opts.secure,
		kgo.SeedBrokers(opts.brokers...),
		kgo.ClientID("breakwater-topics"),
		kgo.DialTimeout(min(5*time.Second, opts.timeout)),
	)...)
	if err != nil {
		return topics.Report{}, fmt.Errorf("KAFKA_BROKERS %s: %w", strings.Join(opts.brokers, ","), err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, opts.timeout)
	defer cancel()
	if err := reach(ctx, client); err != nil {
		return topics.Report{}, fmt.Errorf("cannot reach Kafka (KAFKA_BROKERS) at %s: %w",
			strings.Join(opts.brokers, ", "), kafkaenv.Explain(err))
	}
	do := topics.Ensure
	if opts.checkOnly {
		do = topics.Verify
	}
	report, err := do(ctx, client, specs)
	return report, kafkaenv.Explain(err)
}

// reach waits until a broker answers; Kafka may be starting. It returns the last
// failure, which says more than that time is up.
func reach(ctx context.Context, client *kgo.Client) error {
	var last error
	for {
		err := client.Ping(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// oneLine keeps errors of several parts on one line.
func oneLine(text string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(text, "\n", "; ")), " ")
}
