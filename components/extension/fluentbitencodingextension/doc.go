//go:generate mdatagen metadata.yaml

// Package fluentbitencodingextension decodes the JSON messages that Fluent Bit
// writes to Kafka into the records that make the rows of a Fluent Bit aggregator.
package fluentbitencodingextension
