package crucible

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/breakwater-otel/breakwater/integration/crucible/load"
)

// Rates in records a second. They are low, so that several clusters can share two cores: what is looked for is what a
// fault does to a stream, and not how much of it there can be.
const (
	fileRate    = 80
	otlpRate    = 80
	sampleRate  = 10 // each is a gauge and a counter
	fluentRate  = 60
	poisonRate  = 2
	rotateLines = 700
	largeEvery  = 400
	jumpEvery   = 50
	burstFactor = 10

	poisonLargeEvery = 10
	poisonLargeBytes = 20 << 20
)

// jumps are times that are off, within what VictoriaLogs takes by default: 7 days back and 2 ahead.
var jumps = []time.Duration{-time.Hour, 24 * time.Hour, -24 * time.Hour, time.Hour, -6 * 24 * time.Hour, 40 * time.Hour}

// agentEnv is the label set that agent i is to stamp.
func agentEnv(i int) map[string]string {
	return map[string]string{
		"SITE_NAME":         fmt.Sprintf("zürich-%d", i),
		"DEPLOY_ENV":        "crucible",
		"HOST_NAME":         fmt.Sprintf("edge-%d", i),
		"SERVICE_NAME":      "files",
		"SERVICE_NAMESPACE": "shop",
	}
}

// labels are what records of a service behind agent i must have when they are stored.
func labels(i int, service string) map[string]string {
	env := agentEnv(i)
	return map[string]string{
		"site_name": env["SITE_NAME"], "env": env["DEPLOY_ENV"], "host_name": env["HOST_NAME"],
		"service_namespace": env["SERVICE_NAMESPACE"], "service_name": service,
	}
}

// addWriters makes the writers of a case.
func (s *site) addWriters() error {
	for i := 1; i <= 2; i++ {
		formats := []load.Format{load.Plain, load.DockerJSON}
		rotations := []load.Rotation{load.RotateRename, load.RotateCopyTruncate}
		if i == 2 {
			formats = []load.Format{load.CRI, load.Plain}
		}
		for n := range formats {
			opts := load.FilesOptions{
				Common:   s.common(fmt.Sprintf("file-%d-%d", i, n+1), fileRate, labels(i, "files")),
				Dir:      s.logDir(i),
				Format:   formats[n],
				Rotation: rotations[n], RotateLines: rotateLines + int64(s.rng(i, n)%300),
			}
			if s.setup.Load.Large && n == 0 {
				opts.LargeEvery = largeEvery
			}
			if err := add(s, func() (load.Writer, error) { return load.NewFiles(opts) }); err != nil {
				return err
			}
		}
		if s.profile.Agent.foreign() {
			continue // it reads files; what else it takes is not known
		}
		service := fmt.Sprintf("pay-%d", i)
		otlp := load.OTLPOptions{
			Common:   s.common(fmt.Sprintf("otlp-%d", i), otlpRate, labels(i, service)),
			Client:   s.agents[i-1].Client(),
			BaseURL:  s.agents[i-1].OTLPHTTP(),
			Resource: map[string]string{"service.name": service},
		}
		if s.setup.Load.Jumps {
			otlp.JumpEvery, otlp.Jumps = jumpEvery, jumps
		}
		if err := add(s, func() (load.Writer, error) { return load.NewOTLPLogs(otlp) }); err != nil {
			return err
		}
		if s.profile.Consumer.foreign() {
			continue
		}
		otlp.Common = s.common(fmt.Sprintf("samples-%d", i), sampleRate, labels(i, service))
		if err := add(s, func() (load.Writer, error) { return load.NewOTLPMetrics(otlp) }); err != nil {
			return err
		}
	}
	if s.setup.Load.FluentBit {
		return add(s, func() (load.Writer, error) {
			fields := labels(3, "fluent")
			return load.NewFluentBit(s.kafkaOptions("fluent-bit", fluentRate, s.env["KAFKA_FLUENTBIT_TOPIC"], fields))
		})
	}
	return nil
}

func add(s *site, make func() (load.Writer, error)) error {
	w, err := make()
	if err == nil {
		s.mu.Lock()
		s.writers = append(s.writers, w)
		s.mu.Unlock()
	}
	return err
}

// rng is a number that depends on the seed and two others.
func (s *site) rng(a, b int) uint64 { return s.seed*31 + uint64(a)*7 + uint64(b)*131 }

func (s *site) common(name string, rate float64, want map[string]string) load.Common {
	if s.profile.Agent.foreign() || s.profile.Consumer.foreign() {
		want = nil // a rival need not have our labels
	}
	return load.Common{Name: name, Rate: rate, Seed: s.seed, Labels: want}
}

// kafkaOptions are those of a writer that needs no agent. It reaches the brokers whatever the links do.
func (s *site) kafkaOptions(name string, rate float64, topic string, fields map[string]string) load.KafkaOptions {
	return load.KafkaOptions{
		Common:  s.common(name, rate, maps.Clone(fields)),
		Brokers: s.lane.kafka.Brokers(), Topic: topic, Fields: fields, Client: s.lane.links.dialOpts(),
	}
}

// addPoison begins to write what nobody can decode.
func (s *site) addPoison() error {
	opts := s.kafkaOptions("poison", poisonRate, s.env["KAFKA_LOGS_TOPIC"], nil)
	opts.LargeEvery, opts.LargeBytes = poisonLargeEvery, poisonLargeBytes
	w, err := load.NewPoison(opts)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.writers = append(s.writers, w)
	s.mu.Unlock()
	return w.Start()
}

// eachWriter calls do for all writers.
func (s *site) eachWriter(do func(load.Writer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.writers {
		do(w)
	}
}

// written is how many records the writers have written. A number of a writer of samples is two of them.
func (s *site) written() int64 {
	var n int64
	s.eachWriter(func(w load.Writer) {
		if _, ok := w.(*load.OTLPMetrics); ok {
			n += w.Written()
		}
		n += w.Written()
	})
	return n
}

// stopWriters ends all writers side by side and gives their accounts.
func (s *site) stopWriters(ctx context.Context) ([]load.Account, error) {
	s.mu.Lock()
	writers := s.writers
	s.writers = nil
	s.mu.Unlock()
	accounts := make([][]load.Account, len(writers))
	errs := make([]error, len(writers))
	var wg sync.WaitGroup
	for i, w := range writers {
		wg.Go(func() { accounts[i], errs[i] = w.Stop(ctx) })
	}
	wg.Wait()
	var list []load.Account
	for _, a := range accounts {
		list = append(list, a...)
	}
	return list, errors.Join(errs...)
}
