// Package lokiexporter sends logs to Loki by OTLP over HTTP, one log stream a
// request, and finds the records that Loki refuses.
package lokiexporter // import "github.com/breakwater-otel/breakwater/components/exporter/lokiexporter"

//go:generate mdatagen metadata.yaml
