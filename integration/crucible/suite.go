package crucible

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/breakwater-otel/breakwater/integration/crucible/report"
	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/integration/prepare"
)

// Options configures a run.
type Options struct {
	Cases   []Case
	Profile Profile
	Seed    uint64
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
		if c.Loki {
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
	todo := make(chan Case, len(opts.Cases))
	for _, c := range longestFirst(opts.Cases, opts.Seed) {
		todo <- c
	}
	close(todo)

	// When one lane cannot go on, the others are ended, too.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs = make([]error, max(1, min(opts.Lanes, len(opts.Cases))))
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

// longestFirst keeps a long case from being alone at the end.
func longestFirst(cases []Case, seed uint64) []Case {
	return slices.SortedStableFunc(slices.Values(cases), func(a, b Case) int {
		return int(b.Plan(seed).Length - a.Plan(seed).Length)
	})
}

// runLane runs cases one after the other, as long as there are some.
func runLane(ctx context.Context, opts Options, dist prepare.Kafka, n int, todo <-chan Case, done func(report.Result)) (err error) {
	l, err := newLane(ctx, filepath.Join(opts.Dir, fmt.Sprintf("lane-%d", n)), opts.Seed, opts.Loopback, dist)
	if err != nil {
		return fmt.Errorf("lane %d: %w", n, err)
	}
	defer func() { err = errors.Join(err, l.close()) }()
	for c := range todo {
		say := func(format string, args ...any) {
			opts.Progress("%-32s %s", c.Name, fmt.Sprintf(format, args...))
		}
		r := l.run(ctx, c, opts.Profile, opts.Seed, opts.Keep, say)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.Judge(KnownLosses())
		done(r)
		if r.Error != "" {
			// What a case has left broken must not break the next one.
			if err := l.heal(ctx); err != nil {
				return fmt.Errorf("lane %d after case %s: %w", n, c.Name, err)
			}
		}
	}
	return nil
}
