//go:generate mdatagen metadata.yaml

// Package otlpzerocopyencodingextension decodes OTLP logs for receivers without
// copying their strings.
package otlpzerocopyencodingextension
