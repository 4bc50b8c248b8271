#!/usr/bin/env bash
# Writes every generated file anew: the distribution from builder-config.yaml, the metadata of our components,
# the requirements of go.mod that the two need, and the configuration reference. Run by `make generate`.
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:?usage: generate.sh VERSION}
tools=$PWD/bin/tools

# ocb takes every environment variable for a setting of the manifest; that is also how it learns the version.
(umask 022 && mkdir -p distributions/breakwater && env -i PATH="$PATH" HOME="$HOME" "dist.version=$version" \
	"$tools/builder" --config builder-config.yaml --skip-get-modules --skip-compilation)
chmod 755 distributions/breakwater

# A component that is new in the manifest becomes a requirement at the version that the manifest gives.
manifest_modules=$(sed -n 's/^ *- gomod: *\([^ ]*\) \(v[^ ]*\).*/\1@\2/p' builder-config.yaml | grep -v '^github.com/breakwater-otel/breakwater@')
missing=()
for module in $manifest_modules; do
	grep -qF "${module%@*} ${module#*@}" go.mod || missing+=("$module")
done
if [ ${#missing[@]} -gt 0 ]; then
	echo "go get ${missing[*]}"
	# The checksum database does not know every module that a proxy serves; go.sum holds the sums from here on.
	GOFLAGS=-mod=mod go get "${missing[@]}" ||
		{ echo "once more, without the checksum database" && GOFLAGS=-mod=mod GONOSUMDB='*' go get "${missing[@]}"; }
fi

for metadata in components/*/*/metadata.yaml; do
	(cd "$(dirname "$metadata")" && PATH="$tools:$PATH" go generate .)
done
gofmt -w distributions/breakwater components

# After the components: their defaults and comments are what it is made of.
go run ./internal/reference
