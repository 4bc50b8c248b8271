// Package ledger is the delivery ledger: what agents stamped, what the backends have of it on disk, and what is missing.
package ledger

import "time"

// Account is what is known of one agent and one signal, over all consumers of a group.
type Account struct {
	Group  string `json:"group"` // the consumer group: each backend of the same topic has its own
	Agent  string `json:"agent"`
	Signal string `json:"signal"` // logs, metrics or traces

	// Records (log records, data points, spans) by what became of them.
	Stamped      uint64 `json:"stamped"`       // that the agent has given a number
	Stored       uint64 `json:"stored"`        // distinct ones that a backend has on disk
	DeadLettered uint64 `json:"dead_lettered"` // that a backend refused for good, and the dead letters have
	Missing      uint64 `json:"missing"`       // stamped, and neither; those on their way are among them
	Gap          uint64 `json:"gap"`           // of the missing, those that are for longer than the ledger's gap_after
	Duplicated   uint64 `json:"duplicated"`    // that came more than once

	MissingRanges []Range       `json:"missing_ranges,omitempty"`
	OldestMissing time.Time     `json:"oldest_missing,omitzero"` // since when the oldest of the missing ranges is one
	LastStamp     time.Time     `json:"last_stamp"`              // when the newest that was seen was stamped
	Delay         time.Duration `json:"delay_ns"`                // of the last: from the stamp to the disk of the backend
}

// Range is records of one run of an agent, from First to the one before End.
type Range struct {
	Run   string `json:"run"`
	First uint64 `json:"first"`
	End   uint64 `json:"end"`
}

// Source gives the accounts of all agents. An extension of the consumer implements it.
type Source interface {
	Accounts() []Account
}
