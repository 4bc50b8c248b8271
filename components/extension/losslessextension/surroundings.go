package losslessextension

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"

	"github.com/breakwater-otel/breakwater/components/internal/lossless"
)

// Values of the attribute `subject`.
const (
	subjectTopics  = "topics"
	subjectStorage = "storage"
	subjectBackend = "backend"
)

func (s subject) compare(other subject) int {
	return cmp.Or(strings.Compare(s.kind, other.kind), strings.Compare(s.name, other.name))
}

// surroundings asks topics, disks and backends.
type surroundings struct {
	plan     lossless.Plan
	conf     *confmap.Conf
	host     component.Host
	settings component.TelemetrySettings
	backlog  time.Duration
	// known is what was found of each subject when it last answered.
	known map[subject][]lossless.Finding
}

func newSurroundings(e *losslessExtension, conf *confmap.Conf) *surroundings {
	return &surroundings{
		plan: lossless.NewPlan(conf), conf: conf, host: e.host, settings: e.settings, backlog: e.config.Runtime.Backlog,
		known: map[subject][]lossless.Finding{},
	}
}

// ask returns what is wrong, and what could not be asked with the reason. Of that the last findings still hold.
func (s *surroundings) ask(ctx context.Context) ([]lossless.Finding, map[subject]string) {
	unchecked := map[subject]string{}
	note := func(of subject, found []lossless.Finding, err error) {
		if err != nil {
			unchecked[of] = err.Error()
			return
		}
		s.known[of] = found
	}
	// Disks first: they are not asked over the network.
	for _, storage := range s.plan.Storages {
		has, err := storageState(storage.Directory)
		note(subject{subjectStorage, "extensions::" + storage.Extension}, lossless.JudgeStorage(storage, has), err)
	}
	for _, backend := range s.plan.Backends {
		retention, err := s.askRetention(ctx, backend)
		note(subject{subjectBackend, backend.Exporter}, lossless.JudgeRetention(backend, retention), err)
	}
	for client, topics := range s.byClient() {
		for topic, answer := range s.askTopics(ctx, client, topics) {
			note(subject{subjectTopics, client + " " + topic.Name}, lossless.JudgeTopic(topic, answer.has, s.backlog), answer.err)
		}
	}
	var findings []lossless.Finding
	for _, of := range slices.SortedFunc(maps.Keys(s.known), subject.compare) {
		findings = append(findings, s.known[of]...)
	}
	return findings, unchecked
}

// byClient returns the topics by the component whose credentials they are asked with.
func (s *surroundings) byClient() map[string][]lossless.Topic {
	clients := map[string][]lossless.Topic{}
	for _, topic := range s.plan.Topics {
		clients[topic.Client] = append(clients[topic.Client], topic)
	}
	return clients
}

// section reads the settings of a component into a part of its configuration. What is secret is not in the effective
// configuration, and other settings are passed over.
func (s *surroundings) section(path string, into any) error {
	sub, err := s.conf.Sub(path)
	if err != nil {
		return err
	}
	if err := sub.Unmarshal(into, confmap.WithIgnoreUnused()); err != nil {
		return fmt.Errorf("`%s`: %w", path, err)
	}
	return nil
}
