#!/usr/bin/env bash
# Tests everything that Breakwater is installed with: packages, units, image, Compose file, chart. Run by
# `make test-package`, which has built what it needs; `make test` runs the same tests among its own.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/test-package-needs.sh
# Without vet, for which all of Kubernetes would be read; the linter does it.
(cd deploy && go test -count=1 -vet=off ./...)
(cd integration && go test -count=1 -timeout 20m -v ./packaging)
