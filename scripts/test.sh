#!/usr/bin/env bash
# Everything that CI asks of the tests, from a clean checkout, with one summary at the end. Run by `make test`, which
# has built bin/breakwater. SKIP_KAFKA=1 leaves out what needs Apache Kafka (Java 17, Maven); the summary says so.
set -euo pipefail
cd "$(dirname "$0")/.."
gotestsum=$PWD/bin/tools/gotestsum
results=$PWD/test-results
rm -rf "$results"
mkdir -p "$results"

step() { printf '\n==> %s\n' "$*"; }

# run NAME ARGUMENTS…: one `go test`, whose results go into the summary.
run() {
	local name=$1
	shift
	"$gotestsum" --format pkgname --hide-summary=skipped --jsonfile "$results/$name.json" -- "$@"
}

step "profiles and size"
make --no-print-directory validate size

step "real parts: VictoriaLogs, VictoriaMetrics, Loki, Apache Kafka, Chromium"
# Before the tests, so that what is missing is said first and not after ten minutes.
if [ "${SKIP_KAFKA:-}" = 1 ]; then
	(cd integration && go run ./cmd/prepare -backends -vmalert -loki)
else
	(cd integration && go run ./cmd/prepare -backends -vmalert -kafka -loki -chromium)
fi

step "unit tests under the race detector"
if ! command -v "$(go env CC)" >/dev/null; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "the race detector needs a C compiler; on Debian: apt-get install gcc libc6-dev" >&2
		exit 1
	fi
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc libc6-dev
fi
CGO_ENABLED=1 run unit -race -timeout 15m ./...

step "extending"
scripts/test-extending.sh

step "what is deployed: chart, image, Compose file, bills of materials"
# Without vet, for which all of Kubernetes would be read; `make lint` does it.
(cd deploy && run deploy -count=1 -vet=off ./...)

step "what the test of the packages needs"
scripts/test-package-needs.sh

step "integration tests"
# Not from the cache: go does not know that they depend on bin/breakwater and configs/.
(cd integration && run integration -count=1 -timeout 40m ./...)

step "summary"
if [ "${SKIP_KAFKA:-}" = 1 ]; then
	echo "SKIPPED by SKIP_KAFKA=1: nothing was tested against Apache Kafka"
fi
# A skip names its reason here: it must not read as passed.
grep -o 'SKIPPED, no package was installed: [^"\\]*' "$results"/integration.json | sort -u || true
"$gotestsum" --format standard-quiet --raw-command -- cat "$results"/unit.json "$results"/deploy.json "$results"/integration.json
