// Package durabilityextension watches the backends: it tells the durable_kafka
// receiver when what a backend acknowledged is on its disk, and when a restart may
// have lost it.
package durabilityextension // import "github.com/breakwater-otel/breakwater/components/extension/durabilityextension"

//go:generate mdatagen metadata.yaml
