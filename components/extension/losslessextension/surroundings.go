package losslessextension

import (
	"cmp"
	"context"
	"fmt"
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

func (u unanswered) compare(other unanswered) int {
	return cmp.Or(strings.Compare(u.subject, other.subject), strings.Compare(u.name, other.name))
}

// surroundings asks topics, disks and backends.
type surroundings struct {
	plan     lossless.Plan
	conf     *confmap.Conf
	host     component.Host
	settings component.TelemetrySettings
	backlog  time.Duration
}

func newSurroundings(e *losslessExtension, conf *confmap.Conf) *surroundings {
	return &surroundings{
		plan: lossless.NewPlan(conf), conf: conf, host: e.host, settings: e.settings, backlog: e.config.Runtime.Backlog,
	}
}

// ask returns what is wrong, and what could not be asked with the reason.
func (s *surroundings) ask(ctx context.Context) ([]lossless.Finding, map[unanswered]string) {
	var findings []lossless.Finding
	unchecked := map[unanswered]string{}
	// Disks first: they are not asked over the network.
	for _, storage := range s.plan.Storages {
		has, err := storageState(storage.Directory)
		if err != nil {
			unchecked[unanswered{subjectStorage, "extensions::" + storage.Extension}] = err.Error()
			continue
		}
		findings = append(findings, lossless.JudgeStorage(storage, has)...)
	}
	for _, backend := range s.plan.Backends {
		retention, err := s.askRetention(ctx, backend)
		if err != nil {
			unchecked[unanswered{subjectBackend, backend.Exporter}] = err.Error()
			continue
		}
		findings = append(findings, lossless.JudgeRetention(backend, retention)...)
	}
	for client, topics := range s.byClient() {
		for topic, answer := range s.askTopics(ctx, client, topics) {
			if answer.err != nil {
				unchecked[unanswered{subjectTopics, topic.Name}] = answer.err.Error()
				continue
			}
			findings = append(findings, lossless.JudgeTopic(topic, answer.has, s.backlog)...)
		}
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
