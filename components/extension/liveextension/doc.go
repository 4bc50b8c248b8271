// Package liveextension serves one page, and the same as JSON, that shows the pipeline of this process now, says what is
// wrong with it and what to do.
package liveextension // import "github.com/breakwater-otel/breakwater/components/extension/liveextension"

//go:generate mdatagen metadata.yaml
