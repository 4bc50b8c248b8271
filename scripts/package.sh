#!/usr/bin/env bash
# Makes the deb and the rpm of binaries that are built. Run by `make package`.
# VERSION and PACKAGE_ARCH (as the go command names it) come from the Makefile; the same input makes the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:?usage: package.sh DIRECTORY}
export BIN=${BIN:-bin} VERSION=${VERSION:?} PACKAGE_ARCH=${PACKAGE_ARCH:?} SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:?}
mkdir -p "$out"
for packager in deb rpm; do
	# Its errors go to stdout, too.
	said=$(bin/tools/nfpm package --config distributions/packaging/nfpm.yaml --packager "$packager" --target "$out/" 2>&1) ||
		{ echo "$said" >&2; exit 1; }
done
