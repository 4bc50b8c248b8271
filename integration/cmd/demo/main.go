// Command demo runs the whole pipeline on this machine, without Java: log files and host metrics → agent → in-process
// Kafka → consumer → VictoriaLogs and VictoriaMetrics. It shows what was read, what is in Kafka, what arrived and where
// to look at it, and runs until it is interrupted, or for DEMO_SECONDS. It ends with an error when something that was
// written did not arrive.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// settings of the demo, from the environment.
type settings struct {
	duration time.Duration // 0: until interrupted
}

func readSettings(getenv func(string) string) (settings, error) {
	text := getenv("DEMO_SECONDS")
	if text == "" {
		return settings{}, nil
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 1 {
		return settings{}, fmt.Errorf("DEMO_SECONDS must be a whole number of seconds, 1 or more, not %q", text)
	}
	return settings{duration: time.Duration(seconds) * time.Second}, nil
}

const (
	// showInterval is how often the state is shown while the demo runs.
	showInterval = 5 * time.Second
	// arriveTimeout is how long the last lines may take to arrive after the writer has stopped.
	arriveTimeout = time.Minute
	// wantSeries is the least number of host metric series that bear all labels.
	wantSeries = 50
)

func run(ctx context.Context) (err error) {
	set, err := readSettings(os.Getenv)
	if err != nil {
		return err
	}
	p, err := start(ctx)
	defer func() {
		say("stopping …")
		err = errors.Join(err, p.close())
	}()
	if err != nil {
		return err
	}

	if set.duration > 0 {
		say("running for %s (DEMO_SECONDS)", set.duration)
	} else {
		say("running until Ctrl-C")
	}
	say("")
	p.showPlaces()
	say("")

	running := ctx
	if set.duration > 0 {
		var cancel context.CancelFunc
		running, cancel = context.WithTimeout(ctx, set.duration)
		defer cancel()
	}
	p.watch(running)

	say("")
	say("the writer stops; what it wrote has to be there:")
	// An interrupted demo finishes its check; a second Ctrl-C ends it.
	finish, stop := signal.NotifyContext(context.WithoutCancel(ctx), os.Interrupt, syscall.SIGTERM)
	defer stop()
	finish, cancel := context.WithTimeout(finish, arriveTimeout)
	defer cancel()
	return p.finish(finish)
}

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }
