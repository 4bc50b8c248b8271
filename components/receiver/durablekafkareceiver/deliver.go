package durablekafkareceiver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.uber.org/zap"

	"github.com/breakwater-otel/breakwater/components/internal/deadletter"
	"github.com/breakwater-otel/breakwater/components/internal/durability"
	accounts "github.com/breakwater-otel/breakwater/components/internal/ledger"
	"github.com/breakwater-otel/breakwater/components/receiver/durablekafkareceiver/internal/ledger"
)

// Keys of the client metadata of a delivery.
const (
	// redeliveredKey is there when the messages may have been delivered before. The value
	// is the time, Unix milliseconds, of the last possible earlier delivery.
	redeliveredKey = "breakwater.redelivered"
	// replayKey is there when the messages may have been delivered by another group, merged
	// in another way. The values are the ID of the replay, and where the request begins.
	replayKey = "breakwater.replay"
	// Those of upstream's receiver.
	upstreamTopicKey     = "kafka.topic"
	upstreamPartitionKey = "kafka.partition"
	upstreamOffsetKey    = "kafka.offset"
)

// delivery is the records of the offsets [from, to) on their way, as one request.
type delivery struct {
	records  []*kgo.Record
	from, to int64
	bytes    int64
	entry    *ledger.Entry
	// merged says that the range has to be known before it is sent, and want from which
	// commit on it is; again that it is the range of an earlier assignment or session.
	merged, again bool
	want          int
	// redelivered is the value of redeliveredKey, or 0.
	redelivered int64
	// marked says that it was set from the beginning.
	marked bool
	// replay says that another group may have sent it.
	replay     bool
	generation int
	// retry ends when the delivery is not to be tried again.
	retry context.Context
	// tried is when the last attempt ended, zero: there was none.
	tried time.Time
	// undecodable are the messages, by their place in records, that cannot be decoded,
	// buried those of them that are dead letters already.
	undecodable map[int]error
	buried      map[int]bool
}

// result is the end of a delivery.
type result struct {
	delivered bool
	// resolved says that it is settled with that, by what it is.
	resolved bool
	stamp    durability.Stamp
	// dead is how many records became dead letters behind the receiver.
	dead uint64
}

// Kinds of errors; the values are those of the attribute `kind` in metadata.yaml.
const (
	kindTransient   = "transient"
	kindPermanent   = "permanent"
	kindUndecodable = "undecodable"
	kindDeadLetter  = "dead_letter"
)

// deliveryError is an error of the receiver's own doing.
type deliveryError struct {
	kind string
	err  error
}

func (e *deliveryError) Error() string { return e.err.Error() }
func (e *deliveryError) Unwrap() error { return e.err }

func kindOf(err error) string {
	var own *deliveryError
	switch {
	case errors.As(err, &own):
		return own.kind
	case consumererror.IsPermanent(err):
		return kindPermanent
	default:
		return kindTransient
	}
}

// pipelineShare is the part of max_in_flight_bytes that may be in the pipeline, beside
// one delivery of each partition. What is there takes several times its bytes, as
// records and as rows, and all of it is looked at in each garbage collection; what is
// queued is cheap.
const pipelineShare = 4

// admit reports whether a delivery may go into the pipeline, and counts its bytes there
// if so. The first one of a partition always may: no partition waits for another.
func (r *kafkaReceiver) admit(bytes int64, first bool) bool {
	if r.delivering.Add(bytes) <= r.config.MaxInFlightBytes/pipelineShare || first {
		return true
	}
	r.delivering.Add(-bytes)
	return false
}

// admitOthers has partitions try again that were refused room for a further delivery.
func (r *kafkaReceiver) admitOthers(now time.Time) {
	for _, s := range r.partitions() {
		if r.delivering.Load() >= r.config.MaxInFlightBytes/pipelineShare {
			return
		}
		s.mu.Lock()
		if s.refused {
			s.schedule(now)
		}
		s.mu.Unlock()
	}
}

// deliver tries without end, until the session or its generation ends.
func (s *session) deliver(d *delivery) result {
	config := &s.r.config.ErrorBackOff
	interval := config.InitialInterval
	for {
		stamp, ok := s.r.ready(d.retry)
		if !ok || !s.attempting(d) {
			return result{}
		}
		var tally accounts.Tally
		handedOn, err := s.attempt(d, &tally)
		d.tried = time.Now()
		if s.ctx.Err() != nil {
			// Exporters answer nil, too, when their context has ended.
			return result{}
		}
		if err == nil {
			s.delivered(d, handedOn)
			return result{delivered: true, resolved: !handedOn || s.r.watch == nil, stamp: stamp, dead: tally.Dead()}
		}
		kind := kindOf(err)
		s.failed(d, kind, err)
		wait := interval
		if kind != kindTransient {
			// It will not succeed before somebody has changed something.
			wait = config.MaxInterval
		}
		if !sleep(d.retry, jitter(wait, config.RandomizationFactor)) {
			return result{}
		}
		interval = min(time.Duration(float64(interval)*config.Multiplier), config.MaxInterval)
		// The failed attempt may have arrived all the same.
		d.redelivered = d.tried.UnixMilli()
	}
}

// ready waits until an attempt at a delivery makes sense, and returns its stamp and
// whether that was before the context ended.
func (r *kafkaReceiver) ready(ctx context.Context) (durability.Stamp, bool) {
	for ctx.Err() == nil {
		// What a backend takes that is starting would have to be delivered again.
		if stamp := r.stamp(); !stamp.Starting && r.member() {
			return stamp, true
		}
		sleep(ctx, readyPause)
	}
	return durability.Stamp{}, false
}

// attempting notes that the delivery may be with a backend from now on. It returns false
// after a rewind, which did not know of it: the delivery must not be attempted.
func (s *session) attempting(d *delivery) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.generation != s.generation {
		return false
	}
	s.attempted = max(s.attempted, d.to)
	return true
}

// readyPause is how often is looked again whether an attempt makes sense.
const readyPause = 100 * time.Millisecond

// member reports whether the group has lately heard of this member. One that it cannot
// hear may have lost its partitions without knowing, and would store beside their new
// owner what that one has just found to be missing.
func (r *kafkaReceiver) member() bool {
	heard := r.heardAt.Load()
	return heard == 0 || time.Since(time.Unix(0, heard)) < r.config.SessionTimeout*2/3
}

func jitter(interval time.Duration, factor float64) time.Duration {
	return time.Duration(float64(interval) * (1 + factor*(2*rand.Float64()-1)))
}

// sleep waits, and reports whether it was not ended.
func sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// attempt decodes the messages anew, because a pipeline may have changed what it was
// given, and hands them on, if there are any. What cannot be decoded is kept as dead
// letters first.
func (s *session) attempt(d *delivery, tally *accounts.Tally) (handedOn bool, err error) {
	if d.undecodable == nil {
		d.undecodable = make(map[int]error)
	}
	request := s.r.signal.decode(d.records, d.undecodable)
	if len(d.undecodable) > 0 {
		if err := s.bury(d); err != nil {
			return false, err
		}
		if len(d.undecodable) == len(d.records) {
			return false, nil
		}
	}
	ctx := s.context(d)
	if s.r.accountant != nil {
		ctx = accounts.WithTally(ctx, tally)
	}
	return true, request.consume(ctx)
}

// bury has undecodable messages kept as dead letters. They are not decoded again then:
// they are to be delivered or kept, not both.
func (s *session) bury(d *delivery) error {
	places := slices.Sorted(maps.Keys(d.undecodable))
	if s.r.deadLetters == nil {
		err := &deliveryError{kindUndecodable, fmt.Errorf("the message at offset %d cannot be decoded, and no `dead_letter` is set: %w",
			d.records[places[0]].Offset, d.undecodable[places[0]])}
		clear(d.undecodable) // an extension may know better the next time
		return err
	}
	places = slices.DeleteFunc(places, func(i int) bool { return d.buried[i] })
	letters := make([]deadletter.Letter, 0, len(places))
	for _, i := range places {
		letters = append(letters, s.letter(d.records[i], d.undecodable[i]))
	}
	if len(letters) == 0 {
		return nil
	}
	if err := s.r.deadLetters.Put(s.ctx, letters...); err != nil {
		return &deliveryError{kindDeadLetter, fmt.Errorf("dead letter of an undecodable message: %w", err)}
	}
	if d.buried == nil {
		d.buried = make(map[int]bool, len(places))
	}
	for _, i := range places {
		d.buried[i] = true
	}
	s.r.telemetry.ReceiverDurableKafkaDeadLetters.Add(s.ctx, int64(len(letters)), s.attributes.undecodable)
	s.logger.Warn("Undecodable messages are kept as dead letters",
		zap.Int("messages", len(letters)), zap.Int64("offset", letters[0].Offset), zap.String("error", letters[0].Error))
	return nil
}

func (s *session) letter(record *kgo.Record, err error) deadletter.Letter {
	letter := deadletter.Letter{
		Reason:    deadletter.ReasonUndecodable,
		Error:     err.Error(),
		Signal:    s.r.signal.name(),
		Encoding:  s.r.topics.Encoding,
		Topic:     record.Topic,
		Partition: record.Partition,
		Offset:    record.Offset,
		Last:      record.Offset,
		Timestamp: record.Timestamp,
		Key:       record.Key,
		Value:     record.Value,
	}
	for _, h := range record.Headers {
		if h.Key == accounts.HeaderKey {
			continue // sent again, it is another message
		}
		letter.Headers = append(letter.Headers, deadletter.Header{Key: h.Key, Value: h.Value})
	}
	return letter
}

// context has the origin of the messages, and their headers, which are the same for
// all of them.
func (s *session) context(d *delivery) context.Context {
	first, last := d.records[0], d.records[len(d.records)-1]
	offset := []string{strconv.FormatInt(first.Offset, 10)}
	metadata := make(map[string][]string, 8+len(first.Headers))
	for i := range first.Headers {
		h := &first.Headers[i]
		metadata[h.Key] = append(metadata[h.Key], string(h.Value))
	}
	// Nobody but the receiver says where a message is from.
	metadata[upstreamTopicKey], metadata[deadletter.MetadataTopic] = s.attributes.topic, s.attributes.topic
	metadata[upstreamPartitionKey], metadata[deadletter.MetadataPartition] = s.attributes.partition, s.attributes.partition
	metadata[upstreamOffsetKey], metadata[deadletter.MetadataOffset] = offset, offset
	metadata[deadletter.MetadataLastOffset] = []string{strconv.FormatInt(last.Offset, 10)}
	delete(metadata, accounts.HeaderKey)
	delete(metadata, redeliveredKey)
	delete(metadata, replayKey)
	if d.replay {
		metadata[replayKey] = []string{s.r.config.replayID(), s.String() + "/" + offset[0]}
	}
	if d.redelivered != 0 {
		metadata[redeliveredKey] = []string{strconv.FormatInt(d.redelivered, 10)}
	}
	return client.NewContext(s.ctx, client.Info{Metadata: client.NewMetadata(metadata)})
}

func (s *session) delivered(d *delivery, handedOn bool) {
	if !handedOn {
		return
	}
	n := int64(len(d.records) - len(d.buried))
	s.r.telemetry.ReceiverDurableKafkaDeliveredMessages.Add(s.ctx, n, s.attributes.set)
	if d.marked {
		s.r.telemetry.ReceiverDurableKafkaRedeliveredMessages.Add(s.ctx, n, s.attributes.set)
	}
}

// logEvery is how often a partition tells of failures that go on.
const logEvery = 30 * time.Second

func (s *session) failed(d *delivery, kind string, err error) {
	s.r.telemetry.ReceiverDurableKafkaDeliveryErrors.Add(s.ctx, 1, s.attributes.kinds[kind])
	s.mu.Lock()
	log := d.tried.Sub(s.failureLogged) >= logEvery
	if log {
		s.failureLogged = d.tried
	}
	s.mu.Unlock()
	if !log {
		return
	}
	message := "Delivery failed, it will be tried again"
	if kind != kindTransient {
		message = "Delivery cannot succeed as it is; the partition waits for it, and it will be tried again"
	}
	s.logger.Error(message, zap.String("kind", kind), zap.Int64("from_offset", d.from), zap.Int64("to_offset", d.to), zap.Error(err))
}
