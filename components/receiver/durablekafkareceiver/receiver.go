package durablekafkareceiver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/zap"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/kafka/configkafka"

	"github.com/breakwater-otel/breakwater/components/internal/deadletter"
	"github.com/breakwater-otel/breakwater/components/internal/durability"
	"github.com/breakwater-otel/breakwater/components/internal/kafkaclient"
	accounts "github.com/breakwater-otel/breakwater/components/internal/ledger"
	"github.com/breakwater-otel/breakwater/components/receiver/durablekafkareceiver/internal/metadata"
)

// deadLetterStore is a deadletter.Store that has to be shut down.
type deadLetterStore interface {
	deadletter.Store
	Shutdown(context.Context) error
}

// kafkaReceiver reads the topics of one signal.
type kafkaReceiver struct {
	config    *Config
	topics    TopicEncodingConfig
	set       receiver.Settings
	logger    *zap.Logger
	newSignal func(component.Host) (signal, error)
	telemetry *metadata.TelemetryBuilder

	host           component.Host
	signal         signal
	watch          durability.Watch    // nil: an acknowledged delivery is settled
	deadLetters    deadLetterStore     // nil: none are kept
	accountant     accounts.Accountant // nil: there is no account
	client         *kgo.Client
	admin          *kadm.Client
	commits        *committer
	startAt, until time.Time
	untilNow       bool
	// startOffsets and untilOffsets are by partition; nil: not set.
	startOffsets, untilOffsets map[int32]int64

	// fetchedCommits belongs to the goroutine that manages the group.
	fetchedCommits map[topicPartition]commitOf

	mu       sync.Mutex
	sessions map[topicPartition]*session
	all      atomic.Pointer[[]*session]
	// bytes are those of all sessions.
	bytes atomic.Int64
	room  chan struct{}
	// delivering are the bytes of what is in the pipeline, of all sessions.
	delivering atomic.Int64

	wakeMu  sync.Mutex
	woken   bool
	endPoll context.CancelFunc

	// These belong to the poll loop.
	nextDue          time.Time
	crowdedSince     time.Time // since when there is no room to poll
	starving         bool      // polls all the same, for partitions that have nothing
	averageBytes     int64
	topicErrorLogged map[string]time.Time
	topicReadded     map[string]time.Time

	// heardAt is when the last request that the group has answered was sent, Unix
	// nanoseconds.
	heardAt atomic.Int64

	unhealthyNow atomic.Bool
	lastError    atomic.Int64 // Unix nanoseconds

	stopPoll, stopCommits, stopSettling context.CancelFunc
	polling, committing                 sync.WaitGroup
	// background are the goroutines that end with their session, or with settling.
	background sync.WaitGroup
}

func newReceiver(config *Config, topics TopicEncodingConfig, set receiver.Settings, newSignal func(component.Host) (signal, error)) (*kafkaReceiver, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	r := &kafkaReceiver{
		config: config, topics: topics, set: set, logger: set.Logger, newSignal: newSignal, telemetry: telemetry,
		sessions: make(map[topicPartition]*session), room: make(chan struct{}, 1),
		averageBytes: 1024, topicErrorLogged: make(map[string]time.Time), topicReadded: make(map[string]time.Time),
		untilNow: config.Until.Time == untilNow,
	}
	r.all.Store(new([]*session))
	r.commits = newCommitter(r)
	return r, nil
}

// Start connects to nothing: a broker that is not there yet is waited for.
func (r *kafkaReceiver) Start(ctx context.Context, host component.Host) error {
	err := r.start(ctx, host)
	if err != nil {
		// Shutdown is not called after a failed start.
		err = errors.Join(err, r.close(ctx))
	}
	return err
}

func (r *kafkaReceiver) start(ctx context.Context, host component.Host) error {
	r.host = host
	r.config.warn(r.logger)
	var err error
	if r.startAt, err = r.config.StartAt.parse("start_at"); err != nil {
		return err
	}
	if !r.untilNow {
		if r.until, err = r.config.Until.parse("until"); err != nil {
			return err
		}
	}
	if r.startOffsets, err = r.config.StartAt.partitions("start_at"); err != nil {
		return err
	}
	if r.untilOffsets, err = r.config.Until.partitions("until"); err != nil {
		return err
	}
	if r.signal, err = r.newSignal(host); err != nil {
		return err
	}
	if r.watch, err = r.config.watch(host); err != nil {
		return err
	}
	if r.accountant, err = r.config.accountant(host); err != nil {
		return err
	}
	if r.accountant != nil && !r.topics.patterns() {
		r.accountant.Watch(r.config.GroupID, r.topics.Topics)
	}
	options, err := kafkaclient.Options(ctx, host, r.config.ClientConfig, r.logger)
	if err != nil {
		return err
	}
	if dead := r.config.DeadLetter.Get(); dead != nil {
		store, err := deadletter.NewStore(*dead, func(extra ...kgo.Opt) (*kgo.Client, error) {
			return kgo.NewClient(append(options[:len(options):len(options)], extra...)...)
		}, r.logger)
		if err != nil {
			return fmt.Errorf("`dead_letter`: %w", err)
		}
		r.deadLetters = store
	}
	group, err := r.groupOptions(host)
	if err != nil {
		return err
	}
	if err := r.observe(); err != nil {
		return err
	}
	if _, err = kgo.NewClient(append(options[:len(options):len(options)], group...)...); err != nil {
		return err
	}
	r.run()
	return nil
}

// run starts the goroutines, which the context of Start must not end.
func (r *kafkaReceiver) run() {
	var pollCtx, commitCtx, settleCtx context.Context
	pollCtx, r.stopPoll = context.WithCancel(context.Background())
	commitCtx, r.stopCommits = context.WithCancel(context.Background())
	settleCtx, r.stopSettling = context.WithCancel(context.Background())
	r.polling.Go(func() { r.poll(pollCtx) })
	r.committing.Go(func() { r.commits.run(commitCtx) })
	r.background.Go(func() { r.settle(settleCtx) })
	r.background.Go(func() { r.refresh(settleCtx) })
}

// watch returns the view over the backends, or nil when none is configured.
func (c *Config) watch(host component.Host) (durability.Watch, error) {
	config := c.Durability.Get()
	if config == nil {
		return nil, nil
	}
	extension, ok := host.GetExtensions()[config.Extension]
	if !ok {
		return nil, fmt.Errorf("`durability::extension`: %q is not configured", config.Extension)
	}
	watcher, ok := extension.(durability.Watcher)
	if !ok {
		return nil, fmt.Errorf("`durability::extension`: %q is not a durability extension", config.Extension)
	}
	watch, err := watcher.Watch(config.Backends...)
	if err != nil {
		return nil, fmt.Errorf("`durability::backends`: %w", err)
	}
	return watch, nil
}

func (r *kafkaReceiver) groupOptions(host component.Host) ([]kgo.Opt, error) {
	c := r.config
	options := []kgo.Opt{
		kgo.ConsumeTopics(r.topics.Topics...),
		kgo.ConsumerGroup(c.GroupID),
		kgo.SessionTimeout(c.SessionTimeout),
		kgo.HeartbeatInterval(c.HeartbeatInterval),
		kgo.RebalanceTimeout(max(rebalanceTimeout, c.SessionTimeout)),
		kgo.FetchMinBytes(c.MinFetchSize),
		kgo.FetchMaxBytes(c.MaxFetchSize),
		kgo.FetchMaxPartitionBytes(c.MaxPartitionFetchSize),
		kgo.FetchMaxWait(c.MaxFetchWait),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		// What becomes of an offset that is not there is decided, and reported, here.
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.OnOffsetsFetched(r.offsetsFetched),
		kgo.AdjustFetchOffsetsFn(r.assigned),
		kgo.OnPartitionsRevoked(r.revoked),
		kgo.OnPartitionsLost(r.lostPartitions),
		kgo.WithHooks(clientHooks{r}),
	}
	if r.topics.patterns() {
		options = append(options, kgo.ConsumeRegex())
		if len(r.topics.ExcludeTopics) > 0 {
			options = append(options, kgo.ConsumeExcludeTopics(r.topics.ExcludeTopics...))
		}
	}
	if r.reading() {
		// A partition may end with markers of transactions, which are no records.
		options = append(options, kgo.KeepControlRecords())
	}
	if c.GroupInstanceID != "" {
		options = append(options, kgo.InstanceID(c.GroupInstanceID))
	}
	balancer, err := balancerOf(c.GroupRebalanceStrategy, host)
	if err != nil {
		return nil, err
	}
	return append(options, kgo.Balancers(balancer)), nil
}

func balancerOf(strategy configkafka.GroupRebalanceStrategy, host component.Host) (kgo.GroupBalancer, error) {
	switch strategy {
	case "", configkafka.CooperativeStickyBalanceStrategy:
		return kgo.CooperativeStickyBalancer(), nil
	case configkafka.StickyBalanceStrategy:
		return kgo.StickyBalancer(), nil
	case configkafka.RangeBalanceStrategy:
		return kgo.RangeBalancer(), nil
	case configkafka.RoundRobinBalanceStrategy:
		return kgo.RoundRobinBalancer(), nil
	}
	balancer, ok, err := extensionFor[kgo.GroupBalancer](host, string(strategy))
	if err != nil || !ok {
		return nil, fmt.Errorf("`group_rebalance_strategy` %q is neither known nor the ID of an extension that balances", strategy)
	}
	return balancer, nil
}

// Shutdown lets deliveries end and commits what is settled. What is not will be
// delivered again, and verified, after the next start.
func (r *kafkaReceiver) Shutdown(ctx context.Context) error {
	if r.client == nil {
		return r.close(ctx) // it was not started
	}
	if r.stopPoll != nil {
		r.stopPoll()
		r.polling.Wait()
		timeout := r.config.ShutdownTimeout
		if deadline, ok := ctx.Deadline(); ok {
			timeout = min(timeout, time.Until(deadline))
		}
		// The sessions stay where a rebalance finds them: it has to wait for their
		// deliveries, too, or the next owner would not see what they store.
		r.end(r.partitions(), timeout)
		r.commitLast(r.partitions())
		r.stopCommits()
		r.stopSettling()
		for _, s := range r.removeAll() {
			s.stop()
			s.forget()
		}
		r.committing.Wait()
	}
	return r.close(ctx)
}

func (r *kafkaReceiver) removeAll() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	sessions := r.partitions()
	clear(r.sessions)
	r.published()
	return sessions
}

// leaveTimeout bounds the goodbye to the group, whose coordinator may be away.
const leaveTimeout = 5 * time.Second

func (r *kafkaReceiver) close(ctx context.Context) error {
	var err error
	if r.client != nil {
		leave, cancel := context.WithTimeout(ctx, leaveTimeout)
		defer cancel()
		// Of a static member the group keeps the place. That the group could not be told
		// costs others the session timeout, and is no failure of this one.
		if leaveErr := r.client.LeaveGroupContext(leave); leaveErr != nil {
			r.logger.Warn("The group could not be left", zap.Error(leaveErr))
		}
		r.client.CloseAllowingRebalance()
		r.client = nil
		// What was assigned while it was shut down.
		for _, s := range r.removeAll() {
			s.stop()
			s.forget()
		}
		r.background.Wait()
	}
	if r.deadLetters != nil {
		err = r.deadLetters.Shutdown(ctx)
		r.deadLetters = nil
	}
	r.telemetry.Shutdown()
	return err
}

func (r *kafkaReceiver) stamp() durability.Stamp {
	if r.watch == nil {
		return durability.Stamp{}
	}
	return r.watch.Stamp()
}

// settle reviews what is acknowledged whenever the verdict of the backends may change.
func (r *kafkaReceiver) settle(ctx context.Context) {
	if r.watch == nil {
		return
	}
	events, cancel := r.watch.Subscribe()
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
		}
		now := time.Now()
		for _, s := range r.partitions() {
			s.review(now)
		}
	}
}

// refreshInterval is how often the ends of paused partitions are asked for, and the
// end of a replay is looked for.
const refreshInterval = 10 * time.Second

// refresh keeps the lag of paused partitions right: nothing is fetched that would say
// where they end.
func (r *kafkaReceiver) refresh(ctx context.Context) {
	ticker := time.NewTicker(refreshInterval)
	defer ticker.Stop()
	told := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if r.reading() && !told && r.replayed() {
			told = true
			r.logger.Info("Everything before `until` is settled, of all assigned partitions")
		}
		r.refreshEnds(ctx)
		r.healthy(time.Now())
	}
}

func (r *kafkaReceiver) refreshEnds(ctx context.Context) {
	topics := make(map[string]bool)
	for _, s := range r.partitions() {
		s.mu.Lock()
		if s.paused && !s.finished {
			topics[s.topic] = true
		}
		s.mu.Unlock()
	}
	for topic := range topics {
		ctx, cancel := context.WithTimeout(ctx, listTimeout)
		ends, _ := r.admin.ListEndOffsets(ctx, topic) // an error is in the fetches, too
		cancel()
		for _, s := range r.partitions() {
			if end, ok := ends.Lookup(s.topic, s.partition); ok && end.Err == nil {
				s.mu.Lock()
				s.highWatermark = max(s.highWatermark, end.Offset)
				s.mu.Unlock()
			}
		}
	}
}

// reading reports whether reading has an end.
func (r *kafkaReceiver) reading() bool { return r.config.Until.set() }

// replayed reports whether everything before `until` is settled, of all partitions.
func (r *kafkaReceiver) replayed() bool {
	sessions := r.partitions()
	for _, s := range sessions {
		s.mu.Lock()
		done := s.placed && s.finished && s.queue.len() == 0 && s.ledger.Unsettled() == 0 && s.ledger.InFlight() == 0
		s.mu.Unlock()
		if !done {
			return false
		}
	}
	return len(sessions) > 0
}

// healthyAfter is how long no error may have been seen before the status is OK again.
const healthyAfter = 30 * time.Second

// unhealthy reports the status of the component when it changes: errors are repeated
// while others of its partitions are read all right.
func (r *kafkaReceiver) unhealthy(err error) {
	r.lastError.Store(time.Now().UnixNano())
	if r.unhealthyNow.CompareAndSwap(false, true) {
		componentstatus.ReportStatus(r.host, componentstatus.NewRecoverableErrorEvent(err))
	}
}

// healthy reports that errors have ended.
func (r *kafkaReceiver) healthy(now time.Time) {
	if r.unhealthyNow.Load() && now.UnixNano()-r.lastError.Load() > int64(healthyAfter+r.config.ErrorBackOff.MaxInterval) {
		r.unhealthyNow.Store(false)
		componentstatus.ReportStatus(r.host, componentstatus.NewEvent(componentstatus.StatusOK))
	}
}

// clientHooks take the client before it joins the group, and tell of brokers that cannot be reached: the client itself goes on trying.
type clientHooks struct{ r *kafkaReceiver }

func (h clientHooks) OnNewClient(client *kgo.Client) {
	h.r.client, h.r.admin = client, kadm.NewClient(client)
}

func (h clientHooks) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		h.r.unhealthy(fmt.Errorf("broker: %w", err))
	}
}

func (h clientHooks) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	switch kmsg.Key(key) {
	case kmsg.Heartbeat, kmsg.SyncGroup, kmsg.OffsetCommit:
		if e2e.Err() == nil {
			h.r.heardAt.Store(time.Now().Add(-e2e.DurationE2E()).UnixNano())
		}
	default: // no word of the group about this member
	}
}

func (h clientHooks) OnGroupManageError(err error) {
	h.r.unhealthy(fmt.Errorf("consumer group: %w", err))
}
