package durablejournalreceiver

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// field of a journal entry. A name can be there more than once.
type field struct {
	name  string
	value []byte
}

// entry of the journal.
type entry []field

func (e entry) get(name string) string {
	for _, f := range e {
		if f.name == name {
			return string(f.value)
		}
	}
	return ""
}

// maxFieldBytes is the largest field that journald takes: DATA_SIZE_MAX of systemd's journal-importer.h.
const maxFieldBytes = 768 << 20

// readEntry reads the next entry of systemd's Journal Export Format: fields are NAME=value lines, or, where the value has
// a line feed or is not UTF-8, the name alone, the length as 64 bits little-endian, and the value. An empty line ends the
// entry.
func readEntry(from *bufio.Reader) (entry, error) {
	var e entry
	for {
		text, err := from.ReadBytes('\n')
		if err != nil {
			if errors.Is(err, io.EOF) && (len(text) > 0 || len(e) > 0) {
				return nil, io.ErrUnexpectedEOF
			}
			return nil, err
		}
		text = text[:len(text)-1]
		if len(text) == 0 {
			if len(e) == 0 {
				continue
			}
			return e, nil
		}
		name, value, isText := bytes.Cut(text, []byte{'='})
		if !isText {
			if value, err = readBinary(from); err != nil {
				return nil, fmt.Errorf("field %q: %w", name, err)
			}
		}
		e = append(e, field{name: string(name), value: value})
	}
}

func readBinary(from *bufio.Reader) ([]byte, error) {
	var size [8]byte
	if _, err := io.ReadFull(from, size[:]); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint64(size[:])
	if length > maxFieldBytes {
		return nil, fmt.Errorf("%d bytes, more than journald takes", length)
	}
	var value bytes.Buffer
	if _, err := io.CopyN(&value, from, int64(length)); err != nil {
		return nil, err
	}
	end, err := from.ReadByte()
	if err != nil {
		return nil, err
	}
	if end != '\n' {
		return nil, errors.New("no line feed behind a binary value")
	}
	return value.Bytes(), nil
}
