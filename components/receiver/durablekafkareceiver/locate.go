package durablekafkareceiver

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"go.uber.org/zap"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/kafka/configkafka"

	accounts "github.com/breakwater-otel/breakwater/components/internal/ledger"
	"github.com/breakwater-otel/breakwater/components/receiver/durablekafkareceiver/internal/ledger"
)

// location is what the broker has of a partition.
type location struct {
	start, end int64
	// startAt and until are the offsets in the configuration, or those of its times, or -1.
	startAt, until int64
	// topicID is another one when the topic was made again. Empty: not known.
	topicID string
}

// listTimeout bounds the questions for offsets.
const listTimeout = 10 * time.Second

var errNotListed = errors.New("the broker did not answer for the partition")

// list asks for the offsets of all partitions of the topics. What it has no answer for
// is not in the result.
func (r *kafkaReceiver) list(ctx context.Context, topics ...string) (func(topicPartition) (location, error), error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	// An error is about some of the brokers; the partitions of the others are there.
	starts, err := r.admin.ListStartOffsets(ctx, topics...)
	ends, endsErr := r.admin.ListEndOffsets(ctx, topics...)
	err = errors.Join(err, endsErr)
	var startAts, untils kadm.ListedOffsets
	if !r.startAt.IsZero() {
		var timeErr error
		startAts, timeErr = r.admin.ListOffsetsAfterMilli(ctx, r.startAt.UnixMilli(), topics...)
		err = errors.Join(err, timeErr)
	}
	if !r.until.IsZero() {
		var timeErr error
		untils, timeErr = r.admin.ListOffsetsAfterMilli(ctx, r.until.UnixMilli(), topics...)
		err = errors.Join(err, timeErr)
	}
	var topicIDs kadm.TopicDetails
	if r.accountant != nil {
		// Without it a topic that was made again is found by its end, if that is lower.
		topicIDs, _ = r.admin.ListTopics(ctx, topics...)
	}
	return func(tp topicPartition) (location, error) {
		var failed error
		lookup := func(listed kadm.ListedOffsets) int64 {
			o, ok := listed.Lookup(tp.topic, tp.partition)
			switch {
			case !ok:
				failed = errors.Join(failed, errNotListed)
			case o.Err != nil:
				failed = errors.Join(failed, o.Err)
			}
			return o.Offset
		}
		l := location{start: lookup(starts), end: lookup(ends), startAt: -1, until: -1}
		switch {
		case !r.startAt.IsZero():
			l.startAt = lookup(startAts)
		case r.startOffsets != nil:
			l.startAt = offsetOr(r.startOffsets, tp.partition, l.end)
		}
		switch {
		case r.untilNow:
			l.until = l.end
		case !r.until.IsZero():
			l.until = lookup(untils)
		case r.untilOffsets != nil:
			l.until = offsetOr(r.untilOffsets, tp.partition, 0)
		}
		if topic, ok := topicIDs[tp.topic]; ok && topic.Err == nil {
			l.topicID = topic.ID.String()
		}
		return l, failed
	}, err
}

func offsetOr(offsets map[int32]int64, partition int32, otherwise int64) int64 {
	if offset, ok := offsets[partition]; ok {
		return offset
	}
	return otherwise
}

// locate asks for the offsets of the session's partition until there is an answer, and
// leaves it for the poll loop.
func (r *kafkaReceiver) locate(s *session) {
	r.background.Go(func() {
		interval := r.config.ErrorBackOff.InitialInterval
		for {
			lookup, listErr := r.list(s.ctx, s.topic)
			found, err := lookup(s.topicPartition)
			if err == nil {
				s.mu.Lock()
				s.located = &found
				s.mu.Unlock()
				r.wake()
				return
			}
			s.logger.Warn("The offsets of the partition are not known, it waits for them", zap.Error(errors.Join(err, listErr)))
			if !sleep(s.ctx, jitter(interval, r.config.ErrorBackOff.RandomizationFactor)) {
				return
			}
			interval = min(2*interval, r.config.ErrorBackOff.MaxInterval)
		}
	})
}

// commitOf is what the group has committed of a partition.
type commitOf struct {
	offset   int64
	epoch    int32
	metadata string
}

// place sets where the session begins.
func (s *session) place(commit commitOf, l location, now time.Time) {
	s.committed, s.committedEpoch = commit.offset, commit.epoch
	s.highWatermark = l.end
	s.redeliveredAt = now.UnixMilli()
	if s.until < 0 {
		s.until = l.until
	}
	start, m := commit.offset, ledger.Metadata{}
	ours, anew := false, false
	if start >= 0 {
		m, ours = ledger.ParseMetadata(commit.metadata, start)
	}
	switch {
	case start < 0:
		start = s.r.initial(l)
		if s.r.startOffsets != nil && l.startAt < start {
			s.lost(l.startAt, start)
		}
		s.logger.Info("The group has no commit for the partition", zap.Int64("offset", start))
	case start > l.end:
		s.truncated(start, l)
		anew = true
		s.redeliveredBelow = l.end
		start, m, ours = l.start, ledger.Metadata{}, true
	case start < l.start:
		s.lost(start, l.start)
		start = l.start
		m = after(m, start)
	}
	switch {
	case ours:
		s.redeliveredBelow = max(s.redeliveredBelow, m.Reserved)
		s.singlesBelow = m.Reserved
	case commit.offset >= 0:
		// Another client committed. It may have delivered anything behind, in any form.
		s.redeliveredBelow = min(start+s.r.config.MaxUnsettledMessages, l.end)
	}
	switch {
	case s.r.reading():
		// A replay: another group has delivered it, or will.
		s.redeliveredBelow, s.replayBelow = math.MaxInt64, math.MaxInt64
	case s.r.config.StartAt.set():
		s.redeliveredBelow = max(s.redeliveredBelow, l.end)
		s.replayBelow = l.end
	}
	s.counted = start
	s.account(commit, l)
	if anew {
		s.entries.restart(start)
	}
	s.begin(start, m)
	s.reserve = max(m.Reserved, start)
	s.reserved = start
	switch {
	case start == commit.offset:
		s.reserved = s.reserve
	case commit.offset >= 0:
		// Nothing below the reserve starts before the group has it at the new beginning; and what is gone is no lag.
		s.touched = true
		s.want++
	}
	s.finished = s.until >= 0 && s.fetched >= s.until
}

// account begins the entries for the delivery ledger.
func (s *session) account(commit commitOf, l location) {
	if s.r.accountant == nil {
		return
	}
	s.r.accountant.Watch(s.r.config.GroupID, []string{s.topic})
	s.entries = entries{assignment: &accounts.Assignment{
		Place:     accounts.Place{Group: s.r.config.GroupID, Topic: s.topic, Partition: s.partition},
		Committed: commit.offset, End: l.end, TopicID: l.topicID,
		Fresh: commit.offset < 0 && l.start == 0 && s.r.initial(l) == 0,
	}}
}

// initial returns where a partition begins that has no commit.
func (r *kafkaReceiver) initial(l location) int64 {
	switch {
	case l.startAt >= 0:
		return max(l.startAt, l.start)
	case r.config.InitialOffset == configkafka.LatestOffset:
		return l.end
	default:
		return l.start
	}
}

// after returns the metadata without the ranges that are not there any more, whole or
// in part.
func after(m ledger.Metadata, start int64) ledger.Metadata {
	keep := func(ranges []ledger.Range) (kept []ledger.Range) {
		for _, r := range ranges {
			if r.From >= start {
				kept = append(kept, r)
			}
		}
		return kept
	}
	return ledger.Metadata{Reserved: m.Reserved, Ranges: keep(m.Ranges), Settled: keep(m.Settled)}
}

// relocate goes on after the broker did not have the offset to be fetched.
func (s *session) relocate(l location) {
	s.highWatermark = l.end
	expected := s.fetched
	switch {
	case expected > l.end:
		s.truncated(expected, l)
		s.restart(l.start, ledger.Metadata{}, 0)
		s.redeliveredBelow = max(expected, l.end)
	case expected < l.start:
		from := expected
		for from < l.start {
			end, ok := s.ledger.SettledAt(from)
			if !ok {
				break
			}
			from = end
		}
		if from < l.start {
			s.lost(from, l.start)
			s.counted += l.start - from
		}
		s.fetched = l.start
		if s.queue.len() == 0 && s.ledger.End() < l.start {
			// What is gone settles, so that the next assignment does not look for it.
			s.ledger.Resolve(s.ledger.Begin(s.ledger.End(), l.start))
			s.progress()
		}
	}
	s.finished = s.until >= 0 && s.fetched >= s.until
}

// restart begins anew at the offset: what the partition had there is not what it has
// now, but for what the metadata has, and singles below an offset.
func (s *session) restart(offset int64, m ledger.Metadata, singlesBelow int64) {
	end := s.ledger.End()
	s.drop()
	s.entries.restart(offset)
	s.singlesBelow = singlesBelow
	s.redeliveredBelow = max(end, s.redeliveredBelow)
	s.committedEpoch = -1
	s.lostVerdict, s.restarted = false, false
	s.begin(offset, m)
	// Nothing starts before the group knows of it.
	s.reserve, s.reserved = max(offset, singlesBelow), offset
	s.counted = min(s.counted, offset)
	s.touched = true
	s.want++
	s.r.commits.urgent()
}

// lost reports that Kafka has deleted what was to be read.
func (s *session) lost(from, to int64) {
	s.logger.Error("Loss by retention: Kafka deleted messages before they were delivered",
		zap.Int64("from_offset", from), zap.Int64("to_offset", to), zap.Int64("messages", to-from))
	s.r.telemetry.ReceiverDurableKafkaLostMessages.Add(s.ctx, to-from, s.attributes.causes[causeRetention])
}

// topicDeleted reports that the topic is gone with what had not been read of it.
func (s *session) topicDeleted() {
	if !s.placed {
		return
	}
	s.logger.Error("The topic was deleted, and made again or not: what had not been read of it is lost",
		zap.Int64("from_offset", s.fetched), zap.Int64("to_offset", max(s.highWatermark, s.fetched)))
	if unread := s.highWatermark - s.fetched; unread > 0 {
		s.r.telemetry.ReceiverDurableKafkaLostMessages.Add(s.ctx, unread, s.attributes.causes[causeTopicDeleted])
	}
}

// truncated reports that the partition ends before what was to be read.
func (s *session) truncated(expected int64, l location) {
	s.logger.Error("The partition ends before the offset to be read: the topic was deleted and made again, or its log was truncated; it is read from the beginning",
		zap.Int64("offset", expected), zap.Int64("start_offset", l.start), zap.Int64("end_offset", l.end))
	s.r.telemetry.ReceiverDurableKafkaRewinds.Add(s.ctx, 1, s.attributes.causes[causeOffsetOutOfRange])
}

// dataLoss goes on after the client found that the log of the partition diverged from
// what was read.
func (s *session) dataLoss(resetTo int64, err error) {
	offset, end := min(resetTo, s.ledger.Committable()), s.ledger.End()
	// Before the divergence is what was there before.
	m := s.ledger.Metadata(end)
	diverged := func(r ledger.Range) bool { return r.From < offset || r.To > resetTo }
	m.Ranges, m.Settled = slices.DeleteFunc(m.Ranges, diverged), slices.DeleteFunc(m.Settled, diverged)
	s.redeliveredBelow = max(end, s.redeliveredBelow)
	s.logger.Error("The log of the partition was truncated; it is read again from where it diverged",
		zap.Int64("offset", offset), zap.Error(err))
	s.r.telemetry.ReceiverDurableKafkaRewinds.Add(s.ctx, 1, s.attributes.causes[causeLogTruncated])
	s.restart(offset, m, min(end, resetTo))
}

func (tp topicPartition) String() string { return fmt.Sprintf("%s/%d", tp.topic, tp.partition) }
