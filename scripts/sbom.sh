#!/usr/bin/env bash
# Writes a CycloneDX bill of materials for each binary that is built: the modules that are linked into it, as the binary
# itself says, with the licenses that are found in them. Run by `make package`.
# VERSION comes from the Makefile; SBOM_FLAGS= leaves out the licenses, for which the modules are read.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:?usage: sbom.sh DIRECTORY}
read -ra flags <<<"${SBOM_FLAGS--licenses}"
mkdir -p "$out"
for name in breakwater breakwater-topics breakwater-deadletters breakwater-replay; do
	# go.sum held the sums when they were linked; the checksum database does not know every module that a proxy serves.
	GONOSUMDB='*' bin/tools/cyclonedx-gomod bin -json -std "${flags[@]}" -noserial -version "v$VERSION" \
		-output "$out/$name.cdx.json" "bin/$name"
done
