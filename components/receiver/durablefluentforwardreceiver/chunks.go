package durablefluentforwardreceiver

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// chunks knows which chunks a client may send again although they were taken: it has not seen the acknowledgement, or has
// given up waiting for it. Only those are remembered. Fluent Bit makes the name of a chunk of its content, and so two chunks
// of one name can both be meant; but not while one of them is unanswered.
type chunks struct {
	mu      sync.Mutex
	taking  map[string]chan struct{}
	suspect *simplelru.LRU[string, time.Time] // since when
}

const (
	suspectChunks = 4096
	// suspectAge is longer than clients wait: Fluentd's ack_response_timeout is 190 s.
	suspectAge = 10 * time.Minute
)

func newChunks() *chunks {
	// Its one error is a size that is not positive.
	suspect, _ := simplelru.NewLRU[string, time.Time](suspectChunks, nil)
	return &chunks{taking: make(map[string]chan struct{}), suspect: suspect}
}

// begin reports whether a chunk is to be taken. If so, end has to be called. While another connection takes the same chunk
// it waits for how that ends.
func (c *chunks) begin(ctx context.Context, chunk string) (bool, error) {
	for {
		c.mu.Lock()
		other := c.taking[chunk]
		if other == nil {
			defer c.mu.Unlock()
			since, there := c.suspect.Get(chunk)
			c.suspect.Remove(chunk)
			if there && time.Since(since) < suspectAge {
				return false, nil
			}
			c.taking[chunk] = make(chan struct{})
			return true, nil
		}
		c.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// end says how it ended. A chunk that was taken is suspect until it is settled: the client may not have seen the answer.
func (c *chunks) end(chunk string, taken bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.taking[chunk])
	delete(c.taking, chunk)
	if taken {
		c.suspect.Add(chunk, time.Now())
	}
}

// settle forgets a chunk whose acknowledgement the client has seen.
func (c *chunks) settle(chunk string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.suspect.Remove(chunk)
}
