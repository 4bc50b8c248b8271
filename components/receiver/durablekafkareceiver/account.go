package durablekafkareceiver

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/component"

	"github.com/breakwater-otel/breakwater/components/internal/ledger"
)

// LedgerConfig names the extension that keeps the account.
type LedgerConfig struct {
	// Extension is the ID of a ledger extension.
	Extension component.ID `mapstructure:"extension"`
}

// accountant returns the one who keeps the account, or nil when none is configured, or when what is read is not the way of
// the records to their backend.
func (c *Config) accountant(host component.Host) (ledger.Accountant, error) {
	config := c.Ledger.Get()
	if config == nil {
		return nil, nil
	}
	extension, ok := host.GetExtensions()[config.Extension]
	if !ok {
		return nil, fmt.Errorf("`ledger::extension`: %q is not configured", config.Extension)
	}
	accountant, ok := extension.(ledger.Accountant)
	if !ok {
		return nil, fmt.Errorf("`ledger::extension`: %q is not a ledger extension", config.Extension)
	}
	if c.Until.set() || c.StartAt.set() || c.Replay.ID != "" {
		return nil, nil // a replay has no account
	}
	return accountant, nil
}

// entries are the stamps of the messages of a partition that are not in the account yet, by offset.
type entries struct {
	assignment  *ledger.Assignment
	restarts    int
	restartedAt int64
	messages    []ledger.Message
}

// stampOf returns the stamp of a message, or nil.
func stampOf(record *kgo.Record) []byte {
	for i := range record.Headers {
		if record.Headers[i].Key == ledger.HeaderKey {
			return record.Headers[i].Value
		}
	}
	return nil
}

// push takes the stamps of records that were fetched. Those that were fetched before are there.
func (e *entries) push(records []*kgo.Record) {
	if e.assignment == nil {
		return
	}
	for _, record := range records {
		if n := len(e.messages); n > 0 && record.Offset <= e.messages[n-1].Offset {
			continue
		}
		if stamp := stampOf(record); stamp != nil {
			// A part of what was fetched, all of which it would keep.
			e.messages = append(e.messages, ledger.Message{Offset: record.Offset, Stamp: bytes.Clone(stamp)})
		}
	}
}

// find returns the message of the offset, or nil.
func (e *entries) find(offset int64) *ledger.Message {
	i, ok := slices.BinarySearchFunc(e.messages, offset, func(m ledger.Message, offset int64) int { return int(m.Offset - offset) })
	if !ok {
		return nil
	}
	return &e.messages[i]
}

// deliver takes note of what of a delivery are dead letters: messages as a whole, and of the records of the others so many.
// Of which of several messages these are is not known; they are taken to be of the first.
func (e *entries) deliver(d *delivery, dead uint64) {
	if e.assignment == nil {
		return
	}
	for i, record := range d.records {
		m := e.find(record.Offset)
		if m == nil {
			continue
		}
		m.Dead, m.AllDead = 0, d.undecodable[i] != nil
		if dead == 0 || m.AllDead {
			continue
		}
		if stamp, err := ledger.Decode(m.Stamp); err == nil {
			m.Dead = min(dead, stamp.Count())
			dead -= m.Dead
		}
	}
}

// restart forgets what is at or behind the offset: there are other messages now.
func (e *entries) restart(offset int64) {
	if e.assignment == nil {
		return
	}
	e.restarts++
	e.restartedAt = offset
	e.messages = slices.DeleteFunc(e.messages, func(m ledger.Message) bool { return m.Offset >= offset })
}

// take returns what is settled, up to the offset.
func (e *entries) take(offset int64) (s ledger.Settlement, ok bool) {
	if e.assignment == nil {
		return s, false
	}
	n, _ := slices.BinarySearchFunc(e.messages, offset, func(m ledger.Message, offset int64) int { return int(m.Offset - offset) })
	s = ledger.Settlement{
		Assignment: e.assignment, Restarts: e.restarts, RestartedAt: e.restartedAt, Offset: offset, Messages: slices.Clone(e.messages[:n]),
	}
	e.messages = slices.Delete(e.messages, 0, n)
	return s, true
}
