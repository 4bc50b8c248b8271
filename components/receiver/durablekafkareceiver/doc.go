// Package durablekafkareceiver reads telemetry from Kafka and commits an offset only
// when the backend behind the pipeline has everything before it on disk.
package durablekafkareceiver // import "github.com/breakwater-otel/breakwater/components/receiver/durablekafkareceiver"

//go:generate mdatagen metadata.yaml
