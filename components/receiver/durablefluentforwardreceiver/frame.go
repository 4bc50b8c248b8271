package durablefluentforwardreceiver

import (
	"encoding/binary"
	"errors"
	"io"
)

// readBytes is how much is read of a connection at a time.
const readBytes = 64 << 10

var (
	errTooLarge  = errors.New("message over `max_message_bytes`")
	errMalformed = errors.New("not a message of the forward protocol")
)

// frames cuts a stream of MessagePack into its objects, without decoding them and without believing what they say of
// their size: memory grows with what has come.
type frames struct {
	from     io.Reader
	maxBytes int
	buffer   []byte
	start    int // of the object that is being read
	scanned  int // up to where the headers have been looked at
	pending  int // objects that are missing before the one that is being read is whole; 0 before its first byte
}

// next returns the next object, which is valid until the call after it. io.EOF: the stream ended between two.
func (f *frames) next() ([]byte, error) {
	for {
		object, err := f.buffered()
		if object != nil || err != nil {
			return object, err
		}
		if err := f.fill(); err != nil {
			if errors.Is(err, io.EOF) && f.start < len(f.buffer) {
				return nil, io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// buffered returns the next object if it has come in whole, and nil if not.
func (f *frames) buffered() ([]byte, error) {
	if f.pending == 0 && f.start < len(f.buffer) {
		f.pending, f.scanned = 1, f.start
	}
	for f.pending > 0 {
		size, children, ok := header(f.buffer[f.scanned:])
		if !ok {
			return nil, f.tooLarge(0)
		}
		if size < 0 {
			return nil, errMalformed
		}
		if err := f.tooLarge(size); err != nil {
			return nil, err
		}
		if len(f.buffer)-f.scanned < size {
			return nil, nil
		}
		f.scanned += size
		f.pending += children - 1
		if f.pending == 0 {
			object := f.buffer[f.start:f.scanned]
			f.start = f.scanned
			return object, nil
		}
	}
	return nil, nil
}

func (f *frames) tooLarge(more int) error {
	if f.scanned+more-f.start > f.maxBytes {
		return errTooLarge
	}
	return nil
}

func (f *frames) fill() error {
	if f.start > 0 {
		f.buffer = append(f.buffer[:0], f.buffer[f.start:]...)
		f.scanned -= f.start
		f.start = 0
	}
	at := len(f.buffer)
	if cap(f.buffer)-at < readBytes {
		// Twice as much as there is, so that a large object is not copied again and again.
		grown := make([]byte, at, 2*at+readBytes)
		copy(grown, f.buffer)
		f.buffer = grown
	}
	n, err := f.from.Read(f.buffer[at:cap(f.buffer)])
	f.buffer = f.buffer[:at+n]
	if n > 0 {
		return nil
	}
	return err
}

// header reads the head of a MessagePack object: its bytes without those of its children, and how many children it has.
// ok is false where the head is not there in whole; a size below zero stands for a type that there is not.
// See https://github.com/msgpack/msgpack/blob/master/spec.md.
func header(b []byte) (size, children int, ok bool) {
	if len(b) == 0 {
		return 0, 0, false
	}
	lead := b[0]
	switch {
	case lead <= 0x7f || lead >= 0xe0: // fixint
		return 1, 0, true
	case lead <= 0x8f: // fixmap
		return 1, 2 * int(lead&0x0f), true
	case lead <= 0x9f: // fixarray
		return 1, int(lead & 0x0f), true
	case lead <= 0xbf: // fixstr
		return 1 + int(lead&0x1f), 0, true
	}
	switch lead {
	case 0xc0, 0xc2, 0xc3: // nil, false, true
		return 1, 0, true
	case 0xcc, 0xd0: // 8 bit
		return 2, 0, true
	case 0xcd, 0xd1: // 16 bit
		return 3, 0, true
	case 0xca, 0xce, 0xd2: // 32 bit
		return 5, 0, true
	case 0xcb, 0xcf, 0xd3: // 64 bit
		return 9, 0, true
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8: // fixext 1 to 16
		return 2 + 1<<(lead-0xd4), 0, true
	case 0xc4, 0xd9: // bin 8, str 8
		n, ok := length(b, 1)
		return 2 + n, 0, ok
	case 0xc5, 0xda: // bin 16, str 16
		n, ok := length(b, 2)
		return 3 + n, 0, ok
	case 0xc6, 0xdb: // bin 32, str 32
		n, ok := length(b, 4)
		return 5 + n, 0, ok
	case 0xc7: // ext 8
		n, ok := length(b, 1)
		return 3 + n, 0, ok
	case 0xc8: // ext 16
		n, ok := length(b, 2)
		return 4 + n, 0, ok
	case 0xc9: // ext 32
		n, ok := length(b, 4)
		return 6 + n, 0, ok
	case 0xdc: // array 16
		n, ok := length(b, 2)
		return 3, n, ok
	case 0xdd: // array 32
		n, ok := length(b, 4)
		return 5, n, ok
	case 0xde: // map 16
		n, ok := length(b, 2)
		return 3, 2 * n, ok
	case 0xdf: // map 32
		n, ok := length(b, 4)
		return 5, 2 * n, ok
	}
	return -1, 0, true
}

// length reads the length of width bytes behind the first byte.
func length(b []byte, width int) (int, bool) {
	if len(b) < 1+width {
		return 0, false
	}
	switch width {
	case 1:
		return int(b[1]), true
	case 2:
		return int(binary.BigEndian.Uint16(b[1:])), true
	default:
		return int(binary.BigEndian.Uint32(b[1:])), true
	}
}
