package durablekafkareceiver

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A range that was announced but not sent before a rewind is not sent after it either, before a commit has it.
func TestAgainAfterRewindIsAnnounced(t *testing.T) {
	k := newKafka(t, 1, "logs")
	watch := &fakeWatch{}
	var refuse atomic.Bool
	k.ControlKey(int16(kmsg.OffsetCommit), func(request kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		if refuse.Load() {
			return refuseCommit(request, kerr.CoordinatorLoadInProgress), nil, true
		}
		return nil, nil, false
	})
	next := &sink{}
	config := k.config("logs")
	config.Merge.MaxMessages = 10
	start(t, config, next, watch)
	k.text(t, "logs", 0, 0, 10)
	next.waitTaken(t, "logs", 0, 0, 10)
	refuse.Store(true)
	k.text(t, "logs", 0, 10, 20)
	second := func() bool {
		for _, g := range next.taken() {
			if g.from >= 10 {
				return true
			}
		}
		return false
	}
	require.Never(t, second, 500*time.Millisecond, tick)
	watch.restart()
	assert.Never(t, second, 2*time.Second, tick, "sent although no commit has announced it")
	refuse.Store(false)
	require.Eventually(t, second, waitFor, tick)
}

// A partition whose commits fail is tried again by itself: the commits of others do not wait for it.
func TestFailingCommitOfOnePartitionHoldsNoOther(t *testing.T) {
	k := newKafka(t, 1, "bad", "good")
	bad := k.TopicInfo("bad").TopicID
	var goodAlone atomic.Bool
	k.ControlKey(int16(kmsg.OffsetCommit), func(request kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		response := refuseCommit(request, kerr.UnknownTopicOrPartition).(*kmsg.OffsetCommitResponse)
		failed := false
		for i := range response.Topics {
			topic := &response.Topics[i]
			if topic.Topic == "bad" || topic.Topic == "" && topic.TopicID == bad {
				failed = true
				continue
			}
			for j := range topic.Partitions {
				topic.Partitions[j].ErrorCode = 0
			}
		}
		if !failed {
			goodAlone.Store(true)
			return nil, nil, false
		}
		return response, nil, true
	})
	next := &sink{}
	start(t, k.config("bad", "good"), next, nil)
	k.text(t, "bad", 0, 0, 5)
	for i := 0; !goodAlone.Load(); i++ {
		require.Less(t, i, 100, "every commit of the good partition is in a request with the bad one")
		k.text(t, "good", 0, i*5, i*5+5)
		next.waitTaken(t, "good", 0, i*5, i*5+5)
	}
}

// While a receiver shuts down nobody else gets a partition that it still delivers from.
func TestShutdownInARebalance(t *testing.T) {
	k := newKafka(t, 4, "logs")
	watch := &fakeWatch{}
	held, release := make(chan struct{}, 64), make(chan struct{})
	first := &sink{answer: func(context.Context, got) error {
		held <- struct{}{}
		<-release
		return nil
	}}
	r := start(t, k.config("logs"), first, watch)
	for partition := range int32(4) {
		k.text(t, "logs", partition, 0, 10)
	}
	for range 4 {
		<-held
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.stop(t)
	}()
	require.Eventually(t, func() bool {
		for _, s := range r.partitions() {
			if !s.ended() {
				return false
			}
		}
		return true
	}, waitFor, tick)
	second := &sink{}
	start(t, k.config("logs"), second, watch)
	assert.Never(t, func() bool { return len(second.taken()) > 0 }, 3*time.Second, tick, "delivered beside the first")
	close(release)
	<-stopped
	require.Eventually(t, func() bool { return len(second.taken()) > 0 }, waitFor, tick)
}
