# Every target does its own set-up: a Python (3.11 or newer), a Rust toolchain and a C compiler are all it needs.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help setup build develop test test-deep lint fmt fmt-check clippy rust-test python-test bench results docs demo clean

PYTHON ?= python3
VENV ?= .venv
# Windows puts a virtual environment's programs elsewhere.
PROGRAMS := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
BIN := $(VENV)/$(PROGRAMS)
STREAMS := $(VENV)/streams/$(PROGRAMS)
# The cargo profile that tests are built with: assertions and overflow checks on.
PROFILE ?= dev
# The one that is measured and shown: as the wheel, without the cost of fat LTO.
FAST_PROFILE ?= bench-fast
# pyo3 asks an interpreter for its version: one and the same for every target, or everything is built again.
export PYO3_PYTHON := $(abspath $(BIN))/python
# And maturin builds into this environment, whichever one is active.
export VIRTUAL_ENV := $(abspath $(VENV))
NEXTEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo yes)

help:  ## Show what there is to do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

$(VENV)/.ready: pyproject.toml .ci/requirements.py
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"cepheid needs Python 3.11 or newer; this is {v.major}.{v.minor}: say make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python .ci/requirements.py > $(VENV)/requirements.txt
	$(BIN)/python -m pip install --quiet -r $(VENV)/requirements.txt
	touch $@

setup: $(VENV)/.ready  ## Make .venv with everything that building and testing needs

build: setup  ## Build the wheel as it is shipped, into dist/
	$(BIN)/maturin build --release --locked --out dist

develop: setup  ## Put a debug build of the package into .venv
	$(BIN)/maturin develop --profile $(PROFILE) --quiet

test: export CEPHEID_FUZZ_SECONDS ?= 10
test:  ## Build and run every test
	$(MAKE) --no-print-directory setup fmt-check clippy rust-test
	$(MAKE) --no-print-directory python-test

test-deep: export CEPHEID_DEEP := 1
test-deep: export CEPHEID_FUZZ_SECONDS ?= 300
test-deep:  ## The same with the long profiles: more random cases, minutes of fuzzing
	$(MAKE) --no-print-directory test

fmt-check:
	if cargo fmt --version >/dev/null 2>&1; then cargo fmt --all --check
	else echo "rustfmt is not installed: format not checked (rustup component add rustfmt)"; fi

clippy: setup
	if cargo clippy --version >/dev/null 2>&1; then cargo clippy --workspace --all-targets --locked -- -D warnings
	else echo "clippy is not installed: not checked (rustup component add clippy)"; fi

rust-test: setup
	if [ "$(NEXTEST)" = yes ]; then
	  cargo nextest run --workspace --locked --no-fail-fast
	  cargo test --workspace --locked --doc
	else
	  cargo test --workspace --locked --no-fail-fast
	fi

# The benches run too, on a few thousand rows: they compare answers, not times. Types are checked by tests/typing.
python-test: develop
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	bash .ci/postgresql
	CEPHEID_BENCH_SIZE=check $(BIN)/python -m pytest tests benches --benchmark-disable -q

lint: setup fmt-check clippy  ## Format, clippy, ruff, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict -p cepheid

fmt: setup  ## Rewrite the sources in the house format
	cargo fmt --all
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Peers that cannot stand beside our pyarrow: an environment of their own.
$(VENV)/streams/.ready: benches/streams.txt | setup
	test -x $(STREAMS)/python || $(BIN)/python -m venv $(VENV)/streams
	$(STREAMS)/python -m pip install --quiet --upgrade pip
	$(STREAMS)/python -m pip install --quiet -r benches/streams.txt
	touch $@

bench: export CEPHEID_BENCH_STREAMS ?= $(abspath $(STREAMS))/python
bench: setup $(if $(CEPHEID_BENCH_STREAMS),,$(VENV)/streams/.ready)  ## Measure cepheid beside its peers; writes benches/record/ and docs/results.md
	$(BIN)/python -m pip install --quiet -r benches/requirements.txt
	$(BIN)/maturin build --release --locked --quiet --out dist
	$(BIN)/maturin develop --release --locked --quiet
	$(BIN)/python -m benches $(ARGS)

results: setup  ## Make docs/results.md of the newest record again
	$(BIN)/python -m benches.page $(ARGS)

docs: develop  ## Build the documentation into docs/_build
	$(BIN)/python -m pip install --quiet -r docs/requirements.txt
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

demo: setup  ## Find delay chains in 336,776 flights
	$(BIN)/maturin develop --profile $(FAST_PROFILE) --quiet
	$(BIN)/python examples/01_flight_delay_chains/main.py

clean:  ## Remove what was built
	cargo clean
	rm -rf $(VENV) dist docs/_build
