package losslessextension

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/kafka/configkafka"

	"github.com/breakwater-otel/breakwater/components/internal/kafkaclient"
	"github.com/breakwater-otel/breakwater/components/internal/lossless"
	"github.com/breakwater-otel/breakwater/internal/topics"
)

type topicAnswer struct {
	has lossless.TopicState
	err error
}

// askTopics describes topics with the credentials of the component that uses them. One that may not be described keeps
// no other from being.
func (s *surroundings) askTopics(ctx context.Context, client string, wanted []lossless.Topic) map[lossless.Topic]topicAnswer {
	answers := make(map[lossless.Topic]topicAnswer, len(wanted))
	admin, err := s.kafkaClient(ctx, client)
	if err != nil {
		for _, topic := range wanted {
			answers[topic] = topicAnswer{err: err}
		}
		return answers
	}
	defer admin.Close()
	for _, topic := range wanted {
		report, err := topics.Verify(ctx, admin, []topics.Spec{{Name: topic.Name}})
		if err != nil {
			answers[topic] = topicAnswer{err: err}
			continue
		}
		has := report.Topics[0]
		answers[topic] = topicAnswer{has: lossless.TopicState{
			Missing: has.State == topics.Missing, Replicas: has.Replicas, Configs: has.Configs,
		}}
	}
	return answers
}

func (s *surroundings) kafkaClient(ctx context.Context, path string) (*kgo.Client, error) {
	config := configkafka.NewDefaultClientConfig()
	if err := s.section(path, &config); err != nil {
		return nil, err
	}
	// That no broker answers is logged by the component that uses the topic.
	options, err := kafkaclient.Options(ctx, s.host, config, zap.NewNop())
	if err != nil {
		return nil, err
	}
	return kgo.NewClient(options...)
}
