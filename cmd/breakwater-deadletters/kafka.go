package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const clientID = "breakwater-deadletters"

// maxMessageBytes is the largest message that is produced, before compression. The
// topic's limit is about the compressed one.
const maxMessageBytes = 32 << 20

// newProducer returns a client that has reached Kafka.
func newProducer(ctx context.Context, opts *options) (*kgo.Client, error) {
	client, err := kgo.NewClient(append(opts.secure,
		kgo.SeedBrokers(opts.brokers...),
		kgo.ClientID(clientID),
		kgo.DialTimeout(min(5*time.Second, opts.timeout)),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(maxMessageBytes),
		kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.SnappyCompression(), kgo.NoCompression()),
		kgo.AllowIdempotentProduceCancellation(), // an end of the wait is an end
		kgo.MetadataMinAge(250*time.Millisecond),
	)...)
	if err != nil {
		return nil, fmt.Errorf("KAFKA_BROKERS %s: %w", strings.Join(opts.brokers, ","), err)
	}
	if err := reach(ctx, client, opts.timeout); err != nil {
		client.Close()
		return nil, fmt.Errorf("cannot reach Kafka (KAFKA_BROKERS) at %s: %w", strings.Join(opts.brokers, ", "), err)
	}
	return client, nil
}

// reach waits until a broker answers. It returns the last failure, which says more than
// that time is up.
func reach(ctx context.Context, client *kgo.Client, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var last error
	for {
		err := client.Ping(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// produce waits until all replicas have the records. It returns the errors of those that
// are not there for certain.
func produce(ctx context.Context, client *kgo.Client, timeout time.Duration, records []*kgo.Record) map[*kgo.Record]error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	failed := map[*kgo.Record]error{}
	for _, result := range client.ProduceSync(ctx, records...) {
		if result.Err != nil {
			failed[result.Record] = result.Err
		}
	}
	return failed
}
