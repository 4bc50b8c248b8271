// Package durablefluentforwardreceiver takes records of Fluent Bit and Fluentd by their forward protocol, and answers for a
// chunk when the pipeline has taken it.
package durablefluentforwardreceiver // import "github.com/breakwater-otel/breakwater/components/receiver/durablefluentforwardreceiver"

//go:generate mdatagen metadata.yaml
