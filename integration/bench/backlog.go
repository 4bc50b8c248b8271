package bench

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/internal/topics"
)

// Brokers is how many brokers the Kafka has, as in production: a consumer holds a fetch of each.
const Brokers = 3

// Backlog is an in-process Kafka with the messages of a workload in their topic. Every run reads them from the
// start, in a consumer group of its own.
type Backlog struct {
	Workload Workload
	Bytes    int64 // of the messages, before the producer compressed them
	// BackendCores are those that VictoriaLogs runs on; all when empty. See SplitCores.
	BackendCores []int

	kafka  *harness.FakeKafka
	client *harness.KafkaClient
	ends   map[int32]int64
	gate   gate
}

// NewBacklog starts the Kafka and fills it. Directories are below dir.
func NewBacklog(ctx context.Context, dir string, workload Workload) (*Backlog, error) {
	b := &Backlog{Workload: workload}
	var err error
	if b.kafka, err = harness.NewFakeKafka(harness.FakeKafkaOptions{
		Dir:     dir,
		Brokers: Brokers,
	}); err != nil {
		return nil, err
	}
	if err := b.fill(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("fill Kafka: %w", err), b.Close())
	}
	b.gate.guard(b.kafka.Cluster())
	return b, nil
}

func (b *Backlog) fill(ctx context.Context) error {
	if err := b.kafka.Start(ctx); err != nil {
		return err
	}
	var err error
	if b.client, err = harness.NewKafkaClient(b.kafka.Brokers(),
		// What the shipped agent does: one message a batch, snappy.
		kgo.ProducerBatchCompression(kgo.SnappyCompression()),
		kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		return err
	}
	if err := makeTopics(ctx, b.client.Client(), noEnv); err != nil {
		return err
	}
	topic := b.Workload.Topic()
	if b.ends, err = b.client.EndOffsets(ctx, topic); err != nil {
		return err
	}
	for batch := 0; batch*messagesInBatch(b.Workload) < b.Workload.Messages; batch++ {
		partition := int32(batch % len(b.ends)) //nolint:gosec // G115: a handful of partitions
		var records []*kgo.Record
		for i := range messagesInBatch(b.Workload) {
			message := batch*messagesInBatch(b.Workload) + i
			if message == b.Workload.Messages {
				break
			}
			value, err := b.Workload.Message(message)
			if err != nil {
				return err
			}
			records = append(records, &kgo.Record{Topic: topic, Partition: partition, Value: value})
			b.Bytes += int64(len(value))
		}
		if err := b.client.Produce(ctx, records...); err != nil {
			return err
		}
	}
	b.ends, err = b.client.EndOffsets(ctx, topic)
	return err
}

// messagesInBatch is how many messages a producer writes at a time: an agent's are large, Fluent Bit sends what a flush
// of a second has.
func messagesInBatch(w Workload) int {
	if w.FluentBit {
		return 1000
	}
	return 1
}

// Partitions is how many partitions the topic has.
func (b *Backlog) Partitions() int { return len(b.ends) }

// Close stops the Kafka.
func (b *Backlog) Close() error {
	b.gate.open()
	if b.client != nil {
		b.client.Close()
	}
	return b.kafka.Close()
}

// waitStored waits until VictoriaLogs has taken every record of the backlog.
func (b *Backlog) waitStored(ctx context.Context, logs *harness.VictoriaLogs) error {
	return waitTaken(ctx, logs, b.Workload.Records())
}

// waitTaken waits until VictoriaLogs has taken so many records. The offsets are no measure of it: ours are committed when
// the rows are on disk. To ask costs VictoriaLogs CPU, so it is asked rarely, and for every variant.
func waitTaken(ctx context.Context, logs *harness.VictoriaLogs, records int) error {
	return harness.Eventually(ctx, 100*time.Millisecond, func(ctx context.Context) error {
		own, err := logs.Metrics(ctx)
		if err != nil {
			return err
		}
		if taken := int(own.Sum("vl_rows_ingested_total")); taken < records {
			return fmt.Errorf("%d records of %d are stored", taken, records)
		}
		return nil
	})
}

// makeTopics makes the topics that the environment names.
func makeTopics(ctx context.Context, client *kgo.Client, getenv func(string) string) error {
	report, err := topics.Ensure(ctx, client, topics.Defaults(getenv))
	if err != nil {
		return err
	}
	if problems := report.Problems(); len(problems) > 0 {
		return fmt.Errorf("topics: %v", problems)
	}
	return nil
}

func noEnv(string) string { return "" }

// gate holds back the answers to fetches, so that a consumer is up and in its group before it gets the first message:
// what its start costs is then not part of the measurement.
type gate struct {
	opened  atomic.Pointer[chan struct{}] // closed when open
	waiting atomic.Int64                  // fetches since the gate was closed
}

func (g *gate) guard(cluster *kfake.Cluster) {
	g.close()
	g.open()
	cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		opened := *g.opened.Load()
		select {
		case <-opened:
		default:
			g.waiting.Add(1)
			cluster.SleepControl(func() { <-opened })
		}
		return nil, nil, false
	})
}

// waitHeld waits until the consumer waits at every broker, and until its start is over.
func (g *gate) waitHeld(ctx context.Context) error {
	var last int64
	return harness.Eventually(ctx, time.Second, func(context.Context) error {
		held := g.waiting.Load()
		defer func() { last = held }()
		if held < Brokers || held != last {
			return fmt.Errorf("the consumer has asked for messages %d times", held)
		}
		return nil
	})
}

func (g *gate) close() {
	opened := make(chan struct{})
	g.waiting.Store(0)
	g.opened.Store(&opened)
}

func (g *gate) open() {
	opened := g.opened.Load()
	if opened == nil {
		return
	}
	select {
	case <-*opened:
	default:
		close(*opened)
	}
}
