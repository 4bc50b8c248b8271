package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// replay tells what would be sent, and with -yes sends it.
func replay(ctx context.Context, opts *options, stdout io.Writer) error {
	p, c, err := open(ctx, opts)
	if err != nil {
		return err
	}
	defer c.close()
	pl, goesOn, err := planOf(ctx, c, p, opts)
	if err != nil {
		return err
	}
	if err := pl.measure(ctx, c, p, opts.count); err != nil {
		return err
	}
	if err := pl.backends(ctx, c, p, time.Now()); err != nil {
		return err
	}
	if err := pl.report(stdout, p, goesOn); err != nil {
		return err
	}
	if err := pl.refusal(p, opts); err != nil {
		return err
	}
	if !opts.yes {
		_, err := fmt.Fprintln(stdout, "nothing was sent; -yes does it")
		return err
	}
	if err := pl.alone(ctx, c, stdout); err != nil {
		return err
	}
	if pl.left() == 0 {
		_, err := fmt.Fprintln(stdout, "there is nothing to send")
		return errors.Join(err, c.deleteGroups(ctx, pl.group, pl.group+planSuffix))
	}
	if !goesOn {
		if err := savePlan(ctx, c, pl); err != nil {
			return err
		}
	}
	return pl.send(ctx, c, p, opts, stdout)
}

// planOf returns the plan of a replay that was interrupted, or a new one.
func planOf(ctx context.Context, c *cluster, p *profile, opts *options) (pl *plan, goesOn bool, err error) {
	pl, err = loadPlan(ctx, c, p.topic, opts.name)
	switch {
	case err != nil:
		return nil, false, err
	case pl == nil && opts.bounds.none():
		return nil, false, fmt.Errorf("no replay %s of topic %s is under way, and no range is given", opts.name, p.topic)
	case pl == nil:
		pl, err = newPlan(ctx, c, p, opts, time.Now())
		return pl, false, err
	case !opts.bounds.none() && opts.bounds.text != pl.text:
		return nil, false, fmt.Errorf("replay %s is under way with the range %q: go on with it by -name alone, or discard it", opts.name, pl.text)
	}
	places, err := c.places(ctx, p.topic)
	if err == nil {
		err = pl.retained(ctx, c)
	}
	if err == nil {
		err = pl.times(ctx, c, places)
	}
	return pl, true, err
}

// goneTimeout is how long a member of an earlier run that was killed stays in the group: the session timeout, and more.
const goneTimeout = time.Minute

// alone waits until nobody else is in the group.
func (pl *plan) alone(ctx context.Context, c *cluster, stdout io.Writer) error {
	told := false
	for begin := time.Now(); ; {
		n, err := c.members(ctx, pl.group)
		if err != nil || n == 0 {
			return err
		}
		if time.Since(begin) > goneTimeout {
			return fmt.Errorf("replay %s is running already: group %s has a member", pl.name, pl.group)
		}
		if !told {
			told = true
			if _, err := fmt.Fprintf(stdout, "group %s has a member, of a run that was killed or that is under way: waiting up to %s\n", pl.group, goneTimeout); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// send runs the consumer until everything is settled.
func (pl *plan) send(ctx context.Context, c *cluster, p *profile, opts *options, stdout io.Writer) error {
	run, err := startConsumer(p, pl, opts)
	if err != nil {
		return err
	}
	last, waitErr := pl.wait(ctx, c, run, opts.interval, stdout)
	stopErr := run.stop()
	// The last commit is that of the shutdown.
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), opts.timeout)
	defer cancel()
	progressErr := pl.progress(asking, c)
	done := progressErr == nil && pl.left() == 0
	if done {
		waitErr = nil
	}
	err = errors.Join(waitErr, stopErr, progressErr)
	if waitErr != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w; the log of the consumer is %s, and ends with: %s", err, run.log, run.lastLines(5))
	}
	err = errors.Join(err, run.clean(err != nil && ctx.Err() == nil), pl.summary(stdout, p, last))
	if !done {
		return errors.Join(err, fmt.Errorf("replay %s is not done: %d of %d messages are not settled; the same command goes on with it", pl.name, pl.left(), pl.messages()))
	}
	if err != nil {
		return err
	}
	return c.deleteGroups(asking, pl.group, pl.group+planSuffix)
}

var errInterrupted = errors.New("interrupted")

// wait tells the progress until everything is settled, and returns the last metrics of the consumer.
func (pl *plan) wait(ctx context.Context, c *cluster, run *consumer, interval time.Duration, stdout io.Writer) (samples, error) {
	var last samples
	begin, told := time.Now(), time.Now()
	meter := meter{begin: begin, total: pl.left()}
	for {
		select {
		case <-ctx.Done():
			return last, errInterrupted
		case <-run.done:
			return last, fmt.Errorf("the consumer has ended: %w", errors.Join(run.err, errors.New("before everything was settled")))
		case <-time.After(min(interval, pollInterval)):
		}
		if now, err := run.scrape(ctx); err == nil {
			last = now
		}
		if err := pl.progress(ctx, c); err != nil {
			if ctx.Err() != nil {
				return last, errInterrupted
			}
			if _, err := fmt.Fprintf(stdout, "%s  how far it is cannot be asked: %s\n", clock(time.Now()), oneLine(err.Error())); err != nil {
				return last, err
			}
			continue
		}
		left := pl.left()
		meter.add(time.Now(), last, left)
		if left == 0 {
			if now, err := run.scrape(ctx); err == nil {
				last = now
			}
			return last, nil
		}
		if time.Since(told) >= interval {
			told = time.Now()
			if _, err := fmt.Fprintln(stdout, meter.line(told)); err != nil {
				return last, err
			}
		}
	}
}

// pollInterval is how often it is asked how far the replay is.
const pollInterval = time.Second
