package durablekafkareceiver

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	accounts "github.com/breakwater-otel/breakwater/components/internal/ledger"
	"github.com/breakwater-otel/breakwater/components/receiver/durablekafkareceiver/internal/ledger"
)

const (
	// commitInterval is how often progress alone is committed, and entered into the
	// account: beside the flush window of a backend a second more to be looked up after a
	// crash is nothing, and each costs requests. What a delivery waits for is committed at
	// once, together with whatever else there is.
	commitInterval = time.Second
	// Waits after a commit that failed.
	minCommitBackOff, maxCommitBackOff = 100 * time.Millisecond, 5 * time.Second
)

// committer commits the offsets of all partitions: one request at a time, so that none
// can overtake another.
type committer struct {
	r *kafkaReceiver
	// progressed and wanted have room for one value each.
	progressed, wanted chan struct{}
	// turn is held by who commits.
	turn     chan struct{}
	interval time.Duration
}

func newCommitter(r *kafkaReceiver) *committer {
	return &committer{
		r:          r,
		progressed: make(chan struct{}, 1),
		wanted:     make(chan struct{}, 1),
		turn:       make(chan struct{}, 1),
		interval:   commitInterval,
	}
}

// progress says that something is settled.
func (c *committer) progress() { signalTo(c.progressed) }

// urgent says that a delivery waits for a commit.
func (c *committer) urgent() { signalTo(c.wanted) }

func signalTo(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// run commits until the context ends. A request that has left is waited for: were it
// cancelled, it might be applied after a later one.
func (c *committer) run(ctx context.Context) {
	backOff := time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wanted:
		case <-c.progressed:
			timer := time.NewTimer(c.interval)
			select {
			case <-ctx.Done():
			case <-c.wanted:
			case <-timer.C:
			}
			timer.Stop()
		}
		if ctx.Err() != nil {
			return
		}
		if _, answered := c.commit(ctx, c.r.partitions, false); answered {
			backOff = 0
			continue
		}
		backOff = max(minCommitBackOff, min(2*backOff, maxCommitBackOff))
		if !sleep(ctx, jitter(backOff, 0.2)) {
			return
		}
		c.urgent()
	}
}

// last commits what is settled of sessions that end.
func (c *committer) last(ctx context.Context, sessions []*session) {
	for {
		done, _ := c.commit(ctx, func() []*session { return sessions }, true)
		if done {
			return
		}
		if !sleep(ctx, minCommitBackOff) {
			c.r.logger.Warn("The last commit of some partitions failed; what is settled of them is delivered again, and verified")
			return
		}
	}
}

// intent is what is committed of a session.
type intent struct {
	s             *session
	ledger        *ledger.Ledger
	offset        int64
	epoch         int32
	metadata      string
	want          int
	reserve       int64
	withoutRanges bool
	settlement    *accounts.Settlement // nil: there is no account
}

// errSessionEnded is that of a commit that came too late: the partition may have
// another owner, whose commit it would overwrite.
var errSessionEnded = errors.New("the partition is not assigned any more")

// commit commits what has changed of the sessions. It reports whether nothing is left
// to be tried again, and whether the request was answered: then what is left has a
// time of its own for that. Sessions that end are committed by their last commit only.
func (c *committer) commit(ctx context.Context, sessions func() []*session, last bool) (done, answered bool) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return false, false
	}
	intents := make(map[topicPartition]*intent)
	offsets := make(map[string]map[int32]kgo.EpochOffset)
	now := time.Now()
	for _, s := range sessions() {
		i := s.intend(now, last)
		if i == nil {
			continue
		}
		intents[s.topicPartition] = i
		if offsets[s.topic] == nil {
			offsets[s.topic] = make(map[int32]kgo.EpochOffset)
		}
		offsets[s.topic][s.partition] = kgo.EpochOffset{Epoch: i.epoch, Offset: i.offset}
	}
	if len(intents) == 0 {
		return true, true
	}
	c.account(ctx, intents)
	ctx = kgo.PreCommitFnContext(ctx, func(request *kmsg.OffsetCommitRequest) error {
		// The client has waited for a rebalance, if there was one, and taken the generation
		// after it.
		for _, i := range intents {
			if !last && i.s.ended() {
				return errSessionEnded
			}
		}
		for t := range request.Topics {
			topic := &request.Topics[t]
			for p := range topic.Partitions {
				partition := &topic.Partitions[p]
				partition.Metadata = &intents[topicPartition{topic.Topic, partition.Partition}].metadata
			}
		}
		return nil
	})
	results := make(map[topicPartition]error)
	var failed error
	c.r.client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, request *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			failed = err
			return
		}
		for _, topic := range response.Topics {
			name := topic.Topic
			if name == "" {
				// From version 10 on topics have IDs only.
				if i := slices.IndexFunc(request.Topics, func(t kmsg.OffsetCommitRequestTopic) bool { return t.TopicID == topic.TopicID }); i >= 0 {
					name = request.Topics[i].Topic
				}
			}
			for _, p := range topic.Partitions {
				results[topicPartition{name, p.Partition}] = kerr.ErrorForCode(p.ErrorCode)
			}
		}
	})
	now, done = time.Now(), true
	for tp, i := range intents {
		err, listed := results[tp]
		switch {
		case failed != nil:
			err = failed
		case !listed:
			err = errNotListed
		}
		if err == nil {
			i.committed(now)
			continue
		}
		i.failed(err, now, failed == nil)
		// A topic that was made again has no place for the offset of the one before.
		done = done && errors.Is(err, kerr.UnknownTopicID)
	}
	return done, failed == nil
}

// ended reports whether the session gives up its partition.
func (s *session) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// intend returns what is to be committed of the session, or nil when the group has it.
func (s *session) intend(now time.Time, last bool) *intent {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.placed || s.want <= s.done && !s.touched {
		return nil
	}
	if !last && (s.closing || now.Before(s.commitRetryAt)) {
		return nil
	}
	s.touched = false
	offset := s.ledger.Committable()
	s.reserve = max(s.reserve, offset)
	m := ledger.Metadata{Reserved: s.reserve}
	if !s.plain {
		m = s.ledger.Metadata(s.reserve)
	}
	i := &intent{
		s: s, ledger: s.ledger, offset: offset, epoch: s.epochAt(offset), metadata: m.Encode(offset),
		want: s.want, reserve: s.reserve, withoutRanges: s.plain,
	}
	if settlement, ok := s.entries.take(offset); ok {
		i.settlement = &settlement
	}
	return i
}

// account enters what is about to be committed into the delivery ledger. What is committed is never read again, so it has
// to be there before.
func (c *committer) account(ctx context.Context, intents map[topicPartition]*intent) {
	if c.r.accountant == nil {
		return
	}
	settlements := make([]accounts.Settlement, 0, len(intents))
	for _, i := range intents {
		if i.settlement != nil {
			settlements = append(settlements, *i.settlement)
		}
	}
	c.r.accountant.Settled(ctx, settlements)
}

// committed lets those start who waited for the commit.
func (i *intent) committed(now time.Time) {
	s := i.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ledger != i.ledger {
		return // it was restarted at another offset meanwhile
	}
	s.done, s.reserved = i.want, max(s.reserved, i.reserve)
	s.commitBackOff = 0
	if i.offset > s.counted {
		s.r.telemetry.ReceiverDurableKafkaSettledMessages.Add(s.ctx, i.offset-s.counted, s.attributes.set)
		s.counted = i.offset
	}
	s.committed = i.offset
	// Of the epochs before the offset only the last one counts.
	for len(s.epochs) > 1 && s.epochs[1].from < i.offset {
		s.epochs = s.epochs[1:]
	}
	s.schedule(now)
}

// failed has the commit tried again: after a wait of the partition's own where the
// failure is its own, so that no other waits for it.
func (i *intent) failed(err error, now time.Time, own bool) {
	s := i.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.touched = true
	if errors.Is(err, errSessionEnded) {
		return
	}
	s.r.unhealthy(err)
	if own {
		s.commitBackOff = max(minCommitBackOff, min(2*s.commitBackOff, maxCommitBackOff))
		s.commitRetryAt = now.Add(s.commitBackOff)
		time.AfterFunc(s.commitBackOff, s.r.commits.urgent)
	}
	s.r.telemetry.ReceiverDurableKafkaCommitFailures.Add(s.ctx, 1, s.attributes.set)
	if errors.Is(err, kerr.OffsetMetadataTooLarge) && !i.withoutRanges {
		s.plain = true
		s.logger.Warn("The broker takes no metadata of this size with an offset (offset.metadata.max.bytes); after a restart merged messages may be stored twice")
		return
	}
	if now.Sub(s.commitFailedLogged) < logEvery {
		return
	}
	s.commitFailedLogged = now
	s.logger.Warn("The commit of the partition failed, it will be tried again", zap.Int64("offset", i.offset), zap.Error(err))
}
