package durablekafkaexporter

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/breakwater-otel/breakwater/components/exporter/durablekafkaexporter/internal/metadata"
	"github.com/breakwater-otel/breakwater/components/internal/ledger"
)

const (
	// keepInterval is how often the state is written, if it has changed. What is stamped in the last interval before a
	// crash is announced by what of it is in the queue.
	keepInterval = time.Second
	// keepTimeout bounds the last write.
	keepTimeout = 5 * time.Second
	stateKey    = "state"
	// maxEndedRuns are the earlier runs that are announced until Kafka has a message that does.
	maxEndedRuns = 64
	// maxVoids are the ranges of refused records that are announced again after Kafka has a message that does.
	maxVoids = 128
)

// stamper numbers the records of one signal in this run of the agent.
type stamper struct {
	agent     string
	signal    ledger.Signal
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	counted   metric.MeasurementOption

	mu      sync.Mutex
	run     ledger.RunID
	next    uint64
	open    []handover // not answered, by number
	void    ledger.Announced
	ended   []ledger.Announced // earlier runs, until Kafka has a message that announces them
	changed bool
	failing bool // the last write of the state failed

	client storage.Client // nil: nothing is kept
	stop   context.CancelFunc
	done   sync.WaitGroup
}

// handover are records while the queue has not said whether it takes them.
type handover struct{ first, count uint64 }

// state is what is kept over restarts: a stamp without records, that announces.
type state struct {
	Stamp []byte `json:"stamp"`
}

func newStamper(config LedgerConfig, signal ledger.Signal, logger *zap.Logger, telemetry *metadata.TelemetryBuilder) (*stamper, error) {
	agent := config.Agent
	if agent == "" {
		name, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("`ledger::agent` is not set, and the host has no name: %w", err)
		}
		agent = name[:min(len(name), maxAgentBytes)]
	}
	return &stamper{
		agent: agent, signal: signal, logger: logger, telemetry: telemetry,
		counted: metric.WithAttributeSet(attribute.NewSet(attribute.String("signal", signal.String()))),
	}, nil
}

// start begins a run. That there is no storage, or that it fails, is no reason not to start: then nobody knows what the
// run before has stamped last.
func (s *stamper) start(ctx context.Context, host component.Host, exporter component.ID, storageID *component.ID) {
	if storageID != nil {
		if extension, ok := host.GetExtensions()[*storageID].(storage.Extension); ok {
			client, err := extension.GetClient(ctx, component.KindExporter, exporter, "ledger_"+s.signal.String())
			if err != nil {
				s.failed(ctx, err)
			}
			s.client = client
		}
	}
	before := s.restore(ctx)
	s.run = ledger.NewRunID(time.Now(), rand.Uint32(), before)
	s.void.Run = s.run
	s.changed = true
	if s.client == nil {
		return
	}
	s.keep(ctx)
	run, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.done.Go(func() {
		ticker := time.NewTicker(keepInterval)
		defer ticker.Stop()
		for {
			select {
			case <-run.Done():
				return
			case <-ticker.C:
				s.keep(run)
			}
		}
	})
}

// restore takes over what earlier runs have left, and returns the last of them.
func (s *stamper) restore(ctx context.Context) (last ledger.RunID) {
	if s.client == nil {
		return 0
	}
	b, err := s.client.Get(ctx, stateKey)
	if err != nil {
		s.failed(ctx, err)
		return 0
	}
	if b == nil {
		return 0
	}
	var kept state
	if err := json.Unmarshal(b, &kept); err != nil {
		s.failed(ctx, err)
		return 0
	}
	stamp, err := ledger.Decode(kept.Stamp)
	if err != nil {
		s.failed(ctx, err)
		return 0
	}
	for _, run := range stamp.Runs {
		last = max(last, run.Run)
		run.Final = true
		// One of another name has an account of its own.
		if stamp.Agent == s.agent && run.Floor > 0 {
			s.ended = append(s.ended, run)
		}
	}
	if n := len(s.ended) - maxEndedRuns; n > 0 {
		s.ended = s.ended[n:]
	}
	return last
}

// keep writes the state, if it has changed.
func (s *stamper) keep(ctx context.Context) {
	s.mu.Lock()
	if !s.changed {
		s.mu.Unlock()
		return
	}
	s.changed = false
	kept := ledger.Stamp{Agent: s.agent, Signal: s.signal}
	kept.Announce(s.ended...)
	kept.Announce(s.announced())
	s.mu.Unlock()
	b, err := json.Marshal(state{kept.Encode()})
	if err == nil {
		err = s.client.Set(ctx, stateKey, b)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.changed = true
		s.failedLocked(ctx, err)
		return
	}
	s.failing = false
}

func (s *stamper) failed(ctx context.Context, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failedLocked(ctx, err)
}

func (s *stamper) failedLocked(ctx context.Context, err error) {
	s.telemetry.ExporterDurableKafkaStampFailures.Add(ctx, 1)
	if !s.failing {
		s.failing = true
		s.logger.Error("The state of the ledger's stamps could not be read or written; nothing of the data depends on it, but after a restart the ledger may not know of all that was stamped", zap.Error(err))
	}
}

// shutdown keeps what the run has come to. Nothing may be handed over any more.
func (s *stamper) shutdown(ctx context.Context) error {
	if s.client == nil {
		return nil
	}
	if s.stop != nil {
		s.stop()
		s.done.Wait()
		ctx, cancel := context.WithTimeout(ctx, keepTimeout)
		defer cancel()
		s.keep(ctx)
	}
	return s.client.Close(ctx)
}

// announced is what is known of this run. It is called with the lock held.
func (s *stamper) announced() ledger.Announced {
	a := s.void
	a.Floor = s.next
	if len(s.open) > 0 {
		a.Floor = s.open[0].first
	}
	return a
}

// begin gives numbers to records that are about to be handed over.
func (s *stamper) begin(count int) (handover, ledger.Stamp) {
	now := time.Now().UnixMilli()
	s.mu.Lock()
	defer s.mu.Unlock()
	h := handover{s.next, uint64(count)}
	s.next += h.count
	s.open = append(s.open, h)
	stamp := ledger.Stamp{Agent: s.agent, Signal: s.signal}
	stamp.Append(ledger.Stamped{Run: s.run, First: h.first, Count: h.count, From: now, Until: now})
	stamp.Announce(s.announced())
	s.changed = true
	return h, stamp
}

// end says whether the records were taken. If not, who gave them has been told and gives them again.
func (s *stamper) end(ctx context.Context, h handover, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = slices.DeleteFunc(s.open, func(o handover) bool { return o == h })
	s.changed = true
	if err != nil {
		s.void.Void(h.first, h.first+h.count)
		return
	}
	s.telemetry.ExporterDurableKafkaStampedRecords.Add(ctx, int64(h.count), s.counted)
}

// header completes the stamp of a message that goes to Kafka. The announcement is to be given to told when it is there.
func (s *stamper) header(stamp ledger.Stamp) (header []byte, said announcement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := ledger.Stamp{Agent: stamp.Agent, Signal: s.signal}
	for _, r := range stamp.Records {
		if r.Run != 0 {
			out.Append(r)
		}
	}
	out.Announce(stamp.Runs...)
	if out.Agent == "" || out.Agent == s.agent {
		out.Agent = s.agent
		for _, run := range s.ended {
			said.ended = append(said.ended, run.Run)
		}
		said.voids = s.void.VoidEnd()
		out.Announce(s.ended...)
		out.Announce(s.announced())
	}
	return out.Encode(), said
}

// announcement is what a header has said beside that of its records.
type announcement struct {
	ended []ledger.RunID
	voids uint64 // the end of the last void range
}

// told says that Kafka has a message with the announcement.
func (s *stamper) told(said announcement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.void.Forget(maxVoids, said.voids)
	if len(said.ended) == 0 {
		return
	}
	n := len(s.ended)
	s.ended = slices.DeleteFunc(s.ended, func(a ledger.Announced) bool { return slices.Contains(said.ended, a.Run) })
	s.changed = s.changed || len(s.ended) != n
}
