# caiatop: what a developer runs. `make` alone lists the targets.
SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS   += --no-print-directory

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# The pinned tools have a module file of their own: their dependencies never
# touch those of the program.
TOOL    := go tool -modfile=.ci/go.mod
# A copy of the vulnerability database beside the clone is used instead of the
# live one, for machines without a way out.
VULNDB  ?= $(if $(wildcard ../shared/vulndb),file://$(abspath ../shared/vulndb),https://vuln.go.dev)
CHECKS  := fmt-check vet lint vuln thorough race
# Tests that are left out or made shorter under the race detector.
THOROUGH := ./backend/state ./backend/gitrepo ./probe/httpapi
ARGS    ?=

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: run
run: ## start the console (ARGS="status --json" and the like are passed on)
	@go run . $(ARGS)

.PHONY: build
build: ## a static binary in dist/
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o dist/caiatop .

.PHONY: test
test: ## every test once
	@.ci/gotest -timeout 10m ./...

.PHONY: thorough
thorough: ## the tests that the race run leaves out or shortens
	@.ci/gotest -timeout 10m $(THOROUGH)

.PHONY: race
race: ## every test once under the race detector
	@.ci/gotest -race -timeout 15m ./...

.PHONY: lint
lint: ## static checks, and the import rules of the architecture
	@$(TOOL) golangci-lint run ./...

.PHONY: fmt
fmt: ## format all Go files in place
	@$(TOOL) gofumpt -w .

.PHONY: fmt-check
fmt-check: ## fail if a file is not formatted
	@out=$$($(TOOL) gofumpt -l .); \
	if [ -n "$$out" ]; then printf 'not formatted (make fmt mends it):\n%s\n' "$$out" >&2; exit 1; fi

.PHONY: vet
vet: ## go vet
	@go vet ./...

.PHONY: vuln
vuln: ## known vulnerabilities in code that is really called
	@case '$(VULNDB)' in \
	https://*) curl -sSf -o /dev/null --max-time 20 '$(VULNDB)/index/db.json' || { \
	  echo 'vuln: the vulnerability database $(VULNDB) cannot be reached; set VULNDB=file:///folder/of/a/copy' >&2; exit 1; };; \
	esac; \
	$(TOOL) govulncheck -db '$(VULNDB)' ./...

.PHONY: check
check: ## all that must hold before a change is shared: format, vet, lint, vulnerabilities, tests, races
	@all=$$SECONDS; for step in $(CHECKS); do \
	  begin=$$SECONDS; \
	  $(MAKE) $$step || { echo "== $$step failed after $$((SECONDS - begin)) s" >&2; exit 1; }; \
	  echo "== $$step: $$((SECONDS - begin)) s"; \
	done; echo "== all checks passed in $$((SECONDS - all)) s"

.PHONY: service-test
service-test: ## the published tests against a service built for it (or GOVC_SERVICE_URL)
	@.ci/service-test

.PHONY: bench
bench: ## the product's speed beside floors measured in the same run (three minutes)
	@go test -run '^$$' -bench '^BenchmarkAckLocal$$' -benchtime 30x ./bench | grep -E '^(Benchmark|FAIL|---)'
	@go test -run '^$$' -bench '^Benchmark(Import|Refill|Stores)$$' -benchtime 3x ./bench | grep -E '^(Benchmark|FAIL|---)'
	@go test -run '^$$' -bench '^BenchmarkFirstFrame$$' -benchtime 20x ./tui/e2e | grep -E '^(Benchmark|FAIL|---)'
	@go test -run '^$$' -bench '^Benchmark(KeyToView|SnapshotToView)$$' ./tui | grep -E '^(Benchmark|FAIL|---)'
	@go test -run '^$$' -bench '^BenchmarkKeyToScreen$$' -benchtime 50x ./tui | grep -E '^(Benchmark|FAIL|---)'
	@go test -run '^$$' -bench '^BenchmarkRest$$' -benchtime 1x ./tui | grep -E '^(Benchmark|FAIL|---)'

SIZES ?=
.PHONY: bench-git
bench-git: ## the git core beside real git (SIZES=1000,10000; ARGS="--json FILE")
	@go run ./bench/git $(if $(SIZES),--sizes $(SIZES)) $(ARGS)

.PHONY: bench-wire
bench-wire: ## the govc wire beside an echo of net/http (SIZES=1000,100000; ARGS="--json FILE --profile FILE")
	@go run ./bench/wire $(if $(SIZES),--sizes $(SIZES)) $(ARGS)

.PHONY: bench-all
bench-all: ## the Go benchmarks of every package
	go test -run '^$$' -bench . -benchmem -timeout 30m ./...

.PHONY: screenshots
screenshots: ## draw the pictures in screenshots/ anew from the real program
	CAIATOP_SCREENSHOTS='$(CURDIR)/screenshots' go test -count=1 -run '^TestScreenshots$$' ./tui/...

FUZZTIME ?= 10s
FUZZ     ?=
.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10s) each (FUZZ="./backend/gitrepo": of these packages)
	@FUZZTIME='$(FUZZTIME)' .ci/fuzz $(FUZZ)

.PHONY: soak
soak: ## the kill tests of engine and service, the crash tests of the git core with 500 rounds, every fuzz target for 20 s (40 minutes)
	CAIATOP_SOAK_ROUNDS=500 go test -count=1 -timeout 60m -run '^TestKilledWritersLoseNoAcknowledgedWrite$$' -v ./backend/engine
	go test -count=1 -timeout 60m -v ./backend/engine -run '^TestTheEngineKeepsItsPromisesWhateverHappens$$' -rapid.checks=2000 -rapid.nofailfile
	CAIATOP_SOAK_ROUNDS=500 go test -count=1 -timeout 60m -run '^Test(PowerFails|KilledWhile|EveryFaultOf|GitRepacks)' -v ./backend/gitrepo
	CAIATOP_SOAK_ROUNDS=500 go test -count=1 -timeout 30m -run '^TestDocumentsSurviveEveryPowerCut$$' -v ./backend/gitstore
	CAIATOP_SOAK_ROUNDS=500 go test -count=1 -timeout 60m -run '^Test(AKilledServiceLosesNothing|EveryFaultOfTheDiskIsAnswered)$$' -v ./backend/govcd
	CAIATOP_SOAK_ROUNDS=500 go test -race -count=1 -timeout 20m -run '^TestCrowdGetsWhatItWasTold$$' ./backend/govc
	CAIATOP_SOAK_ROUNDS=50 go test -race -count=1 -timeout 30m -run '^TestACrowdOnOneRepositoryAndOnMany$$' -v ./backend/govcd
	go test -count=1 -timeout 30m ./backend/durable/powercut -rapid.checks=10000 -rapid.nofailfile
	@$(MAKE) fuzz FUZZTIME=20s

.PHONY: clean
clean: ## remove what was built
	rm -rf dist caiatop
	find . -name '*.test' -type f -delete
