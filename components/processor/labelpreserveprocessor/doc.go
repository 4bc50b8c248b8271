//go:generate mdatagen metadata.yaml

// Package labelpreserveprocessor guarantees a declared set of labels on logs,
// metrics and traces: each label ends as one attribute, under one name, on the
// resource and on every record, whatever place and spelling it arrived in.
package labelpreserveprocessor
