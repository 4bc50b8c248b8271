// Package deadletterexporter keeps telemetry that can never be delivered as dead
// letters, in a Kafka topic or in files.
package deadletterexporter // import "github.com/breakwater-otel/breakwater/components/exporter/deadletterexporter"

//go:generate mdatagen metadata.yaml
