package durablekafkaexporter

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
)

// storageRetry is how long a storage that has failed is left alone, storageLogEvery how often that is told.
const (
	storageRetry    = 500 * time.Millisecond
	storageLogEvery = 30 * time.Second
)

// queueHost is a host whose storage keeps the disk queue from losing what it has when a write fails, as on a full disk.
//
// exporterhelper's queue (v0.152.0, internal/queue/persistent_queue.go) writes down that it has begun with a batch when it
// takes it. If it cannot, it deletes the batch (getNextItem). When it starts and cannot read its index, it begins with an
// empty one (initClient). And it deletes what the process before had begun with before it puts that back into the queue,
// where the write can fail (enqueueNotDispatchedReqs). The file storage fails to read, too, when the disk is full.
type queueHost struct {
	component.Host
	logger *zap.Logger

	mu      sync.Mutex
	clients []*queueClient
}

// GetExtensions returns the extensions of the host, of which storages are queueStorage.
func (h *queueHost) GetExtensions() map[component.ID]component.Component {
	extensions := make(map[component.ID]component.Component)
	for id, extension := range h.Host.GetExtensions() {
		if s, ok := extension.(storage.Extension); ok {
			extension = &queueStorage{s, h}
		}
		extensions[id] = extension
	}
	return extensions
}

// started says that the queue has what the process before has left.
func (h *queueHost) started() { h.each((*queueClient).started) }

// stopping says that the queue is to end, whatever the storage does.
func (h *queueHost) stopping() { h.each((*queueClient).end) }

func (h *queueHost) each(do func(*queueClient)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, client := range h.clients {
		do(client)
	}
}

type queueStorage struct {
	storage.Extension
	host *queueHost
}

// GetClient returns a client of the storage that is a queueClient.
func (s *queueStorage) GetClient(ctx context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	within, err := s.Extension.GetClient(ctx, kind, id, name)
	if err != nil {
		return nil, err
	}
	client := &queueClient{Client: within, logger: s.host.logger, starting: true, ended: make(chan struct{})}
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	s.host.clients = append(s.host.clients, client)
	return client, nil
}

// queueClient is the storage of a queue. Batches of operations that the queue would answer with the loss of data when
// they fail do not fail.
type queueClient struct {
	storage.Client
	logger *zap.Logger
	ended  chan struct{} // closed when the queue is to end

	mu       sync.Mutex
	starting bool
	logged   time.Time
	// leftovers are deletions that have not been done: while the queue starts, and those that have failed. What is
	// delivered is not in the index of the queue any more, and would take room on the disk for good.
	leftovers []*storage.Operation
	// frozen says that the queue has gone past an item that it could not read, and must not write that down.
	frozen bool
}

var (
	errFrozen = errors.New("the storage has failed, and the queue ends")
	// errNoItem is that of an item that the queue has refused for want of room, and counts all the same (putInternal).
	errNoItem = errors.New("the storage has no such item")
)

// Batch does the operations. That of taking an item (set and get) fails only when the item cannot be read and the queue
// ends: what has not been written down is sent again after a crash, and no more. While the queue starts, nothing is
// deleted, and what fails is tried again.
func (c *queueClient) Batch(ctx context.Context, ops ...*storage.Operation) error {
	if c.isFrozen() {
		return errFrozen
	}
	deletes := 0
	var gets []*storage.Operation
	for _, op := range ops {
		switch op.Type {
		case storage.Delete:
			deletes++
		case storage.Get:
			gets = append(gets, op)
		}
	}
	switch {
	case c.isStarting() && deletes == len(ops):
		c.leave(ops)
		return nil
	case len(gets) > 0 && deletes == 0:
		err := c.insist(ctx, ops, gets)
		taken := len(gets) < len(ops)
		if err == nil && taken && slices.ContainsFunc(gets, func(op *storage.Operation) bool { return op.Value == nil }) {
			return errNoItem // it would be sent as a message without records
		}
		return err
	case c.isStarting() && deletes == 0:
		return c.insist(ctx, ops, nil)
	case deletes > 0:
		return c.delete(ctx, ops)
	}
	return c.Client.Batch(ctx, ops...)
}

// Get reads a value, again and again if that fails: without the index that it has written, the queue begins anew.
func (c *queueClient) Get(ctx context.Context, key string) ([]byte, error) {
	op := storage.GetOperation(key)
	err := c.Batch(ctx, op)
	return op.Value, err
}

// unread is the value of what has not been read.
var unread = []byte("unread")

func isUnread(op *storage.Operation) bool { return len(op.Value) > 0 && &op.Value[0] == &unread[0] }

// insist does the operations, again and again if they fail. It is enough that the gets, if there are any, have been read:
// the storage does so before it fails to commit.
func (c *queueClient) insist(ctx context.Context, ops, gets []*storage.Operation) error {
	for {
		for _, op := range gets {
			op.Value = unread
		}
		err := c.Client.Batch(ctx, ops...)
		if err == nil {
			return nil
		}
		if len(gets) > 0 && !slices.ContainsFunc(gets, isUnread) {
			c.tell("The queue's storage cannot be written; what is taken from the queue is sent, and sent again after a crash", err)
			return nil
		}
		c.tell("The queue's storage fails; the queue waits for it", err)
		timer := time.NewTimer(storageRetry)
		select {
		case <-timer.C:
			continue
		case <-ctx.Done():
		case <-c.ended:
		}
		timer.Stop()
		for _, op := range gets {
			op.Value = nil
		}
		c.freeze()
		return err
	}
}

// delete does operations with deletions. What cannot be deleted is, when something can be.
func (c *queueClient) delete(ctx context.Context, ops []*storage.Operation) error {
	err := c.Client.Batch(ctx, ops...)
	if err != nil {
		c.leave(ops)
		return err
	}
	c.clean(ctx)
	return nil
}

// leave notes the deletions among the operations for later.
func (c *queueClient) leave(ops []*storage.Operation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, op := range ops {
		if op.Type == storage.Delete {
			c.leftovers = append(c.leftovers, op)
		}
	}
}

// clean does the deletions that have not been done.
func (c *queueClient) clean(ctx context.Context) {
	c.mu.Lock()
	leftovers := c.leftovers
	if c.starting {
		leftovers = nil
	} else {
		c.leftovers = nil
	}
	c.mu.Unlock()
	if len(leftovers) == 0 {
		return
	}
	if err := c.Client.Batch(ctx, leftovers...); err != nil {
		c.leave(leftovers)
	}
}

func (c *queueClient) started() {
	c.mu.Lock()
	c.starting = false
	c.mu.Unlock()
	c.clean(context.Background())
}

func (c *queueClient) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.ended:
	default:
		close(c.ended)
	}
}

func (c *queueClient) isStarting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.starting
}

func (c *queueClient) freeze() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = true
}

func (c *queueClient) isFrozen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frozen
}

// tell logs, and not each time.
func (c *queueClient) tell(message string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.logged) >= storageLogEvery {
		c.logged = now
		c.logger.Error(message, zap.Error(err))
	}
}

// startQueued starts an exporter with a disk queue.
func (d *durable[T, E]) startQueued(ctx context.Context, host component.Host, start component.StartFunc) error {
	d.queue = &queueHost{Host: host, logger: d.set.Logger}
	err := start(ctx, d.queue)
	d.queue.started()
	return err
}

// shutdownQueued ends an exporter with a disk queue.
func (d *durable[T, E]) shutdownQueued(ctx context.Context, shutdown component.ShutdownFunc) error {
	if d.queue != nil {
		d.queue.stopping()
	}
	return shutdown(ctx)
}
