package liveextension

import (
	"time"

	"github.com/breakwater-otel/breakwater/components/internal/ledger"
)

// State is the pipeline of this process at one time. It is what the page shows and what /api/v1/state returns. Durations
// are in seconds, rates are a second over the last minute.
type State struct {
	Time     time.Time `json:"time"`
	Status   Severity  `json:"status"`
	Problems []Problem `json:"problems"`
	Process  Process   `json:"process"`

	Topics      []Topic      `json:"topics"`
	Backends    []Backend    `json:"backends"`
	Exporters   []Exporter   `json:"exporters"`
	DeadLetters []Count      `json:"dead_letters"` // by what and why
	Letters     []Count      `json:"letters"`      // by where they are kept and why
	Losses      []Loss       `json:"losses"`
	Queues      []Queue      `json:"queues"`
	Agents      *Agents      `json:"agents"` // null: nobody is asked
	Ledger      *Ledger      `json:"ledger"` // null: there is none
	History     []TopicCurve `json:"history"`
	// HistorySeconds is the time between two values of the curves.
	HistorySeconds float64 `json:"history_interval_seconds"`
}

// Process is this consumer.
type Process struct {
	Host          string  `json:"host"`
	Version       string  `json:"version"`
	UptimeSeconds float64 `json:"uptime_seconds"`
	MemoryBytes   float64 `json:"memory_bytes"` // resident
}

// Topic is the part of a topic that this process reads in a group.
type Topic struct {
	Name       string      `json:"name"`
	Group      string      `json:"group"`
	Partitions []Partition `json:"partitions"`

	Lag                int64   `json:"lag_messages"` // not read
	LagSeconds         float64 `json:"lag_seconds"`  // age of the oldest of these
	Unsettled          int64   `json:"unsettled_messages"`
	InFlightBytes      int64   `json:"in_flight_bytes"`
	InFlightDeliveries int64   `json:"in_flight_deliveries"`
	LagPerSecond       float64 `json:"lag_change_per_second"`
	DeliveredPerSecond float64 `json:"delivered_per_second"`
	SettledPerSecond   float64 `json:"settled_per_second"`
	// CaughtUpSeconds is when the lag is gone if it goes on to shrink like this; 0: there is none, or it does not shrink.
	CaughtUpSeconds float64 `json:"caught_up_in_seconds"`
	Redelivered     int64   `json:"redelivered_messages"`
	Rewinds         int64   `json:"rewinds"`

	shared bool // another group reads it here, too
}

// Title says which topic it is, and by whom it is read where there are several.
func (t *Topic) Title() string {
	if t.shared {
		return t.Name + " (" + t.Group + ")"
	}
	return t.Name
}

func (t *Topic) reading() string { return reading(t.Name, t.Group) }

// Partition is one that is assigned to this process.
type Partition struct {
	Number             int     `json:"partition"`
	Lag                int64   `json:"lag_messages"`
	LagSeconds         float64 `json:"lag_seconds"`
	Unsettled          int64   `json:"unsettled_messages"`
	InFlightBytes      int64   `json:"in_flight_bytes"`
	InFlightDeliveries int64   `json:"in_flight_deliveries"`
	Committed          int64   `json:"committed_offset"` // -1: nothing yet
	Settled            int64   `json:"settled_messages"`
	Paused             bool    `json:"paused"` // what was read has to be delivered first
	StalledSeconds     float64 `json:"stalled_seconds"`
}

// Backend is a node of a backend that is watched.
type Backend struct {
	Name               string    `json:"name"`
	Node               string    `json:"node"`
	Up                 bool      `json:"up"`
	Epoch              time.Time `json:"epoch,omitzero"` // start of its process; absent: not known yet
	Restarts           int64     `json:"restarts"`       // that were seen
	SettleDelaySeconds float64   `json:"settle_delay_seconds"`
	FlushWindowSeconds float64   `json:"flush_window_seconds"`
	LastAnswerSeconds  float64   `json:"last_answer_seconds"`
	PollFailures       int64     `json:"poll_failures"`

	Curve []float64 `json:"-"` // of the settle delay
}

// State says in one word how a backend is.
func (b Backend) State() string {
	switch {
	case !b.Up:
		return "down"
	case b.Epoch.IsZero():
		return "starting"
	}
	return "up"
}

// Exporter is one that writes to a backend. Those of one type are added up.
type Exporter struct {
	Name          string  `json:"name"`
	Unit          string  `json:"unit"`
	Sent          int64   `json:"sent"`
	SentPerSecond float64 `json:"sent_per_second"`
	Refused       int64   `json:"refused"`
	Requests      int64   `json:"requests"`
	FailedLately  int64   `json:"failed_requests_last_minute"`

	Curve []float64 `json:"-"` // of sent a second

	requests string   // the metric
	failures []series // of it, the outcomes other than delivered
}

// Count is how many there are of something, by two labels.
type Count struct {
	What   string `json:"what"`
	Reason string `json:"reason"`
	Unit   string `json:"unit"`
	Total  int64  `json:"total"`  // since the process has started
	Recent int64  `json:"recent"` // of these, within the history
}

// Loss is messages that Kafka no longer had when they were to be read.
type Loss struct {
	Topic     string `json:"topic"`
	Partition int    `json:"partition"`
	Cause     string `json:"cause"`
	Messages  int64  `json:"messages"`
}

// Queue is a sending queue of this process, or of an agent.
type Queue struct {
	Exporter string  `json:"exporter"`
	Signal   string  `json:"signal"`
	Size     float64 `json:"size"`
	Capacity float64 `json:"capacity"`
	// FullInSeconds is when it is full if it goes on to grow like this; 0: it does not grow.
	FullInSeconds float64 `json:"full_in_seconds"`
}

// Fill is how full it is, 0 to 1.
func (q Queue) Fill() float64 {
	if q.Capacity <= 0 {
		return 0
	}
	return q.Size / q.Capacity
}

// Agents is what the metrics backend has from agents.
type Agents struct {
	Asked time.Time `json:"asked,omitzero"`
	Error string    `json:"error,omitempty"` // of the last round; the figures are then those of the one before
	Hosts []Agent   `json:"hosts"`
}

// Agent is a host that sends metrics.
type Agent struct {
	Site     string    `json:"site_name"`
	Env      string    `json:"env"`
	Host     string    `json:"host_name"`
	LastSeen time.Time `json:"last_seen"` // timestamp of its newest sample
	Queues   []Queue   `json:"queues"`    // empty: it sends no metrics of its own
}

// Ledger is the account of each agent.
type Ledger struct {
	Accounts []ledger.Account `json:"accounts"`
}

// TopicCurve is the history of a topic, the oldest value first.
type TopicCurve struct {
	Topic            string    `json:"topic"`
	Group            string    `json:"group"`
	Lag              []float64 `json:"lag_messages"`
	LagSeconds       []float64 `json:"lag_seconds"`
	SettledPerSecond []float64 `json:"settled_per_second"`
}
