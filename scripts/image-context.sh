#!/usr/bin/env bash
# Lays out the build context of the image: the binaries that are built, the profiles and what a scratch image has not by
# itself. Run by `make image-context`; `docker build DIRECTORY` needs nothing else, and no network.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:?usage: image-context.sh DIRECTORY}
certificates=${CA_CERTIFICATES:-/etc/ssl/certs/ca-certificates.crt}
test -s "$certificates" ||
	{ echo "no CA certificates in $certificates: install ca-certificates, or set CA_CERTIFICATES to a bundle" >&2; exit 1; }

rm -rf "$out"
mkdir -p "$out"/{bin,etc/breakwater,etc/ssl/certs,state}
cp deploy/image/Dockerfile "$out/"
cp bin/breakwater bin/breakwater-topics bin/breakwater-deadletters bin/breakwater-replay "$out/bin/"
cp -R configs/. "$out/etc/breakwater/"
cp "$certificates" "$out/etc/ssl/certs/ca-certificates.crt"
cp deploy/image/passwd deploy/image/group "$out/etc/"
cp LICENSE "$out/"
# git and some builders drop empty directories.
touch "$out/state/.keep"
chmod -R u=rwX,go=rX "$out"
