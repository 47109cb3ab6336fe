# make run     the server on ./apus-data, with this host's numbers flowing in (ARGS="--http …")
# make demo    the server on ./apus-demo, with a simulated hypervisor cluster flowing in (docs/tour.md)
# make test    all tests, in release
# make kill-test   100 rounds of load, SIGKILL, restart, compare; and 10,000 reads of what was just written
# make shell-test  an answer of 10 million rows through `apus sql`, in 64 MiB
# make bench-first-step   load, queries and disk of docs/performance.md, into Benchmarks/Results
# make bench-peers   Apus beside VictoriaMetrics, InfluxDB, DuckDB and ClickHouse, which are fetched
#                  (PEERS="--hosts 4000 --hours 6 --series 1000000"), into Benchmarks/Results
# make lint    the formatter's opinion;  make format  follows it
#
# Everything is built in one scratch folder with one set of flags: run after test, or test after
# run, compiles nothing twice.

SCRATCH := .build-release
SWIFT_FLAGS := -c release --scratch-path $(SCRATCH) --explicit-target-dependency-import-check error
SOURCES := Sources Tests Benchmarks Package.swift
ARGS ?=

.PHONY: run demo build test kill-test shell-test bench-first-step bench-peers bench-tool lint format clean

run:
	@scripts/setup.sh run
	@$(MAKE) --no-print-directory build
	@exec scripts/run.sh $(SCRATCH)/release/apus $(ARGS)

demo:
	@scripts/setup.sh run
	@$(MAKE) --no-print-directory build
	@exec scripts/run.sh --demo $(SCRATCH)/release/apus $(ARGS)

build:
	swift build $(SWIFT_FLAGS) --product apus

# The end-to-end tests run the real binary, whose path they find in APUS_BINARY.
test:
	@scripts/setup.sh test
	swift build $(SWIFT_FLAGS) --product apus
	swift build $(SWIFT_FLAGS) --build-tests
	APUS_BINARY=$(CURDIR)/$(SCRATCH)/release/apus swift test $(SWIFT_FLAGS) --skip-build

kill-test: build
	swift build $(SWIFT_FLAGS) --build-tests
	APUS_BINARY=$(CURDIR)/$(SCRATCH)/release/apus APUS_KILL_ROUNDS=100 APUS_READ_ROUNDS=10000 \
	  swift test $(SWIFT_FLAGS) --skip-build --filter EndToEndTests.Durability

shell-test: build
	swift build $(SWIFT_FLAGS) --build-tests
	APUS_BINARY=$(CURDIR)/$(SCRATCH)/release/apus APUS_SHELL_ROWS=10000000 \
	  swift test $(SWIFT_FLAGS) --skip-build --filter EndToEndTests.ShellStreams

bench-first-step: build
	APUS_BINARY=$(CURDIR)/$(SCRATCH)/release/apus Benchmarks/first-step/run.sh

# The data sets and the loader. A scratch folder of its own: the benchmarks have more dependencies.
BENCH_SCRATCH := .build-bench
bench-tool:
	APUS_BENCH=1 swift build -c release --scratch-path $(BENCH_SCRATCH) --product apus-bench

PEERS ?=
bench-peers: build bench-tool
	Benchmarks/Peers/setup.sh $(BENCH_SCRATCH)/peers
	$(BENCH_SCRATCH)/peers/venv/bin/python -B Benchmarks/Peers/bench.py --apus $(SCRATCH)/release/apus \
	  --bench $(BENCH_SCRATCH)/release/apus-bench --cache $(BENCH_SCRATCH)/peers \
	  --result Benchmarks/Results/peers $(PEERS)

lint:
	swift format lint --strict --parallel -r $(SOURCES)

format:
	swift format format --in-place --parallel -r $(SOURCES)

clean:
	rm -rf .build $(SCRATCH) $(BENCH_SCRATCH)
