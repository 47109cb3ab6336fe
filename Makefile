# make run               the server on ./apus-data, with this host's numbers flowing in (ARGS="--http …")
# make demo              the server on ./apus-demo, with a simulated hypervisor cluster (docs/tour.md)
# make build             .build-release/release/apus
# make test              all tests, in release
# make kill-test         100 rounds of load, SIGKILL, restart, compare; and 10,000 reads of fresh rows
# make shell-test        an answer of 10 million rows through `apus sql`, in 64 MiB
# make backup-test       50 backups under load, flushes and merges, opened and compared
# make fuzz              distorted statements and requests (FUZZ_ROUNDS=100000 APUS_SEED=1)
# make fuzz-plans        ten million distorted statements, parsed and planned only (PLAN_ROUNDS=10000000)
# make fuzz-blocks       distorted payloads of blocks under libFuzzer (RUNS=100000000)
# make round-trip        a billion numbers through all encodings (VALUES=1000000000 APUS_SEED=1)
# make predicates        a million conditions on tags against a look at every series (APUS_SEED=1)
# make differential      20,000 random queries beside PostgreSQL and DuckDB, fetched (CASES=1000000 SEED=1 CASE=7)
# make soak              the simulations of crashes, faults and damage at length (ROUNDS=100)
# make bench             the micro-benchmarks of the layers (FILTER=codec RESULT=FILE)
# make bench-compare BASE=main  the same of two commits, interleaved: ratios of CPU time (PAIRS=5)
# make bench-first-step  load, queries and disk of docs/performance.md, into Benchmarks/Results
# make bench-peers       the same beside other databases, fetched (PEERS="--hosts 4000 --hours 6")
# make bench-ingest      shapes of batches, acknowledgements, a backfill, datagrams (INGEST="--seconds 20")
# make bench-cardinality  a million series: registering, questions, disk, restart (CARDINALITY="--series 10000000 --points 1")
# make bench-year        a year of 100 hosts, 315 million rows: questions about all of it (YEAR="--months 3")
# make bench-fairness    a dashboard's questions beside heavy ones and live rows (FAIRNESS="--seconds 30")
# make bench-soak        half an hour of everything at once (RATE=5900000 values a second)
# make release           what is installed: a binary without need of Swift's libraries, and the rest
# make install           puts it in place; make uninstall (PREFIX=/usr/local DESTDIR= SYSCONFDIR=/etc)
# make dist              the same as a tarball, tried out from there
# make lint              the formatter's opinion; make format follows it
# make clean             removes what was built
#
# Everything is built in one scratch folder with one set of flags: run after test, or test after
# run, compiles nothing twice.

SCRATCH := .build-release
SWIFT_FLAGS := -c release --scratch-path $(SCRATCH) --explicit-target-dependency-import-check error
SOURCES := Sources Tests Benchmarks Package.swift
ARGS ?=
# What `apus version` says. Every build has to be told the same, or the next one links again.
COMMIT := $(shell git describe --always --exclude '*' --abbrev=12 --dirty=+ 2>/dev/null || echo unknown)
SWIFT_BUILD := APUS_COMMIT=$(COMMIT) swift build $(SWIFT_FLAGS)
PREFIX ?= /usr/local

# Linked in another way, so built in another folder.
DIST := .build-dist
DIST_FLAGS := -c release --scratch-path $(DIST) --static-swift-stdlib

.PHONY: run demo build test kill-test shell-test backup-test fuzz fuzz-plans fuzz-blocks round-trip predicates differential soak \
  bench bench-compare bench-programs bench-first-step bench-peers bench-ingest bench-cardinality bench-year bench-fairness \
  bench-soak bench-tool \
  release install uninstall dist lint format clean

run:
	@scripts/setup.sh run
	@$(MAKE) --no-print-directory build
	@exec scripts/run.sh $(SCRATCH)/release/apus $(ARGS)

demo:
	@scripts/setup.sh run
	@$(MAKE) --no-print-directory build
	@exec scripts/run.sh --demo $(SCRATCH)/release/apus $(ARGS)

build:
	$(SWIFT_BUILD) --product apus

# The end-to-end tests run the real binary, whose path they find in APUS_BINARY.
test:
	@scripts/setup.sh test
	$(SWIFT_BUILD) --product apus
	$(SWIFT_BUILD) --build-tests
	APUS_BINARY=$(CURDIR)/$(SCRATCH)/release/apus swift test $(SWIFT_FLAGS) --skip-build

kill-test: build
	$(SWIFT_BUILD) --build-tests
	APUS_BINARY=$(CURDIR)/$(SCRATCH)/release/apus APUS_KILL_ROUNDS=100 APUS_READ_ROUNDS=10000 \
	  swift test $(SWIFT_FLAGS) --skip-build --filter EndToEndTests.Durability

shell-test: build
	$(SWIFT_BUILD) --build-tests
	APUS_BINARY=$(CURDIR)/$(SCRATCH)/release/apus APUS_SHELL_ROWS=10000000 \
	  swift test $(SWIFT_FLAGS) --skip-build --filter EndToEndTests.ShellStreams

backup-test: build
	$(SWIFT_BUILD) --build-tests
	APUS_BINARY=$(CURDIR)/$(SCRATCH)/release/apus APUS_BACKUP_ROUNDS=50 \
	  swift test $(SWIFT_FLAGS) --skip-build --filter EndToEndTests.BackupTests

FUZZ_ROUNDS ?= 100000
fuzz:
	$(SWIFT_BUILD) --build-tests
	APUS_FUZZ_ROUNDS=$(FUZZ_ROUNDS) swift test $(SWIFT_FLAGS) --skip-build --filter 'Distorted(Statement|Request)Tests'

PLAN_ROUNDS ?= 10000000
fuzz-plans: build
	$(SWIFT_BUILD) --build-tests
	APUS_PLAN_ROUNDS=$(PLAN_ROUNDS) swift test $(SWIFT_FLAGS) --skip-build --filter DistortedStatementTests

RUNS ?= 100000000
fuzz-blocks:
	@scripts/setup.sh test
	scripts/fuzz-blocks.sh .build-fuzz -runs=$(RUNS)

VALUES ?= 1000000000
round-trip: build
	$(SWIFT_BUILD) --build-tests
	APUS_ROUND_TRIP_VALUES=$(VALUES) swift test $(SWIFT_FLAGS) --skip-build --filter RoundTripTests

predicates: CASES ?= 1000000
predicates:
	$(SWIFT_BUILD) --build-tests
	APUS_PREDICATE_CASES=$(CASES) swift test $(SWIFT_FLAGS) --skip-build --filter SeriesPredicateTests

# The same queries answered by Apus and by others. SEED repeats a run, CASE one query of it.
DIFFERENTIAL ?=
differential: CASES ?= 20000
differential: build
	Tests/Differential/setup.sh .build-differential
	.build-differential/venv/bin/python -B Tests/Differential/differential.py \
	  --apus $(SCRATCH)/release/apus --cache .build-differential --cases $(CASES) \
	  $(if $(SEED),--seed $(SEED)) $(if $(CASE),--case $(CASE)) $(DIFFERENTIAL)

ROUNDS ?= 20
soak:
	$(SWIFT_BUILD) --build-tests
	APUS_SIMULATION_ROUNDS=$(ROUNDS) swift test $(SWIFT_FLAGS) --skip-build --filter SimulationTests

bench-first-step: build
	APUS_BINARY=$(CURDIR)/$(SCRATCH)/release/apus Benchmarks/first-step/run.sh

# A scratch folder of its own: the benchmarks have more dependencies.
BENCH_SCRATCH := .build-bench
BENCH_BUILD := APUS_BENCH=1 swift build -c release --scratch-path $(BENCH_SCRATCH)
FILTER ?=
RESULT ?=
PAIRS ?= 5
# The cases, and the package's own program that runs them. Its plugin would build that twice.
bench-programs:
	@scripts/setup.sh test
	$(BENCH_BUILD) --product apus-micro
	$(BENCH_BUILD) --product BenchmarkTool

bench: bench-programs
	python3 -B Benchmarks/micro.py run --build $(BENCH_SCRATCH)/release --filter '$(FILTER)' \
	  --result '$(RESULT)'

bench-compare:
	@[ -n '$(BASE)' ] || { echo 'bench-compare: say with which commit: make bench-compare BASE=main' >&2; exit 64; }
	@$(MAKE) --no-print-directory bench-programs
	python3 -B Benchmarks/micro.py compare --base '$(BASE)' --scratch $(BENCH_SCRATCH) \
	  --build $(BENCH_SCRATCH)/release --filter '$(FILTER)' --pairs '$(PAIRS)'

# The data sets and the loader.
bench-tool:
	$(BENCH_BUILD) --product apus-bench

PEERS ?=
bench-peers: build bench-tool
	Benchmarks/Peers/setup.sh $(BENCH_SCRATCH)/peers
	$(BENCH_SCRATCH)/peers/venv/bin/python -B Benchmarks/Peers/bench.py --apus $(SCRATCH)/release/apus \
	  --bench $(BENCH_SCRATCH)/release/apus-bench --cache $(BENCH_SCRATCH)/peers \
	  --result Benchmarks/Results/peers $(PEERS)

INGEST ?=
INGEST_TOOLS = --apus $(SCRATCH)/release/apus --bench $(BENCH_SCRATCH)/release/apus-bench --cache $(BENCH_SCRATCH)/peers
bench-ingest: build bench-tool
	Benchmarks/Peers/setup.sh $(BENCH_SCRATCH)/peers
	$(BENCH_SCRATCH)/peers/venv/bin/python -B Benchmarks/Ingest/ingest.py $(INGEST_TOOLS) --victoria \
	  --result Benchmarks/Results/ingest $(INGEST)
	$(BENCH_SCRATCH)/peers/venv/bin/python -B Benchmarks/Ingest/latency.py $(INGEST_TOOLS) \
	  --result Benchmarks/Results/acknowledgement
	python3 -B Benchmarks/Ingest/backfill.py $(INGEST_TOOLS) --result Benchmarks/Results/backfill
	python3 -B Benchmarks/Ingest/datagrams.py $(INGEST_TOOLS) --result Benchmarks/Results/datagrams

RATE ?= 5900000
bench-soak: build bench-tool
	mkdir -p $(BENCH_SCRATCH)/peers
	python3 -B Benchmarks/Ingest/soak.py $(INGEST_TOOLS) --values-per-second $(RATE) \
	  --result Benchmarks/Results/soak

CARDINALITY ?=
bench-cardinality: build bench-tool
	mkdir -p $(BENCH_SCRATCH)/peers
	python3 -B Benchmarks/Cardinality/cardinality.py $(INGEST_TOOLS) \
	  --result Benchmarks/Results/cardinality $(CARDINALITY)

# Some 4 GB of disk, and 6 GiB of memory for what a query's default budget refuses.
YEAR ?=
bench-year: build bench-tool
	mkdir -p $(BENCH_SCRATCH)/peers
	python3 -B Benchmarks/Queries/year.py $(INGEST_TOOLS) --result Benchmarks/Results/year $(YEAR)

FAIRNESS ?=
bench-fairness: build bench-tool
	mkdir -p $(BENCH_SCRATCH)/peers
	python3 -B Benchmarks/Queries/fairness.py $(INGEST_TOOLS) --result Benchmarks/Results/fairness $(FAIRNESS)

release:
	@scripts/setup.sh run
	APUS_COMMIT=$(COMMIT) swift build $(DIST_FLAGS) --product apus
	scripts/stage.sh $(DIST)/release/apus $(DIST)/stage

# Root need not have Swift: what `make release` has put together is taken as it is.
install: $(DIST)/stage/bin/apus
	PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' SYSCONFDIR='$(SYSCONFDIR)' $(DIST)/stage/install.sh install

uninstall: $(DIST)/stage/bin/apus
	PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' SYSCONFDIR='$(SYSCONFDIR)' $(DIST)/stage/install.sh uninstall

$(DIST)/stage/bin/apus:
	$(MAKE) --no-print-directory release

dist: release
	scripts/dist.sh $(DIST)/stage $(DIST)/dist

lint:
	swift format lint --strict --parallel -r $(SOURCES)

format:
	swift format format --in-place --parallel -r $(SOURCES)

clean:
	rm -rf .build $(SCRATCH) $(DIST) $(BENCH_SCRATCH) .build-differential
