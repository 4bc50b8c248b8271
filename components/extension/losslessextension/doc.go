// Package losslessextension reports every way in which the effective configuration, and what is around it, can lose
// data.
package losslessextension // import "github.com/breakwater-otel/breakwater/components/extension/losslessextension"

//go:generate mdatagen metadata.yaml
