package crucible

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/breakwater-otel/breakwater/integration/crucible/report"
)

const (
	sampleInterval = 500 * time.Millisecond
	// askTimeout bounds the questions of a sample; a part that is asked may stand still.
	askTimeout = 400 * time.Millisecond
)

// sampler looks at a case all the time.
type sampler struct {
	site    *site
	begin   time.Time
	samples []report.Point
	peaks   map[string]int64
	cancel  context.CancelFunc
	ended   chan struct{}
}

func startSampler(s *site) *sampler {
	ctx, cancel := context.WithCancel(context.Background())
	p := &sampler{site: s, begin: time.Now(), peaks: map[string]int64{}, cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		ticker := time.NewTicker(sampleInterval)
		defer ticker.Stop()
		for {
			p.look(ctx)
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}()
	return p
}

// since is the present moment, in seconds since the beginning.
func (p *sampler) since() float64 {
	return float64(time.Since(p.begin).Round(time.Millisecond)) / float64(time.Second)
}

// look takes a sample. What cannot be asked is as it was.
func (p *sampler) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var now report.Point
	if n := len(p.samples); n > 0 {
		now = p.samples[n-1]
	}
	now.Seconds = p.since()
	now.Written = max(now.Written, p.site.written()) // it is 0 when the writers are gone

	stores := p.site.stores()
	counts, errs := make([]int64, len(stores)), make([]error, len(stores))
	var lag int64
	var lagErr error
	var wg sync.WaitGroup
	for i, store := range stores {
		wg.Go(func() { counts[i], errs[i] = store.Count(ctx) })
	}
	wg.Go(func() { lag, lagErr = p.site.lane.lag(ctx, p.site.env["KAFKA_GROUP_ID"], p.site.busyTopics()...) })
	wg.Wait()
	if errors.Join(errs...) == nil {
		now.Stored = 0
		for _, n := range counts {
			now.Stored += n
		}
	}
	if lagErr == nil {
		now.Backlog = lag
	}
	p.samples = append(p.samples, now)
	for name, peak := range p.site.peaks() {
		p.peaks[name] = max(p.peaks[name], peak)
	}
}

// stop ends the sampling and returns what was seen.
func (p *sampler) stop() ([]report.Point, map[string]int64) {
	p.cancel()
	<-p.ended
	return p.samples, p.peaks
}

// peaks are the most that the parts which run have had resident, in bytes.
func (s *site) peaks() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	peaks := map[string]int64{}
	for name, p := range s.parts {
		if usage, err := p.Usage(); err == nil {
			peaks[name] = usage.PeakRSS
		}
	}
	return peaks
}
