// Package durablekafkaexporter is upstream's kafka exporter, which drops what a broker refuses, behind a queue that keeps
// it until a broker takes it.
package durablekafkaexporter // import "github.com/breakwater-otel/breakwater/components/exporter/durablekafkaexporter"

//go:generate mdatagen metadata.yaml
