package monitoring

import "fmt"

// Who reports a metric that several programs have. The profiles say it in their `prometheus/own` receivers.
const (
	ofAgents    = `job="breakwater/agent"`
	ofConsumers = `job="breakwater/consumer"`
)

// ofHost narrows agents down to what is chosen at the top of the page.
const ofHost = ofAgents + `,site_name=~"$site",host_name=~"$host"`

// Both exporters of logs, and both of dead letters: which of them there are differs from profile to profile.
const (
	storedLogs  = `{__name__=~"otelcol_exporter_(victorialogs|loki)_sent_records_total"}`
	deadLetters = `{__name__=~"otelcol_receiver_durable_kafka_dead_letters_total|otelcol_connector_dead_letter_records_total"}`
)

// timeToLoss is how long until Kafka deletes the oldest message that is not delivered, if it stays where it is.
const timeToLoss = `min by (topic) (kafka_topic_log_retention_period_seconds > 0)` +
	` - on (topic) max by (topic) (otelcol_receiver_durable_kafka_lag_seconds)`

// rate is the increase a second, by labels.
func rate(metric, selector, by string) string {
	expr := fmt.Sprintf("rate(%s[$__rate_interval])", selected(metric, selector))
	if by == "" {
		return "sum(" + expr + ")"
	}
	return fmt.Sprintf("sum by (%s) (%s)", by, expr)
}

// highest is the highest value of several reporters, by labels.
func highest(metric, selector, by string) string {
	return fmt.Sprintf("max by (%s) (%s)", by, selected(metric, selector))
}

func total(metric, selector, by string) string {
	if by == "" {
		return fmt.Sprintf("sum(%s)", selected(metric, selector))
	}
	return fmt.Sprintf("sum by (%s) (%s)", by, selected(metric, selector))
}

func selected(metric, selector string) string {
	if selector == "" {
		return metric
	}
	return metric + "{" + selector + "}"
}
