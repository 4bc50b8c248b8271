package durablekafkareceiver

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/breakwater-otel/breakwater/components/internal/durability"
	"github.com/breakwater-otel/breakwater/components/receiver/durablekafkareceiver/internal/ledger"
)

type topicPartition struct {
	topic     string
	partition int32
}

// session is a partition while it is assigned to this receiver.
type session struct {
	r *kafkaReceiver
	topicPartition
	attributes sessionAttributes
	logger     *zap.Logger

	// ctx is that of the deliveries.
	ctx    context.Context
	cancel context.CancelFunc

	mu sync.Mutex
	// placed says that the offset to begin at is known, and the ledger is there.
	placed bool
	// locating says that the offsets that the broker has are being asked for.
	locating bool
	// closing says that nothing begins any more.
	closing bool
	ledger  *ledger.Ledger

	// entries are what goes into the account of the delivery ledger when it is settled.
	entries entries

	// queue are the records that were fetched and have not begun.
	queue recordQueue
	// bytes are those of queue and of the deliveries that have not ended.
	bytes, begunBytes int64
	// fetched is the next offset to be fetched, highWatermark the end of the partition
	// as far as is known.
	fetched, highWatermark int64
	lastTimestamp          time.Time
	// epochs are the leader epochs of what was fetched, for the commit.
	epochs []epochMark

	// group is what of the queue has been looked at for the next merged request.
	group  group
	linger *time.Timer

	// owed are merged ranges that have to be made again exactly.
	owed []ledger.Range
	// singlesBelow is the offset below which messages that are in no owed range may
	// have been sent alone, and are sent alone again.
	singlesBelow int64
	// redeliveredBelow is the offset below which a message may have been sent before, at
	// redeliveredAt (Unix ms) for the last time.
	redeliveredBelow int64
	redeliveredAt    int64
	// replayBelow is the offset below which a message may have been sent by another group,
	// as a part of any request.
	replayBelow int64
	// ready are the deliveries that have begun and wait for a commit or a worker.
	ready []*delivery
	// workers are the goroutines that deliver, delivering is how many of them have a
	// delivery. refused says that another one was refused for want of room.
	workers, delivering int
	refused             bool
	// idle is closed when there is no worker, while closing.
	idle chan struct{}
	// draining says that deliveries of before a rewind have to end before others begin.
	draining bool
	// generation is that of the deliveries since the last rewind; ended ends the waits
	// of their retries.
	generation int
	retry      context.Context
	endRetry   context.CancelFunc
	// attempted is the offset below which a message may have been sent since the
	// assignment, lastAttempt when the last attempt ended.
	attempted   int64
	lastAttempt time.Time

	// want counts what has to be in a commit before something may start; done is how
	// far it is. reserve is the offset below which singles may have been sent, as it is
	// to be committed; reserved as it is.
	want, done         int
	reserve, reserved  int64
	reserveChunk       int64
	reservedSince      time.Time
	committed          int64 // -1: the group has no commit
	counted            int64 // what is below it is counted as settled, or as lost
	committedEpoch     int32
	touched            bool // something has settled since the last commit
	plain              bool // the broker does not take ranges in the metadata
	commitFailedLogged time.Time
	// A commit that failed for this partition alone is not tried again before.
	commitRetryAt time.Time
	commitBackOff time.Duration

	// paused is what franz-go was told; the others are the reasons.
	paused    bool
	overBytes bool // paused for having more than its share of bytes
	// overUnsettled says that it is paused for max_unsettled_messages.
	overUnsettled bool
	errorUntil    time.Time
	errorBackOff  time.Duration
	// moved says that it is to be fetched from s.fetched.
	moved            bool
	fetchErrorLogged time.Time
	// firstCommit is what the group had committed at the assignment.
	firstCommit commitOf
	// located is what was found while locating, for the poll loop to take.
	located *location
	// lostVerdict says that a rewind is due.
	lostVerdict bool
	// restarted says that it is due to a restart, and not only to what was sent before every backend had been seen.
	restarted bool
	// until is the offset at which reading ends, or -1.
	until    int64
	finished bool // everything before until has been fetched

	failureLogged time.Time
}

// epochMark says that offsets from this one on were written in the epoch.
type epochMark struct {
	from  int64
	epoch int32
}

// group is an open merged request: the first n records of the queue.
type group struct {
	n     int
	bytes int
	since time.Time
}

const minReserveChunk, maxReserveChunk = 64, 16384

func (r *kafkaReceiver) newSession(tp topicPartition) *session {
	ctx, cancel := context.WithCancel(context.Background())
	s := &session{
		r: r, topicPartition: tp, ctx: ctx, cancel: cancel,
		attributes:   newSessionAttributes(r.config.GroupID, tp),
		logger:       r.logger.With(zap.String("topic", tp.topic), zap.Int32("partition", tp.partition)),
		reserveChunk: minReserveChunk,
		committed:    -1, committedEpoch: -1,
		until: -1,
		idle:  make(chan struct{}),
	}
	s.retry, s.endRetry = context.WithCancel(ctx)
	return s
}

// begin places the session: everything before the offset is settled.
func (s *session) begin(start int64, m ledger.Metadata) {
	s.ledger = ledger.New(start)
	s.ledger.Restore(m)
	s.owed = m.Ranges
	s.fetched = s.ledger.Committable()
	s.epochs = s.epochs[:0]
	s.group = group{}
	s.placed = true
}

// push takes records that were fetched, in the order of offsets, and returns how many
// bytes are queued more.
func (s *session) push(records []*kgo.Record, highWatermark int64, now time.Time) (bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || !s.placed || s.locating {
		return 0
	}
	s.highWatermark = max(s.highWatermark, highWatermark)
	s.errorBackOff = 0
	// The client may begin below what was asked for, where it had no place to set.
	for len(records) > 0 && records[0].Offset < s.fetched {
		records = records[1:]
	}
	if len(records) == 0 {
		return 0
	}
	s.fetched = records[len(records)-1].Offset + 1
	if s.until >= 0 {
		records = s.before(records)
	}
	for _, record := range records {
		bytes += recordBytes(record)
		if n := len(s.epochs); n == 0 || s.epochs[n-1].epoch != record.LeaderEpoch {
			s.epochs = append(s.epochs, epochMark{record.Offset, record.LeaderEpoch})
		}
	}
	if len(records) > 0 {
		s.lastTimestamp = records[len(records)-1].Timestamp
	}
	s.entries.push(records)
	s.queue.push(records)
	s.addBytes(bytes)
	s.schedule(now)
	return bytes
}

// before returns the records that are before `until`, without control records: these
// are fetched to know where the partition ends.
func (s *session) before(records []*kgo.Record) []*kgo.Record {
	kept := make([]*kgo.Record, 0, len(records))
	for _, record := range records {
		if record.Offset < s.until && !record.Attrs.IsControl() {
			kept = append(kept, record)
		}
	}
	s.finished = s.fetched >= s.until
	return kept
}

func (s *session) addBytes(n int64) {
	s.bytes += n
	s.r.bytes.Add(n)
	if n >= 0 {
		return
	}
	s.r.roomMade()
	if s.paused && s.overBytes && s.relieved(s.r.share()) {
		s.r.wake() // it may wait in a poll that brings nothing until this one is resumed
	}
}

// relieved reports whether a partition that is paused for its bytes may be fetched
// again.
func (s *session) relieved(share int64) bool { return s.bytes <= share/2 || s.needsMore() }

// behind reports whether something at the offset may have been sent before this
// assignment or the last rewind.
func (s *session) behind(offset int64) bool {
	return offset < s.redeliveredBelow || offset < s.singlesBelow
}

// form begins deliveries as far as the limits allow.
func (s *session) form(now time.Time) {
	if s.closing || s.draining || s.locating || s.lostVerdict || !s.placed {
		return
	}
	for len(s.ready)+s.workers < 2*s.r.config.MaxConcurrentDeliveries {
		d := s.next(now)
		if d == nil {
			return
		}
		d.generation, d.retry = s.generation, s.retry
		s.begunBytes += d.bytes
		s.ready = append(s.ready, d)
	}
}

// next takes the next delivery from the queue, or returns nil when there is none to
// begin yet.
func (s *session) next(now time.Time) *delivery {
	for s.queue.len() > 0 {
		first := s.queue.at(0)
		offset := first.Offset
		if s.behind(offset) {
			if end, ok := s.ledger.SettledAt(offset); ok {
				s.skip(offset, end)
				continue
			}
		}
		for len(s.owed) > 0 && s.owed[0].To <= offset {
			s.owed = s.owed[1:]
		}
		if offset+1-s.ledger.Committable() > s.r.config.MaxUnsettledMessages {
			return nil
		}
		if len(s.owed) > 0 && s.owed[0].From <= offset {
			return s.again()
		}
		if !s.r.config.Merge.Enabled || offset < s.singlesBelow || len(first.Value) > s.r.config.Merge.MaxMessageBytes {
			return s.single()
		}
		return s.merge(now)
	}
	s.reachUntil()
	return nil
}

// reachUntil settles offsets without records in front of `until`: the end of a replay is
// in the commit. Everything before them has begun.
func (s *session) reachUntil() {
	if s.finished && s.ledger.End() < s.until {
		s.ledger.Resolve(s.ledger.Begin(s.ledger.End(), s.until))
		s.progress()
	}
}

// skip leaves out what is settled already, up to end.
func (s *session) skip(offset, end int64) {
	n := s.queue.before(end)
	s.release(s.queue.take(n))
	s.group = group{}
	if s.ledger.End() < end {
		// Offsets without records before it settle, too, even if nothing follows.
		s.ledger.Resolve(s.ledger.Begin(max(offset, s.ledger.End()), end))
		s.progress()
	}
}

func (s *session) release(records []*kgo.Record) {
	var bytes int64
	for _, record := range records {
		bytes += recordBytes(record)
	}
	s.addBytes(-bytes)
}

// fits reports whether another delivery of this size may begin. The first one always
// may, however large, and a busy partition may have more than its share while others
// leave room.
func (s *session) fits(bytes int64) bool {
	return s.begunBytes == 0 || s.begunBytes+bytes <= s.r.share() || s.r.bytes.Load() < s.r.config.MaxInFlightBytes/2
}

func (s *session) single() *delivery {
	if !s.fits(recordBytes(s.queue.at(0))) {
		return nil
	}
	return s.take(1)
}

// take begins a delivery of the first n records.
func (s *session) take(n int) *delivery {
	records := s.queue.take(n)
	s.group = group{}
	d := &delivery{records: records, from: records[0].Offset, to: records[n-1].Offset + 1}
	for _, record := range records {
		d.bytes += recordBytes(record)
	}
	s.open(d)
	return d
}

// open begins the delivery in the ledger, and asks for the commit that it needs.
func (s *session) open(d *delivery) {
	d.entry = s.ledger.Begin(max(d.from, s.ledger.End()), d.to)
	d.entry.Merged, d.entry.Written = d.merged, d.records[0].Timestamp
	if d.from < s.redeliveredBelow {
		d.redelivered, d.marked = s.redeliveredAt, true
	}
	d.replay = d.from < s.replayBelow
	switch {
	case d.again:
		d.want = s.want
	case d.merged && !s.plain:
		s.reserve = max(s.reserve, d.to)
		s.want++
		d.want = s.want
		s.r.commits.urgent()
	case d.to > s.reserve-s.reserveChunk/2:
		s.reserveMore(d.to)
	}
}

// reserveMore says, ahead of the deliveries, that singles up to there may have been
// sent. The chunk is what is delivered in about a second, so that it takes about a
// commit a second.
func (s *session) reserveMore(to int64) {
	now := time.Now()
	switch since := now.Sub(s.reservedSince); {
	case s.reservedSince.IsZero():
	case since < time.Second:
		s.reserveChunk = min(2*s.reserveChunk, maxReserveChunk)
	case since > 10*time.Second:
		s.reserveChunk = max(s.reserveChunk/2, minReserveChunk)
	}
	s.reservedSince = now
	s.reserve = max(s.reserve, to-1+s.reserveChunk)
	s.want++
	s.r.commits.urgent()
}

// startable reports whether a commit covers the delivery: after a crash it is known
// that it may have been sent, and as what.
func (s *session) startable(d *delivery) bool {
	switch {
	case d.again, d.merged && !s.plain:
		return d.want <= s.done
	default:
		return d.to <= s.reserved
	}
}

// again makes a merged range again, of exactly its messages: in any other form it could
// not be found where it has been stored. So the rest of it is waited for, however long
// its broker is away. Its intent is in the metadata of the last commit, or, after a
// rewind, of the next.
func (s *session) again() *delivery {
	owed := s.owed[0]
	n := s.queue.before(owed.To)
	d := &delivery{merged: true, again: true, from: owed.From, to: owed.To}
	if s.fetched < owed.To {
		if !s.finished {
			return nil
		}
		// `until` is lower than it was: the range goes out as another request, which has to
		// be announced.
		d.to, d.again = s.fetched, false
	}
	d.records = s.queue.take(n)
	s.group = group{}
	s.owed = s.owed[1:]
	for _, record := range d.records {
		d.bytes += recordBytes(record)
	}
	s.open(d)
	return d
}

// merge takes the next merged request, once it is full or has lingered.
func (s *session) merge(now time.Time) *delivery {
	config := &s.r.config.Merge
	first := s.queue.at(0)
	if s.group.n == 0 {
		s.group = group{n: 1, bytes: len(first.Value), since: now}
	}
	full := false
	for !full && s.group.n < s.queue.len() {
		record := s.queue.at(s.group.n)
		full = s.group.n >= config.MaxMessages || s.group.bytes+len(record.Value) > config.MaxBytes || !s.joins(first, record)
		if !full {
			s.group.n++
			s.group.bytes += len(record.Value)
		}
	}
	full = full || s.group.n >= config.MaxMessages || s.group.bytes >= config.MaxBytes
	if !full && !s.paused && !s.finished {
		if wait := s.group.since.Add(config.Linger).Sub(now); wait > 0 {
			s.wakeAfter(wait)
			return nil
		}
	}
	if !s.fits(int64(s.group.bytes + s.group.n*recordOverheadBytes)) {
		return nil
	}
	if s.group.n == 1 {
		return s.take(1)
	}
	from, to := first.Offset, s.queue.at(s.group.n-1).Offset+1
	if !s.plain {
		m := s.ledger.Metadata(max(s.reserve, to))
		m.Ranges = append(m.Ranges, ledger.Range{From: from, To: to})
		if !m.Fits(s.ledger.Committable()) {
			return nil // until something settles
		}
	}
	records := s.queue.take(s.group.n)
	s.group = group{}
	d := &delivery{records: records, merged: true, from: from, to: to}
	for _, record := range records {
		d.bytes += recordBytes(record)
	}
	s.open(d)
	return d
}

// joins reports whether the record may be in a merged request that begins with first.
func (s *session) joins(first, record *kgo.Record) bool {
	if len(record.Value) > s.r.config.Merge.MaxMessageBytes || !sameHeaders(first, record) {
		return false
	}
	if len(s.owed) > 0 && record.Offset >= s.owed[0].From {
		return false
	}
	if s.behind(record.Offset) {
		if _, settled := s.ledger.SettledAt(record.Offset); settled {
			return false
		}
	}
	return true
}

// wakeAfter has schedule called after the wait.
func (s *session) wakeAfter(wait time.Duration) {
	if s.linger == nil {
		s.linger = time.AfterFunc(wait, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.schedule(time.Now())
		})
		return
	}
	s.linger.Reset(wait)
}

// schedule begins what can begin and starts workers for it.
func (s *session) schedule(now time.Time) {
	s.form(now)
	for s.workers < s.r.config.MaxConcurrentDeliveries {
		d := s.start()
		if d == nil {
			return
		}
		s.workers++
		go s.work(d)
	}
}

// start takes the first delivery that is ready, if a commit covers it and there is
// room for it in the pipeline.
func (s *session) start() *delivery {
	s.refused = false
	if s.closing || s.draining || s.lostVerdict || len(s.ready) == 0 || !s.startable(s.ready[0]) {
		return nil
	}
	d := s.ready[0]
	if s.refused = !s.r.admit(d.bytes, s.delivering == 0); s.refused {
		return nil
	}
	s.delivering++
	s.ready[0] = nil
	if s.ready = s.ready[1:]; len(s.ready) == 0 {
		s.ready = nil
	}
	return d
}

// work delivers until there is nothing to start.
func (s *session) work(d *delivery) {
	for d != nil {
		result := s.deliver(d)
		s.mu.Lock()
		s.conclude(d, result)
		now := time.Now()
		s.form(now)
		if d = s.start(); d == nil {
			s.workers--
			s.noWorker(now)
		} else if s.workers < s.r.config.MaxConcurrentDeliveries {
			s.schedule(now)
		}
		s.mu.Unlock()
		s.r.admitOthers(now)
	}
}

// noWorker goes on with what waits for all deliveries to end.
func (s *session) noWorker(now time.Time) {
	if s.workers > 0 {
		return
	}
	if s.closing {
		close(s.idle)
		return
	}
	if s.draining {
		s.draining = false
		s.redeliveredAt = max(s.redeliveredAt, s.lastAttempt.UnixMilli())
		s.schedule(now)
	}
}

// conclude enters the result of a delivery.
func (s *session) conclude(d *delivery, result result) {
	s.delivering--
	s.r.delivering.Add(-d.bytes)
	s.begunBytes -= d.bytes
	s.addBytes(-d.bytes)
	if result.delivered {
		s.entries.deliver(d, result.dead)
	}
	d.records = nil
	if d.tried.After(s.lastAttempt) {
		s.lastAttempt = d.tried // it may have arrived, whatever came of it
	}
	switch {
	case !result.delivered:
		s.ledger.Abandon(d.entry)
	case result.resolved:
		s.ledger.Resolve(d.entry)
		s.progress()
	default:
		s.ledger.Ack(d.entry, result.stamp, d.tried)
		if d.generation == s.generation && !s.closing && s.judge(result.stamp, d.tried) == durability.Lost {
			s.lose() // the event came before the acknowledgement
		}
	}
}

// judge asks the backends for a verdict, and notes why it is Lost.
func (s *session) judge(stamp durability.Stamp, acked time.Time) durability.Verdict {
	verdict := s.r.watch.Judge(stamp, acked)
	if verdict == durability.Lost && stamp.Seen {
		s.restarted = true
	}
	return verdict
}

// lose has the poll loop rewind the partition. Nothing begins until it has.
func (s *session) lose() {
	s.lostVerdict = true
	s.endRetry()
	s.r.wake()
}

// review settles what the backends have on disk by now.
func (s *session) review(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.placed || s.closing || s.lostVerdict || s.draining {
		return
	}
	acked := s.ledger.Acked()
	lost := s.ledger.Review(s.judge)
	if s.ledger.Acked() != acked {
		s.progress()
		s.schedule(now)
	}
	if lost {
		s.lose()
	}
}

// reviewLast settles what it can before the session ends.
func (s *session) reviewLast() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.placed && !s.lostVerdict {
		s.ledger.Review(s.judge)
		s.touched = true
	}
}

// progress is called when something is settled.
func (s *session) progress() {
	s.touched = true
	s.r.commits.progress()
	if s.paused {
		s.r.wake()
	}
}

// rewind drops what has not settled, to be read again from s.fetched on. It is called
// by the poll loop while rebalances are blocked.
func (s *session) rewind() {
	sent := s.ledger.End()
	s.owed = s.ledger.Rewind()
	s.lostVerdict, s.restarted = false, false
	s.redeliveredBelow = max(s.redeliveredBelow, s.attempted)
	s.singlesBelow = max(s.singlesBelow, sent)
	s.redeliveredAt = max(s.redeliveredAt, s.lastAttempt.UnixMilli())
	s.fetched = s.ledger.Committable()
	s.finished = s.until >= 0 && s.fetched >= s.until
	for n := len(s.epochs); n > 0 && s.epochs[n-1].from >= s.fetched; n-- {
		s.epochs = s.epochs[:n-1]
	}
	s.drop()
}

// drop forgets what has not begun to be delivered, and lets what has end.
func (s *session) drop() {
	s.release(s.queue.take(s.queue.len()))
	for _, d := range s.ready {
		s.begunBytes -= d.bytes
		s.addBytes(-d.bytes)
	}
	s.ready, s.group = nil, group{}
	s.generation++
	s.endRetry()
	s.retry, s.endRetry = context.WithCancel(s.ctx)
	s.draining = s.workers > 0
}

// stop lets nothing begin any more, and ends the waits of retries. Deliveries in the
// pipeline go on; idle is closed when they have ended.
func (s *session) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return
	}
	s.closing = true
	s.endRetry()
	if s.linger != nil {
		s.linger.Stop()
	}
	if s.workers == 0 {
		close(s.idle)
	}
}

// forget is called when the session has ended: its bytes do not count any more.
func (s *session) forget() {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release(s.queue.take(s.queue.len()))
	for _, d := range s.ready {
		s.begunBytes -= d.bytes
		s.addBytes(-d.bytes)
	}
	s.ready = nil
}

// epochAt returns the leader epoch of the record before the offset, or -1.
func (s *session) epochAt(offset int64) int32 {
	if !s.r.config.UseLeaderEpoch {
		return -1
	}
	epoch := s.committedEpoch
	for _, mark := range s.epochs {
		if mark.from >= offset {
			break
		}
		epoch = mark.epoch
	}
	return epoch
}
