package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/plog"
)

// KafkaOptions configures NewFluentBit and NewPoison; Brokers and Topic are needed.
type KafkaOptions struct {
	Common
	Brokers []string
	Topic   string
	// Client are further options of the client, such as kgo.Dialer or SASL.
	Client []kgo.Opt
	// Fields are in every message of NewFluentBit, at the root.
	Fields map[string]string
}

func (o *KafkaOptions) check() error {
	if err := o.Common.check(); err != nil {
		return err
	}
	if len(o.Brokers) == 0 || o.Topic == "" {
		return fmt.Errorf("writer %s needs brokers and a topic", o.Name)
	}
	return nil
}

// producer hands messages over one by one: each is acknowledged or refused for itself.
type producer struct {
	engine
	opts   KafkaOptions
	client *kgo.Client
	value  func(seq int64) []byte

	next       int64
	refused    numbers
	resent     numbers
	unanswered numbers
}

func (p *producer) init(opts KafkaOptions, value func(seq int64) []byte) error {
	if err := opts.check(); err != nil {
		return err
	}
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(opts.Brokers...),
		kgo.DefaultProduceTopic(opts.Topic),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.MetadataMinAge(100 * time.Millisecond),
		// Which messages are too large is for the topic to say.
		kgo.ProducerBatchMaxBytes(32 << 20),
		kgo.MaxBufferedRecords(10_000),
		kgo.ProducerLinger(0),
		// Round robin: every partition has records of every writer.
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()),
	}, opts.Client...)...)
	if err != nil {
		return err
	}
	p.opts, p.client, p.value = opts, client, value
	p.engine = engine{name: opts.Name, rate: opts.Rate, write: p.writeMessages}
	return nil
}

// writeMessages produces n messages and waits until all are answered. The client repeats what is without an answer by
// itself, with the sequence numbers of an idempotent producer. What it gives up is produced again here, which may double
// it and is noted.
func (p *producer) writeMessages(ctx context.Context, n int64) error {
	for n > 0 && !p.stopping() {
		batch := min(n, maxBatch)
		if p.opts.LargeEvery > 0 {
			batch = 1 // a message that is too large takes those of its batch with it
		}
		n -= batch
		todo := make([]int64, 0, batch)
		for range batch {
			todo = append(todo, p.next)
			p.next++
		}
		for len(todo) > 0 {
			todo = p.produce(ctx, todo)
		}
	}
	return nil
}

// produce returns the numbers that are to be produced again.
func (p *producer) produce(ctx context.Context, seqs []int64) (again []int64) {
	records := make([]*kgo.Record, len(seqs))
	numbers := make(map[*kgo.Record]int64, len(seqs))
	for i, seq := range seqs {
		records[i] = &kgo.Record{Value: p.value(seq)}
		numbers[records[i]] = seq
	}
	// In the order of the numbers, whatever the order of the answers.
	failed := make(map[int64]error)
	for _, result := range p.client.ProduceSync(ctx, records...) {
		if result.Err != nil {
			failed[numbers[result.Record]] = result.Err
		}
	}
	for _, seq := range seqs {
		err, ok := failed[seq]
		switch {
		case !ok:
			p.written.Add(1)
		case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge), errors.Is(err, kerr.InvalidRecord):
			p.refused.add(seq)
		case ctx.Err() != nil:
			p.unanswered.add(seq)
		default:
			if !neverTaken(err) {
				p.resent.add(seq)
			}
			again = append(again, seq)
		}
	}
	if len(again) == 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		for _, seq := range again {
			p.unanswered.add(seq)
		}
		return nil
	case <-time.After(pushPause):
	}
	return again
}

// neverTaken tells whether an error says that the message was not stored.
func neverTaken(err error) bool {
	for _, e := range []error{
		kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.UnknownTopicOrPartition, kerr.SaslAuthenticationFailed,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// end stops the producer and closes its client.
func (p *producer) end(ctx context.Context) error {
	// The client does not give up what it has sent while it is open, whatever the context of the call.
	release := context.AfterFunc(ctx, p.client.Close)
	defer release()
	err := p.halt(ctx)
	p.client.Close()
	return err
}

func (p *producer) account(kind Kind) Account {
	return Account{
		Writer: p.opts.Name, Kind: kind, Next: p.next, Written: p.written.Load(),
		Refused: p.refused.ranges(), Unanswered: p.unanswered.ranges(), Resent: p.resent.ranges(), Labels: p.opts.Labels,
		// Several partitions are read side by side.
		Unordered: true,
	}
}

// FluentBit produces one record a message, as Fluent Bit's Kafka output does.
type FluentBit struct{ producer }

// NewFluentBit makes a producer of JSON messages. It sends nothing before Start.
func NewFluentBit(opts KafkaOptions) (*FluentBit, error) {
	w := &FluentBit{}
	return w, w.init(opts, func(seq int64) []byte {
		now := time.Now().Add(opts.jumped(seq)).UTC()
		value := now.AppendFormat([]byte(`{"@timestamp":"`), "2006-01-02T15:04:05.000000000Z")
		value = append(value, '"')
		return append(appendFields(value, w.opts.line(seq), opts.Fields), '}')
	})
}

// Stop ends the producer and gives the account.
func (w *FluentBit) Stop(ctx context.Context) ([]Account, error) {
	err := w.end(ctx)
	account := w.account(KindFluentBit)
	account.Record = func(seq int64) Record { return Record{Text: w.opts.line(seq)} }
	return []Account{account}, err
}

// Poison produces messages that nothing can decode: random bytes, truncated OTLP, and where LargeEvery says so one of
// LargeBytes (20 MiB, say), which a topic may refuse.
type Poison struct{ producer }

// NewPoison makes a producer of messages that must end in the dead letters. It sends nothing before Start.
func NewPoison(opts KafkaOptions) (*Poison, error) {
	w := &Poison{}
	return w, w.init(opts, func(seq int64) []byte { return w.message(seq) })
}

// Stop ends the producer and gives the account.
func (w *Poison) Stop(ctx context.Context) ([]Account, error) {
	err := w.end(ctx)
	account := w.account(KindPoison)
	account.Record = func(seq int64) Record { return Record{Text: string(w.message(seq))} }
	return []Account{account}, err
}

func (w *Poison) message(seq int64) []byte {
	if w.opts.large(seq) || seq%2 == 0 {
		n := w.opts.Bytes
		if w.opts.large(seq) {
			n = w.opts.LargeBytes
		}
		// 0xff begins neither protobuf (a field of an unknown wire type) nor JSON, and the number makes each its own.
		message := binary.BigEndian.AppendUint64([]byte{0xff}, uint64(seq))
		random := randomText(w.opts.Seed, seq, n)
		for i := range len(random) {
			message = append(message, random[i]^0xa5)
		}
		return message
	}
	logs := plog.NewLogs()
	record := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.Body().SetStr(fmt.Sprintf("poison %s %d %s", w.opts.Name, seq, randomText(w.opts.Seed, seq, w.opts.Bytes)))
	message, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
	if err != nil {
		panic(err) // nothing in it can fail
	}
	return message[:len(message)-len(message)/3]
}
