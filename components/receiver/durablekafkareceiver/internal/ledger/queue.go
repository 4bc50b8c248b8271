package ledger

// queue is a FIFO in one slice. Memory before the head is used again once half of
// the slice is free, so a push is O(1) amortized.
type queue[T any] struct {
	items []T
	head  int
}

// minCompact keeps short queues from being moved at every other push.
const minCompact = 64

func (q *queue[T]) len() int { return len(q.items) - q.head }

func (q *queue[T]) all() []T { return q.items[q.head:] }

func (q *queue[T]) push(v T) {
	if len(q.items) == cap(q.items) && q.head >= minCompact && q.head >= len(q.items)/2 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, v)
}

func (q *queue[T]) first() (v T, ok bool) {
	if q.len() == 0 {
		return v, false
	}
	return q.items[q.head], true
}

func (q *queue[T]) last() (v T, ok bool) {
	if q.len() == 0 {
		return v, false
	}
	return q.items[len(q.items)-1], true
}

// pop removes the first item, which must exist.
func (q *queue[T]) pop() {
	var zero T
	q.items[q.head] = zero
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
}
