package harness

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Ready waits until every broker that runs knows all running brokers and a
// controller.
func (k *Kafka) Ready(ctx context.Context) error {
	return Eventually(ctx, 100*time.Millisecond, func(ctx context.Context) error {
		running := 0
		for _, node := range k.nodes {
			if node.Running() {
				running++
			}
		}
		for i, node := range k.nodes {
			if !node.Running() {
				continue
			}
			metadata, err := k.ask(ctx, i+1)
			if err != nil {
				return err
			}
			if len(metadata.Brokers) < running || metadata.Controller < 0 {
				return fmt.Errorf("broker %d knows %d of %d brokers, controller %d",
					i+1, len(metadata.Brokers), running, metadata.Controller)
			}
		}
		return nil
	})
}

// brokerReady checks that broker i answers and that the cluster has taken it in.
func (k *Kafka) brokerReady(ctx context.Context, i int) error {
	metadata, err := k.ask(ctx, i)
	if err != nil {
		return err
	}
	for _, broker := range metadata.Brokers {
		if broker.NodeID == int32(i) {
			return nil
		}
	}
	return fmt.Errorf("broker %d answers but has not joined the cluster", i)
}

// ask asks broker i, and no other, for the metadata of the cluster.
func (k *Kafka) ask(ctx context.Context, i int) (kadm.Metadata, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	client, err := kgo.NewClient(append(k.dialOpts(), kgo.SeedBrokers(k.addr(i)), kgo.RequestRetries(0))...)
	if err != nil {
		return kadm.Metadata{}, err
	}
	defer client.Close()
	return kadm.NewClient(client).BrokerMetadata(ctx)
}
