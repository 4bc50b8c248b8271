package crucible

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/breakwater-otel/breakwater/integration/crucible/load"
	"github.com/breakwater-otel/breakwater/integration/crucible/oracle"
	"github.com/breakwater-otel/breakwater/integration/crucible/unsynced"
	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/internal/topics"
)

// process is a part that can be broken.
type process interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	Kill() error
	Signal(sig syscall.Signal) error
	Running() bool
	Wait(ctx context.Context) (int, error)
	Usage() (harness.Usage, error)
	LogTail(n int) string
}

// lokiMargin is by how much records may be older than their case, and longer than its length it may last.
const lokiMargin = 20 * time.Minute

// lokiCheckpoints is how often Loki has all on disk. Twice that and some time is the flush window. With those of the
// products, 5 min and 11 min, the consumers would not commit within the time of a case.
const (
	lokiCheckpoints = 5 * time.Second
	lokiWindow      = 2*lokiCheckpoints + 2*time.Second
)

// smallDisk is the size of a disk that is to be full.
const smallDisk = 256 << 20

// site is what one case has to itself.
type site struct {
	lane    *lane
	setup   Case
	profile Profile
	seed    uint64
	dir     string
	say     func(format string, args ...any)

	env    map[string]string // of all programs
	specs  []topics.Spec
	logs   *harness.VictoriaLogs
	loki   *harness.Loki
	begun  time.Time
	metric *harness.VictoriaMetrics
	agents []*shipper
	extra  *shipper // Consumer3

	unsynced map[string]*unsynced.Disk // by agent

	mu      sync.Mutex
	parts   map[string]process
	turns   map[string]*sync.Mutex // of the faults of a process
	closers []func() error         // in the order of the making
	writers []load.Writer
	notes   []string
	broken  []Fault // of links, not yet healed
}

// shipper is an agent or a consumer.
type shipper struct {
	*harness.Breakwater
	foreign bool
}

// Start starts the program. Of a foreign one nothing tells when it is ready.
func (s *shipper) Start(ctx context.Context) error {
	if s.foreign {
		return s.Launch()
	}
	return s.Breakwater.Start(ctx)
}

// newSite starts all parts but the writers. It is to be closed also when it is returned with an error.
func newSite(ctx context.Context, l *lane, c Case, profile Profile, seed uint64, say func(string, ...any)) (*site, error) {
	l.cases++
	s := &site{
		lane: l, setup: c, profile: profile, seed: seed, say: say,
		dir:   filepath.Join(l.dir, fmt.Sprintf("%d-%s", l.cases, c.Name)),
		parts: map[string]process{}, turns: map[string]*sync.Mutex{}, unsynced: map[string]*unsynced.Disk{}, begun: time.Now(),
	}
	name := filepath.Base(s.dir)
	s.env = map[string]string{
		"KAFKA_LOGS_TOPIC":      name + "-logs",
		"KAFKA_METRICS_TOPIC":   name + "-metrics",
		"KAFKA_FLUENTBIT_TOPIC": name + "-fluent-bit",
		"KAFKA_DLQ_TOPIC":       name + "-dlq",
		"KAFKA_LEDGER_TOPIC":    name + "-ledger",
		"KAFKA_GROUP_ID":        name,
		"LOKI_FLUSH_WINDOW":     lokiWindow.String(),
	}
	s.specs = topics.Defaults(func(variable string) string { return s.env[variable] })
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return s, err
	}
	for i := range brokerCount {
		s.parts[brokerName(i+1)] = l.kafka.Broker(i + 1)
	}
	for _, step := range []func(context.Context) error{
		s.startTopics, s.startBackends,
		func(ctx context.Context) error { return s.startConsumers(ctx, s.consumer()) },
		s.startAgents,
	} {
		if err := step(ctx); err != nil {
			return s, err
		}
	}
	return s, nil
}

// secure tells whether agents and consumers log in.
func (s *site) secure() bool { return s.setup.Secure || s.lane.links.secure() }

// startTopics makes the topics as `make topics` does.
func (s *site) startTopics(ctx context.Context) error {
	if s.secure() {
		if err := s.lane.allow(ctx); err != nil {
			return err
		}
	}
	// A cluster that the case before has broken may need a moment.
	ctx, cancel := context.WithTimeout(ctx, healTimeout)
	defer cancel()
	return harness.Eventually(ctx, time.Second, s.ensureTopics)
}

func (s *site) ensureTopics(ctx context.Context) error {
	report, err := topics.Ensure(ctx, s.lane.client.Client(), s.specs)
	if err != nil {
		return err
	}
	if problems := append(report.Problems(), report.AllWarnings()...); len(problems) > 0 {
		return fmt.Errorf("topics: %s", strings.Join(problems, "; "))
	}
	return nil
}

func (s *site) topicNames() []string {
	names := make([]string, 0, len(s.specs))
	for _, spec := range s.specs {
		names = append(names, spec.Name)
	}
	return names
}

// startPart takes a part in and starts it.
func (s *site) startPart(ctx context.Context, name string, p process, closePart func() error) error {
	s.mu.Lock()
	s.parts[name] = p
	s.closers = append(s.closers, closePart)
	s.mu.Unlock()
	if err := p.Start(ctx); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	return nil
}

// diskBytes is the size of the disk of a part; 0 is none of its own.
func (s *site) diskBytes(name string) int64 {
	if s.setup.SmallDisk == name {
		return smallDisk
	}
	return 0
}

func (s *site) startBackends(ctx context.Context) error {
	options := func(name string) (harness.BackendOptions, error) {
		host, err := s.lane.host(name)
		return harness.BackendOptions{Name: name, Dir: filepath.Join(s.dir, name), Host: host, DiskBytes: s.diskBytes(name)}, err
	}
	opts, err := options(VictoriaMetrics)
	if err != nil {
		return err
	}
	if s.metric, err = harness.NewVictoriaMetrics(opts); err != nil {
		return err
	}
	if err := s.startPart(ctx, VictoriaMetrics, s.metric, s.metric.Close); err != nil {
		return err
	}
	if s.setup.hasLoki() {
		if err := s.startLoki(ctx); err != nil {
			return err
		}
	}
	if s.setup.Loki {
		return nil
	}
	if opts, err = options(VictoriaLogs); err != nil {
		return err
	}
	if s.logs, err = harness.NewVictoriaLogs(opts); err != nil {
		return err
	}
	return s.startPart(ctx, VictoriaLogs, s.logs, s.logs.Close)
}

func (s *site) startLoki(ctx context.Context) error {
	host, err := s.lane.host(Loki)
	if err != nil {
		return err
	}
	if s.loki, err = harness.NewLoki(harness.LokiOptions{
		Dir: filepath.Join(s.dir, Loki), Host: host, Args: []string{"-ingester.checkpoint-duration=" + lokiCheckpoints.String()},
	}); err != nil {
		return err
	}
	return s.startPart(ctx, Loki, s.loki, s.loki.Close)
}

// endpoints are where a part reaches the backends.
func (s *site) endpoints(from string) (map[string]string, error) {
	urls := map[string]string{VictoriaMetrics: s.metric.URL()}
	if s.loki != nil {
		urls[Loki] = s.loki.URL()
	}
	if s.logs != nil {
		urls[VictoriaLogs] = s.logs.URL()
	}
	env := map[string]string{}
	for name, url := range urls {
		addr, err := s.lane.links.address(from, name, strings.TrimPrefix(url, "http://"))
		if err != nil {
			return nil, err
		}
		env[strings.ToUpper(name)+"_ENDPOINT"] = "http://" + addr
	}
	return env, nil
}

// newShipper describes an agent or a consumer.
func (s *site) newShipper(name, user string, program Program, env map[string]string) (*shipper, error) {
	opts, err := s.shipperOptions(name, user, program, env)
	if err != nil {
		return nil, err
	}
	b, err := harness.NewBreakwater(opts)
	if err != nil {
		return nil, err
	}
	return &shipper{Breakwater: b, foreign: program.foreign()}, nil
}

// shipperOptions are those of a program that reads or writes what an agent or a consumer does.
func (s *site) shipperOptions(name, user string, program Program, env map[string]string) (harness.BreakwaterOptions, error) {
	opts := harness.BreakwaterOptions{
		Name: name, Dir: filepath.Join(s.dir, name), Configs: program.Configs, Env: maps.Clone(s.env), DiskBytes: s.diskBytes(name),
	}
	var err error
	if opts.Host, err = s.lane.host(name); err != nil {
		return opts, err
	}
	endpoints, err := s.endpoints(name)
	if err != nil {
		return opts, err
	}
	if _, err := s.part(name); err == nil {
		opts.Dir += "-swapped"
	}
	maps.Copy(opts.Env, endpoints)
	maps.Copy(opts.Env, env)
	opts.Env["KAFKA_BROKERS"] = strings.Join(s.lane.links.brokers(s.lane.kafka, s.setup.Secure), ",")
	if s.secure() {
		opts.Configs = append(slices.Clone(opts.Configs), loginConfig)
		credentials, err := login(s.dir, user)
		if err != nil {
			return opts, err
		}
		maps.Copy(opts.Env, credentials)
	}
	if program.foreign() {
		opts.Binary = "/bin/sh"
		opts.Args = []string{"-c", "exec " + program.Command}
	}
	return opts, nil
}

// consumer is what the consumers run at first.
func (s *site) consumer() Program {
	switch {
	case s.setup.Loki:
		return s.profile.LokiConsumer
	case s.setup.Both:
		return s.profile.BothConsumer
	default:
		return s.profile.Consumer
	}
}

func (s *site) startConsumers(ctx context.Context, program Program) error {
	for _, name := range []string{Consumer1, Consumer2} {
		consumer, err := s.newShipper(name, consumerUser, program, nil)
		if err != nil {
			return err
		}
		if err := s.startPart(ctx, name, consumer, consumer.Close); err != nil {
			return err
		}
	}
	if s.extra != nil {
		return nil // those that were swapped in
	}
	extra, err := s.newShipper(Consumer3, consumerUser, program, nil)
	if err != nil {
		return err
	}
	s.extra = extra
	s.closers = append(s.closers, extra.Close)
	return nil
}

func (s *site) startAgents(ctx context.Context) error {
	for i, name := range []string{Agent1, Agent2} {
		env := agentEnv(i + 1)
		dir := s.logDir(i + 1)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		// What is rotated away is read, too: it may hold the end of what was written while the agent was down.
		env["LOG_INCLUDE"] = dir + "/*.log," + dir + "/*.log.*"
		if s.setup.Synced {
			if err := s.mountUnsynced(name); err != nil {
				return err
			}
		}
		agent, err := s.newShipper(name, agentUser, s.profile.Agent, env)
		if err != nil {
			return err
		}
		s.agents = append(s.agents, agent)
		if err := s.startPart(ctx, name, agent, agent.Close); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) logDir(agent int) string { return filepath.Join(s.dir, fmt.Sprintf("log-%d", agent)) }

// part returns a part by its name.
func (s *site) part(name string) (process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.parts[name]; ok {
		return p, nil
	}
	return nil, fmt.Errorf("there is no part %s in case %s", name, s.setup.Name)
}

// turn is held by the fault of a process while it lasts.
func (s *site) turn(name string) *sync.Mutex {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turns[name] == nil {
		s.turns[name] = &sync.Mutex{}
	}
	return s.turns[name]
}

// members returns the parts of a name, which may be that of all brokers.
func (s *site) members(name string) ([]process, error) {
	var found []process
	for _, name := range members(name) {
		p, err := s.part(name)
		if err != nil {
			return nil, err
		}
		found = append(found, p)
	}
	return found, nil
}

// note keeps what a reader of the report should know.
func (s *site) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(s.notes, text) {
		s.notes = append(s.notes, text)
	}
}

// lokiStore, logStore and metricStore are where the oracle looks.
func (s *site) lokiStore() oracle.Source {
	// What Loki has to look through is bounded, as it is asked twice a second.
	return oracle.Loki{
		Client: s.loki.Client(), URL: s.loki.URL(), From: s.begun.Add(-lokiMargin), To: s.begun.Add(s.setup.Length + lokiMargin),
	}
}

func (s *site) logStore() oracle.Source {
	return oracle.VictoriaLogs{Client: s.logs.Client(), URL: s.logs.URL()}
}

func (s *site) metricStore() oracle.Source {
	return oracle.VictoriaMetrics{Client: s.metric.Client(), URL: s.metric.URL()}
}

// stores are all backends, those of logs first. One that only a fault brings into use is the last.
func (s *site) stores() []oracle.Source {
	var stores []oracle.Source
	if s.logs != nil {
		stores = append(stores, s.logStore())
	} else {
		stores = append(stores, s.lokiStore())
	}
	stores = append(stores, s.metricStore())
	if s.logs != nil && s.loki != nil {
		stores = append(stores, s.lokiStore())
	}
	return stores
}

// audits are the backends that together have to hold everything; several when logs have to be in each of two.
func (s *site) audits() [][]oracle.Source {
	switch {
	case s.setup.Both:
		return [][]oracle.Source{{s.logStore(), s.metricStore()}, {s.lokiStore(), s.metricStore()}}
	case s.setup.Swapped:
		return [][]oracle.Source{{s.lokiStore(), s.metricStore()}}
	default:
		return [][]oracle.Source{s.stores()}
	}
}

func (s *site) deadLetters() []oracle.DeadLetters {
	return []oracle.DeadLetters{oracle.DeadLetterTopic{Kafka: s.lane.client, Topic: s.env["KAFKA_DLQ_TOPIC"]}}
}

// queued is how many bytes or records wait on the disks of the agents.
func (s *site) queued(ctx context.Context) (float64, error) {
	var sum float64
	for _, agent := range s.agents {
		if agent.foreign {
			continue
		}
		own, err := agent.Metrics(ctx)
		if err != nil {
			return 0, err
		}
		sum += own.Sum("otelcol_exporter_queue_size")
	}
	return sum, nil
}

// busyTopics are those that consumers have to empty.
func (s *site) busyTopics() []string {
	names := []string{s.env["KAFKA_LOGS_TOPIC"]}
	if !s.profile.Consumer.foreign() {
		names = append(names, s.env["KAFKA_METRICS_TOPIC"])
	}
	if s.setup.Load.FluentBit {
		names = append(names, s.env["KAFKA_FLUENTBIT_TOPIC"])
	}
	return names
}

// close ends everything that the case has started, the sources first, and removes its data. What is killed here has
// nothing left to do.
func (s *site) close(keep bool) error {
	var errs []error
	for _, w := range s.writers {
		stopped, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := w.Stop(stopped)
		errs = append(errs, err)
	}
	s.mu.Lock()
	parts := maps.Clone(s.parts)
	s.mu.Unlock()
	if s.extra != nil {
		parts[Consumer3] = s.extra
	}
	for name, p := range parts {
		if !strings.HasPrefix(name, "broker-") && p.Running() {
			errs = append(errs, p.Kill())
		}
	}
	for _, closePart := range slices.Backward(s.closers) {
		errs = append(errs, closePart())
	}
	errs = append(errs, s.lane.links.forget())
	if !keep {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}
