package durablekafkareceiver

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

const (
	// rebalanceTimeout is how long the group waits for its members.
	rebalanceTimeout = time.Minute
	// revokeTimeout is how long deliveries of a revoked partition may take to end. The poll
	// loop waits meanwhile, so it is well below rebalanceTimeout.
	revokeTimeout = rebalanceTimeout / 6
	// cancelTimeout is how long a delivery may take to notice that its context has ended.
	cancelTimeout = 2 * time.Second
	// lastCommitTimeout bounds the commit of a partition that is given up.
	lastCommitTimeout = 5 * time.Second
)

// offsetsFetched keeps what the group has committed, with the metadata, for assigned,
// which is called next.
func (r *kafkaReceiver) offsetsFetched(_ context.Context, _ *kgo.Client, response *kmsg.OffsetFetchResponse) error {
	commits := make(map[topicPartition]commitOf)
	for _, group := range response.Groups {
		for _, topic := range group.Topics {
			for _, p := range topic.Partitions {
				if p.ErrorCode != 0 || p.Offset < 0 {
					continue
				}
				commit := commitOf{offset: p.Offset}
				if p.Metadata != nil {
					commit.metadata = *p.Metadata
				}
				commits[topicPartition{topic.Topic, p.Partition}] = commit
			}
		}
	}
	r.fetchedCommits = commits
	return nil
}

// assigned makes the sessions of the partitions that were assigned, and returns the
// exact offsets to begin at. It runs before anything of them is fetched.
func (r *kafkaReceiver) assigned(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	if len(offsets) == 0 {
		return offsets, nil
	}
	lookup, listErr := r.list(ctx, slices.Collect(maps.Keys(offsets))...)
	if err := ctx.Err(); err != nil {
		return nil, err // the group has moved on; it will assign them again
	}
	now := time.Now()
	places := make(map[string]map[int32]kgo.Offset, len(offsets))
	pause, resume := make(map[string][]int32), make(map[string][]int32)
	var sessions, unknown []*session
	for topic, partitions := range offsets {
		places[topic] = make(map[int32]kgo.Offset, len(partitions))
		for partition, fetched := range partitions {
			s := r.newSession(topicPartition{topic, partition})
			commit, ok := r.fetchedCommits[s.topicPartition]
			if !ok {
				// What the client has an offset for has a commit, whatever was seen of it.
				commit = commitOf{offset: max(fetched.EpochOffset().Offset, -1)}
			}
			commit.epoch = -1
			if ok && r.config.UseLeaderEpoch {
				commit.epoch = fetched.EpochOffset().Epoch // -1 where the broker cannot tell
			}
			s.firstCommit = commit
			place := kgo.NewOffset().At(max(commit.offset, 0))
			if found, err := lookup(s.topicPartition); err != nil {
				r.logger.Warn("The offsets of a partition are not known, it waits for them", zap.Stringer("partition", s.topicPartition), zap.Error(err), zap.NamedError("brokers", listErr))
				s.locating = true
				unknown = append(unknown, s)
			} else {
				s.place(commit, found, now)
				place = kgo.NewOffset().At(s.fetched)
				if s.fetched == commit.offset {
					// The client asks whether the log still is the one that was read.
					place = place.WithEpoch(commit.epoch)
				}
			}
			places[topic][partition] = place
			resume[topic] = append(resume[topic], partition)
			if s.locating || s.finished {
				s.paused = true
				pause[topic] = append(pause[topic], partition)
			}
			sessions = append(sessions, s)
		}
	}
	// Pauses outlive an assignment in the client.
	r.client.ResumeFetchPartitions(resume)
	if len(pause) > 0 {
		r.client.PauseFetchPartitions(pause)
	}
	for _, old := range r.add(sessions) {
		old.stop()
		old.forget()
	}
	r.commits.urgent() // some may begin elsewhere than the group has it
	for _, s := range unknown {
		r.locate(s)
	}
	return places, nil
}

// revoked ends the sessions of partitions that go to another member: their deliveries
// may end, and what is settled is committed. The next owner delivers the others again.
func (r *kafkaReceiver) revoked(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	sessions := r.remove(partitions)
	if len(sessions) == 0 {
		return
	}
	r.end(sessions, revokeTimeout)
	r.commitLast(sessions)
	for _, s := range sessions {
		s.forget()
	}
}

// lostPartitions ends the sessions of partitions that others may have by now.
func (r *kafkaReceiver) lostPartitions(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	sessions := r.remove(partitions)
	r.end(sessions, 0)
	for _, s := range sessions {
		s.forget()
	}
}

// end lets the deliveries of the sessions end, and cancels those that have not after
// the timeout.
func (r *kafkaReceiver) end(sessions []*session, timeout time.Duration) {
	for _, s := range sessions {
		s.stop()
	}
	if waitIdle(sessions, timeout) {
		return
	}
	for _, s := range sessions {
		s.cancel()
	}
	if !waitIdle(sessions, cancelTimeout) {
		r.logger.Warn("Some deliveries do not end although their context has")
	}
}

// waitIdle waits for the sessions to have no delivery on its way.
func waitIdle(sessions []*session, timeout time.Duration) bool {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for _, s := range sessions {
		select {
		case <-s.idle:
		default:
			select {
			case <-s.idle:
			case <-timer.C:
				return false
			}
		}
	}
	return true
}

// commitLast settles what is on disk by now and commits it.
func (r *kafkaReceiver) commitLast(sessions []*session) {
	if r.watch != nil {
		for _, s := range sessions {
			s.reviewLast()
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastCommitTimeout)
	defer cancel()
	r.commits.last(ctx, sessions)
}

// add takes the sessions, and returns those of before of the same partitions.
func (r *kafkaReceiver) add(sessions []*session) []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	var old []*session
	for _, s := range sessions {
		if before, ok := r.sessions[s.topicPartition]; ok {
			old = append(old, before)
		}
		r.sessions[s.topicPartition] = s
	}
	r.published()
	return old
}

func (r *kafkaReceiver) remove(partitions map[string][]int32) []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	var removed []*session
	for topic, numbers := range partitions {
		for _, partition := range numbers {
			tp := topicPartition{topic, partition}
			if s, ok := r.sessions[tp]; ok {
				removed = append(removed, s)
				delete(r.sessions, tp)
			}
		}
	}
	r.published()
	return removed
}

// published makes the sessions known to those who do not hold the lock.
func (r *kafkaReceiver) published() {
	all := slices.Collect(maps.Values(r.sessions))
	r.all.Store(&all)
	r.roomMade()
}

// partitions returns the sessions that there are.
func (r *kafkaReceiver) partitions() []*session { return *r.all.Load() }
