# Hark: `make help` lists the targets; `make test` is what a change must pass.

# The commands besides Go that tests start; scripts/need knows their packages.
NEEDS    = git gcc redis-server node npm nginx
BROWSER  = chromium-headless-shell
FUZZTIME = 3s
SOAK     = 1m

export GOFLAGS += -buildvcs=false # a clone owned by another user still builds

.NOTPARALLEL:
.DEFAULT_GOAL := help

.PHONY: test
test: ## everything a change must pass, a line a step
	@scripts/steps need tidy fmt-check vet portable staticcheck generated api race gates nested fuzz

.PHONY: quick
quick: ## the inner loop: gofmt, vet, and the tests of changed packages (or PACKAGES='./query ./match')
	@scripts/quick $(PACKAGES)

.PHONY: need
need: ## look for the commands that tests start, install them where that is possible
	scripts/need $(NEEDS)

.PHONY: tidy
tidy: ## fail where go mod tidy would change go.mod or go.sum, of any module
	scripts/tidy

.PHONY: fmt-check
fmt-check: ## fail where gofmt would change a file
	scripts/fmt-check

.PHONY: vet
vet: ## go vet
	go vet ./...

.PHONY: portable
portable: ## the root package and all below it, where int has 32 bits
	GOARCH=386 CGO_ENABLED=0 go vet . ./match ./query ./service ./jsonevents ./internal/workload

.PHONY: staticcheck
staticcheck: ## staticcheck, in the version of tools/go.mod
	go tool -modfile=tools/go.mod staticcheck ./...

.PHONY: generated
generated: ## fail where generated code is not what `go generate` makes
	scripts/generated

.PHONY: api
api: ## compare the public API with the last release
	scripts/api

.PHONY: race
race: ## all tests of the module, with the race detector, in random order
	go test -race -shuffle=on ./...

.PHONY: gates
gates: ## without the race detector, the tests of all modules that it leaves out, skips or makes smaller
	scripts/gates

.PHONY: nested
nested: ## vet, staticcheck and tests of every module below the root
	scripts/nested

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (3s)
	scripts/fuzz $(FUZZTIME)

.PHONY: mutate
mutate: ## break the code on purpose; the tests must notice (MUTATE='./query ./match', MUTATE='-repeat 30 ./query')
	go run ./internal/mutate $(MUTATE)

.PHONY: soak
soak: ## the tests that loop, for SOAK (1m) each; of one folder with UNDER=./match, with GOTESTFLAGS=-race
	scripts/soak $(SOAK) $(UNDER)

.PHONY: node
node: ## the suites of Tendermint and CometBFT on this bus, beside themselves unmodified (half an hour)
	cd compat/node && HARK_SOAK=1m go test -count=1 -timeout=0 -v -run TestNodesPass .

.PHONY: browsers
browsers: ## a browser follows the bus through cuts and restarts (installs 250 MB, or BROWSER=google-chrome)
	scripts/need $(BROWSER)
	cd interop && HARK_BROWSER=$(BROWSER) go test -count=1 -v -tags browser -run Browser .

.PHONY: bench
bench: ## every bar of docs/performance.md beside its peers (BARS='--section redis', '--only delivery', '--million')
	cd bench && go run ./cmd/bars $(BARS)

.PHONY: microbench
microbench: ## go test -bench of every package, with allocations
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: cover
cover: ## test coverage; cover.out has the lines
	go test -coverprofile=cover.out -coverpkg=./... ./...
	go tool cover -func=cover.out | tail -n 1

.PHONY: fmt
fmt: ## gofmt all files
	gofmt -w .

.PHONY: generate
generate: ## regenerate generated code
	go generate ./...

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
