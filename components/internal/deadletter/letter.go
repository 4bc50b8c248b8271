// Package deadletter keeps what can never be delivered: the original bytes, where
// they came from and why they were refused, in a Kafka topic or in files.
package deadletter

import (
	"context"

	"github.com/breakwater-otel/breakwater/internal/letters"
)

// Signals of a Letter.
const (
	SignalLogs    = letters.SignalLogs
	SignalMetrics = letters.SignalMetrics
	SignalTraces  = letters.SignalTraces
)

// Reasons of a Letter.
const (
	// ReasonUndecodable: Value is the message as it was read.
	ReasonUndecodable = letters.ReasonUndecodable
	// ReasonRefused: a backend refused the records of Value for good.
	ReasonRefused = letters.ReasonRefused
	// ReasonOther stands for a word that is not known here, in metric attributes.
	ReasonOther = "other"
)

// EncodingOTLP is the encoding of letters that are made of records.
const EncodingOTLP = letters.EncodingOTLP

// HeaderReplays is a header of messages that have been replayed. The receiver passes
// it on: in Letter.Headers of a message that it cannot decode, and as the client
// metadata MetadataReplays of one that it can.
const HeaderReplays = letters.HeaderReplays

// Keys of the client metadata of a request.
const (
	// Set by the dead_letter connector.
	MetadataReason = "breakwater.dead_letter.reason"
	MetadataError  = "breakwater.dead_letter.error"
	// Set by the receiver when a message has HeaderReplays, to its value; the highest
	// one where messages are merged.
	MetadataReplays = letters.HeaderReplays
	// Set by the receiver.
	MetadataTopic      = "breakwater.kafka.topic"
	MetadataPartition  = "breakwater.kafka.partition"
	MetadataOffset     = "breakwater.kafka.offset"
	MetadataLastOffset = "breakwater.kafka.last_offset"
)

// Letter is one dead letter: an undecodable message as it was read, or the records
// of a request that a backend refused. Its format is that of the command
// breakwater-deadletters, too.
type Letter = letters.Letter

// Header is a header of the original message.
type Header = letters.Header

// Store keeps dead letters. Put returns nil only once all of them are durable; after
// an error some may be, and the caller puts all of them again. Put is safe for
// concurrent use.
type Store interface {
	Put(ctx context.Context, letters ...Letter) error
}

// MetricReason returns the reason as a metric attribute, one of a few words whatever
// a client may send.
func MetricReason(reason string) string {
	switch reason {
	case ReasonUndecodable, ReasonRefused:
		return reason
	default:
		return ReasonOther
	}
}

// ErrorText returns the text of an error as a letter has it.
func ErrorText(err error) string { return letters.ErrorText(err.Error()) }
