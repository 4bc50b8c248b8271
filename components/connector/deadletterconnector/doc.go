// Package deadletterconnector passes telemetry on to a primary pipeline, and what that
// refuses for good to a dead-letter pipeline.
package deadletterconnector // import "github.com/breakwater-otel/breakwater/components/connector/deadletterconnector"

//go:generate mdatagen metadata.yaml
