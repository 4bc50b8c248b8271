package ledgerextension

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.uber.org/zap"

	"github.com/breakwater-otel/breakwater/components/extension/ledgerextension/internal/metadata"
	"github.com/breakwater-otel/breakwater/components/internal/kafkaclient"
	"github.com/breakwater-otel/breakwater/components/internal/ledger"
)

const (
	// reviewInterval is how often the account is looked through for gaps, and what is not written yet is.
	reviewInterval = time.Second
	// markInterval is how often the consumer groups are asked how far they are, or more often where a gap is one sooner.
	markInterval = 10 * time.Second
	askTimeout   = 5 * time.Second
	// maxPending are the settlements of a partition that are kept while the account of before cannot be read.
	maxPending = 100_000
	// retryAfter is how long commits do not wait for the topic after it could not be reached.
	retryAfter = 5 * time.Second
	logEvery   = time.Minute
	// writerKey is the header of a record of the topic that says which process has written it.
	writerKey = "writer"
)

type ledgerExtension struct {
	config    *Config
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	book      *ledger.Book
	writer    []byte
	markEvery time.Duration

	client  *kgo.Client
	admin   *kadm.Client
	cancel  context.CancelFunc
	running sync.WaitGroup

	turn chan struct{} // held by who settles or writes

	mu        sync.Mutex
	read      map[int32]int64 // by partition of the topic, behind what was read
	advanced  chan struct{}   // closed when that moves
	groups    map[string][]string
	failedAt  time.Time
	loggedAt  time.Time
	pending   map[ledger.Place][]ledger.Settlement
	forgotten bool // of pending was too much
}

var (
	_ extension.Extension = (*ledgerExtension)(nil)
	_ ledger.Source       = (*ledgerExtension)(nil)
	_ ledger.Accountant   = (*ledgerExtension)(nil)
)

func newExtension(config *Config, set extension.Settings) (*ledgerExtension, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	e := &ledgerExtension{
		config: config, logger: set.Logger, telemetry: telemetry, book: ledger.NewBook(config.GapAfter),
		writer: []byte(rand.Text()), markEvery: min(markInterval, max(config.GapAfter/2, time.Second)), turn: make(chan struct{}, 1),
		read: make(map[int32]int64), advanced: make(chan struct{}), groups: make(map[string][]string),
		pending: make(map[ledger.Place][]ledger.Settlement),
	}
	return e, e.observe()
}

// Start connects to nothing: brokers that are not there yet, or a topic that is not, are no reason not to start.
func (e *ledgerExtension) Start(ctx context.Context, host component.Host) error {
	options, err := kafkaclient.Options(ctx, host, e.config.ClientConfig, e.logger)
	if err != nil {
		return err
	}
	e.client, err = kgo.NewClient(append(options,
		kgo.ConsumeTopics(e.config.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DefaultProduceTopic(e.config.Topic),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		// What was not written in time is made of the account anew.
		kgo.RecordDeliveryTimeout(max(retryAfter, e.config.WriteTimeout)),
		kgo.UnknownTopicRetries(1),
	)...)
	if err != nil {
		return err
	}
	e.admin = kadm.NewClient(e.client)
	run, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	e.running.Go(func() { e.follow(run) })
	e.running.Go(func() { e.review(run) })
	e.running.Go(func() { e.mark(run) })
	return nil
}

// Shutdown is called when the receivers have ended, and writes what is left.
func (e *ledgerExtension) Shutdown(ctx context.Context) error {
	if e.cancel != nil {
		last, cancel := context.WithTimeout(ctx, e.config.WriteTimeout)
		e.write(last)
		cancel()
		e.cancel()
		e.running.Wait()
	}
	if e.client != nil {
		e.client.Close()
		e.client = nil
	}
	e.telemetry.Shutdown()
	return nil
}

// Accounts returns the accounts of the groups of this process.
func (e *ledgerExtension) Accounts() []ledger.Account { return e.book.Accounts() }

// Watch says that a group reads topics.
func (e *ledgerExtension) Watch(group string, topics []string) {
	e.book.Watch(group)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, topic := range topics {
		if !slices.Contains(e.groups[group], topic) {
			e.groups[group] = append(e.groups[group], topic)
		}
	}
}

// follow reads the topic, as long as there is one.
func (e *ledgerExtension) follow(ctx context.Context) {
	for {
		fetches := e.client.PollFetches(ctx)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if slices.ContainsFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == writerKey && string(h.Value) == string(e.writer) }) {
				return
			}
			if err := e.book.Read(ledger.Record{Key: r.Key, Value: r.Value}); err != nil {
				e.telemetry.LedgerUnreadable.Add(ctx, 1)
			}
		})
		e.mu.Lock()
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if n := len(p.Records); n > 0 {
				e.read[p.Partition] = max(e.read[p.Partition], p.Records[n-1].Offset+1)
			}
		})
		close(e.advanced)
		e.advanced = make(chan struct{})
		e.mu.Unlock()
		if fetches.Err() != nil {
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
}

// caughtUp waits until everything is read that is in the topic now. Of a topic that does not exist that is nothing.
func (e *ledgerExtension) caughtUp(ctx context.Context) error {
	ends, err := e.admin.ListEndOffsets(ctx, e.config.Topic)
	if err == nil {
		err = ends.Error()
	}
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil
	}
	if err != nil {
		return err
	}
	for {
		e.mu.Lock()
		behind := false
		ends.Each(func(o kadm.ListedOffset) { behind = behind || e.read[o.Partition] < o.Offset })
		advanced := e.advanced
		e.mu.Unlock()
		if !behind {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-advanced:
		}
	}
}

// Settled enters what is settled, and writes it, in a bounded time.
func (e *ledgerExtension) Settled(ctx context.Context, settlements []ledger.Settlement) {
	e.mu.Lock()
	for _, s := range settlements {
		e.keep(s)
	}
	failedLately := time.Since(e.failedAt) < retryAfter
	e.mu.Unlock()
	if failedLately {
		return // review writes it when it can
	}
	ctx, cancel := context.WithTimeout(ctx, e.config.WriteTimeout)
	defer cancel()
	e.write(ctx)
}

// keep holds a settlement until it can be entered. It is called with the lock held.
func (e *ledgerExtension) keep(s ledger.Settlement) {
	place := s.Assignment.Place
	kept := e.pending[place]
	if n := len(kept); n > 0 && kept[n-1].Assignment == s.Assignment && kept[n-1].Restarts == s.Restarts {
		last := &kept[n-1]
		last.Offset = s.Offset
		last.Messages = append(last.Messages, s.Messages...)
		if len(last.Messages) > maxPending {
			last.Messages, last.Forgotten = nil, s.Offset
			e.forgotten = true
		}
		return
	}
	e.pending[place] = append(kept, s)
}

// write enters what is pending and writes what has changed. An error is told, and tried again.
func (e *ledgerExtension) write(ctx context.Context) {
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return
	}
	err := e.enter(ctx)
	if err == nil {
		err = e.produce(ctx)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil {
		e.failedAt = time.Time{}
		return
	}
	e.failedAt = time.Now()
	e.telemetry.LedgerWriteFailures.Add(context.Background(), 1)
	if time.Since(e.loggedAt) > logEvery {
		e.loggedAt = time.Now()
		e.logger.Error("The ledger could not be read or written; delivery goes on without it, and it is tried again. If the topic is missing: make topics",
			zap.String("topic", e.config.Topic), zap.Error(err))
	}
}

// enter has the book know of all that is pending. For a partition that has come to this consumer it has to know first what
// others have written of it.
func (e *ledgerExtension) enter(ctx context.Context) error {
	e.mu.Lock()
	pending := e.pending
	e.pending = make(map[ledger.Place][]ledger.Settlement)
	e.mu.Unlock()
	unknown := false
	for _, settlements := range pending {
		for _, s := range settlements {
			unknown = unknown || !e.book.Knows(s.Assignment)
		}
	}
	if unknown {
		if err := e.caughtUp(ctx); err != nil {
			e.mu.Lock()
			defer e.mu.Unlock()
			for place, settlements := range pending {
				later := e.pending[place]
				e.pending[place] = settlements
				for _, s := range later {
					e.keep(s)
				}
			}
			return err
		}
	}
	now := time.Now()
	for _, settlements := range pending {
		for _, s := range settlements {
			if n := e.book.Settle(s, now); n > 0 {
				e.telemetry.LedgerUnreadable.Add(ctx, int64(n))
			}
		}
	}
	return nil
}

// produce writes what has changed.
func (e *ledgerExtension) produce(ctx context.Context) error {
	dirty := e.book.Dirty()
	if len(dirty) == 0 {
		return nil
	}
	records := make([]*kgo.Record, len(dirty))
	for i, r := range dirty {
		records[i] = &kgo.Record{Key: r.Key, Value: r.Value, Headers: []kgo.RecordHeader{{Key: writerKey, Value: e.writer}}}
	}
	// The producer goes on when ctx has ended. What it writes then is written again, in this order.
	results := e.client.ProduceSync(ctx, records...)
	var failed []ledger.Record
	var err error
	for _, r := range results {
		if r.Err != nil {
			err = r.Err
			failed = append(failed, ledger.Record{Key: r.Record.Key, Value: r.Record.Value})
		}
	}
	e.book.Failed(failed)
	return err
}

// review tells of gaps, and writes what is not written yet.
func (e *ledgerExtension) review(ctx context.Context) {
	ticker := time.NewTicker(reviewInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, gap := range e.book.Review(time.Now()) {
			e.logger.Error("Gap: records that an agent has stamped are in no backend, nor in the dead letters, nor in Kafka",
				zap.String("agent", gap.Agent), zap.String("signal", gap.Signal), zap.String("group", gap.Group),
				zap.String("run", gap.Run), zap.Uint64("first", gap.First), zap.Uint64("end", gap.End), zap.Time("since", gap.Since))
		}
		e.mu.Lock()
		wait := time.Since(e.failedAt) < retryAfter
		forgotten := e.forgotten
		e.forgotten = false
		e.mu.Unlock()
		if forgotten {
			e.logger.Error("The ledger could not be read or written for long: the account of some partitions begins anew, and is silent about what was before")
		}
		if !wait {
			within, cancel := context.WithTimeout(ctx, askTimeout)
			e.write(within)
			cancel()
		}
	}
}

// mark keeps the book informed of how far the groups are.
func (e *ledgerExtension) mark(ctx context.Context) {
	ticker := time.NewTicker(e.markEvery)
	defer ticker.Stop()
	for {
		e.mu.Lock()
		groups := make(map[string][]string, len(e.groups))
		for name, topics := range e.groups {
			groups[name] = slices.Clone(topics)
		}
		e.mu.Unlock()
		for name, topics := range groups {
			e.markGroup(ctx, name, topics)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (e *ledgerExtension) markGroup(ctx context.Context, name string, topics []string) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	at := time.Now()
	listed, err := e.admin.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = listed.Error()
	}
	fetched, fetchErr := e.admin.FetchOffsets(ctx, name)
	if errors.Join(err, fetchErr, fetched.Error()) != nil {
		return // without an answer a gap is no gap yet
	}
	ends, committed := make(map[ledger.Place]int64), make(map[ledger.Place]int64)
	listed.Each(func(o kadm.ListedOffset) {
		ends[ledger.Place{Group: name, Topic: o.Topic, Partition: o.Partition}] = o.Offset
	})
	fetched.Each(func(o kadm.OffsetResponse) {
		place := ledger.Place{Group: name, Topic: o.Topic, Partition: o.Partition}
		if _, ok := ends[place]; ok {
			committed[place] = o.At
		}
	})
	e.book.Mark(name, at, ends, committed)
}
