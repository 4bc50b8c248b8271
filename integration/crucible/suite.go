package crucible

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/breakwater-otel/breakwater/integration/crucible/report"
	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/integration/netlab"
	"github.com/breakwater-otel/breakwater/integration/prepare"
)

// Options configures a run.
type Options struct {
	Cases   []Case
	Profile Profile
	Seed    uint64
	Seeds   int    // of each case: Seed and those after it; 1 by default
	Lanes   int    // clusters side by side; 1 by default
	Dir     string // where everything is while it runs; a temporary directory by default
	// Loopback keeps everything on the loopback of the machine, also where it allows namespaces.
	Loopback bool
	Keep     bool // leaves the logs and the data of the cases in Dir
	// Progress is told what happens, one line at a time; nil is silent.
	Progress func(format string, args ...any)
	// Done is called with the judged result of each case as soon as it is known, by one goroutine at a time.
	Done func(report.Result)
}

// Run runs all cases and leaves nothing behind: no process, no namespace, and no file but those of Keep. When ctx ends,
// what runs is ended at once.
func Run(ctx context.Context, opts Options) (err error) {
	if opts.Progress == nil {
		opts.Progress = func(string, ...any) {}
	}
	opts.Cases = slices.DeleteFunc(slices.Clone(opts.Cases), func(c Case) bool {
		if c.Hosts && (opts.Loopback || netlab.Supported() != nil) {
			opts.Progress("%s is not run: it needs hosts of their own", c.Name)
			return true
		}
		if opts.Profile.runs(c) {
			return false
		}
		opts.Progress("%s is not run: it is about what the profile %s does not do", c.Name, opts.Profile.Name)
		return true
	})
	root, err := harness.Root()
	if err != nil {
		return err
	}
	preparer := prepare.Preparer{Root: root, Progress: opts.Progress}
	if _, err := preparer.Backends(ctx); err != nil {
		return err
	}
	dist, err := preparer.Kafka(ctx)
	if err != nil {
		return err
	}
	for _, c := range opts.Cases {
		if c.hasLoki() {
			if _, err := preparer.Loki(ctx); err != nil {
				return err
			}
			break
		}
	}
	if opts.Dir == "" {
		if opts.Dir, err = os.MkdirTemp("", "breakwater-crucible-"); err != nil {
			return err
		}
		if !opts.Keep {
			defer func() { err = errors.Join(err, os.RemoveAll(opts.Dir)) }()
		}
	}
	jobs := longestFirst(opts.Cases, opts.Seed, max(1, opts.Seeds))
	todo := make(chan job, len(jobs))
	for _, j := range jobs {
		todo <- j
	}
	close(todo)

	// When one lane cannot go on, the others are ended, too.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs = make([]error, max(1, min(opts.Lanes, len(jobs))))
	)
	for i := range errs {
		wg.Go(func() {
			errs[i] = runLane(ctx, opts, dist, i+1, todo, func(r report.Result) {
				mu.Lock()
				defer mu.Unlock()
				if opts.Done != nil {
					opts.Done(r)
				}
			})
			if errs[i] != nil {
				cancel(errs[i])
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// job is a case with a seed.
type job struct {
	Case
	seed uint64
}

// longestFirst keeps a long case from being alone at the end.
func longestFirst(cases []Case, seed uint64, seeds int) []job {
	var jobs []job
	for i := range seeds {
		for _, c := range cases {
			jobs = append(jobs, job{Case: c, seed: seed + uint64(i)})
		}
	}
	slices.SortStableFunc(jobs, func(a, b job) int { return int(b.Plan(b.seed).Length - a.Plan(a.seed).Length) })
	return jobs
}

// runLane runs cases one after the other, as long as there are some.
func runLane(ctx context.Context, opts Options, dist prepare.Kafka, n int, todo <-chan job, done func(report.Result)) (err error) {
	made := 0
	var l *lane
	start := func() error {
		made++
		name := fmt.Sprintf("lane-%d-%d", n, made)
		if l, err = newLane(ctx, filepath.Join(opts.Dir, name), opts.Seed, opts.Loopback, dist); err != nil {
			l = nil // it has closed itself
			return fmt.Errorf("lane %d: %w", n, err)
		}
		return nil
	}
	if err := start(); err != nil {
		return err
	}
	defer func() {
		if l != nil {
			err = errors.Join(err, l.close())
		}
	}()
	for j := range todo {
		name := j.Name
		if opts.Seeds > 1 {
			name += fmt.Sprintf(", seed %d", j.seed)
		}
		say := func(format string, args ...any) {
			opts.Progress("%-32s %s", name, fmt.Sprintf(format, args...))
		}
		r := l.run(ctx, j.Case, opts.Profile, j.seed, opts.Keep, say)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.Judge(KnownLosses())
		done(r)
		if r.Error != "" {
			// What a case has left broken must not break the next one.
			if healErr := l.heal(ctx); healErr != nil {
				why, _, _ := strings.Cut(healErr.Error(), "\n") // what follows are the ends of logs
				say("the cluster does not heal, and is made anew: %s", why)
				if err := errors.Join(l.close(), start()); err != nil {
					return fmt.Errorf("lane %d after case %s: %w", n, name, err)
				}
			}
		}
	}
	return nil
}
