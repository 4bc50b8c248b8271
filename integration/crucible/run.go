package crucible

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/breakwater-otel/breakwater/integration/crucible/load"
	"github.com/breakwater-otel/breakwater/integration/crucible/oracle"
	"github.com/breakwater-otel/breakwater/integration/crucible/report"
	"github.com/breakwater-otel/breakwater/integration/harness"
)

const (
	strideTimeout = 45 * time.Second // until the first records are in all backends
	lastTimeout   = 30 * time.Second // for the last answers to the writers
	// restTimeout is how long the pipeline may take to be empty after the last fault: the longest backoff of the profiles
	// (30 s, half as much again by its randomization) twice, and the time until a backend has its records on disk.
	restTimeout = 2 * time.Minute
	grace       = 50 * time.Second
	groupGrace  = 60 * time.Second
)

// run runs one case in a lane. The result is not judged yet.
func (l *lane) run(ctx context.Context, c Case, profile Profile, seed uint64, keep bool, say func(string, ...any)) (r report.Result) {
	r = report.Result{Case: c.Name, About: c.About, Profile: profile.Name, Seed: seed, Started: time.Now().UTC().Truncate(time.Second)}
	begin := time.Now()
	s, err := newSite(ctx, l, c, profile, seed, say)
	if err == nil {
		err = s.live(ctx, &r)
	}
	if err != nil && ctx.Err() == nil {
		say("%v\n%s", err, s.logTails(keep))
	}
	names := s.topicNames()
	err = errors.Join(err, s.close(keep))
	// Also when it is interrupted the site is closed, but nobody waits for the brokers then.
	if ctx.Err() == nil {
		err = errors.Join(err, l.heal(ctx, names...), l.deleteTopics(ctx, names...))
	}
	r.Notes = s.notes
	if err != nil {
		// What follows in further lines are the ends of logs, which have been shown.
		r.Error, _, _ = strings.Cut(strings.TrimSpace(err.Error()), "\n")
	}
	if c.Exact && profile.Exact {
		r.Forbids = []report.Number{report.Duplicated}
	}
	r.Duration = time.Since(begin).Round(time.Millisecond)
	return r
}

// live writes, breaks, heals, waits and counts.
func (s *site) live(ctx context.Context, r *report.Result) (err error) {
	plan := s.setup.Plan(s.seed)
	for _, e := range plan.Events {
		if text := s.lane.links.emulated(e.Fault); text != "" {
			s.note("%s: %s", e.Fault, text)
		}
	}
	if err := s.addWriters(); err != nil {
		return err
	}
	s.eachWriter(func(w load.Writer) { err = errors.Join(err, w.Start()) })
	if err != nil {
		return err
	}
	sampler := startSampler(s)
	defer func() {
		r.Series, r.PeakRSS = sampler.stop()
		r.Recovery = recovery(r.Series, r.Faults)
	}()
	if err := s.waitStride(ctx); err != nil {
		return err
	}
	s.say("in its stride")
	if r.Faults, err = s.execute(ctx, plan, sampler); err != nil {
		return err
	}
	last, cancel := context.WithTimeout(ctx, lastTimeout)
	defer cancel()
	accounts, err := s.stopWriters(last)
	if err != nil {
		return err
	}
	s.say("the writers have stopped")
	if err := s.waitEmpty(ctx, restTimeout); err != nil {
		if ctx.Err() != nil {
			return err
		}
		s.note("%s after the end: %v", restTimeout, err)
	}
	for _, stores := range s.audits() {
		audit, _, err := oracle.WaitComplete(ctx, oracle.Wait{
			Accounts: accounts, Stores: stores, DeadLetters: s.deadLetters(), Grace: s.grace(),
		})
		if err != nil {
			return err
		}
		r.Audits = append(r.Audits, audit)
	}
	if err := s.holdLedger(ctx, r); err != nil {
		return err
	}
	return s.unexpectedEnds()
}

// grace is how long what is missing may take when Kafka and the queues say that they are empty: the longest backoff of an
// agent, 30 s and half as much again. After a SIGKILL the size that its queue tells of leaves out what was on its way then. Of two groups that read the same topic
// only the faster one is waited for; the other one may be in its longest backoff.
func (s *site) grace() time.Duration {
	if s.setup.Both || s.setup.Swapped {
		return groupGrace
	}
	return grace
}

// recovery is how long the backlog was there after the last fault; 0 without a fault.
func recovery(series []report.Point, faults []report.Window) time.Duration {
	if len(faults) == 0 {
		return 0
	}
	all := faults[0]
	for _, f := range faults {
		all.From, all.To = min(all.From, f.From), max(all.To, f.To)
	}
	after, ok := report.Recovery(series, all)
	if !ok {
		return -1
	}
	return after
}

// waitStride waits until records of the first second are in all backends: faults are to hit a stream and not a start.
func (s *site) waitStride(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, strideTimeout)
	defer cancel()
	stores := s.stores()
	switch {
	case s.profile.Consumer.foreign() || s.profile.Agent.foreign():
		stores = stores[:1]
	case s.setup.Swapped:
		stores = stores[:2]
	}
	return harness.Eventually(ctx, sampleInterval, func(ctx context.Context) error {
		for _, store := range stores {
			n, err := store.Count(ctx)
			if err != nil {
				return err
			}
			if n == 0 {
				return fmt.Errorf("nothing is in %s yet", store.Name())
			}
		}
		return nil
	})
}

// execute brings about the events of a plan and returns when the last one is healed and the time of writing is over.
func (s *site) execute(ctx context.Context, plan Plan, sampler *sampler) ([]report.Window, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begin := time.Now()
	windows := make([]report.Window, len(plan.Events))
	done := make(chan error)
	for i, e := range plan.Events {
		go func() {
			var err error
			windows[i], err = s.bringAbout(ctx, e, begin, sampler)
			done <- err
		}()
	}
	var errs []error
	for range plan.Events {
		if err := <-done; err != nil {
			errs = append(errs, err)
			cancel(err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return windows, err
	}
	// A fault may have taken longer than planned, such as a rolling restart.
	end := begin.Add(plan.Length)
	if after := time.Now().Add(afterFault); len(windows) > 0 && after.After(end) {
		end = after
	}
	return windows, sleep(ctx, time.Until(end))
}

func (s *site) bringAbout(ctx context.Context, e Event, begin time.Time, sampler *sampler) (report.Window, error) {
	window := report.Window{Name: e.Fault.String()}
	if err := sleep(ctx, time.Until(begin.Add(e.At))); err != nil {
		return window, err
	}
	// What ends or starts the same process waits for its turn: a start may take longer than planned.
	if name := e.process(); name != "" {
		turn := s.turn(name)
		turn.Lock()
		defer turn.Unlock()
	}
	s.say("%s", e.Fault)
	window.From = sampler.since()
	heal, err := s.inject(ctx, e.Fault)
	if err != nil {
		return window, fmt.Errorf("%s: %w", e.Fault, err)
	}
	waited := sleep(ctx, e.For)
	// Healed also when the run is interrupted: what a fault does in the background has to end.
	if err := heal(context.WithoutCancel(ctx)); err != nil {
		return window, fmt.Errorf("after %s: %w", e.Fault, err)
	}
	window.To = sampler.since()
	if e.For > 0 {
		s.say("healed: %s", e.Fault)
	}
	return window, waited
}

// unexpectedEnds tells which parts are not there any more.
func (s *site) unexpectedEnds() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for name, p := range s.parts {
		if !p.Running() {
			errs = append(errs, fmt.Errorf("%s has ended by itself", name))
		}
	}
	return errors.Join(errs...)
}

// logTails are the last lines of the logs of agents and consumers, for a case that could not be run to its end.
func (s *site) logTails(kept bool) string {
	if kept {
		return "the logs are in " + s.dir
	}
	text := ""
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, p := range s.parts {
		if !p.Running() {
			text += fmt.Sprintf("---- %s ----\n%s\n", name, p.LogTail(10))
		}
	}
	return text
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
