// Package remotewriteexporter sends metrics by Prometheus remote write, and loses none of them in silence.
package remotewriteexporter // import "github.com/breakwater-otel/breakwater/components/exporter/remotewriteexporter"

//go:generate mdatagen metadata.yaml
