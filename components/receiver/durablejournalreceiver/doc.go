// Package durablejournalreceiver reads the systemd journal with journalctl, many records at a time, and remembers the place
// of a record when the pipeline has taken it.
package durablejournalreceiver // import "github.com/breakwater-otel/breakwater/components/receiver/durablejournalreceiver"

//go:generate mdatagen metadata.yaml
