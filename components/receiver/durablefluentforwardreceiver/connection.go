package durablefluentforwardreceiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"

	"github.com/tinylib/msgp/msgp"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
)

// maxRequestBytes is how much of small messages that have come in already makes one request.
const maxRequestBytes = 1 << 20

// connection serves one client, one request after the other.
type connection struct {
	*fluentReceiver
	conn   net.Conn
	frames frames
	// answered are the chunks of the last answer. That the client goes on shows that it was received.
	answered []string
}

// request is messages that are handed on together.
type request struct {
	logs  plog.Logs
	bytes int
	taken []string // chunks to be ended
	acks  []string // chunks to be answered for, in the order in which they came
}

// serve returns when the connection or the receiver ends.
func (c *connection) serve(ctx context.Context) {
	for {
		first, err := c.frames.next()
		if err == nil {
			err = c.take(ctx, first)
		}
		if err != nil {
			c.ended(ctx, err)
			return
		}
	}
}

// take hands on a message, and those behind it that are there in whole, and answers for them.
func (c *connection) take(ctx context.Context, message []byte) error {
	r := request{logs: plog.NewLogs()}
	records := r.logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	done := false
	defer func() {
		for _, chunk := range r.taken {
			c.chunks.end(chunk, done)
		}
	}()
	var bad error
	for message != nil && bad == nil {
		r.bytes += len(message)
		if bad = c.add(ctx, &r, records, message); bad != nil || r.bytes >= maxRequestBytes {
			break
		}
		message, bad = c.frames.buffered()
	}
	// What came before a bad message is good.
	if err := c.out.Deliver(ctx, r.logs); err != nil {
		return err
	}
	done = true
	return errors.Join(c.answer(ctx, r.acks), bad)
}

func (c *connection) add(ctx context.Context, r *request, records plog.LogRecordSlice, message []byte) error {
	scratch := plog.NewLogRecordSlice()
	opts, err := appendMessage(scratch, message, c.config.MaxMessageBytes)
	if err != nil {
		return err
	}
	if opts.chunk != "" {
		if slices.Contains(r.acks, opts.chunk) {
			r.acks = append(r.acks, opts.chunk)
			return nil
		}
		c.settle()
		wanted, err := c.chunks.begin(ctx, opts.chunk)
		if err != nil {
			return err
		}
		r.acks = append(r.acks, opts.chunk)
		if !wanted {
			c.telemetry.ReceiverDurableFluentForwardRepeatedChunks.Add(ctx, 1)
			return nil
		}
		r.taken = append(r.taken, opts.chunk)
	}
	scratch.MoveAndAppendTo(records)
	return nil
}

// answer acknowledges chunks: {"ack": chunk}.
func (c *connection) answer(ctx context.Context, acks []string) error {
	if len(acks) == 0 {
		return nil
	}
	var b []byte
	for _, chunk := range acks {
		b = msgp.AppendMapHeader(b, 1)
		b = msgp.AppendString(b, "ack")
		b = msgp.AppendString(b, chunk)
	}
	if _, err := c.conn.Write(b); err != nil {
		return fmt.Errorf("acknowledge: %w", err)
	}
	c.answered = acks
	c.telemetry.ReceiverDurableFluentForwardAcknowledgedChunks.Add(ctx, int64(len(acks)))
	return nil
}

func (c *connection) settle() {
	for _, chunk := range c.answered {
		c.chunks.settle(chunk)
	}
	c.answered = nil
}

func (c *connection) ended(ctx context.Context, err error) {
	reason := "malformed"
	switch {
	case errors.Is(err, errTooLarge):
		reason = "too_large"
	case errors.Is(err, errMalformed):
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
		return
	default:
		c.set.Logger.Info("connection ended", zap.String("client", c.conn.RemoteAddr().String()), zap.Error(err))
		return
	}
	c.telemetry.ReceiverDurableFluentForwardRefusedMessages.Add(ctx, 1, metric.WithAttributes(attribute.String("reason", reason)))
	c.set.Logger.Error("message refused, connection closed", zap.String("client", c.conn.RemoteAddr().String()), zap.Error(err))
}
