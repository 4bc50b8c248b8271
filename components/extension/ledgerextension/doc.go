// Package ledgerextension keeps the delivery ledger: what of the records that agents have stamped the backends have on
// disk, what they have not, and since when.
package ledgerextension // import "github.com/breakwater-otel/breakwater/components/extension/ledgerextension"

//go:generate mdatagen metadata.yaml
