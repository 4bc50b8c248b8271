package durablekafkareceiver

import (
	"context"
	"errors"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/breakwater-otel/breakwater/components/internal/deadletter"
	"github.com/breakwater-otel/breakwater/components/receiver/durablekafkareceiver/internal/ledger"
)

// Causes; the values are those of the attribute `cause` in metadata.yaml.
const (
	causeBackendRestarted = "backend_restarted"
	causeBackendUnseen    = "backend_unseen"
	causeLogTruncated     = "log_truncated"
	causeOffsetOutOfRange = "offset_out_of_range"
	causeRetention        = "retention"
	causeTopicDeleted     = "topic_deleted"
)

// sessionAttributes are those of a partition, made once.
type sessionAttributes struct {
	// topic and partition are values of client metadata.
	topic, partition []string
	set              metric.MeasurementOption
	undecodable      metric.AddOption
	kinds, causes    map[string]metric.AddOption
}

func newSessionAttributes(groupID string, tp topicPartition) sessionAttributes {
	group, topic, partition := attribute.String("group", groupID), attribute.String("topic", tp.topic), attribute.Int64("partition", int64(tp.partition))
	with := func(more ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(append(more, group, topic, partition)...))
	}
	a := sessionAttributes{
		topic:       []string{tp.topic},
		partition:   []string{strconv.Itoa(int(tp.partition))},
		set:         with(),
		undecodable: with(attribute.String("reason", deadletter.ReasonUndecodable)),
		kinds:       make(map[string]metric.AddOption),
		causes:      make(map[string]metric.AddOption),
	}
	for _, kind := range []string{kindTransient, kindPermanent, kindUndecodable, kindDeadLetter} {
		a.kinds[kind] = with(attribute.String("kind", kind))
	}
	for _, cause := range []string{causeBackendRestarted, causeBackendUnseen, causeLogTruncated, causeOffsetOutOfRange, causeRetention, causeTopicDeleted} {
		a.causes[cause] = with(attribute.String("cause", cause))
	}
	return a
}

// observe registers what is computed when it is collected.
func (r *kafkaReceiver) observe() error {
	t := r.telemetry
	integer := func(register func(metric.Int64Callback) error, value func(*session) (int64, bool)) error {
		return register(func(_ context.Context, o metric.Int64Observer) error {
			for _, s := range r.partitions() {
				s.mu.Lock()
				v, ok := int64(0), false
				if s.placed {
					v, ok = value(s)
				}
				s.mu.Unlock()
				if ok {
					o.Observe(v, s.attributes.set)
				}
			}
			return nil
		})
	}
	always := func(value func(*session) int64) func(*session) (int64, bool) {
		return func(s *session) (int64, bool) { return value(s), true }
	}
	errs := []error{
		integer(t.RegisterReceiverDurableKafkaUnsettledMessagesCallback, always(func(s *session) int64 { return s.ledger.Unsettled() })),
		integer(t.RegisterReceiverDurableKafkaCommittedOffsetCallback, func(s *session) (int64, bool) { return s.committed, s.committed >= 0 }),
		integer(t.RegisterReceiverDurableKafkaInFlightBytesCallback, always(func(s *session) int64 { return s.bytes })),
		integer(t.RegisterReceiverDurableKafkaInFlightDeliveriesCallback, always(func(s *session) int64 { return int64(s.ledger.InFlight()) })),
		integer(t.RegisterReceiverDurableKafkaLagCallback, always((*session).lag)),
		integer(t.RegisterReceiverDurableKafkaPausedCallback, always(func(s *session) int64 {
			if s.paused && !s.finished {
				return 1
			}
			return 0
		})),
		t.RegisterReceiverDurableKafkaLagSecondsCallback(func(_ context.Context, o metric.Float64Observer) error {
			now := time.Now()
			for _, s := range r.partitions() {
				s.mu.Lock()
				seconds := s.lagSeconds(now)
				s.mu.Unlock()
				o.Observe(seconds, s.attributes.set)
			}
			return nil
		}),
	}
	if r.reading() {
		errs = append(errs, t.RegisterReceiverDurableKafkaReplayDoneCallback(func(_ context.Context, o metric.Int64Observer) error {
			done := int64(0)
			if r.replayed() {
				done = 1
			}
			o.Observe(done)
			return nil
		}))
	}
	return errors.Join(errs...)
}

// lag is how many offsets there are from the first one on that has not been delivered.
func (s *session) lag() int64 { return s.lagFrom(s.ledger.Undelivered()) }

// lagFrom is the lag with this first entry that has not been delivered, or none.
func (s *session) lagFrom(first *ledger.Entry) int64 {
	end := s.highWatermark
	if s.until >= 0 {
		end = min(end, s.until)
	}
	next := max(s.ledger.End(), s.ledger.Committable())
	if first != nil {
		next = first.Range().From
	}
	return max(0, end-next)
}

// lagSeconds is the age of the first message that has not been delivered.
func (s *session) lagSeconds(now time.Time) float64 {
	first := s.ledger.Undelivered()
	if !s.placed || s.lagFrom(first) == 0 {
		return 0
	}
	oldest := s.lastTimestamp // of a message just before it, if it has not been fetched
	if first != nil {
		oldest = first.Written
	} else if s.queue.len() > 0 {
		oldest = s.queue.at(0).Timestamp
	}
	if oldest.IsZero() {
		return 0
	}
	return max(0, now.Sub(oldest).Seconds())
}
