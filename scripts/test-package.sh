#!/usr/bin/env bash
# Tests everything that Breakwater is installed with: packages, units, image, Compose file, chart. Run by
# `make test-package`, which has built what it needs; `make test` runs the same tests among its own.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/test-package-needs.sh
(cd deploy && go test -count=1 ./...)
(cd integration && go test -count=1 -timeout 20m -v ./packaging)
