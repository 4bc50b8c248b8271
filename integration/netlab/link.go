package netlab

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Impairment is what is wrong with one direction of a link. The zero value is a
// good link.
type Impairment struct {
	Cut  bool    // nothing passes, nothing is answered
	Loss float64 // share of the packets that vanish, 0 to 1
	// Delay holds every packet back, and Jitter by up to that much more. Packets
	// stay in order. An answer comes back over the other direction of the link.
	Delay, Jitter time.Duration
	// Bandwidth is in bytes a second; 0 is without limit.
	Bandwidth int64
}

// Counters are what has happened to the packets of a link so far.
type Counters struct {
	Packets int64 // delivered
	Bytes   int64 // delivered, with the headers of IP and TCP
	Dropped int64 // packets that were lost, cut off, or too many to hold back
	Resets  int64 // connections that were reset
}

// maxQueueBytes bounds what a link holds back. Packets beyond it are lost, as at a
// router whose buffer is full.
const maxQueueBytes = 64 << 20

// Link is one direction of the path between two hosts.
type Link struct {
	lab      *Lab
	from, to *Host

	packets, bytes, dropped, resets atomic.Int64

	// slow is set while a packet may not simply be passed on. A good link is read
	// by one goroutine, so without it there is no order to keep.
	slow atomic.Bool

	mu         sync.Mutex
	impairment Impairment
	rng        *rand.Rand
	toReset    int                  // connections yet to be reset
	wasReset   map[connKey]struct{} // since the last call of Reset
	queue      []held
	queued     int       // bytes in queue
	lastDue    time.Time // of the last packet that was put into queue
	draining   bool
}

// held is a packet that is held back.
type held struct {
	packet *[]byte
	due    time.Time
}

var packetPool = sync.Pool{New: func() any { return new([]byte) }}

func newLink(l *Lab, from, to *Host) *Link {
	return &Link{lab: l, from: from, to: to, rng: l.rng(from, to)}
}

// Set replaces the impairment of the link. Packets that are held back by the one
// before stay in order: those that follow wait for them.
func (l *Link) Set(i Impairment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.impairment = i
	l.setSlow()
}

// Impairment returns what is wrong with the link now.
func (l *Link) Impairment() Impairment {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.impairment
}

// Reset resets the next n TCP connections that send data over this direction of the
// link, at both ends: the data is lost, and each end is told that the other has
// reset the connection. So a server loses a request in its middle, or a client its
// answer. It replaces what an earlier call has left to do.
func (l *Link) Reset(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.toReset = n
	l.wasReset = map[connKey]struct{}{}
	l.setSlow()
}

// Counters returns what has happened so far.
func (l *Link) Counters() Counters {
	return Counters{
		Packets: l.packets.Load(), Bytes: l.bytes.Load(),
		Dropped: l.dropped.Load(), Resets: l.resets.Load(),
	}
}

// Held returns how many packets are held back now.
func (l *Link) Held() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue)
}

func (l *Link) heal() {
	l.Set(Impairment{})
	l.Reset(0)
}

// setSlow is called with mu held.
func (l *Link) setSlow() {
	l.slow.Store(l.impairment != Impairment{} || l.toReset > 0 || l.draining)
}

// forward passes a packet on, which is the caller's again afterwards. It is called
// by one goroutine at a time.
func (l *Link) forward(packet []byte) {
	if l.slow.Load() && !l.admit(packet) {
		return
	}
	l.deliver(packet)
}

func (l *Link) deliver(packet []byte) {
	l.packets.Add(1)
	l.bytes.Add(int64(len(packet)))
	l.to.deliver(packet)
}

// admit tells whether a packet is to be delivered now. If not, it has been lost or
// put into the queue.
func (l *Link) admit(packet []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.impairment
	if i.Cut || (i.Loss > 0 && l.rng.Float64() < i.Loss) || (l.toReset > 0 && l.resetConn(packet)) {
		l.dropped.Add(1)
		return false
	}
	if !l.draining && i.Delay == 0 && i.Jitter == 0 && i.Bandwidth == 0 {
		return true
	}
	if l.queued+len(packet) > maxQueueBytes {
		l.dropped.Add(1)
		return false
	}
	l.enqueue(packet, time.Now())
	return false
}

// enqueue is called with mu held.
func (l *Link) enqueue(packet []byte, now time.Time) {
	i := l.impairment
	due := now.Add(i.Delay)
	if i.Jitter > 0 {
		due = due.Add(time.Duration(l.rng.Int64N(int64(i.Jitter) + 1)))
	}
	if due.Before(l.lastDue) {
		due = l.lastDue
	}
	if i.Bandwidth > 0 {
		due = due.Add(time.Duration(int64(len(packet)) * int64(time.Second) / i.Bandwidth))
	}
	l.lastDue = due
	buf := packetPool.Get().(*[]byte)
	*buf = append((*buf)[:0], packet...)
	l.queue = append(l.queue, held{buf, due})
	l.queued += len(packet)
	if !l.draining {
		l.draining = true
		l.lab.wg.Go(l.drain)
	}
}

// drain delivers what is held back, each packet when it is due, and returns when
// nothing is left.
func (l *Link) drain() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		l.mu.Lock()
		if len(l.queue) == 0 {
			l.queue = nil
			l.draining = false
			l.setSlow()
			l.mu.Unlock()
			return
		}
		head := l.queue[0]
		wait := time.Until(head.due)
		if wait > 0 {
			l.mu.Unlock()
			timer.Reset(wait)
			select {
			case <-timer.C:
				continue
			case <-l.lab.ctx.Done():
				return
			}
		}
		l.queue[0] = held{}
		l.queue = l.queue[1:]
		l.queued -= len(*head.packet)
		cut := l.impairment.Cut // it was under way when the link was cut
		l.mu.Unlock()
		if cut {
			l.dropped.Add(1)
		} else {
			l.deliver(*head.packet)
		}
		packetPool.Put(head.packet)
	}
}

// resetConn resets the connection of a packet if it carries data and its
// connection has not been reset yet. It tells whether it did. It is called with mu
// held.
func (l *Link) resetConn(packet []byte) bool {
	s, ok := parseSegment(packet)
	if !ok || s.payload == 0 {
		return false
	}
	// What the sender had already sent when it was reset comes behind.
	if _, before := l.wasReset[s.key()]; before {
		return false
	}
	l.wasReset[s.key()] = struct{}{}
	l.toReset--
	l.resets.Add(1)
	l.setSlow()
	// The sender expects the byte that it acknowledges, the receiver the first one
	// of the packet that it does not get.
	l.from.deliver(resetPacket(s.to, s.from, s.ack, s.seq+s.payload))
	l.to.deliver(resetPacket(s.from, s.to, s.seq, s.ack))
	return true
}
