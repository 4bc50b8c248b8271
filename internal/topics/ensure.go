package topics

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Ensure creates the topics that are missing and reports on all of them, in the
// order of specs. When it returns without an error, every topic has a leader for
// each partition. Several callers may run it at the same time.
//
// On a cluster with fewer brokers than a spec wants replicas, the topic gets as
// many as there are, and the report warns. The error is for what kept it from
// creating or judging the topics; what is judged too weak is in the report.
func Ensure(ctx context.Context, client *kgo.Client, specs []Spec) (Report, error) {
	return check(ctx, client, specs, true)
}

// Verify is Ensure without the creation: it changes nothing.
func Verify(ctx context.Context, client *kgo.Client, specs []Spec) (Report, error) {
	return check(ctx, client, specs, false)
}

func check(ctx context.Context, client *kgo.Client, specs []Spec, create bool) (Report, error) {
	admin := kadm.NewClient(client)
	brokers, err := admin.ListBrokers(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("list brokers: %w", err)
	}
	report := Report{Brokers: len(brokers)}
	warned := map[string]bool{}
	for _, spec := range specs {
		want, warning := fit(spec, len(brokers))
		if warning != "" && !warned[warning] {
			warned[warning] = true
			report.Warnings = append(report.Warnings, warning)
		}
		report.Topics = append(report.Topics, Result{Want: want})
	}

	found, err := describe(ctx, admin, names(specs))
	if err != nil {
		return report, err
	}
	var created []string
	for i := range report.Topics {
		t := &report.Topics[i]
		_, exists := found[t.Want.Name]
		switch {
		case exists:
			t.State = Exists
		case !create:
			t.State = Missing
		default:
			if t.State, err = createTopic(ctx, admin, t.Want); err != nil {
				return report, err
			}
			created = append(created, t.Want.Name)
		}
	}
	if len(created) > 0 {
		if found, err = awaitAll(ctx, admin, names(specs)); err != nil {
			return report, err
		}
	}
	for i := range report.Topics {
		t := &report.Topics[i]
		have, exists := found[t.Want.Name]
		if !exists {
			continue
		}
		t.Partitions, t.Replicas, t.Configs = have.partitions, have.replicas, have.configs
		t.Weaker, t.Warnings = compare(t.Want, have)
	}
	return report, nil
}

// createTopic creates one topic. Somebody else may be faster: then it exists, and
// is judged like any other that was there.
func createTopic(ctx context.Context, admin *kadm.Client, spec Spec) (State, error) {
	response, err := admin.CreateTopic(ctx, spec.Partitions, spec.ReplicationFactor, spec.configs(), spec.Name)
	switch {
	case errors.Is(err, kerr.TopicAlreadyExists):
		return Exists, nil
	case err != nil && response.ErrMessage != "":
		return "", fmt.Errorf("create topic %s: %w: %s", spec.Name, err, response.ErrMessage)
	case err != nil:
		return "", fmt.Errorf("create topic %s: %w", spec.Name, err)
	}
	return Created, nil
}

// awaitAll describes the topics once all of them are there: the broker that is
// asked may be the last to hear of a topic that has just been created.
func awaitAll(ctx context.Context, admin *kadm.Client, names []string) (map[string]existing, error) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		found, err := describe(ctx, admin, names)
		if err == nil && len(found) == len(names) {
			return found, nil
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = fmt.Errorf("%d of %d topics are ready", len(found), len(names))
			}
			return nil, fmt.Errorf("wait for new topics: %w: %w", err, ctx.Err())
		case <-ticker.C:
		}
	}
}

// describe returns the topics that exist and have a leader for each partition.
// One that exists and has none is an error that may pass.
func describe(ctx context.Context, admin *kadm.Client, names []string) (map[string]existing, error) {
	metadata, err := admin.Metadata(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("describe topics: %w", err)
	}
	found := map[string]existing{}
	for _, topic := range metadata.Topics {
		if errors.Is(topic.Err, kerr.UnknownTopicOrPartition) {
			continue
		}
		if topic.Err != nil {
			return nil, fmt.Errorf("describe topic %s: %w", topic.Topic, topic.Err)
		}
		have := existing{partitions: int32(len(topic.Partitions))}
		for i, p := range topic.Partitions.Sorted() {
			if p.Leader < 0 {
				return nil, fmt.Errorf("topic %s: partition %d has no leader", topic.Topic, p.Partition)
			}
			if i == 0 || len(p.Replicas) < have.replicas {
				have.replicas = len(p.Replicas)
			}
		}
		found[topic.Topic] = have
	}
	if len(found) == 0 {
		return found, nil
	}
	return found, describeConfigs(ctx, admin, found)
}

func describeConfigs(ctx context.Context, admin *kadm.Client, found map[string]existing) error {
	existingNames := make([]string, 0, len(found))
	for name := range found {
		existingNames = append(existingNames, name)
	}
	resources, err := admin.DescribeTopicConfigs(ctx, existingNames...)
	if err != nil {
		return fmt.Errorf("describe topic configs: %w", err)
	}
	for _, resource := range resources {
		if resource.Err != nil {
			return fmt.Errorf("describe config of topic %s: %w", resource.Name, resource.Err)
		}
		have := found[resource.Name]
		have.configs = make(map[string]string, len(resource.Configs))
		for _, config := range resource.Configs {
			have.configs[config.Key] = config.MaybeValue()
		}
		found[resource.Name] = have
	}
	return nil
}

func names(specs []Spec) []string {
	list := make([]string, 0, len(specs))
	for _, s := range specs {
		list = append(list, s.Name)
	}
	return list
}
