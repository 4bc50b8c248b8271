package main

import (
	"os"
	"slices"

	"github.com/breakwater-otel/breakwater/components/converter/preflightconverter"
)

// `breakwater validate` starts no extension, so what the lossless extension finds at a start the converter has to find.
// Only the command line says which of the two it is.
func init() {
	if slices.Contains(os.Args[1:], "validate") {
		preflightconverter.Validate(components)
	}
}
