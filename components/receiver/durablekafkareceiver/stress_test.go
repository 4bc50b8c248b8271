package durablekafkareceiver

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/breakwater-otel/breakwater/components/internal/durability"
	"github.com/breakwater-otel/breakwater/components/receiver/durablekafkareceiver/internal/metadata"
)

var (
	stressTime = flag.Duration("stress.time", 5*time.Second, "how long TestStress breaks things")
	stressSeed = flag.Uint64("stress.seed", 0, "seed of TestStress, 0 for a random one")
)

const (
	stressTopic      = "logs"
	stressPartitions = 4
	maxReported      = 20
	// stressPatience is more than a rebalance takes that waits for a member that is gone.
	stressPatience = rebalanceTimeout + 30*time.Second
)

// stressRow is a message as a request with an address stored it.
type stressRow struct {
	copies int
	onDisk bool
}

// stressBackend is a backend that loses what it has not flushed when it is killed, its
// exporter, and the durability extension that watches it. As the victorialogs exporter
// it asks for the rows of a request that is marked as redelivered, by the address of its
// content, and sends those that are missing; what is not marked it sends as it is.
type stressBackend struct {
	component.StartFunc
	component.ShutdownFunc

	mu sync.Mutex
	// rows are by message, and by the address of the request.
	rows map[string]map[string]*stressRow
	// disk counts the messages of a partition from its beginning on that are on disk.
	disk        [stressPartitions]int
	broken      bool // faults are on
	down        bool
	epoch       uint64
	seen        uint64    // epoch that the extension knows of
	horizon     time.Time // what was acknowledged until then is on disk
	subscribers map[chan struct{}]struct{}
	twice       []string
	verified    int
	requests    int
	kills       int
}

func newStressBackend() *stressBackend {
	return &stressBackend{
		rows: make(map[string]map[string]*stressRow), subscribers: make(map[chan struct{}]struct{}), broken: true,
	}
}

func (b *stressBackend) Watch(...string) (durability.Watch, error) { return b, nil }

func (b *stressBackend) Stamp() durability.Stamp {
	b.mu.Lock()
	defer b.mu.Unlock()
	return durability.Stamp{Generation: b.seen, Seen: true}
}

func (b *stressBackend) Judge(stamp durability.Stamp, acked time.Time) durability.Verdict {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case stamp.Generation != b.seen:
		return durability.Lost
	case acked.After(b.horizon):
		return durability.Pending
	default:
		return durability.Settled
	}
}

func (b *stressBackend) Subscribe() (<-chan struct{}, func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	events := make(chan struct{}, 1)
	b.subscribers[events] = struct{}{}
	return events, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.subscribers, events)
	}
}

func (b *stressBackend) tell() {
	for events := range b.subscribers {
		signalTo(events)
	}
}

// flush writes to disk, and is seen by the extension if it knows the epoch.
func (b *stressBackend) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return
	}
	for _, requests := range b.rows {
		for _, row := range requests {
			row.onDisk = true
		}
	}
	for partition := range b.disk {
		for b.isOnDisk(stressMessage(int32(partition), b.disk[partition])) {
			b.disk[partition]++
		}
	}
	if b.seen == b.epoch {
		b.horizon = time.Now()
		b.tell()
	}
}

func (b *stressBackend) isOnDisk(message string) bool {
	for _, row := range b.rows[message] {
		if row.onDisk {
			return true
		}
	}
	return false
}

// kill forgets about half of what has not been flushed.
func (b *stressBackend) kill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kills++
	b.epoch++
	b.down = true
	for _, requests := range b.rows {
		maps.DeleteFunc(requests, func(_ string, row *stressRow) bool { return !row.onDisk && rand.IntN(2) == 0 })
	}
}

func (b *stressBackend) restart() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = false
}

// look has the extension learn the epoch.
func (b *stressBackend) look() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen != b.epoch {
		b.seen, b.horizon = b.epoch, time.Time{}
		b.tell()
	}
}

func (b *stressBackend) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (b *stressBackend) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	g := read(ctx, logs)
	b.mu.Lock()
	broken := b.broken
	b.mu.Unlock()
	delay := time.Duration(rand.IntN(2000)) * time.Microsecond
	if broken {
		switch rand.IntN(150) {
		case 0:
			delay = time.Duration(500+rand.IntN(700)) * time.Millisecond
		case 1, 2, 3:
			delay = time.Duration(20+rand.IntN(50)) * time.Millisecond
		}
	}
	if !sleep(ctx, delay) {
		// Exporters answer so, too.
		if rand.IntN(2) == 0 {
			return nil
		}
		return ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests++
	fault := 100
	if b.broken {
		fault = rand.IntN(100)
	}
	switch {
	case b.down, fault < 4:
		return errors.New("unavailable")
	case fault < 5:
		return consumererror.NewPermanent(errors.New("refused"))
	case fault < 8: // a part of it arrives, and nobody knows
		b.store(g, g.messages[:rand.IntN(len(g.messages)+1)])
		return errors.New("connection reset")
	}
	b.store(g, g.messages)
	return nil
}

func (b *stressBackend) store(g got, messages []string) {
	if g.redelivered {
		b.verified++
	}
	for _, message := range messages {
		requests := b.rows[message]
		if requests == nil {
			requests = make(map[string]*stressRow)
			b.rows[message] = requests
		}
		row := requests[g.bytes]
		if row == nil {
			row = &stressRow{}
			requests[g.bytes] = row
		}
		if g.redelivered && row.copies > 0 {
			continue
		}
		if len(requests) > 1 || row.copies > 0 {
			b.twice = append(b.twice, fmt.Sprintf("%s: in [%d,%d) of %d, redelivered %v, addresses %d, copies of this one before %d",
				strings.TrimRight(message, "."), g.from, g.to, len(g.messages), g.redelivered, len(requests), row.copies))
		}
		row.copies++
	}
}

func (b *stressBackend) missing(partition int32, messages int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	missing := 0
	for offset := range messages {
		if len(b.rows[stressMessage(partition, offset)]) == 0 {
			missing++
		}
	}
	return missing
}

// stressGroup are the receivers of a group.
type stressGroup struct {
	t       *testing.T
	k       *kafka
	backend *stressBackend
	random  *rand.Rand
	names   int
	alive   []*running
	ending  sync.WaitGroup
	faults  []*kfake.FaultHandle
}

// start starts a receiver: a static member if it has an instance ID.
func (g *stressGroup) start(instance string) {
	config := g.k.config(stressTopic)
	config.SessionTimeout = 10 * time.Second
	config.Merge.Enabled = g.random.IntN(3) > 0
	config.Merge.MaxMessages = 2 + g.random.IntN(40)
	config.Merge.MaxMessageBytes = 100
	config.Merge.MaxBytes = 100 + g.random.IntN(1000)
	config.Merge.Linger = time.Duration(g.random.IntN(20)) * time.Millisecond
	config.MaxUnsettledMessages = int64(50 + g.random.IntN(1000))
	config.MaxInFlightBytes = int64(4000 + g.random.IntN(300_000))
	config.MaxConcurrentDeliveries = 1 + g.random.IntN(5)
	config.MaxPartitionFetchSize = int32(1000 + g.random.IntN(50_000))
	config.MaxFetchSize = 100_000
	config.GroupInstanceID = instance
	config.Durability = configoptional.Some(DurabilityConfig{Extension: watchID})
	core, logs := observer.New(zap.InfoLevel)
	set := receivertest.NewNopSettings(metadata.Type)
	tel := componenttest.NewTelemetry()
	set.TelemetrySettings = tel.NewTelemetrySettings()
	set.Logger = zap.New(core)
	host := &testHost{extensions: map[component.ID]component.Component{watchID: g.backend}}
	created, err := NewFactory().CreateLogs(g.t.Context(), set, config, g.backend)
	require.NoError(g.t, err)
	r := &running{kafkaReceiver: created.(*kafkaReceiver), logs: logs, host: host, tel: tel}
	require.NoError(g.t, r.Start(g.t.Context(), host))
	g.alive = append(g.alive, r)
	g.t.Cleanup(func() {
		r.stop(g.t)
		_ = tel.Shutdown(context.Background())
		if g.t.Failed() && testing.Verbose() {
			for _, entry := range logs.All() {
				g.t.Log(entry.Time.Format(time.StampMicro), fmt.Sprintf("%p", r.kafkaReceiver), entry.Message, entry.ContextMap())
			}
		}
	})
}

// end ends one of the receivers while the others go on. A static member, for which the
// group would wait, is started again.
func (g *stressGroup) end() {
	i := g.random.IntN(len(g.alive))
	r := g.alive[i]
	g.alive = slices.Delete(g.alive, i, i+1)
	end := r.stop
	if g.random.IntN(2) == 0 {
		end = r.kill
	}
	if instance := r.config.GroupInstanceID; instance != "" {
		end(g.t)
		g.start(instance)
		return
	}
	g.ending.Go(func() { end(g.t) })
}

// fault has the cluster answer with an error, a few times.
func (g *stressGroup) fault(fault kfake.Fault) {
	g.faults = append(g.faults, g.k.Fault(fault))
}

// harm does one thing that may go wrong in a cluster.
func (g *stressGroup) harm() {
	pick := func(errs ...*kerr.Error) *kerr.Error { return errs[g.random.IntN(len(errs))] }
	count := 1 + g.random.IntN(3)
	partition := int32(g.random.IntN(stressPartitions))
	switch g.random.IntN(18) {
	case 0, 1, 2:
		g.backend.kill()
		time.Sleep(time.Duration(g.random.IntN(60)) * time.Millisecond)
		g.backend.restart()
		// What is delivered from here on has the stamp of the epoch before.
		time.Sleep(time.Duration(g.random.IntN(40)) * time.Millisecond)
		g.backend.look()
	case 3, 4, 5:
		if len(g.alive) < 3 {
			instance := ""
			if g.random.IntN(3) == 0 {
				g.names++
				instance = fmt.Sprintf("static-%d", g.names)
			}
			g.start(instance)
		}
	case 6, 7, 8:
		if len(g.alive) > 1 {
			g.end()
		}
	case 9:
		_ = g.k.MoveTopicPartition(stressTopic, partition, int32(g.random.IntN(3)))
	case 10:
		g.k.RehashCoordinators()
	case 11, 12:
		g.fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: stressTopic, Partitions: []int32{partition}, Count: count,
			Err: pick(kerr.NotLeaderForPartition, kerr.UnknownServerError, kerr.TopicAuthorizationFailed, kerr.OffsetOutOfRange, kerr.FencedLeaderEpoch)})
	case 13, 14:
		g.fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: testGroup, Count: count,
			Err: pick(kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.RequestTimedOut, kerr.UnknownTopicOrPartition, kerr.RebalanceInProgress)})
	case 15:
		g.fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: testGroup, TopLevel: true, Count: 1,
			Err: pick(kerr.RebalanceInProgress, kerr.RebalanceInProgress, kerr.CoordinatorNotAvailable, kerr.IllegalGeneration)})
	case 16:
		g.fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Group: testGroup, TopLevel: true, Count: 1,
			Err: pick(kerr.CoordinatorLoadInProgress, kerr.NotCoordinator)})
	case 17:
		g.fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: stressTopic, Count: count,
			Err: pick(kerr.NotLeaderForPartition, kerr.UnknownServerError)})
	}
}

// finish waits until everything is there and committed. How long that takes depends on
// what is left and on settings of the receivers; it fails when it does not go on.
func (g *stressGroup) finish(produced [stressPartitions]int) {
	last, since := int64(-1), time.Now()
	for {
		left, sum := 0, int64(0)
		for partition, messages := range produced {
			at, _ := g.k.commitOf(g.t, stressTopic, int32(partition))
			sum += at
			if at != int64(messages) {
				left++
			}
		}
		if left == 0 {
			break
		}
		if sum != last {
			last, since = sum, time.Now()
		}
		require.Less(g.t, time.Since(since), stressPatience, "%d partitions do not go on", left)
		time.Sleep(50 * time.Millisecond)
	}
	for partition, messages := range produced {
		assert.Zero(g.t, g.backend.missing(int32(partition), messages), "partition %d: missing of %d", partition, messages)
	}
}

// produce writes mostly short messages, which are merged.
func (g *stressGroup) produce(ctx context.Context, produced *[stressPartitions]int) {
	for ctx.Err() == nil {
		partition := g.random.IntN(stressPartitions)
		n := 1 + g.random.IntN(60)
		records := make([]*kgo.Record, 0, n)
		for range n {
			offset := produced[partition]
			record := &kgo.Record{
				Topic: stressTopic, Partition: int32(partition), Value: []byte(stressMessage(int32(partition), offset)),
				Timestamp: time.UnixMilli(1_700_000_000_000 + int64(offset)),
			}
			if offset%97 > 90 {
				record.Headers = []kgo.RecordHeader{{Key: "tenant", Value: []byte("other")}}
			}
			records = append(records, record)
			produced[partition]++
		}
		g.k.produce(g.t, records...)
		sleep(ctx, time.Duration(g.random.IntN(60))*time.Millisecond)
	}
}

// stressMessage is a message that says where it is; some are too long to be merged.
func stressMessage(partition int32, offset int) string {
	message := messageAt(stressTopic, partition, offset)
	if offset%200 < 10 || offset%13 == 0 {
		message += strings.Repeat(".", 100)
	}
	return message
}

// commitCheck checks the commits of the group.
type commitCheck struct {
	mu    sync.Mutex
	wrong []string
	count int
}

func (c *commitCheck) errorf(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

// TestStress breaks backend, receivers and brokers at random. Nothing is lost, nothing
// is stored twice, and no commit is ahead of what is on disk or goes back.
func TestStress(t *testing.T) {
	seed := *stressSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-stress.seed=%d", seed)
	k := newKafkaWith(t, kfake.NumBrokers(3), kfake.SeedTopics(stressPartitions, stressTopic))
	backend := newStressBackend()
	g := &stressGroup{t: t, k: k, backend: backend, random: rand.New(rand.NewPCG(seed, 1))}
	check := &commitCheck{}
	k.ControlKey(int16(kmsg.OffsetCommit), func(request kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		backend.mu.Lock()
		defer backend.mu.Unlock()
		for _, topic := range request.(*kmsg.OffsetCommitRequest).Topics {
			for _, p := range topic.Partitions {
				check.count++
				if onDisk := backend.disk[p.Partition]; int(p.Offset) > onDisk {
					check.errorf("partition %d: commit of %d, on disk is all before %d", p.Partition, p.Offset, onDisk)
				}
			}
		}
		return nil, nil, false
	})

	breaking, stopBreaking := context.WithTimeout(t.Context(), *stressTime)
	defer stopBreaking()
	looking, stopLooking := context.WithCancel(t.Context())
	defer stopLooking()
	var background sync.WaitGroup
	background.Go(func() {
		for sleep(looking, time.Duration(5+rand.IntN(150))*time.Millisecond) {
			backend.flush()
		}
	})
	background.Go(func() {
		var last [stressPartitions]int64
		for sleep(looking, 20*time.Millisecond) {
			offsets, err := k.admin.FetchOffsets(looking, testGroup)
			if err != nil {
				continue
			}
			for partition := range last {
				if o, ok := offsets.Lookup(stressTopic, int32(partition)); ok && o.Err == nil && o.At >= 0 {
					if o.At < last[partition] {
						check.errorf("partition %d: the commit went back from %d to %d", partition, last[partition], o.At)
					}
					last[partition] = o.At
				}
			}
		}
	})
	var produced [stressPartitions]int
	producing := &stressGroup{t: t, k: k, random: rand.New(rand.NewPCG(seed, 2))}
	var producer sync.WaitGroup
	producer.Go(func() { producing.produce(breaking, &produced) })

	g.start("")
	g.start("static-0")
	for breaking.Err() == nil {
		g.harm()
		sleep(breaking, time.Duration(g.random.IntN(120))*time.Millisecond)
	}
	producer.Wait()
	g.ending.Wait()
	for _, fault := range g.faults {
		fault.Remove()
	}

	backend.mu.Lock()
	backend.broken = false
	backend.mu.Unlock()
	backend.look()
	g.finish(produced)
	for _, r := range g.alive {
		r.stop(t)
	}
	stopLooking()
	background.Wait()

	backend.mu.Lock()
	defer backend.mu.Unlock()
	check.mu.Lock()
	defer check.mu.Unlock()
	t.Logf("%d messages, %d requests, %d of them verified, %d kills of the backend, %d commits of partitions",
		len(backend.rows), backend.requests, backend.verified, backend.kills, check.count)
	assert.Empty(t, check.wrong[:min(len(check.wrong), maxReported)], "of %d", len(check.wrong))
	assert.Empty(t, backend.twice[:min(len(backend.twice), maxReported)], "of %d", len(backend.twice))
	assert.Positive(t, backend.kills)
}
