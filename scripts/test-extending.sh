#!/usr/bin/env bash
# Tests what docs/extending.md promises, on a copy of the tree, so that nothing of the checkout changes but bin/tools:
#   1. one line of the manifest adds an upstream component, and changes nothing else;
#   2. the component of our own that the document spells out builds, and a removed line removes its component;
#   3. the foreign distribution of examples/ builds with our exporter and nothing else of ours.
set -euo pipefail
cd "$(dirname "$0")/.."

upstream=github.com/open-telemetry/opentelemetry-collector-contrib/processor/groupbyattrsprocessor
upstream_version=v0.152.0
own=components/processor/observedtimeprocessor

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf 'extending: %s\n' "$*"; }
fail() {
	say "$@" >&2
	exit 1
}

# run COMMAND…: its output only when it fails.
run() {
	"$@" >"$work/log" 2>&1 || {
		cat "$work/log" >&2
		fail "expected to succeed: $*"
	}
}

# modules_of_manifest FILE and modules_of_binary FILE: "kind: module version", one line a component or provider.
modules_of_manifest() {
	awk '/^[a-z]+:/ { kind = $1 }
		/^ +(- )?gomod:/ { sub(/^.*gomod: */, ""); print kind, $1, $2 }' "$1" | sort
}
modules_of_binary() {
	"$1" components | awk '/^[a-z]+:/ { kind = $1 } /^ +(- )?module:/ { sub(/^.*module: */, ""); print kind, $1, $2 }' | sort
}

expect_same_modules() {
	local manifest=$1 binary=$2
	modules_of_manifest "$manifest" >"$work/want"
	modules_of_binary "$binary" >"$work/got"
	test -s "$work/want" || fail "expected components in $manifest, found none"
	diff -u --label "$manifest" --label "$binary components" "$work/want" "$work/got" >&2 ||
		fail "expected $binary to hold exactly what $manifest names"
}

expect_component() {
	local binary=$1 kind=$2 name=$3
	"$binary" components | awk -v kind="$kind:" -v name="$name" '
		/^[a-z]+:/ { here = $1 == kind }
		here && $1 == "-" && $2 == "name:" && $3 == name { found = 1 }
		END { exit !found }' || fail "expected '$name' among the $kind of $binary components"
}

# add_processor LINES: puts them at the head of the processors of the manifest.
add_processor() {
	awk -v lines="$1" '{ print } /^processors:/ { print lines }' builder-config.yaml >"$work/manifest"
	cp "$work/manifest" builder-config.yaml
}

say "copy of the tree with its tools"
run make --no-print-directory bin/tools/builder bin/tools/mdatagen
mkdir -p "$work/tree/bin"
# Of the files of the index, those that are there.
git ls-files -coz --exclude-standard |
	while IFS= read -r -d '' file; do if [ -e "$file" ]; then printf '%s\0' "$file"; fi; done |
	tar --null -T - -cf - | tar -xf - -C "$work/tree"
cp -pR bin/tools "$work/tree/bin/"
cd "$work/tree"
cp builder-config.yaml "$work/builder-config.yaml"
cp go.mod "$work/go.mod"

say "1. one line for $upstream"
! grep -q "$upstream" builder-config.yaml ||
	fail "expected a manifest without $upstream; take another component for this test"
add_processor "  - gomod: $upstream $upstream_version"
run make --no-print-directory generate build
expect_component bin/breakwater processors groupbyattrs
expect_same_modules builder-config.yaml bin/breakwater
diff "$work/go.mod" go.mod | sed -n 's/^[<>][[:space:]]*//p' >"$work/changed" || true
if [ "$(sed 's, // indirect$,,' "$work/changed")" != "$upstream $upstream_version" ]; then
	diff -u "$work/go.mod" go.mod >&2 || true
	fail "expected one new line in go.mod, that of $upstream"
fi
run make --no-print-directory test-unit GO_PKGS=./distributions/...

say "2. $own from docs/extending.md, and the line of 1. removed"
cp "$work/builder-config.yaml" builder-config.yaml
mkdir -p "$own"
# The files are the fenced blocks of the document that have a path behind the language.
awk -v prefix="$own/" '
	/^```[a-z]+ / && index($2, prefix) == 1 { file = $2; next }
	/^```/ { file = "" }
	file != "" { print > file }' docs/extending.md
for file in metadata.yaml doc.go factory.go; do
	test -s "$own/$file" || fail "expected a block with $own/$file in docs/extending.md"
done
add_processor "  - gomod: github.com/breakwater-otel/breakwater v0.0.0\n    import: github.com/breakwater-otel/breakwater/$own"
run make --no-print-directory generate build
expect_component bin/breakwater processors observed_time
expect_same_modules builder-config.yaml bin/breakwater
run make --no-print-directory test-unit GO_PKGS="./distributions/... ./$own/..."

say "3. examples/foreign-distribution"
cd examples/foreign-distribution
# The builder takes every environment variable for a setting of its manifest: it gets those that the go command needs.
environment=(GONOSUMDB='*' GOTOOLCHAIN=local)
for name in PATH HOME GOPATH GOCACHE GOMODCACHE GOPROXY GOSUMDB TMPDIR \
	HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy SSL_CERT_FILE SSL_CERT_DIR; do
	if [ -n "${!name:-}" ]; then environment+=("$name=${!name}"); fi
done
run env -i "${environment[@]}" ../../bin/tools/builder --config builder-config.yaml
expect_component build/otelcol-example exporters victorialogs
expect_same_modules builder-config.yaml build/otelcol-example
# Nothing was raised over the version that the manifest names.
go version -m build/otelcol-example | awk '$1 == "dep" { print $2, $3 }' >"$work/linked"
while read -r _ module version; do
	grep -qxF "$module $version" "$work/linked" ||
		fail "expected $module $version in build/otelcol-example, got: $(grep -F "$module " "$work/linked" || echo nothing)"
done <"$work/want"
run build/otelcol-example validate --config config.yaml

echo "extending: ok"
