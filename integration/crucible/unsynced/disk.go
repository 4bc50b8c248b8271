package unsynced

import (
	"math/rand/v2"
	"sync"
	"time"
)

const (
	blockSize  = 4 << 10
	sectorSize = 512
	tornShare  = 8 // one block of so many is torn
	rootID     = 1
	modeDir    = 0o040000 // in the mode of a node
)

// tree is the content of a disk.
type tree struct {
	mu    sync.Mutex
	nodes map[uint64]*node
	last  uint64 // the highest id that was given
}

// node is a file or a directory.
type node struct {
	id       uint64
	mode     uint32
	changed  time.Time
	children map[string]*node // of a directory
	links    int              // names; a file without one lives until the kernel forgets it
	lookups  uint64           // of the kernel

	live   []byte // as programs see it
	synced []byte // as it was at the last fsync
	// pending are the changes since, in order. A truncation has no data.
	pending []change
}

type change struct {
	at   int64
	data []byte
}

func newTree() *tree {
	root := &node{id: rootID, mode: modeDir | 0o755, changed: time.Now(), children: map[string]*node{}, links: 2}
	return &tree{nodes: map[uint64]*node{rootID: root}, last: rootID}
}

func (t *tree) add(parent *node, name string, mode uint32) *node {
	t.last++
	n := &node{id: t.last, mode: mode, changed: time.Now(), links: 1}
	if mode&modeDir != 0 {
		n.children = map[string]*node{}
	}
	t.nodes[n.id] = n
	parent.children[name] = n
	return n
}

// unlink takes a name away.
func (t *tree) unlink(parent *node, name string) {
	n := parent.children[name]
	delete(parent.children, name)
	n.links--
	t.release(n)
}

// release forgets a node that has no name, and that the kernel does not know.
func (t *tree) release(n *node) {
	if n.links <= 0 && n.lookups == 0 {
		delete(t.nodes, n.id)
	}
}

func (n *node) write(at int64, data []byte) {
	n.changed = time.Now()
	n.live = put(n.live, at, data)
	n.pending = append(n.pending, change{at, append([]byte{}, data...)})
}

func (n *node) truncate(size int64) {
	n.changed = time.Now()
	n.live = resize(n.live, size)
	n.pending = append(n.pending, change{at: size})
}

func (n *node) sync() {
	for _, c := range n.pending {
		n.synced = c.apply(n.synced)
	}
	n.pending = nil
}

func (c change) apply(content []byte) []byte {
	if c.data == nil {
		return resize(content, c.at)
	}
	return put(content, c.at, c.data)
}

// cut leaves what was synced, and of the rest what chance will have.
func (n *node) cut(rng *rand.Rand) {
	for _, c := range n.pending {
		if c.data == nil {
			if rng.IntN(2) == 0 {
				n.synced = resize(n.synced, c.at)
			}
			continue
		}
		for done := 0; done < len(c.data); {
			at := c.at + int64(done)
			end := min(len(c.data), done+blockSize-int(at%blockSize))
			block := c.data[done:end]
			done = end
			if rng.IntN(2) == 0 {
				continue
			}
			if sectors := len(block) / sectorSize; sectors > 1 && rng.IntN(tornShare) == 0 {
				block = block[:sectorSize*(1+rng.IntN(sectors-1))]
			}
			n.synced = put(n.synced, at, block)
		}
	}
	n.pending = nil
	n.live = append([]byte{}, n.synced...)
}

// put writes data at a position, with zeros up to there.
func put(content []byte, at int64, data []byte) []byte {
	if end := at + int64(len(data)); end > int64(len(content)) {
		content = resize(content, end)
	}
	copy(content[at:], data)
	return content
}

func resize(content []byte, size int64) []byte {
	if size <= int64(len(content)) {
		return content[:size:size] // what was behind it must not come back
	}
	if size <= int64(cap(content)) {
		return content[:size]
	}
	grown := make([]byte, size, size+size/4)
	copy(grown, content)
	return grown
}

// cutPower cuts the power of all files.
func (t *tree) cutPower(rng *rand.Rand) {
	t.mu.Lock()
	defer t.mu.Unlock()
	// In the order of their ids, so that chance is the same for the same writes.
	for id := uint64(rootID); id <= t.last; id++ {
		if n := t.nodes[id]; n != nil && n.children == nil {
			n.cut(rng)
		}
	}
}

// unsynced is how many bytes have been written and not synced.
func (t *tree) unsynced() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	var sum int64
	for _, n := range t.nodes {
		for _, c := range n.pending {
			sum += int64(len(c.data))
		}
	}
	return sum
}
