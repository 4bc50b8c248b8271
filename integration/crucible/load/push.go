package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// outcome is what became of one attempt to push a batch.
type outcome int

const (
	accepted outcome = iota
	// notTaken: whoever was asked says that it has not got the batch and may take it later.
	notTaken
	// unanswered: it may have it or not.
	unanswered
	// refused: it never will.
	refused
)

const (
	pushTimeout = 10 * time.Second
	pushPause   = 200 * time.Millisecond // between attempts
	// maxBatch bounds a push. maxLargeBatch does where records are large: the shipped agent takes requests of up to 4 MiB.
	maxBatch      = 500
	maxLargeBatch = 2
)

// pusher hands numbered records over in batches and repeats a batch until it is answered.
type pusher struct {
	engine
	batch int64
	// push makes one attempt with the records of these numbers. The error says what happened where the outcome is not
	// accepted.
	push func(ctx context.Context, first, n int64) (outcome, error)

	next     int64
	refused  []harness.SeqRange
	resent   []harness.SeqRange
	pending  harness.SeqRange // pushed and not yet answered, when open
	open     bool
	doubtful bool // an attempt with pending was unanswered
}

func (p *pusher) init(common Common, batch int64) {
	p.batch = batch
	p.engine = engine{name: common.Name, rate: common.Rate, write: p.writeRecords}
}

func (p *pusher) writeRecords(ctx context.Context, n int64) error {
	for n > 0 && !p.stopping() {
		batch := min(n, p.batch)
		p.pending = harness.SeqRange{First: p.next, Last: p.next + batch - 1}
		p.open, p.doubtful = true, false
		p.next += batch
		n -= batch
		if err := p.settle(ctx); err != nil {
			return err
		}
	}
	return nil
}

// settle pushes what is pending until it is answered.
func (p *pusher) settle(ctx context.Context) error {
	for p.open {
		n := p.pending.Last - p.pending.First + 1
		if p.doubtful {
			p.resent = add(p.resent, p.pending.First, p.pending.Last)
		}
		attempt, cancel := context.WithTimeout(ctx, pushTimeout)
		result, err := p.push(attempt, p.pending.First, n)
		cancel()
		switch result {
		case accepted:
			p.open = false
			p.written.Add(n)
			return nil
		case refused:
			if p.doubtful {
				// An attempt before may have got in.
				return fmt.Errorf("records %s were refused after a push without an answer: %w", p.pending, err)
			}
			p.open = false
			p.refused = add(p.refused, p.pending.First, p.pending.Last)
			return nil
		case unanswered:
			p.doubtful = true
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pushPause):
		}
	}
	return nil
}

// account gives what all accounts of a pusher have.
func (p *pusher) account(common Common, kind Kind) Account {
	a := Account{
		Writer: common.Name, Kind: kind, Next: p.next, Written: p.written.Load(),
		Refused: p.refused, Resent: p.resent, Labels: common.Labels,
	}
	switch {
	case !p.open:
	case p.doubtful:
		a.Unanswered = add(nil, p.pending.First, p.pending.Last)
	default:
		a.Refused = add(a.Refused, p.pending.First, p.pending.Last)
	}
	return a
}

// post makes one OTLP/HTTP request.
func post(ctx context.Context, client *http.Client, url string, body []byte) (outcome, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return refused, err
	}
	// Go repeats a request by itself when a kept connection turns out to be dead, but only one that may be repeated. This
	// one may not, so every attempt is seen here.
	req.GetBody = nil
	req.Header.Set("Content-Type", "application/x-protobuf")
	resp, err := client.Do(req)
	if err != nil {
		// A connection that was not made carried nothing.
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
			return notTaken, err
		}
		return unanswered, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return unanswered, err
	}
	err = fmt.Errorf("%s: %s: %q", url, resp.Status, answer)
	switch {
	case resp.StatusCode/100 == 2:
		// The answers for logs and for metrics have the same form. A partial success does not say which were rejected.
		response := plogotlp.NewExportResponse()
		if err := response.UnmarshalProto(answer); err != nil {
			return unanswered, fmt.Errorf("%s: %s: %w", url, resp.Status, err)
		}
		if n := response.PartialSuccess().RejectedLogRecords(); n > 0 {
			return unanswered, fmt.Errorf("%s: %d records rejected: %s", url, n, response.PartialSuccess().ErrorMessage())
		}
		return accepted, nil
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusServiceUnavailable:
		// The protocol's words for: not now. What is doubled after them is not the doing of the writer.
		return notTaken, err
	case resp.StatusCode/100 == 4 && resp.StatusCode != http.StatusRequestTimeout:
		return refused, err
	}
	return unanswered, err
}
