// Command bench measures the consumer end to end on this machine and writes what it measured to docs/benchmarks.md:
// CPU and memory of the consumer and CPU of VictoriaLogs for each record, and how fast a backlog in Kafka is drained,
// beside the same work done by upstream components. Kafka is in this process, everything else is real. It fails when
// rows are lost or doubled; a target that is missed fails only with -check.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/breakwater-otel/breakwater/integration/bench"
	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/integration/prepare"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// Suites, by the names of their sections in docs/benchmarks.md.
const (
	suiteEncoder  = "encoder"
	suiteCompare  = "compare"
	suiteTune     = "tune"
	suiteCompress = "compression"
	suiteMemory   = "memory"
	suiteFluent   = "fluentbit"
	suiteOutage   = "outage"
	suiteLedger   = "ledger"
)

// settings of the command, from its flags.
type settings struct {
	suites   []string
	runs     int
	messages int
	records  int
	gigabyte float64
	outage   time.Duration
	steady   time.Duration
	variants []string
	write    bool
	check    bool
	profiles string
}

func readSettings(args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	suites := flags.String("suites", suiteCompare+","+suiteFluent+","+suiteMemory, "what to run: "+strings.Join([]string{suiteEncoder, suiteCompare, suiteCompress, suiteFluent, suiteTune, suiteMemory, suiteOutage, suiteLedger}, ", "))
	flags.IntVar(&s.runs, "runs", 6, "how often each variant is run, in turn with the others")
	flags.IntVar(&s.messages, "messages", 300, "messages in Kafka; "+suiteMemory+" takes as many as make -queued")
	flags.IntVar(&s.records, "records", 2000, "records in a message")
	flags.Float64Var(&s.gigabyte, "queued", 1, "GB of messages in Kafka, uncompressed, for "+suiteMemory+" and "+suiteOutage)
	flags.DurationVar(&s.outage, "outage", 10*time.Minute, "how long VictoriaLogs is away in "+suiteOutage)
	flags.DurationVar(&s.steady, "steady", time.Minute, "how long a run of "+suiteLedger+" is measured")
	variants := flags.String("variants", "", "only these of the suite, separated by commas")
	flags.BoolVar(&s.write, "write", false, "write the tables to docs/benchmarks.md")
	flags.BoolVar(&s.check, "check", false, "fail when a target is missed")
	flags.StringVar(&s.profiles, "profiles", "", "directory for a CPU profile of each consumer; its runs cost a little more")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	s.suites = strings.Split(*suites, ",")
	if *variants != "" {
		s.variants = strings.Split(*variants, ",")
	}
	if s.runs < 1 || s.messages < 1 || s.records < 1 || s.gigabyte <= 0 || s.outage <= 0 || s.steady <= 0 {
		return s, errors.New("-runs, -messages, -records, -queued, -outage and -steady must be over 0")
	}
	return s, nil
}

func run(ctx context.Context, args []string) error {
	s, err := readSettings(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	root, err := harness.Root()
	if err != nil {
		return err
	}
	preparer := prepare.Preparer{Root: root, Progress: say}
	if _, err := preparer.Backends(ctx); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "breakwater-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()

	var missed []string
	for _, suite := range s.suites {
		var (
			text    string
			targets []bench.Target
		)
		switch suite {
		case suiteEncoder:
			text, targets, err = s.encoder(ctx)
		case suiteCompare:
			text, targets, err = s.compare(ctx, dir)
		case suiteCompress:
			text, err = s.drain(ctx, dir, bench.CompressionVariants())
		case suiteTune:
			text, err = s.drain(ctx, dir, bench.TuneVariants())
		case suiteFluent:
			text, targets, err = s.fluentBit(ctx, dir)
		case suiteOutage:
			text, targets, err = s.awayFor(ctx, dir)
		case suiteMemory:
			text, targets, err = s.memory(ctx, dir)
		case suiteLedger:
			text, targets, err = s.ledger(ctx, dir)
		default:
			return fmt.Errorf("-suites: there is no %q", suite)
		}
		if err != nil {
			return err
		}
		say("\n%s", text)
		if s.write {
			if err := bench.WriteSection(suite, text); err != nil {
				return err
			}
		}
		for _, target := range targets {
			if !target.Passed() {
				missed = append(missed, target.What)
			}
		}
	}
	if s.check && len(missed) > 0 {
		return fmt.Errorf("missed: %s", strings.Join(missed, "; "))
	}
	return nil
}

func (s settings) encoder(ctx context.Context) (string, []bench.Target, error) {
	figures, err := bench.RunEncoder(ctx, s.runs)
	if err != nil {
		return "", nil, err
	}
	targets := bench.EncoderTargets(figures)
	return s.about() + "\n" + bench.EncoderTable(figures) + "\n" + bench.TargetTable(targets), targets, nil
}

func (s settings) compare(ctx context.Context, dir string) (string, []bench.Target, error) {
	results, variants, err := s.measure(ctx, dir, bench.CompareVariants())
	if err != nil {
		return "", nil, err
	}
	text := results.about + results.Table(variants)
	if s.variants != nil {
		return text, nil, nil
	}
	targets := results.Targets()
	return text + "\n" + bench.TargetTable(targets), targets, nil
}

func (s settings) drain(ctx context.Context, dir string, variants []bench.Variant) (string, error) {
	results, variants, err := s.measure(ctx, dir, variants)
	return results.about + results.Table(variants), err
}

// fluentBit has as many records as the other suites, each in a message of its own.
func (s settings) fluentBit(ctx context.Context, dir string) (string, []bench.Target, error) {
	s.messages, s.records = s.messages*s.records, 1
	results, variants, err := s.measure(ctx, dir, bench.FluentBitVariants())
	if err != nil {
		return "", nil, err
	}
	text := results.about + results.Table(variants)
	if s.variants != nil {
		return text, nil, nil
	}
	targets := results.FluentBitTargets()
	return text + "\n" + bench.TargetTable(targets), targets, nil
}

// awayFor drains the queue without an outage and with one, in turn.
func (s settings) awayFor(ctx context.Context, dir string) (_ string, _ []bench.Target, err error) {
	if s.messages, err = s.queuedMessages(); err != nil {
		return "", nil, err
	}
	backlog, about, err := s.backlog(ctx, dir)
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, backlog.Close(), os.RemoveAll(dir+"/kafka")) }()
	var results []bench.OutageResult
	for round := range s.runs {
		result, err := backlog.Outage(ctx, dir, bench.CompareVariants()[0], s.outage)
		if err != nil {
			return "", nil, err
		}
		results = append(results, result)
		say("%2d/%d  %s", round+1, s.runs, result)
	}
	targets := bench.OutageTargets(results)
	return about + fmt.Sprintf("VictoriaLogs away for %s.\n\n", s.outage) + bench.OutageTable(results) + "\n" + bench.TargetTable(targets), targets, nil
}

// queuedMessages is how many messages make -queued.
func (s settings) queuedMessages() (int, error) {
	message, err := bench.Workload{Messages: 1, RecordsPerMessage: s.records, Start: time.Now()}.Message(0)
	if err != nil {
		return 0, err
	}
	return int(s.gigabyte*1e9)/len(message) + 1, nil
}

// memory drains the queue once, with the shipped profile.
func (s settings) memory(ctx context.Context, dir string) (string, []bench.Target, error) {
	var err error
	if s.messages, err = s.queuedMessages(); err != nil {
		return "", nil, err
	}
	s.runs = 1
	results, variants, err := s.measure(ctx, dir, bench.CompareVariants()[:1])
	if err != nil {
		return "", nil, err
	}
	targets := []bench.Target{bench.MemoryTarget(results.Results)}
	return results.about + results.Table(variants) + "\n" + bench.TargetTable(targets), targets, nil
}

// ledgerWarmUp is how long agents and consumers run before they are measured.
const ledgerWarmUp = 20 * time.Second

// ledger is what the delivery ledger costs in steady state.
func (s settings) ledger(ctx context.Context, dir string) (string, []bench.Target, error) {
	var results []bench.LedgerResult
	for round := range s.runs {
		result, err := bench.RunLedger(ctx, dir, ledgerWarmUp, s.steady)
		if err != nil {
			return "", nil, err
		}
		results = append(results, result)
		say("%2d/%d  %s", round+1, s.runs, result)
	}
	targets := bench.LedgerTargets(results)
	return s.about() + fmt.Sprintf("Two agents read the same %d lines a second for %s, one with the ledger, one without; CPU time a record.\n\n",
		bench.LedgerRate, s.steady) + bench.LedgerTable(results) + "\n" + bench.TargetTable(targets), targets, nil
}

// measured is the results of a suite and what they are about.
type measured struct {
	bench.Results
	about string
}

// measure runs the variants in turn.
func (s settings) measure(ctx context.Context, dir string, variants []bench.Variant) (m measured, _ []bench.Variant, err error) {
	if s.variants != nil {
		variants = slices.DeleteFunc(variants, func(v bench.Variant) bool { return !slices.Contains(s.variants, v.Name) })
	}
	backlog, about, err := s.backlog(ctx, dir)
	if err != nil {
		return m, nil, err
	}
	defer func() { err = errors.Join(err, backlog.Close(), os.RemoveAll(dir+"/kafka")) }()
	m.about = about
	for round := range s.runs {
		for _, variant := range variants {
			if s.profiles != "" {
				variant.Profile = filepath.Join(s.profiles, fmt.Sprintf("%s-%d.pprof", variant.Name, round+1))
			}
			result, err := backlog.Run(ctx, dir, variant)
			if err != nil {
				return m, nil, err
			}
			m.Results = append(m.Results, result)
			say("%2d/%d  %-14s %s", round+1, s.runs, variant.Name, result)
		}
	}
	return m, variants, nil
}

// backlog fills a Kafka and says with what.
func (s settings) backlog(ctx context.Context, dir string) (_ *bench.Backlog, about string, err error) {
	workload := bench.Workload{Messages: s.messages, RecordsPerMessage: s.records, FluentBit: s.records == 1, Start: time.Now()}
	backlog, err := bench.NewBacklog(ctx, dir+"/kafka", workload)
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, backlog.Close())
		}
	}()
	if backlog.BackendCores, err = bench.SplitCores(); err != nil {
		return nil, "", err
	}
	rows, err := workload.Rows(0)
	if err != nil {
		return nil, "", err
	}
	format := "OTLP"
	if workload.FluentBit {
		format = "Fluent Bit's JSON"
	}
	about = s.about() + fmt.Sprintf("%d messages of %d records in %d partitions on %d brokers, %.0f MB of %s before compression, %d bytes a row as JSON.\n\n",
		s.messages, s.records, backlog.Partitions(), bench.Brokers, float64(backlog.Bytes)/1e6, format, len(rows)/s.records)
	say("\n%s", strings.TrimSpace(about))
	return backlog, about, nil
}

// about says when, where and how often.
func (s settings) about() string {
	return fmt.Sprintf("%s. Medians of %d runs in turn; in parentheses the least and the most.\n", bench.Machine(), s.runs)
}

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }
