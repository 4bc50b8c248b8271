package unsynced

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// The protocol of /dev/fuse, as in linux/fuse.h. Numbers are in the byte order of the machine.
const (
	opLookup      = 1
	opForget      = 2
	opGetattr     = 3
	opSetattr     = 4
	opMkdir       = 9
	opUnlink      = 10
	opRmdir       = 11
	opRename      = 12
	opOpen        = 14
	opRead        = 15
	opWrite       = 16
	opStatfs      = 17
	opRelease     = 18
	opFsync       = 20
	opFlush       = 25
	opInit        = 26
	opOpendir     = 27
	opReaddir     = 28
	opReleasedir  = 29
	opFsyncdir    = 30
	opAccess      = 34
	opCreate      = 35
	opInterrupt   = 36
	opDestroy     = 38
	opBatchForget = 42
	opRename2     = 45

	major      = 7
	minor      = 31
	bigWrites  = 1 << 5
	maxWrite   = 128 << 10
	setSize    = 1 << 3
	setMode    = 1 << 0
	inHeader   = 40
	outHeader  = 16
	writeInLen = 40
	modeFile   = unix.S_IFREG
	permBits   = 0o7777
	diskBlocks = 1 << 20 // of 4 KiB, as statfs tells
)

var order = binary.NativeEndian

// request is what the kernel asks.
type request struct {
	op     uint32
	unique uint64
	node   uint64
	body   []byte
}

func (r request) u32(at int) uint32 { return order.Uint32(r.body[at:]) }
func (r request) u64(at int) uint64 { return order.Uint64(r.body[at:]) }

// name is the text from a position to the next zero.
func (r request) name(at int) string {
	text, _, _ := bytes.Cut(r.body[at:], []byte{0})
	return string(text)
}

// serve answers the kernel until the disk is unmounted.
func serve(device io.ReadWriter, t *tree) {
	buf := make([]byte, maxWrite+blockSize)
	for {
		n, err := device.Read(buf)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENOENT):
			continue // the request was taken back
		case err != nil, n < inHeader:
			return
		}
		r := request{op: order.Uint32(buf[4:]), unique: order.Uint64(buf[8:]), node: order.Uint64(buf[16:]), body: buf[inHeader:n]}
		body, errno, silent := t.answer(r)
		if silent {
			continue
		}
		reply := make([]byte, outHeader, outHeader+len(body))
		order.PutUint32(reply, uint32(outHeader+len(body)))
		order.PutUint32(reply[4:], uint32(-int32(errno))) //nolint:gosec // G115: errors are small
		order.PutUint64(reply[8:], r.unique)
		if _, err := device.Write(append(reply, body...)); err != nil && !errors.Is(err, unix.ENOENT) {
			return
		}
	}
}

// answer does what is asked. A request that wants no answer is silent.
func (t *tree) answer(r request) (body []byte, errno unix.Errno, silent bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch r.op {
	case opForget:
		t.forget(r.node, r.u64(0))
		return nil, 0, true
	case opBatchForget:
		for i := range int(r.u32(0)) {
			t.forget(r.u64(8+16*i), r.u64(16+16*i))
		}
		return nil, 0, true
	case opInterrupt:
		return nil, 0, true
	case opInit:
		return initReply(r), 0, false
	case opDestroy:
		return nil, 0, false
	}
	n := t.nodes[r.node]
	if n == nil {
		return nil, unix.ENOENT, false
	}
	body, errno = t.act(n, r)
	return body, errno, false
}

func initReply(r request) []byte {
	out := make([]byte, 64)
	order.PutUint32(out, major)
	order.PutUint32(out[4:], min(minor, r.u32(4)))
	order.PutUint32(out[8:], r.u32(8))
	order.PutUint32(out[12:], bigWrites)
	order.PutUint32(out[20:], maxWrite)
	order.PutUint32(out[24:], 1) // times to the nanosecond
	return out
}

// act does what is asked of a node. What it does not know the kernel does without.
func (t *tree) act(n *node, r request) ([]byte, unix.Errno) {
	switch r.op {
	case opGetattr:
		return attrReply(n), 0
	case opSetattr:
		if r.u32(0)&setSize != 0 {
			n.truncate(int64(r.u64(16)))
		}
		if r.u32(0)&setMode != 0 {
			n.mode = n.mode&^permBits | r.u32(68)&permBits
		}
		return attrReply(n), 0
	case opOpen, opOpendir:
		return make([]byte, 16), 0
	case opRead:
		return n.read(r.u64(8), r.u32(16)), 0
	case opWrite:
		data := r.body[writeInLen : writeInLen+int(r.u32(16))]
		n.write(int64(r.u64(8)), data)
		return order.AppendUint64(nil, uint64(len(data))), 0
	case opFsync:
		n.sync()
		return nil, 0
	case opFlush, opRelease, opReleasedir, opFsyncdir, opAccess:
		return nil, 0
	case opStatfs:
		return statfsReply(), 0
	case opReaddir:
		return n.readdir(r.u64(8), r.u32(16)), 0
	}
	return t.actOnName(n, r)
}

// actOnName does what is asked of a name in a directory.
func (t *tree) actOnName(dir *node, r request) ([]byte, unix.Errno) {
	switch r.op {
	case opLookup:
		child := dir.children[r.name(0)]
		if child == nil {
			return nil, unix.ENOENT
		}
		return entryReply(child), 0
	case opMkdir:
		return t.create(dir, r.name(8), modeDir|r.u32(0)&permBits, false)
	case opCreate:
		return t.create(dir, r.name(16), modeFile|r.u32(4)&permBits, true)
	case opUnlink, opRmdir:
		child := dir.children[r.name(0)]
		switch {
		case child == nil:
			return nil, unix.ENOENT
		case len(child.children) > 0:
			return nil, unix.ENOTEMPTY
		}
		t.unlink(dir, r.name(0))
		return nil, 0
	case opRename:
		return nil, t.rename(dir, r, 8)
	case opRename2:
		if r.u32(8) != 0 {
			return nil, unix.EINVAL // exchange, and others that nobody here needs
		}
		return nil, t.rename(dir, r, 16)
	}
	return nil, unix.ENOSYS
}

func (t *tree) create(dir *node, name string, mode uint32, open bool) ([]byte, unix.Errno) {
	if dir.children[name] != nil {
		return nil, unix.EEXIST
	}
	reply := entryReply(t.add(dir, name, mode))
	if open {
		reply = append(reply, make([]byte, 16)...)
	}
	return reply, 0
}

func (t *tree) rename(dir *node, r request, at int) unix.Errno {
	from := r.name(at)
	to := r.name(at + len(from) + 1)
	target, n := t.nodes[r.u64(0)], dir.children[from]
	if target == nil || n == nil {
		return unix.ENOENT
	}
	if old := target.children[to]; old != nil && old != n {
		t.unlink(target, to)
	}
	delete(dir.children, from)
	target.children[to] = n
	return 0
}

func (t *tree) forget(id, lookups uint64) {
	if n := t.nodes[id]; n != nil && id != rootID {
		n.lookups -= min(n.lookups, lookups)
		t.release(n)
	}
}

func (n *node) read(at uint64, size uint32) []byte {
	if at >= uint64(len(n.live)) {
		return nil
	}
	return n.live[at:min(uint64(len(n.live)), at+uint64(size))]
}

func (n *node) readdir(from uint64, size uint32) []byte {
	var out []byte
	for i, name := range slices.Sorted(maps.Keys(n.children)) {
		if uint64(i) < from {
			continue
		}
		child := n.children[name]
		entry := order.AppendUint64(nil, child.id)
		entry = order.AppendUint64(entry, uint64(i+1))
		entry = order.AppendUint32(entry, uint32(len(name)))
		entry = order.AppendUint32(entry, child.mode>>12)
		entry = append(entry, name...)
		entry = append(entry, strings.Repeat("\x00", (8-len(name)%8)%8)...)
		if len(out)+len(entry) > int(size) {
			break
		}
		out = append(out, entry...)
	}
	return out
}

// entryReply is a node as the answer to the question for a name, which the kernel counts. It keeps nothing in mind: a
// cut changes files behind its back.
func entryReply(n *node) []byte {
	n.lookups++
	out := order.AppendUint64(nil, n.id)
	out = append(out, make([]byte, 32)...)
	return append(out, attr(n)...)
}

func attrReply(n *node) []byte { return append(make([]byte, 16), attr(n)...) }

func attr(n *node) []byte {
	seconds, nanos := uint64(n.changed.Unix()), uint32(n.changed.Nanosecond())
	out := order.AppendUint64(nil, n.id)
	for _, v := range []uint64{uint64(len(n.live)), uint64(len(n.live)+sectorSize-1) / sectorSize, seconds, seconds, seconds} {
		out = order.AppendUint64(out, v)
	}
	for _, v := range []uint32{nanos, nanos, nanos, n.mode, uint32(max(0, n.links)), 0, 0, 0, blockSize, 0} {
		out = order.AppendUint32(out, v)
	}
	return out
}

func statfsReply() []byte {
	var out []byte
	for _, v := range []uint64{diskBlocks, diskBlocks / 2, diskBlocks / 2, diskBlocks, diskBlocks / 2} {
		out = order.AppendUint64(out, v)
	}
	for _, v := range []uint32{blockSize, 255, blockSize} {
		out = order.AppendUint32(out, v)
	}
	return append(out, make([]byte, 80-len(out))...)
}
