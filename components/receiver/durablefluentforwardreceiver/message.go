package durablefluentforwardreceiver

import (
	"bytes"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/tinylib/msgp/msgp"
	"go.opentelemetry.io/collector/pdata/plog"
)

// tagAttribute is what the tag of a message becomes; upstream's fluent_forward receiver has the same name for it.
const tagAttribute = "fluent.tag"

// options of a message.
type options struct {
	chunk      string // of what is to be acknowledged; empty: nothing
	compressed string
}

// appendMessage decodes a message in any of the modes of the Forward Protocol Specification v1 and appends its records.
//
//	Message:                  [tag, time, record, options?]
//	Forward:                  [tag, [[time, record], …], options?]
//	PackedForward:            [tag, str or bin of the entries one after the other, options?]
//	CompressedPackedForward:  the same, compressed, with options["compressed"]
func appendMessage(to plog.LogRecordSlice, message []byte, maxBytes int) (options, error) {
	n, b, err := msgp.ReadArrayHeaderBytes(message)
	if err != nil || n < 2 || n > 4 {
		return options{}, fmt.Errorf("%w: not an array of 2 to 4 elements", errMalformed)
	}
	tag, b, err := msgp.ReadStringZC(b)
	if err != nil {
		return options{}, fmt.Errorf("%w: tag: %w", errMalformed, err)
	}
	d := decoder{to: to, tag: string(tag)}
	switch msgp.NextType(b) {
	case msgp.ArrayType:
		if n > 3 {
			return options{}, fmt.Errorf("%w: 4 elements in Forward mode", errMalformed)
		}
		if b, err = d.forward(b); err != nil {
			return options{}, err
		}
		return readOptions(b, n == 3)
	case msgp.StrType, msgp.BinType:
		if n > 3 {
			return options{}, fmt.Errorf("%w: 4 elements in PackedForward mode", errMalformed)
		}
		return d.packedForward(b, n == 3, maxBytes)
	default:
		if n < 3 {
			return options{}, fmt.Errorf("%w: 2 elements in Message mode", errMalformed)
		}
		if b, err = d.entry(b); err != nil {
			return options{}, err
		}
		return readOptions(b, n == 4)
	}
}

func (d *decoder) forward(b []byte) ([]byte, error) {
	n, b, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil {
		return nil, fmt.Errorf("%w: entries: %w", errMalformed, err)
	}
	for range n {
		if b, err = d.pair(b); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (d *decoder) packedForward(b []byte, hasOptions bool, maxBytes int) (options, error) {
	var entries []byte
	var err error
	if msgp.NextType(b) == msgp.StrType {
		entries, b, err = msgp.ReadStringZC(b)
	} else {
		entries, b, err = msgp.ReadBytesZC(b)
	}
	if err != nil {
		return options{}, fmt.Errorf("%w: entries: %w", errMalformed, err)
	}
	// The options say how to read what stands before them.
	opts, err := readOptions(b, hasOptions)
	if err != nil {
		return options{}, err
	}
	if entries, err = decompress(entries, opts.compressed, maxBytes); err != nil {
		return options{}, err
	}
	for len(entries) > 0 {
		if entries, err = d.pair(entries); err != nil {
			return options{}, err
		}
	}
	return opts, nil
}

// decompress returns the entries of a PackedForward. Members of gzip may follow each other, as Fluentd writes them.
func decompress(entries []byte, how string, maxBytes int) ([]byte, error) {
	var reader io.Reader
	switch how {
	case "", "text":
		return entries, nil
	case "gzip":
		unzip, err := gzip.NewReader(bytes.NewReader(entries))
		if err != nil {
			return nil, fmt.Errorf("%w: gzip: %w", errMalformed, err)
		}
		defer func() { _ = unzip.Close() }()
		reader = unzip
	case "zstd":
		unzip, err := zstd.NewReader(bytes.NewReader(entries), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, fmt.Errorf("%w: zstd: %w", errMalformed, err)
		}
		defer unzip.Close()
		reader = unzip
	default:
		return nil, fmt.Errorf("%w: unknown compression %q", errMalformed, how)
	}
	text, err := io.ReadAll(io.LimitReader(reader, int64(maxBytes)+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errMalformed, how, err)
	}
	if len(text) > maxBytes {
		return nil, errTooLarge
	}
	return text, nil
}

func readOptions(b []byte, there bool) (options, error) {
	var opts options
	if !there || msgp.NextType(b) == msgp.NilType {
		return opts, nil
	}
	n, b, err := msgp.ReadMapHeaderBytes(b)
	if err != nil {
		return opts, fmt.Errorf("%w: options: %w", errMalformed, err)
	}
	for range n {
		var name, value []byte
		if name, b, err = msgp.ReadMapKeyZC(b); err != nil {
			return opts, fmt.Errorf("%w: options: %w", errMalformed, err)
		}
		if msgp.NextType(b) != msgp.StrType {
			// size, fluent_signal and the like.
			if b, err = msgp.Skip(b); err != nil {
				return opts, fmt.Errorf("%w: options: %w", errMalformed, err)
			}
			continue
		}
		if value, b, err = msgp.ReadStringZC(b); err != nil {
			return opts, fmt.Errorf("%w: options: %w", errMalformed, err)
		}
		switch string(name) {
		case "chunk":
			opts.chunk = string(value)
		case "compressed":
			opts.compressed = string(value)
		}
	}
	return opts, nil
}
