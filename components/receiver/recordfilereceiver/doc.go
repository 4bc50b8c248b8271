// Package recordfilereceiver reads log files as records: what a program has written in one go, with the lines of a stack
// trace and the pieces of a long line joined. They are joined while the file is read, so the read position never passes a
// record that has not been handed on.
package recordfilereceiver // import "github.com/breakwater-otel/breakwater/components/receiver/recordfilereceiver"

//go:generate mdatagen metadata.yaml
