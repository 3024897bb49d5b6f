# Everything a person or CI does with this repository. `make` alone lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
DEV := .venv/.installed-dev
TRAIN := .venv/.installed-train
ARGS ?=
DATA ?= honour-data
# One thread per process: two test processes already fill two cores, and sums come out in one order.
PYTEST := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest
PARALLEL := -n 2 --dist worksteal
SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

.PHONY: help setup demo serve test check static format lint types imports tidy fast truth docs golden bench bench-features parity chaos fuzz generated sbom clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo '  ARGS="..." is passed on to what demo, serve, test, truth, bench, chaos, fuzz and sbom run; PYTHON=... picks the interpreter of setup.'

$(DEV): pyproject.toml constraints.txt scripts/setup
	@PYTHON="$(PYTHON)" scripts/setup dev

$(TRAIN): pyproject.toml constraints.txt scripts/setup
	@PYTHON="$(PYTHON)" scripts/setup train

setup: $(DEV) ## Make .venv with everything in it; done once, and again when pyproject.toml or constraints.txt change

demo: $(TRAIN) ## The whole loop on a simulated world (ARGS="--once" ends after the result)
	@$(BIN)/honour demo $(ARGS)

serve: $(TRAIN) ## The HTTP service on DATA (default honour-data)
	@$(BIN)/honour serve --data $(DATA) $(ARGS)

test: $(DEV) ## All tests
	@$(PYTEST) $(PARALLEL) $(ARGS)

check: $(DEV) ## What every commit must pass, under a minute: format, lint, types, import contracts, tidy, fast tests
	@$(MAKE) -j2 $(SYNC) --keep-going types fast lint imports tidy
	@echo "check: all good"

static: $(DEV) ## check without its tests
	@$(MAKE) --keep-going lint types imports tidy

format: $(DEV) ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix-only --exit-zero --quiet .

lint: $(DEV)
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --check .; echo "run: make format"; exit 1; }
	@$(BIN)/ruff check --quiet . && echo "lint: clean"

types: $(DEV)
	@$(BIN)/mypy src scripts

imports: $(DEV)
	@$(BIN)/lint-imports --no-cache

tidy: $(DEV) ## House rules: sizes, glossary words, dead files, leftovers
	@$(BIN)/python scripts/tidy.py

fast: $(DEV)
	@$(PYTEST) $(PARALLEL) -q -m "not slow and not truth"

truth: $(DEV) ## Statistics over many seeds against known truth
	@$(PYTEST) $(PARALLEL) -m truth $(ARGS)

docs: $(DEV) ## Pages: links resolve, examples print what they say, settings, commands and errors are all described
	@$(PYTEST) -q tests/docs $(ARGS)

golden: $(DEV) ## Rewrite the expected files under tests/golden, then read the diff
	@HONOUR_GOLDEN=write $(PYTEST) -q || [ $$? = 5 ]
	@git --no-pager diff --stat -- tests/golden

bench: $(DEV) ## Benchmarks, into benchmarks/results/latest.json
	@$(BIN)/python benchmarks/run.py $(ARGS)

parity: $(DEV) ## A million feature vectors of a simulated week, served against recomputed with SQL
	@$(BIN)/python benchmarks/parity.py $(ARGS)

chaos: $(DEV) ## Faults one by one under load: what was lost, wrong, answered, and for how long nobody was (ARGS="--quick" is shorter)
	@PYTHONPATH=benchmarks:tests $(BIN)/python benchmarks/chaos/main.py $(ARGS)

bench-features: $(DEV) ## Training sets of 1, 3 and 10 million attempts beside pandas and Feast, into benchmarks/results/features.json
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/training_sets.py $(ARGS)

fuzz: $(DEV) ## Hostile requests against a server for ten minutes (ARGS="2 7": two minutes, seed 7)
	@$(BIN)/python scripts/fuzz.py $(ARGS)

generated: $(DEV) ## A client generated from the OpenAPI document by a foreign generator makes calls to a server
	@scripts/generated-client

sbom: $(DEV) ## What is installed, as CycloneDX, into dist/sbom.json (ARGS="--audit": known vulnerabilities; needs the network)
	@scripts/sbom $(ARGS)

clean: ## Remove caches, builds and demo data; .venv and honour-data stay
	@rm -rf build dist demo-data .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache src/*.egg-info
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
