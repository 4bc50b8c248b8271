package deadletter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"github.com/breakwater-otel/breakwater/internal/letters"
)

const (
	// maxBatchBytes bounds what is produced at once, uncompressed. The broker's limit is
	// about the compressed batch: an original message may be several times as large as
	// the limit once it is decompressed, and fits when it is compressed again.
	maxBatchBytes = 32 << 20
	// slots is more than there are callers.
	slots = 1 << 20
	// slowAnswer is how long an answer may take before a log line says so.
	slowAnswer = 30 * time.Second
)

var errClosed = errors.New("the dead letter store is shut down")

// Stored says where letters are.
type Stored struct {
	InTopic int
	InFiles int
}

// KafkaOrFile is the Store of a Config.
type KafkaOrFile struct {
	topic  string
	logger *zap.Logger
	client *kgo.Client // nil without a topic
	files  *files      // nil without a directory

	// room has a slot for each Put; a letter that must not share a batch with others takes
	// all of them.
	room *semaphore.Weighted
	now  func() time.Time
	slow time.Duration
}

// NewStore returns the store of the configuration. newClient makes the Kafka client,
// of the options of the caller and then extra; it is not called when there is no topic.
func NewStore(cfg Config, newClient func(extra ...kgo.Opt) (*kgo.Client, error), logger *zap.Logger) (*KafkaOrFile, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &KafkaOrFile{topic: cfg.Topic, logger: logger, room: semaphore.NewWeighted(slots), now: time.Now, slow: slowAnswer}
	if cfg.Directory != "" {
		files, err := newFiles(cfg.Directory, cfg.maxFileBytes())
		if err != nil {
			return nil, err
		}
		s.files = files
	}
	if cfg.Topic != "" {
		client, err := newClient(producerOptions()...)
		if err != nil {
			return nil, fmt.Errorf("client of the dead letter topic: %w", err)
		}
		s.client = client
	}
	return s, nil
}

// producerOptions are those of a producer that is told of a letter only when all
// replicas have it. Idempotence is on by default, and a topic that is missing is not
// created: it would have the broker's defaults.
func producerOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(maxBatchBytes),
		kgo.MaxBufferedBytes(maxBatchBytes),
		kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.SnappyCompression(), kgo.NoCompression()),
		// A letter that is given up on must not hold its memory until the broker is back.
		// If it was stored all the same, the next Put stores it twice, with one ID.
		kgo.AllowIdempotentProduceCancellation(),
		// A topic that is missing is asked for several times before it is a refusal.
		kgo.MetadataMinAge(500 * time.Millisecond),
	}
}

// Put stores the letters and returns nil once they are durable: acknowledged by all
// in-sync replicas, or on disk.
func (s *KafkaOrFile) Put(ctx context.Context, letters ...Letter) error {
	_, err := s.Store(ctx, letters...)
	return err
}

// Store is Put and says where the letters are.
func (s *KafkaOrFile) Store(ctx context.Context, batch ...Letter) (Stored, error) {
	if err := ctx.Err(); err != nil {
		return Stored{}, err
	}
	normalized := make([]Letter, len(batch))
	now := s.now()
	for i, l := range batch {
		normalized[i] = letters.Normalize(l, now)
	}
	if s.client == nil {
		if err := s.files.put(normalized); err != nil {
			return Stored{}, err
		}
		return Stored{InFiles: len(normalized)}, nil
	}

	results, err := s.produce(ctx, normalized)
	if err != nil {
		return Stored{}, err
	}
	var refused []Letter
	var refusals []error
	for i, result := range results {
		if errors.Is(result, kerr.MessageTooLarge) {
			// Others in its batch may have made it too large.
			result = s.produceAlone(ctx, &normalized[i])
		}
		switch {
		case result == nil:
		case isRefusal(result):
			refused = append(refused, normalized[i])
			refusals = append(refusals, result)
		default:
			return Stored{}, fmt.Errorf("dead letter topic %s: %w", s.topic, result)
		}
	}
	stored := Stored{InTopic: len(normalized) - len(refused)}
	if len(refused) == 0 {
		return stored, nil
	}
	refusal := fmt.Errorf("dead letter topic %s refuses %d of %d letters: %w", s.topic, len(refused), len(normalized), refusals[0])
	if s.files == nil {
		return stored, fmt.Errorf("%w (no `directory` is set to keep them in)", refusal)
	}
	if err := s.files.put(refused); err != nil {
		return stored, errors.Join(refusal, err)
	}
	stored.InFiles = len(refused)
	s.logger.Warn("Dead letters are kept in files, the topic refuses them",
		zap.String("topic", s.topic), zap.String("directory", s.files.directory), zap.Int("letters", len(refused)), zap.Error(refusals[0]))
	return stored, nil
}

// produce returns the result of each letter, or an error when the context ended before
// all were known.
func (s *KafkaOrFile) produce(ctx context.Context, batch []Letter) ([]error, error) {
	if err := s.room.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer s.room.Release(1)
	results, err := s.send(ctx, batch)
	for err == nil {
		// A record that shared a batch with one whose caller gave up fails with that one.
		var again []int
		for i, result := range results {
			if errors.Is(result, context.Canceled) || errors.Is(result, context.DeadlineExceeded) {
				again = append(again, i)
			}
		}
		if len(again) == 0 {
			return results, nil
		}
		part := make([]Letter, len(again))
		for n, i := range again {
			part[n] = batch[i]
		}
		var partResults []error
		partResults, err = s.send(ctx, part)
		for n, result := range partResults {
			results[again[n]] = result
		}
	}
	return nil, err
}

func (s *KafkaOrFile) produceAlone(ctx context.Context, l *Letter) error {
	if err := s.room.Acquire(ctx, slots); err != nil {
		return err
	}
	defer s.room.Release(slots)
	results, err := s.send(ctx, []Letter{*l})
	if err != nil {
		return err
	}
	return results[0]
}

func (s *KafkaOrFile) send(ctx context.Context, batch []Letter) ([]error, error) {
	results := make([]error, len(batch))
	done := make(chan struct{})
	// Producing waits for room in the buffer, so it has a goroutine of its own.
	go func() {
		defer close(done)
		var pending sync.WaitGroup
		pending.Add(len(batch))
		for i := range batch {
			s.client.Produce(ctx, letters.ToRecord(&batch[i], s.topic), func(_ *kgo.Record, err error) {
				results[i] = err
				pending.Done()
			})
		}
		pending.Wait()
	}()
	slow := time.NewTicker(s.slow)
	defer slow.Stop()
	start := time.Now()
	for {
		select {
		case <-done:
			if ctx.Err() == nil || !slices.ContainsFunc(results, func(err error) bool { return err != nil }) {
				return results, nil
			}
			return nil, s.noAnswer(ctx, start)
		case <-ctx.Done():
			return nil, s.noAnswer(ctx, start)
		case <-slow.C:
			s.logger.Warn("The dead letter topic does not answer; what has to go there waits",
				zap.String("topic", s.topic), zap.Duration("waited", time.Since(start)))
		}
	}
}

func (s *KafkaOrFile) noAnswer(ctx context.Context, start time.Time) error {
	return fmt.Errorf("dead letter topic %s has not answered for %s: %w", s.topic, time.Since(start).Round(time.Millisecond), ctx.Err())
}

// isRefusal reports whether the broker is not going to take the record by trying again.
// An unknown topic is retriable to Kafka, as it may be about to be created; the client
// has tried several times before it reports it.
func isRefusal(err error) bool {
	var refusal *kerr.Error
	return errors.As(err, &refusal) && (!refusal.Retriable || refusal == kerr.UnknownTopicOrPartition)
}

// Shutdown closes the store. Letters that are being put are given up on: their callers
// have not been told that they are stored.
func (s *KafkaOrFile) Shutdown(context.Context) error {
	if s.client != nil {
		s.client.Close()
	}
	if s.files != nil {
		return s.files.close()
	}
	return nil
}
