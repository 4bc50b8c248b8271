// Package victorialogsexporter sends logs to VictoriaLogs through its JSON
// stream API, /insert/jsonline.
package victorialogsexporter // import "github.com/breakwater-otel/breakwater/components/exporter/victorialogsexporter"

//go:generate mdatagen metadata.yaml
