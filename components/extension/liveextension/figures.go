package liveextension

import "time"

// The metrics of this process that the page is made of. Those of the components of this repository are declared in their
// metadata.yaml; the queue's are exporterhelper's.
const (
	receiver = "otelcol_receiver_durable_kafka_"

	lag                = receiver + "lag"
	lagSeconds         = receiver + "lag_seconds"
	unsettledMessages  = receiver + "unsettled_messages"
	inFlightBytes      = receiver + "in_flight_bytes"
	inFlightDeliveries = receiver + "in_flight_deliveries"
	committedOffset    = receiver + "committed_offset"
	paused             = receiver + "paused"
	settledMessages    = receiver + "settled_messages"
	deliveredMessages  = receiver + "delivered_messages"
	redelivered        = receiver + "redelivered_messages"
	rewinds            = receiver + "rewinds"
	lostMessages       = receiver + "lost_messages"
	deliveryErrors     = receiver + "delivery_errors"
	fetchErrors        = receiver + "fetch_errors"
	commitFailures     = receiver + "commit_failures"
	undecodable        = receiver + "dead_letters"

	durability   = "otelcol_extension_durability_"
	backendUp    = durability + "up"
	epoch        = durability + "epoch"
	epochChanges = durability + "epoch_changes"
	flushWindow  = durability + "flush_window"
	settleDelay  = durability + "settle_delay"
	pollAge      = durability + "poll_age"
	pollFailures = durability + "poll_failures"

	letters         = "otelcol_exporter_dead_letter_store_letters"
	lettersNotTaken = "otelcol_connector_dead_letter_failed_attempts"

	findings = "otelcol_extension_lossless_findings"

	queueSize     = "otelcol_exporter_queue_size"
	queueCapacity = "otelcol_exporter_queue_capacity"

	processUptime = "otelcol_process_uptime"
	processMemory = "otelcol_process_memory_rss"
)

// exporterMetrics are those of an exporter to a backend.
type exporterMetrics struct {
	name     string // the type of the exporter
	unit     string // of what is sent
	sent     string
	requests string // by `outcome`
	refused  string // by `reason`
}

var exporters = []exporterMetrics{
	{"victorialogs", "rows", "otelcol_exporter_victorialogs_sent_records", "otelcol_exporter_victorialogs_requests", "otelcol_exporter_victorialogs_rejected_records"},
	{"loki", "records", "otelcol_exporter_loki_sent_records", "otelcol_exporter_loki_requests", "otelcol_exporter_loki_refused_records"},
	{"remote_write", "data points", "otelcol_exporter_remote_write_sent_data_points", "otelcol_exporter_remote_write_requests", "otelcol_exporter_remote_write_refused_data_points"},
}

// outcomeDelivered is that of a request that was taken.
const outcomeDelivered = "delivered"

// dimensions are the labels by which a figure is kept; over the others it is added up, or the largest counts.
type dimensions struct {
	a, b    string
	largest bool
}

// kept are the figures of the history.
var kept = keptFigures()

func keptFigures() map[string]dimensions {
	figures := map[string]dimensions{
		lag:               {a: readingLabel},
		lagSeconds:        {a: readingLabel, largest: true},
		settledMessages:   {a: readingLabel},
		deliveredMessages: {a: readingLabel},
		rewinds:           {a: readingLabel, b: "cause"},
		deliveryErrors:    {a: readingLabel, b: "kind"},
		fetchErrors:       {a: readingLabel},
		commitFailures:    {a: readingLabel},
		undecodable:       {a: "topic", b: "reason"},
		epochChanges:      {a: "backend", b: "node"},
		settleDelay:       {a: "backend", b: "node"},
		letters:           {a: "destination", b: "reason"},
		lettersNotTaken:   {a: "signal"},
		queueSize:         {a: "exporter", b: "data_type"},
	}
	for _, e := range exporters {
		figures[e.sent] = dimensions{}
		figures[e.requests] = dimensions{a: "outcome"}
		figures[e.refused] = dimensions{a: "reason"}
	}
	return figures
}

// pointOf adds up what is kept.
func pointOf(at time.Time, m metrics) point {
	p := point{at: at, values: map[series]float64{}}
	for name, by := range kept {
		for _, s := range m[name] {
			key := series{name, s.labels[by.a], s.labels[by.b]}
			if by.largest {
				p.values[key] = max(p.values[key], s.value)
			} else {
				p.values[key] += s.value
			}
		}
	}
	return p
}
