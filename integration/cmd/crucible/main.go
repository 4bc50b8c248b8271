// Command crucible runs the pipeline from real parts, breaks it in every way that it may be broken, and counts what became
// of each record. It writes what it found to crucible.md, crucible.json and a picture of each case below crucible/ in the
// directory of -out, and fails when a case does not come out as expected: when something is lost that is not on the list
// of known losses, or when a loss of that list did not happen.
//
//	crucible -list                                   # the cases, with what happens in each of them
//	crucible -case consumer-kill -case 'broker-*'
//	crucible -rival upstream                         # another consumer
//	crucible -consumer-cmd 'my-consumer --config …'  # any program, see the help of the flag
//	crucible -soak 2h -seed 7
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/breakwater-otel/breakwater/integration/crucible"
	"github.com/breakwater-otel/breakwater/integration/crucible/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "crucible:", err)
		stop()
		os.Exit(1)
	}
}

// settings of the command, from its flags.
type settings struct {
	cases   []crucible.Case
	subset  bool // not all cases
	profile crucible.Profile
	seed    uint64
	seeds   int // of each case, if it is not 0
	lanes   int
	out     string
	list    bool
	keep    bool
	// loopback is for machines that do not allow namespaces, and to test what is done there.
	loopback bool
}

// words is a flag that can be given several times.
type words []string

func (w *words) String() string { return strings.Join(*w, ",") }

func (w *words) Set(text string) error {
	*w = append(*w, text)
	return nil
}

const defaultLanes = 3

func readSettings(args []string) (settings, error) {
	var (
		s     settings
		names words
		soak  time.Duration
		short bool
	)
	flags := flag.NewFlagSet("crucible", flag.ContinueOnError)
	flags.Var(&names, "case", "run this case only, or those that a pattern such as 'broker-*' matches; can be given several times")
	flags.BoolVar(&short, "short", false, "run the short subset that the tests run")
	flags.DurationVar(&soak, "soak", 0, "run random faults for that long instead of the cases")
	flags.Uint64Var(&s.seed, "seed", 1, "of everything that is left to chance: the same seed breaks the same parts at the same moments")
	flags.IntVar(&s.seeds, "seeds", 0, "run the cases with that many seeds, -seed and those after it, by default the cases of the promise of the consumer; what is written is crucible-seeds.md")
	flags.IntVar(&s.lanes, "lanes", defaultLanes, "clusters side by side; each takes about a third of a core and 2 GB of memory")
	rival := flags.String("rival", crucible.Profiles()[0].Name, "which agent and consumer to run: "+strings.Join(profileNames(), ", "))
	agent := flags.String("agent-cmd", "", "run this command in the place of the agent. It reads the files of LOG_INCLUDE and writes to the topic KAFKA_LOGS_TOPIC at KAFKA_BROKERS, or to VICTORIALOGS_ENDPOINT")
	consumer := flags.String("consumer-cmd", "", "run this command in the place of each consumer. It reads the topic KAFKA_LOGS_TOPIC (OTLP) at KAFKA_BROKERS as the group KAFKA_GROUP_ID and writes to VICTORIALOGS_ENDPOINT")
	flags.StringVar(&s.out, "out", "", "directory to write crucible.md, crucible.json and the pictures to; results of other cases that are there stay")
	flags.BoolVar(&s.list, "list", false, "print the cases and their plans, and run nothing")
	flags.BoolVar(&s.keep, "keep", false, "leave the logs and the data of all parts in a temporary directory, and tell where")
	flags.BoolVar(&s.loopback, "loopback", false, "run everything on loopback with proxies in between, as is done where the machine allows no network namespaces")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if s.lanes < 1 || soak < 0 || s.seeds < 0 {
		return s, errors.New("-lanes must be 1 or more, -soak and -seeds not negative")
	}
	var err error
	if s.profile, err = crucible.FindProfile(*rival); err != nil {
		return s, fmt.Errorf("-rival: %w", err)
	}
	s.profile = s.profile.WithCommands(*agent, *consumer)
	if soak > 0 {
		s.cases, s.subset = []crucible.Case{crucible.Soak(soak)}, true
		return s, nil
	}
	s.subset = short || len(names) > 0
	s.cases, err = choose(names, func(c crucible.Case) bool {
		return (!short || c.Short) && (s.seeds == 0 || len(names) > 0 || c.Seeds)
	})
	return s, err
}

func profileNames() []string {
	var names []string
	for _, p := range crucible.Profiles() {
		names = append(names, p.Name)
	}
	return names
}

// choose returns the cases that are eligible and that one of the patterns matches; without a pattern, all that are eligible.
func choose(patterns []string, eligible func(crucible.Case) bool) ([]crucible.Case, error) {
	all := crucible.Cases()
	for _, pattern := range patterns {
		if !slices.ContainsFunc(all, func(c crucible.Case) bool { return matches(pattern, c.Name) }) {
			return nil, fmt.Errorf("-case: no case is called %q; -list shows them", pattern)
		}
	}
	var chosen []crucible.Case
	for _, c := range all {
		wanted := len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return matches(p, c.Name) })
		if wanted && eligible(c) {
			chosen = append(chosen, c)
		}
	}
	return chosen, nil
}

func matches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	s, err := readSettings(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	begin := time.Now()
	say := func(format string, args ...any) {
		_, _ = fmt.Fprintf(out, "%6.1f s  %s\n", time.Since(begin).Seconds(), fmt.Sprintf(format, args...))
	}
	if s.list {
		list(out, s)
		return nil
	}
	say("%d cases, seed %d, profile %s", len(s.cases), s.seed, s.profile.Name)
	var results []report.Result
	err = crucible.Run(ctx, crucible.Options{
		Cases: s.cases, Profile: s.profile, Seed: s.seed, Seeds: s.seeds, Lanes: s.lanes, Loopback: s.loopback, Keep: s.keep, Progress: say,
		Done: func(r report.Result) {
			results = append(results, r)
			say("[%d/%d] %s", len(results), len(s.cases), summary(r))
		},
	})
	if len(results) > 0 {
		slices.SortFunc(results, byOrder)
		_, _ = fmt.Fprintf(out, "\n%s\n", report.Table(results))
	}
	if err != nil {
		return err
	}
	if s.out != "" {
		if err := write(s, results, time.Since(begin)); err != nil {
			return err
		}
	}
	return verdict(results)
}

func list(out io.Writer, s settings) {
	for _, c := range s.cases {
		_, _ = fmt.Fprintf(out, "%s: %s\n", c.Name, c.About)
		for line := range strings.Lines(c.Plan(s.seed).String()) {
			_, _ = fmt.Fprintf(out, "    %s\n", strings.TrimSuffix(line, "\n"))
		}
	}
}

// summary is a result in a line, and one more for each thing that is wrong.
func summary(r report.Result) string {
	text := fmt.Sprintf("%s, seed %d, %s: %s; %d written, %d lost, %d duplicated", r.Case, r.Seed, r.Duration.Round(time.Second), r.Verdict, r.Written(), r.Number(report.Lost), r.Number(report.Duplicated))
	for _, why := range append(slices.Clone(r.Why), r.Notes...) {
		text += "\n              " + strings.ReplaceAll(why, "\n", "\n              ")
	}
	for _, audit := range r.Audits {
		for _, w := range audit.Writers {
			if w.Lost+w.Corrupted+w.CorruptedCopies+w.Mislabelled+w.Retimed+w.Unwritten > 0 {
				text += "\n              " + w.String()
			}
		}
	}
	return text
}

// byOrder brings results into the order of the cases, and then of the seeds.
func byOrder(a, b report.Result) int {
	order := func(r report.Result) int {
		return slices.IndexFunc(crucible.Cases(), func(c crucible.Case) bool { return c.Name == r.Case })
	}
	return cmp.Or(order(a)-order(b), cmp.Compare(a.Seed, b.Seed))
}

// write writes the document. What is there of other cases, other seeds and other profiles stays.
func write(s settings, results []report.Result, took time.Duration) error {
	name := "crucible"
	if s.seeds > 0 {
		name = "crucible-seeds"
	}
	doc, err := report.Read(s.out, name)
	if err != nil {
		return err
	}
	doc.Title, doc.Intro = "Crucible", crucible.Intro()
	if s.seeds > 0 {
		doc.Title, doc.Intro, doc.PerSeed = "Crucible, by seed", crucible.SeedsIntro(), true
	}
	if !s.subset {
		// Cases and seeds that are no more go.
		doc.Results = slices.DeleteFunc(doc.Results, func(r report.Result) bool { return r.Profile == s.profile.Name })
		if doc.Runs == nil {
			doc.Runs = map[string]string{}
		}
		doc.Runs[s.profile.Name] = s.describe(len(results), took)
	}
	doc = doc.Merge(results...)
	slices.SortStableFunc(doc.Results, func(a, b report.Result) int {
		return cmp.Or(strings.Compare(a.Profile, b.Profile), byOrder(a, b))
	})
	doc.Known = slices.DeleteFunc(crucible.KnownLosses(), func(k report.KnownLoss) bool {
		return !slices.ContainsFunc(doc.Results, func(r report.Result) bool {
			return r.Profile == k.Profile && (r.Case == k.Case || !doc.PerSeed)
		})
	})
	return doc.Write(s.out, name)
}

// describe says of a run of all cases what it was, for the document.
func (s settings) describe(cases int, took time.Duration) string {
	seeds := fmt.Sprintf("seed %d", s.seed)
	if s.seeds > 1 {
		seeds = fmt.Sprintf("seeds %d to %d", s.seed, s.seed+uint64(s.seeds)-1)
	}
	return fmt.Sprintf("The last run of all %d cases: %s, %d lanes, %s on %d cores.",
		cases, seeds, s.lanes, took.Round(time.Second), runtime.NumCPU())
}

// verdict is an error that names the cases that did not come out as expected.
func verdict(results []report.Result) error {
	var bad []string
	for _, r := range results {
		if !r.Verdict.OK() {
			bad = append(bad, fmt.Sprintf("%s (%s)", r.Case, r.Verdict))
		}
	}
	if len(bad) > 0 {
		return fmt.Errorf("%d of %d cases are not as expected: %s", len(bad), len(results), strings.Join(bad, ", "))
	}
	return nil
}
