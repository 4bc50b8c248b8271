package crucible

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/breakwater-otel/breakwater/integration/crucible/load"
	"github.com/breakwater-otel/breakwater/integration/harness"
)

// healing ends a fault.
type healing func(ctx context.Context) error

// nothing is the healing of what heals by itself.
func nothing(context.Context) error { return nil }

const (
	rebalancePeriod = 5 * time.Second
	resetPeriod     = time.Second
	fillPeriod      = 250 * time.Millisecond
	// calmTimes is how often in a row the queues have to be empty.
	calmTimes = 4
	// drainTimeout is how long the pipeline may take to be empty before a topic is deleted.
	drainTimeout = time.Minute
)

// inject does what a fault is and returns how to heal it.
func (s *site) inject(ctx context.Context, f Fault) (healing, error) {
	switch f.Kind {
	case Kill:
		return s.down(f.Target, process.Kill)
	case Terminate:
		return s.down(f.Target, func(p process) error { return s.terminate(ctx, f.Target, p) })
	case Freeze:
		return s.freeze(f.Target)
	case Cut, OneWay, Loss, Delay:
		return s.disturb(f)
	case Reset:
		return s.during(resetPeriod, func(context.Context) error { return s.lane.links.reset(f.Target, f.Peer) }, nothing), nil
	case DiskFull:
		return s.fill(f.Target)
	case PowerLoss:
		return s.losePower(f.Target)
	case RevokeCredentials:
		if err := s.lane.deletePasswords(ctx, agentUser, consumerUser); err != nil {
			return nil, err
		}
		return func(ctx context.Context) error { return s.lane.setPasswords(ctx, agentUser, consumerUser) }, nil
	case RemoveACL:
		if _, err := s.lane.client.Admin().DeleteACLs(ctx, agentACL()); err != nil {
			return nil, err
		}
		return s.lane.allow, nil
	case DeleteTopic:
		return s.deleteTopic(ctx)
	case AddPartition:
		return nothing, s.addPartition(ctx)
	case Rebalance:
		return s.rebalance(), nil
	case Burst:
		s.eachWriter(func(w load.Writer) { w.SetRate(w.Rate() * burstFactor) })
		return func(context.Context) error {
			s.eachWriter(func(w load.Writer) { w.SetRate(w.Rate() / burstFactor) })
			return nil
		}, nil
	case Poison:
		return nothing, s.addPoison()
	case Rolling:
		return nothing, s.rolling(ctx)
	case Replay:
		return nothing, s.replay(ctx)
	case Swap:
		return nothing, s.swap(ctx)
	}
	return nil, fmt.Errorf("there is no fault %q", f.Kind)
}

// down ends a part, or all parts of a name at once, and starts them again.
func (s *site) down(name string, end func(process) error) (healing, error) {
	members, err := s.members(name)
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(members))
	var wg sync.WaitGroup
	for i, p := range members {
		wg.Go(func() { errs[i] = end(p) })
	}
	wg.Wait()
	return func(ctx context.Context) error { return s.up(ctx, name) }, errors.Join(errs...)
}

// up starts a part that is down.
func (s *site) up(ctx context.Context, name string) error {
	if name == Brokers {
		return s.lane.kafka.Start(ctx)
	}
	p, err := s.part(name)
	if err != nil || p.Running() {
		return err
	}
	return p.Start(ctx)
}

// terminate stops a part in order. One that does not end in time is killed, as a service manager would, and noted.
func (s *site) terminate(ctx context.Context, name string, p process) error {
	err := p.Stop(ctx)
	if errors.Is(err, harness.ErrStopTimeout) {
		s.note("%s did not stop in time after SIGTERM and was killed", name)
		return nil
	}
	return err
}

func (s *site) freeze(name string) (healing, error) {
	members, err := s.members(name)
	if err != nil {
		return nil, err
	}
	signal := func(sig syscall.Signal) error {
		var errs []error
		for _, p := range members {
			errs = append(errs, p.Signal(sig))
		}
		return errors.Join(errs...)
	}
	return func(context.Context) error { return signal(syscall.SIGCONT) }, signal(syscall.SIGSTOP)
}

// disturb does something to links. Healing takes only this fault away.
func (s *site) disturb(f Fault) (healing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = append(s.broken, f)
	return func(context.Context) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, other := range s.broken {
			if other == f {
				s.broken = append(s.broken[:i], s.broken[i+1:]...)
				break
			}
		}
		s.lane.links.heal()
		var errs []error
		for _, left := range s.broken {
			errs = append(errs, s.breakLink(left))
		}
		return errors.Join(errs...)
	}, s.breakLink(f)
}

func (s *site) breakLink(f Fault) error {
	switch f.Kind {
	case Cut:
		return s.lane.links.isolate(f.Target)
	case OneWay:
		return s.lane.links.oneWay(f.Target, f.Peer)
	case Loss:
		return s.lane.links.lose(f.Target)
	default:
		return s.lane.links.delay(f.Target)
	}
}

// during does something at once and again after each period until it is healed.
func (s *site) during(period time.Duration, do func(context.Context) error, heal healing) healing {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ticker := time.NewTicker(period)
		defer ticker.Stop()
		for {
			if err := do(ctx); err != nil && ctx.Err() == nil {
				ended <- err
				return
			}
			select {
			case <-ctx.Done():
				ended <- nil
				return
			case <-ticker.C:
			}
		}
	}()
	return func(ctx context.Context) error {
		cancel()
		return errors.Join(<-ended, heal(ctx))
	}
}

// fill keeps a disk full. A part that ends by it is started again when there is room.
func (s *site) fill(name string) (healing, error) {
	disk, err := s.disk(name)
	if err != nil {
		return nil, err
	}
	p, err := s.part(name)
	if err != nil {
		return nil, err
	}
	return s.during(fillPeriod, func(context.Context) error { return disk.Fill() }, func(ctx context.Context) error {
		if err := disk.Free(); err != nil {
			return err
		}
		if p.Running() {
			return nil
		}
		code, err := p.Wait(ctx)
		if err != nil {
			return err
		}
		s.note("%s ended with status %d when its disk was full, and was started again", name, code)
		return p.Start(ctx)
	}), nil
}

// smallDiskOf is what fill needs of a disk.
type fillable interface {
	Fill() error
	Free() error
}

func (s *site) disk(name string) (fillable, error) {
	if rest, ok := strings.CutPrefix(name, "broker-"); ok {
		var i int
		if _, err := fmt.Sscan(rest, &i); err != nil {
			return nil, err
		}
		if disk := s.lane.kafka.Disk(i); disk != nil {
			return disk, nil
		}
	}
	if name == VictoriaLogs && s.logs != nil && s.logs.Disk() != nil {
		return s.logs.Disk(), nil
	}
	for i, agent := range s.agents {
		if name == fmt.Sprintf("agent-%d", i+1) && agent.Disk() != nil {
			return agent.Disk(), nil
		}
	}
	return nil, fmt.Errorf("%s has no disk of its own", name)
}

// deleteTopic empties the pipeline, so that what the topic held is stored, and deletes the topic under the hands of the
// agents. Healing makes it again.
func (s *site) deleteTopic(ctx context.Context) (healing, error) {
	s.eachWriter(load.Writer.Pause)
	err := s.waitEmpty(ctx, drainTimeout)
	if err == nil {
		err = s.lane.deleteTopics(ctx, s.env["KAFKA_LOGS_TOPIC"])
	}
	s.eachWriter(load.Writer.Resume)
	return func(ctx context.Context) error {
		// The brokers forget a topic bit by bit.
		return harness.Eventually(ctx, 500*time.Millisecond, s.ensureTopics)
	}, err
}

func (s *site) addPartition(ctx context.Context) error {
	created, err := s.lane.client.Admin().CreatePartitions(ctx, 1, s.env["KAFKA_LOGS_TOPIC"], s.env["KAFKA_METRICS_TOPIC"])
	return errors.Join(err, created.Error())
}

// rebalance lets a third consumer join and leave, in order and by force in turn.
func (s *site) rebalance() healing {
	n := 0
	return s.during(rebalancePeriod, func(ctx context.Context) error {
		n++
		switch {
		case !s.extra.Running():
			return s.extra.Start(ctx)
		case n%4 == 0:
			return s.extra.Kill()
		default:
			return s.terminate(ctx, Consumer3, s.extra)
		}
	}, func(ctx context.Context) error { return s.terminate(ctx, Consumer3, s.extra) })
}

// rolling restarts everything in order, one after the other, as an upgrade does.
func (s *site) rolling(ctx context.Context) error {
	var names []string
	for i := range brokerCount {
		names = append(names, brokerName(i+1))
	}
	for _, name := range append(names, VictoriaLogs, VictoriaMetrics, Consumer1, Consumer2, Agent1, Agent2) {
		p, err := s.part(name)
		if err != nil {
			return err
		}
		if err := s.terminate(ctx, name, p); err != nil {
			return err
		}
		if err := p.Start(ctx); err != nil {
			return err
		}
		if strings.HasPrefix(name, "broker-") {
			if err := s.lane.client.WaitISR(ctx, brokerCount, s.topicNames()...); err != nil {
				return err
			}
		}
	}
	return nil
}

// swap stops the consumers in order and starts others in their place, which write to Loki. The agents see nothing of it.
func (s *site) swap(ctx context.Context) error {
	for _, name := range []string{Consumer1, Consumer2} {
		p, err := s.part(name)
		if err != nil {
			return err
		}
		if err := s.terminate(ctx, name, p); err != nil {
			return err
		}
	}
	return s.startConsumers(ctx, s.profile.LokiConsumer)
}

// replay sends all that the consumers have settled through a consumer again, into the same backends.
func (s *site) replay(ctx context.Context) error {
	root, err := harness.Root()
	if err != nil {
		return err
	}
	binary, err := harness.BinaryPath()
	if err != nil {
		return err
	}
	command := filepath.Join(s.dir, "breakwater-replay")
	build := exec.CommandContext(ctx, "go", "build", "-o", command, "./cmd/breakwater-replay")
	build.Dir = root
	build.Cancel = func() error { return build.Process.Signal(os.Interrupt) } // in order: it has a temporary directory
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the replay command: %w\n%s", err, output)
	}
	opts, err := s.shipperOptions("replay", consumerUser, s.consumer(), nil)
	if err != nil {
		return err
	}
	opts.Binary = command
	replayer, err := harness.NewBreakwater(opts)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.closers = append(s.closers, replayer.Close)
	s.mu.Unlock()
	for _, source := range []string{"logs", "metrics"} {
		result, err := replayer.Run(ctx, "run", "-source", source, "-from", "start", "-yes", "-bin", binary,
			"-config", strings.Join(opts.Configs, ","), "-log", filepath.Join(s.dir, "replay-"+source+".log"))
		if err != nil {
			return err
		}
		if result.ExitCode != 0 {
			return fmt.Errorf("replay of %s: exit status %d: %s", source, result.ExitCode, result.Output)
		}
		lines := strings.Split(strings.TrimSpace(result.Output), "\n")
		s.say("replay of %s: %s", source, lines[len(lines)-1])
	}
	return nil
}

// waitEmpty waits until the queues of the agents are empty, and then until the consumers have committed all that is in
// Kafka at that time. The metrics of the hosts never end, so Kafka is never empty for long.
func (s *site) waitEmpty(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	calm := 0
	err := harness.Eventually(ctx, sampleInterval, func(ctx context.Context) error {
		queued, err := s.queued(ctx)
		if err != nil || queued > 0 {
			calm = 0
			return errors.Join(err, fmt.Errorf("%.0f bytes are in the queues of the agents", queued))
		}
		// On the way from a file to a queue nobody sees a record.
		if calm++; calm < calmTimes {
			return errors.New("the queues of the agents have just become empty")
		}
		return nil
	})
	if err != nil {
		return err
	}
	ends, err := s.lane.ends(ctx, s.busyTopics()...)
	if err != nil {
		return err
	}
	return harness.Eventually(ctx, sampleInterval, func(ctx context.Context) error {
		done, err := s.lane.committed(ctx, s.env["KAFKA_GROUP_ID"])
		if err != nil {
			return err
		}
		if n := ends.missing(done); n > 0 {
			return fmt.Errorf("%d messages are not committed", n)
		}
		return nil
	})
}
