# Everything the project is built, tested and released with. Versions, tags and linker flags live here and nowhere else.

VERSION := 0.1.0

# Prometheus' service discoveries are half of a collector with the prometheus receiver. Kept: those for the places
# that Breakwater runs in (static and file discovery are not behind tags).
TAGS    := remove_all_sd,enable_kubernetes_sd,enable_dns_sd,enable_moby_sd
LDFLAGS := -s -w

# One set of flags for build and test, so that they share one build cache.
export GOFLAGS     := -trimpath -buildvcs=false -tags=$(TAGS)
export CGO_ENABLED := 0
export GOWORK      := off
# The toolchain that is installed, never another one fetched behind the operator's back.
export GOTOOLCHAIN := local

BIN      := bin
TOOLS    := $(BIN)/tools
PROFILES := $(wildcard configs/*.yaml)
# Without the one that is valid only where its certificate is; TestBlocksAreValid has one for it.
BLOCKS   := $(filter-out %/syslog-tls.yaml,$(wildcard configs/agent.d/*.yaml))
CONSUMER_BLOCKS := $(wildcard configs/consumer.d/*.yaml)
GO_PKGS  := ./...

# Limits that `make size` and `make test` hold.
MAX_BINARY_BYTES := 120000000

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: version
version: ## Print the version
	@echo $(VERSION)

##@ Build

.PHONY: build
build: ## Build bin/breakwater
	go build $(BUILD_FLAGS) -ldflags='$(LDFLAGS)' -o $(BIN)/breakwater ./distributions/breakwater

.PHONY: build-tools
build-tools: ## Build the commands beside the collector: topics, dead letters, replay
	go build -ldflags='$(LDFLAGS)' -o $(BIN)/ ./cmd/breakwater-topics ./cmd/breakwater-deadletters ./cmd/breakwater-replay

.PHONY: generate
generate: $(TOOLS)/builder $(TOOLS)/mdatagen ## Write the generated files anew: distribution, component metadata, go.mod, docs/configuration.md
	scripts/generate.sh $(VERSION)

.PHONY: check-generated
check-generated: generate ## Fail when a generated file is not up to date
	@git diff --exit-code -- . || { echo "generated files are not up to date: run 'make generate' and commit"; exit 1; }
	@test -z "$$(git status --porcelain -- components distributions go.mod go.sum)" || \
		{ git status --short -- components distributions go.mod go.sum; echo "generated files are not committed"; exit 1; }

# One rule for each tool of internal/tools/go.mod, by the last element of its package path.
$(TOOLS)/%: internal/tools/go.mod internal/tools/go.sum
	@mkdir -p $(TOOLS)
	cd internal/tools && go build -o $(abspath $@) $$(go list -e -f '{{.ImportPath}}' tool | grep '/$*$$')

# The chart's tool and the tests of what is deployed are a module of their own.
$(TOOLS)/helm: deploy/go.mod deploy/go.sum
	@mkdir -p $(TOOLS)
	cd deploy && go build -o $(abspath $@) helm.sh/helm/v3/cmd/helm

##@ Test

# What the packages, the chart and the image are made with.
PACKAGE_NEEDS := build-tools $(TOOLS)/nfpm $(TOOLS)/cyclonedx-gomod $(TOOLS)/helm

.PHONY: test
test: $(TOOLS)/gotestsum build $(PACKAGE_NEEDS) ## Everything that CI asks: unit, race, profiles, size, extension, chart and image, integration on real parts
	scripts/test.sh

.PHONY: test-unit
test-unit: ## Unit tests of the product module
	go test $(GO_PKGS)

.PHONY: test-race
test-race: ## Unit tests under the race detector
	CGO_ENABLED=1 go test -race $(GO_PKGS)

.PHONY: test-integration
test-integration: build ## Integration tests on real Kafka, VictoriaLogs and VictoriaMetrics
	cd integration && go test -count=1 -timeout 40m ./...

.PHONY: burst
burst: build ## 200,000 new series in a minute through the shipped profiles on real parts
	cd integration && BREAKWATER_BURST_SERIES=200000 go test -count=1 -timeout 10m -v -run TestBurst ./labels

.PHONY: dashboards
dashboards: ## Write monitoring/dashboards anew from the panels in monitoring/
	go test -count=1 ./monitoring -run TestDashboardsAreWritten -update

.PHONY: label-table
label-table: build ## Write the table of docs/labels.md anew, from a run on real parts
	cd integration && go test -count=1 -timeout 10m -run TestLabels ./labels -update

.PHONY: live-screenshots
live-screenshots: build ## Take the pictures of docs/live.md anew, of a pipeline of real parts in Chromium
	cd integration && go test -count=1 -timeout 10m -run TestLive ./live -update

# Cases by name or pattern, the seed of the schedules, who is tested, and a time for random faults.
CASE  ?=
SEED  ?=
RIVAL ?=
SOAK  ?=

.PHONY: crucible
crucible: build ## Break everything and count each record: CASE=, SEED=, RIVAL=, SOAK=; writes docs/crucible.md
	cd integration && go run ./cmd/crucible -out ../docs \
		$(foreach c,$(CASE),-case '$(c)') $(if $(SEED),-seed $(SEED)) $(if $(RIVAL),-rival $(RIVAL)) $(if $(SOAK),-soak $(SOAK))

.PHONY: crucible-seeds
SEEDS ?= 3
crucible-seeds: build ## The cases of the consumer's promise with SEEDS=3 seeds each; writes docs/crucible-seeds.md
	cd integration && go run ./cmd/crucible -out ../docs -seeds $(SEEDS) \
		$(foreach c,$(CASE),-case '$(c)') $(if $(SEED),-seed $(SEED)) $(if $(RIVAL),-rival $(RIVAL))

.PHONY: fuzz
FUZZTIME ?= 30s
fuzz: ## Fuzz everything that parses or encodes, FUZZTIME each
	scripts/fuzz.sh $(FUZZTIME)

# Runs of each variant, in turn with the others; medians go into docs/benchmarks.md.
BENCH_RUNS ?= 6
BENCH_E2E   = cd integration && go run ./cmd/bench -runs $(BENCH_RUNS) -write

.PHONY: bench
bench: build ## Benchmarks: components, encoder, end to end; writes docs/benchmarks.md
	go test -run '^$$' -bench . -benchmem -count $(BENCH_RUNS) ./components/...
	$(BENCH_E2E) -suites encoder
	$(MAKE) bench-e2e

.PHONY: bench-e2e
bench-e2e: build ## Benchmarks end to end: CPU, memory and drain of the consumer beside upstream's
	$(BENCH_E2E) -suites compare -messages 600
	$(BENCH_E2E) -suites compression,fluentbit,memory

.PHONY: bench-outage
bench-outage: build ## VictoriaLogs away for 10 minutes with 2 GB queued: memory of the consumer, and how fast it catches up; 12 minutes a run
	$(BENCH_E2E) -suites outage -queued 2

.PHONY: bench-ledger
bench-ledger: build ## CPU of agent and consumer with the delivery ledger and without, at the same time
	$(BENCH_E2E) -suites ledger

.PHONY: bench-tune
bench-tune: build ## What the fetch sizes and the GC settings were chosen from
	$(BENCH_E2E) -suites tune

.PHONY: validate
validate: build ## Run `breakwater validate` on every profile, and with each block of agent.d and consumer.d
	@for profile in $(PROFILES); do \
		echo "validate $$profile"; $(BIN)/breakwater validate --config $$profile || exit 1; \
	done
	@for block in $(BLOCKS); do \
		echo "validate configs/agent.yaml $$block"; \
		K8S_KUBELET_AUTH_TYPE=none $(BIN)/breakwater validate --config configs/agent.yaml --config $$block || exit 1; \
	done
	@for block in $(CONSUMER_BLOCKS); do \
		echo "validate configs/consumer.yaml $$block"; \
		$(BIN)/breakwater validate --config configs/consumer.yaml --config $$block || exit 1; \
	done

.PHONY: size
size: build ## Fail when the binary is over its limit
	@bytes=$$(stat -c %s $(BIN)/breakwater); echo "bin/breakwater: $$bytes bytes of at most $(MAX_BINARY_BYTES)"; \
		test $$bytes -le $(MAX_BINARY_BYTES)

.PHONY: lint
lint: $(TOOLS)/golangci-lint ## Lint the three modules
	$(TOOLS)/golangci-lint run ./...
	cd integration && $(abspath $(TOOLS))/golangci-lint run ./...
	cd deploy && $(abspath $(TOOLS))/golangci-lint run ./...

.PHONY: fmt
fmt: ## Format all Go code
	gofmt -w $$(git ls-files '*.go')

##@ Package

DIST         ?= dist
PACKAGE_ARCH := $(shell go env GOARCH)
# The same sources make the same packages, byte for byte.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
export VERSION PACKAGE_ARCH SOURCE_DATE_EPOCH

.PHONY: package
package: build $(PACKAGE_NEEDS) ## deb, rpm, chart, bills of materials and checksums into dist/
	@mkdir -p $(DIST) && rm -f $(DIST)/breakwater* $(DIST)/SHA256SUMS
	scripts/package.sh $(DIST)
	$(TOOLS)/helm package --version $(VERSION) --app-version $(VERSION) --destination $(DIST) deploy/helm/breakwater
	scripts/sbom.sh $(DIST)
	cd $(DIST) && sha256sum breakwater* > SHA256SUMS

.PHONY: image-context
image-context: build build-tools ## The build context of the image into dist/image/, for `docker build dist/image`
	scripts/image-context.sh $(DIST)/image

.PHONY: test-package
test-package: build $(PACKAGE_NEEDS) ## Of `make test` what is installed: packages, units, image, compose file, chart
	scripts/test-package.sh

##@ Run

.PHONY: demo
demo: ## Run the whole pipeline on this machine, no Java needed; DEMO_SECONDS=n ends it
	@scripts/build-with-progress.sh
	@cd integration && go run ./cmd/demo

.PHONY: topics
topics: ## Create and verify the Kafka topics at KAFKA_BROKERS
	go run ./cmd/breakwater-topics

.PHONY: deadletters
DEADLETTERS ?= list
deadletters: ## Look at the dead letters at KAFKA_BROKERS, or replay them: DEADLETTERS='show …' or 'replay …'
	go run ./cmd/breakwater-deadletters $(DEADLETTERS)

.PHONY: replay
REPLAY ?= -h
replay: build ## Send a range of a topic through the consumer again: REPLAY='run -source logs -from 2h', with -yes; docs/replay.md
	go run ./cmd/breakwater-replay $(REPLAY)

.PHONY: size-buffers
# Lines a second of one host, how long Kafka is away, and further flags of the command.
RATE   ?=
OUTAGE ?=
SIZE   ?=
size-buffers: ## How large queue, topics and consumers have to be: RATE=500 OUTAGE=4h SIZE='-hosts 40'; docs/operations.md
	@go run ./cmd/breakwater-size $(if $(RATE),-rate $(RATE)) $(if $(OUTAGE),-outage $(OUTAGE)) $(SIZE)

.PHONY: clean
clean: ## Remove what the build made, but not the caches
	rm -rf $(BIN) $(DIST)
