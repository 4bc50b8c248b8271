package harness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// KafkaClient answers the questions that tests ask a cluster, real or fake.
type KafkaClient struct {
	opts   []kgo.Opt
	client *kgo.Client
	admin  *kadm.Client
}

// NewKafkaClient makes a client; it connects with the first question. Further
// options, such as TLS or SASL, apply to every connection.
func NewKafkaClient(brokers []string, opts ...kgo.Opt) (*KafkaClient, error) {
	opts = append([]kgo.Opt{
		kgo.SeedBrokers(brokers...),
		// Tests stop brokers and move leaders, and ask again at once.
		kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.ProducerBatchMaxBytes(10 << 20),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	}, opts...)
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	return &KafkaClient{opts: opts, client: client, admin: kadm.NewClient(client)}, nil
}

// Close closes all connections.
func (c *KafkaClient) Close() { c.client.Close() }

// Client returns the underlying client, for what has no method here.
func (c *KafkaClient) Client() *kgo.Client { return c.client }

// Admin returns the underlying admin client, for what has no method here.
func (c *KafkaClient) Admin() *kadm.Client { return c.admin }

// Produce writes records with acks=all and returns when all are acknowledged.
func (c *KafkaClient) Produce(ctx context.Context, records ...*kgo.Record) error {
	return c.client.ProduceSync(ctx, records...).FirstErr()
}

// EndOffsets returns the end offset of every partition of a topic.
func (c *KafkaClient) EndOffsets(ctx context.Context, topic string) (map[int32]int64, error) {
	return c.offsets(ctx, topic, c.admin.ListEndOffsets)
}

// StartOffsets returns the first offset that every partition of a topic has.
func (c *KafkaClient) StartOffsets(ctx context.Context, topic string) (map[int32]int64, error) {
	return c.offsets(ctx, topic, c.admin.ListStartOffsets)
}

// Count returns the number of offsets between start and end, over all partitions
// of a topic: its messages, when nothing writes transactions to it.
func (c *KafkaClient) Count(ctx context.Context, topic string) (int64, error) {
	starts, err := c.StartOffsets(ctx, topic)
	if err != nil {
		return 0, err
	}
	ends, err := c.EndOffsets(ctx, topic)
	if err != nil {
		return 0, err
	}
	var n int64
	for partition, end := range ends {
		n += end - starts[partition]
	}
	return n, nil
}

// GroupLag returns, for each of the given topics, how many offsets of it the
// group has yet to commit. What the group never committed counts from the start
// of the partition.
func (c *KafkaClient) GroupLag(ctx context.Context, group string, topics ...string) (map[string]int64, error) {
	committed, err := c.Committed(ctx, group)
	if err != nil {
		return nil, err
	}
	lag := make(map[string]int64, len(topics))
	for _, topic := range topics {
		starts, err := c.StartOffsets(ctx, topic)
		if err != nil {
			return nil, err
		}
		ends, err := c.EndOffsets(ctx, topic)
		if err != nil {
			return nil, err
		}
		for partition, end := range ends {
			at := starts[partition]
			if offset, ok := committed[topic][partition]; ok {
				at = max(at, offset)
			}
			lag[topic] += end - at
		}
	}
	return lag, nil
}

// Committed returns the committed offsets of a group: topic → partition → offset.
// It is empty for a group that does not exist.
func (c *KafkaClient) Committed(ctx context.Context, group string) (map[string]map[int32]int64, error) {
	var responses kadm.OffsetResponses
	err := patiently(ctx, func(ctx context.Context) error {
		var err error
		if responses, err = c.admin.FetchOffsets(ctx, group); err == nil {
			err = responses.Error()
		}
		return err
	})
	// Newer brokers answer so for a group that has never committed.
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("committed offsets of %s: %w", group, err)
	}
	committed := map[string]map[int32]int64{}
	responses.Each(func(o kadm.OffsetResponse) {
		if o.At < 0 {
			return
		}
		if committed[o.Topic] == nil {
			committed[o.Topic] = map[int32]int64{}
		}
		committed[o.Topic][o.Partition] = o.At
	})
	return committed, nil
}

// WaitLag waits until the group has no more than lag offsets left to commit, over
// all the given topics.
func (c *KafkaClient) WaitLag(ctx context.Context, group string, lag int64, topics ...string) error {
	return Eventually(ctx, 200*time.Millisecond, func(ctx context.Context) error {
		left, err := c.GroupLag(ctx, group, topics...)
		if err != nil {
			return err
		}
		var sum int64
		for _, n := range left {
			sum += n
		}
		if sum > lag {
			return fmt.Errorf("group %s has %d offsets to go %v, at most %d expected", group, sum, left, lag)
		}
		return nil
	})
}

// WaitISR waits until every partition of the topics has a leader and n replicas
// in sync, as after the return of a broker.
func (c *KafkaClient) WaitISR(ctx context.Context, n int, topics ...string) error {
	return Eventually(ctx, 200*time.Millisecond, func(ctx context.Context) error {
		metadata, err := c.admin.Metadata(ctx, topics...)
		if err != nil {
			return err
		}
		for _, topic := range metadata.Topics.Sorted() {
			if topic.Err != nil {
				return fmt.Errorf("topic %s: %w", topic.Topic, topic.Err)
			}
			for _, p := range topic.Partitions.Sorted() {
				if p.Err != nil || p.Leader < 0 || len(p.ISR) < n {
					return fmt.Errorf("%s[%d]: leader %d, in sync %v, %w", p.Topic, p.Partition, p.Leader, p.ISR, errors.Join(p.Err))
				}
			}
		}
		return nil
	})
}

// ConsumeAll returns every record that a topic holds now.
func (c *KafkaClient) ConsumeAll(ctx context.Context, topic string) ([]*kgo.Record, error) {
	var records []*kgo.Record
	err := c.ConsumeEach(ctx, topic, func(r *kgo.Record) error {
		records = append(records, r)
		return nil
	})
	return records, err
}

// ConsumeEach calls each for every record from the start of a topic up to the end
// that it has now, in order within each partition. It uses no consumer group. It
// stops at the first error of each.
func (c *KafkaClient) ConsumeEach(ctx context.Context, topic string, each func(*kgo.Record) error) error {
	starts, err := c.StartOffsets(ctx, topic)
	if err != nil {
		return err
	}
	ends, err := c.EndOffsets(ctx, topic)
	if err != nil {
		return err
	}
	from := map[int32]kgo.Offset{}
	for partition, end := range ends {
		if starts[partition] < end {
			from[partition] = kgo.NewOffset().At(starts[partition])
		}
	}
	if len(from) == 0 {
		return nil
	}
	consumer, err := kgo.NewClient(append(slices.Clone(c.opts),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		// Control records keep the position of a partition visible even when
		// the last record before its end is a transaction marker.
		kgo.KeepControlRecords())...)
	if err != nil {
		return err
	}
	defer consumer.Close()
	for len(from) > 0 {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return fmt.Errorf("consume %s: %w", topic, err)
		}
		for _, fetchErr := range fetches.Errors() {
			return fmt.Errorf("consume %s[%d]: %w", topic, fetchErr.Partition, fetchErr.Err)
		}
		for iter := fetches.RecordIter(); !iter.Done(); {
			r := iter.Next()
			if r.Offset >= ends[r.Partition]-1 {
				delete(from, r.Partition)
			}
			if r.Offset >= ends[r.Partition] || r.Attrs.IsControl() {
				continue
			}
			if err := each(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// offsets asks for one kind of offset of every partition of a topic.
func (c *KafkaClient) offsets(
	ctx context.Context, topic string, list func(context.Context, ...string) (kadm.ListedOffsets, error),
) (map[int32]int64, error) {
	byPartition := map[int32]int64{}
	err := patiently(ctx, func(ctx context.Context) error {
		listed, err := list(ctx, topic)
		if err == nil {
			err = listed.Error()
		}
		if err != nil {
			return err
		}
		listed.Each(func(o kadm.ListedOffset) { byPartition[o.Partition] = o.Offset })
		return nil
	})
	if err == nil && len(byPartition) == 0 {
		err = kerr.UnknownTopicOrPartition
	}
	if err != nil {
		return nil, fmt.Errorf("offsets of %s: %w", topic, err)
	}
	return byPartition, nil
}

// patiently repeats a question for a while when the answer is that a connection
// broke or that a leader is being elected: tests ask right after they have stopped
// or started brokers.
func patiently(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	asked := 0
	return Eventually(ctx, 200*time.Millisecond, func(ctx context.Context) error {
		err := ask(ctx)
		asked++
		kafkaErr, ok := errors.AsType[*kerr.Error](err)
		switch {
		case ok && !kafkaErr.Retriable:
			return Permanent(err)
		case errors.Is(err, kerr.UnknownTopicOrPartition) && asked == 5:
			// A broker may be the last to hear of a new topic, but not for long.
			return Permanent(err)
		}
		return err
	})
}
