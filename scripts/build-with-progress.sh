#!/usr/bin/env bash
# Runs `make build` and shows that it gets on: a cold build downloads some hundred modules and compiles some thousand
# packages, and says nothing meanwhile. Run by `make demo`.
set -euo pipefail
cd "$(dirname "$0")/.."
echo "building bin/breakwater (some minutes the first time)"
make --no-print-directory build BUILD_FLAGS=-v 2>&1 | awk '
	/^go: downloading / { if (++modules % 50 == 0) { print "      " modules " modules downloaded"; fflush() } next }
	/^[^ :#]+$/         { if (++packages % 200 == 0) { print "      " packages " packages compiled"; fflush() } next }
	/^go build /        { next }
	                    { print; fflush() }
'
