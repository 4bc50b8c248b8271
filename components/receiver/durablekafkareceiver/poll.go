package durablekafkareceiver

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/breakwater-otel/breakwater/internal/kafkaenv"
)

// holdTimeout is how long polling waits for room before partitions with more than their
// share of bytes are paused. A pause makes the client drop what it has buffered of the
// partition, to fetch and decompress it again, so it is worth a little patience.
const holdTimeout = 100 * time.Millisecond

// starveTimeout is how long a partition that has nothing waits for room that others do
// not make. Then it has a delivery all the same: what is stuck must stop no other.
const starveTimeout = 2 * time.Second

// poll is the one goroutine that fetches, and that moves partitions. Rebalances wait
// while it does, so records never reach a session that they are not for.
func (r *kafkaReceiver) poll(ctx context.Context) {
	for {
		pollCtx, cancel := r.waitForRoom(ctx)
		fetches := r.client.PollRecords(pollCtx, r.pollSize())
		cancel()
		if ctx.Err() != nil || fetches.IsClientClosed() {
			r.client.AllowRebalance()
			return
		}
		now := time.Now()
		r.take(fetches, now)
		r.regulate(now)
		r.client.AllowRebalance()
	}
}

// wake has the poll loop look after the sessions now.
func (r *kafkaReceiver) wake() {
	r.wakeMu.Lock()
	defer r.wakeMu.Unlock()
	r.woken = true
	if r.endPoll != nil {
		r.endPoll()
	}
	r.roomMade()
}

// roomMade has the poll loop look whether it may poll.
func (r *kafkaReceiver) roomMade() {
	select {
	case r.room <- struct{}{}:
	default:
	}
}

// waitForRoom waits until there is room for more records, or something else to do for
// the poll loop. It returns the context of the poll, which has ended already in the
// latter case.
func (r *kafkaReceiver) waitForRoom(ctx context.Context) (context.Context, context.CancelFunc) {
	for {
		wait, crowded := r.crowded(time.Now())
		pollCtx, cancel := r.pollContext(ctx)
		if !crowded || pollCtx.Err() != nil {
			return pollCtx, cancel
		}
		timer := time.NewTimer(wait)
		select {
		case <-r.room:
		case <-timer.C:
		case <-pollCtx.Done():
		}
		timer.Stop()
		if pollCtx.Err() != nil {
			return pollCtx, cancel
		}
		cancel()
	}
}

// pollContext returns a context that wake ends, and that ends when a pause does.
func (r *kafkaReceiver) pollContext(ctx context.Context) (context.Context, context.CancelFunc) {
	due := r.nextDue
	if due.IsZero() {
		due = time.Now().Add(time.Minute)
	}
	pollCtx, cancel := context.WithDeadline(ctx, due)
	r.wakeMu.Lock()
	defer r.wakeMu.Unlock()
	if r.woken {
		r.woken = false
		cancel()
	}
	r.endPoll = cancel
	return pollCtx, cancel
}

// share is the part of max_in_flight_bytes of each partition.
func (r *kafkaReceiver) share() int64 {
	return r.config.MaxInFlightBytes / int64(max(len(r.partitions()), 1))
}

// pollSize is how many records there is room for, or for a partition that starves.
func (r *kafkaReceiver) pollSize() int {
	room := r.config.MaxInFlightBytes - r.bytes.Load()
	if r.starving {
		room = max(room, r.share()/2)
	}
	return int(max(1, min(room/r.averageBytes, 1<<20)))
}

// crowded reports whether to wait with polling, and for how long at most. When that
// goes on, those with more than their share are to be paused if others have little: what
// is stuck must not keep the room of all. When it still goes on, those that have nothing
// need no room: what is being delivered cannot be given back, and may be all there is.
func (r *kafkaReceiver) crowded(now time.Time) (time.Duration, bool) {
	r.starving = false
	if r.bytes.Load() < r.config.MaxInFlightBytes {
		r.crowdedSince = time.Time{}
		return 0, false
	}
	if r.crowdedSince.IsZero() {
		r.crowdedSince = now
	}
	share, hungry, empty := r.share(), false, false
	var over []*session
	for _, s := range r.partitions() {
		s.mu.Lock()
		if s.placed && s.needsMore() && s.begunBytes == 0 {
			// It cannot make room without the rest of its range.
			s.mu.Unlock()
			return 0, false
		}
		switch {
		case s.paused || !s.placed || s.needsMore():
		case s.bytes > share:
			over = append(over, s)
		case s.bytes <= share/2:
			hungry = true
			empty = empty || s.bytes == 0
		}
		s.mu.Unlock()
	}
	switch {
	case len(over) > 0 && hungry:
		if left := r.crowdedSince.Add(holdTimeout).Sub(now); left > 0 {
			return left, true
		}
	case empty:
		left := r.crowdedSince.Add(starveTimeout).Sub(now)
		r.starving = left <= 0
		return left, !r.starving
	default:
		return time.Minute, true // nobody would gain by a pause
	}
	for _, s := range over {
		s.mu.Lock()
		s.overBytes = true
		s.mu.Unlock()
	}
	r.wake()
	return 0, true
}

// needsMore reports whether the session waits for the rest of a range that it has to
// make again, and must not be paused.
func (s *session) needsMore() bool {
	return len(s.owed) > 0 && s.fetched < s.owed[0].To && s.fetched > s.owed[0].From
}

// take gives the records to their sessions. Errors are about their partition alone.
func (r *kafkaReceiver) take(fetches kgo.Fetches, now time.Time) {
	var count, bytes int64
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		r.mu.Lock()
		s := r.sessions[topicPartition{p.Topic, p.Partition}]
		r.mu.Unlock()
		if s != nil && len(p.Records) > 0 {
			bytes += s.push(p.Records, p.HighWatermark, now)
			count += int64(len(p.Records))
		}
		if p.Err != nil {
			r.fetchFailed(topicPartition{p.Topic, p.Partition}, s, p.Err, now)
		}
	})
	if count > 0 && bytes > 0 {
		r.averageBytes = max(1, (3*r.averageBytes+bytes/count)/4)
	}
}

// fetchFailed handles the error of one partition, or of a topic that has none here.
func (r *kafkaReceiver) fetchFailed(tp topicPartition, s *session, err error, now time.Time) {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return // of the poll itself
	}
	r.unhealthy(err)
	if s == nil {
		if now.Sub(r.topicErrorLogged[tp.topic]) >= logEvery {
			r.topicErrorLogged[tp.topic] = now
			r.logger.Error("Kafka cannot be read", zap.String("topic", tp.topic), zap.Error(kafkaenv.Explain(err)))
		}
		return
	}
	r.telemetry.ReceiverDurableKafkaFetchErrors.Add(s.ctx, 1, s.attributes.set)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || s.locating {
		return
	}
	var loss *kgo.ErrDataLoss
	switch {
	case errors.Is(err, kerr.OffsetOutOfRange):
		s.locating = true
		r.locate(s)
	case errors.Is(err, kerr.UnknownTopicID):
		s.topicDeleted()
		if now.Sub(r.topicReadded[s.topic]) > r.config.ErrorBackOff.MaxInterval {
			r.topicReadded[s.topic] = now
			r.readd(s.topic)
		}
		s.errorUntil = now.Add(r.config.ErrorBackOff.MaxInterval)
	case errors.As(err, &loss) && s.placed:
		s.dataLoss(loss.ResetTo, err)
		s.moved = true
	default:
		// The client would ask again at once.
		s.errorBackOff = max(r.config.ErrorBackOff.InitialInterval, min(2*s.errorBackOff, r.config.ErrorBackOff.MaxInterval))
		s.errorUntil = now.Add(jitter(s.errorBackOff, r.config.ErrorBackOff.RandomizationFactor))
		if now.Sub(s.fetchErrorLogged) >= logEvery {
			s.fetchErrorLogged = now
			s.logger.Error("The partition cannot be fetched; others are not affected", zap.Duration("retry_in", s.errorBackOff), zap.Error(kafkaenv.Explain(err)))
		}
	}
}

// readd has the client forget the topic, which was deleted and made again, and find it
// anew. Its partitions are revoked and assigned by that.
func (r *kafkaReceiver) readd(topic string) {
	r.background.Go(func() {
		r.client.PurgeTopicsFromConsuming(topic)
		if !r.topics.patterns() { // a pattern finds it by itself
			r.client.AddConsumeTopics(topic)
		}
	})
}

// regulate moves partitions that have to be read from another offset, and pauses and
// resumes. Rebalances are blocked meanwhile.
func (r *kafkaReceiver) regulate(now time.Time) {
	moves := make(map[string]map[int32]kgo.EpochOffset)
	pause, resume := make(map[string][]int32), make(map[string][]int32)
	r.nextDue = time.Time{}
	share := r.share()
	for _, s := range r.partitions() {
		s.mu.Lock()
		if s.closing {
			s.mu.Unlock()
			continue
		}
		if s.move(now) {
			if moves[s.topic] == nil {
				moves[s.topic] = make(map[int32]kgo.EpochOffset)
			}
			moves[s.topic][s.partition] = kgo.EpochOffset{Epoch: -1, Offset: s.fetched}
		}
		switch want := s.wantsPause(share, now); {
		case want && !s.paused:
			if s.overBytes && r.bytes.Load() >= r.config.MaxInFlightBytes && s.trim(share) {
				if moves[s.topic] == nil {
					moves[s.topic] = make(map[int32]kgo.EpochOffset)
				}
				moves[s.topic][s.partition] = kgo.EpochOffset{Epoch: -1, Offset: s.fetched}
			}
			s.paused = true
			pause[s.topic] = append(pause[s.topic], s.partition)
			s.schedule(now) // a merged request does not wait for more now
		case !want && s.paused:
			s.paused = false
			resume[s.topic] = append(resume[s.topic], s.partition)
		}
		if s.errorUntil.After(now) && (r.nextDue.IsZero() || s.errorUntil.Before(r.nextDue)) {
			r.nextDue = s.errorUntil
		}
		s.mu.Unlock()
	}
	if len(pause) > 0 {
		r.client.PauseFetchPartitions(pause)
	}
	if len(moves) > 0 {
		r.client.SetOffsets(moves)
	}
	if len(resume) > 0 {
		r.client.ResumeFetchPartitions(resume)
	}
}

// move does what is due of rewinding and relocating, and reports whether the session
// is to be fetched from another offset, s.fetched.
func (s *session) move(now time.Time) bool {
	moved := s.moved
	s.moved = false
	if s.located != nil {
		l := *s.located
		s.located, s.locating = nil, false
		if s.placed {
			s.relocate(l)
		} else {
			s.place(s.firstCommit, l, now)
			s.r.commits.urgent()
		}
		moved = true
	}
	if s.lostVerdict && s.placed && !s.locating {
		cause := causeBackendUnseen
		from, to := zap.Int64("from_offset", s.ledger.Committable()), zap.Int64("to_offset", s.ledger.End())
		if s.restarted {
			cause = causeBackendRestarted
			s.logger.Warn("A backend was restarted: what it may not have had on disk is delivered again", from, to)
		} else {
			s.logger.Info("A backend is seen for the first time: what was sent to it before is delivered again, as it may have been restarted since", from, to)
		}
		s.r.telemetry.ReceiverDurableKafkaRewinds.Add(s.ctx, 1, s.attributes.causes[cause])
		s.rewind()
		moved = true
	}
	if moved {
		s.schedule(now)
	}
	return moved
}

// wantsPause reports whether nothing is to be fetched of the partition.
func (s *session) wantsPause(share int64, now time.Time) bool {
	if s.overBytes && s.relieved(share) {
		s.overBytes = false
	}
	if s.locating || !s.placed || s.finished || now.Before(s.errorUntil) {
		return true
	}
	if s.needsMore() {
		return false
	}
	unsettled, limit := s.fetched-s.ledger.Committable(), s.r.config.MaxUnsettledMessages
	s.overUnsettled = unsettled >= limit || s.overUnsettled && unsettled > limit-limit/4
	return s.overBytes || s.overUnsettled
}

// trim gives back what is queued over the share, to be fetched again later, and
// reports whether there is any.
func (s *session) trim(share int64) bool {
	keep, bytes := 0, s.bytes
	for i := range s.queue.len() {
		bytes -= recordBytes(s.queue.at(i))
	}
	for ; keep < s.queue.len(); keep++ {
		record := s.queue.at(keep)
		bytes += recordBytes(record)
		if bytes > share && (len(s.owed) == 0 || record.Offset >= s.owed[0].To || record.Offset < s.owed[0].From) {
			break
		}
	}
	if keep == s.queue.len() {
		return false
	}
	s.fetched = s.queue.at(keep).Offset
	s.finished = s.until >= 0 && s.fetched >= s.until
	s.release(s.queue.truncate(keep))
	s.group = group{}
	return true
}
