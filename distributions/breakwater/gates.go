package main

import (
	"fmt"

	"go.opentelemetry.io/collector/featuregate"
)

// losslessGates are feature gates of upstream components that are off by default and without which data is lost. A
// gate cannot be set in a configuration file, and the shipped profiles have to be safe with nothing else given.
// --feature-gates on the command line still has the last word.
var losslessGates = []string{
	// Without it the remote write exporter takes 429 for a permanent error, and the samples are gone after one try.
	"exporter.prometheusremotewritexporter.RetryOn429",
	// Without it the file receivers store the read position before the lines have left their buffer.
	"stanza.synchronousLogEmitter",
}

func init() {
	for _, gate := range losslessGates {
		if err := featuregate.GlobalRegistry().Set(gate, true); err != nil {
			// Only a build with other component versions gets here; it must not run without what it promises.
			panic(fmt.Sprintf("breakwater: feature gate %s: %v", gate, err))
		}
	}
}
