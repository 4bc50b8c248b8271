// Package topics creates and verifies the Kafka topics of the Breakwater
// pipeline.
//
// Kafka is the redo log of the pipeline, so what a topic guarantees bounds what
// the pipeline can promise. A topic that is missing is created with the wanted
// settings. A topic that exists is never changed: what is weaker than wanted is
// reported setting by setting, and stronger is fine.
package topics

import "time"

// Spec is what a topic must at least guarantee.
type Spec struct {
	Name              string
	Partitions        int32
	ReplicationFactor int16
	MinISR            int           // min.insync.replicas: copies behind an acknowledgement of acks=all
	Retention         time.Duration // retention.ms: how long an outage after Kafka may last
	MaxMessageBytes   int           // max.message.bytes: the largest batch, as compressed by the producer
	// Compacted is a topic of which the last record of each key is kept, however old. Retention is 0 then.
	Compacted bool
}

const (
	replicationFactor = 3
	minISR            = 2
	partitions        = 6
	// The producer's own limit (the kafka exporter's producer.max_message_bytes)
	// must not be larger, or the topic refuses what the producer lets pass.
	maxMessageBytes = 10 << 20
	// A dead letter is an original message with the reason beside it.
	maxDeadLetterBytes = maxMessageBytes + 1<<20
	// An account has some hundred bytes, and ten more for each range that is missing.
	maxLedgerBytes = 1 << 20
)

// What Defaults returns, by index.
const (
	Logs = iota
	Metrics
	FluentBit
	DeadLetters
	Ledger
)

// Defaults returns the topics of the contract. getenv, such as os.Getenv, looks
// up their names; an empty one stands for the default.
func Defaults(getenv func(string) string) []Spec {
	topic := func(variable, name string, retention time.Duration) Spec {
		if given := getenv(variable); given != "" {
			name = given
		}
		return Spec{
			Name:              name,
			Partitions:        partitions,
			ReplicationFactor: replicationFactor,
			MinISR:            minISR,
			Retention:         retention,
			MaxMessageBytes:   maxMessageBytes,
		}
	}
	deadLetters := topic("KAFKA_DLQ_TOPIC", "otel-dlq-v1", 7*24*time.Hour)
	deadLetters.MaxMessageBytes = maxDeadLetterBytes
	ledger := topic("KAFKA_LEDGER_TOPIC", "breakwater-ledger-v1", 0)
	// In the order in which they were written, so that the account of a partition is not there before what it is of.
	ledger.Partitions, ledger.Compacted, ledger.MaxMessageBytes = 1, true, maxLedgerBytes
	return []Spec{
		Logs:        topic("KAFKA_LOGS_TOPIC", "otel-logs-v1", 72*time.Hour),
		Metrics:     topic("KAFKA_METRICS_TOPIC", "otel-metrics-v1", 24*time.Hour),
		FluentBit:   topic("KAFKA_FLUENTBIT_TOPIC", "fluent-bit-logs-v1", 72*time.Hour),
		DeadLetters: deadLetters,
		Ledger:      ledger,
	}
}
