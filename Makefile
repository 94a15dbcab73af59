# make demo: the whole method on phantoms, minutes. make test: everything that is checked. Both make their own .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0

.PHONY: demo test lint types imports unit stress coverage mutation licences bench docs lock clean

$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"Python 3.11 to 3.13 is needed, this is {v[0]}.{v[1]}: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

demo: $(VENV)/installed
	$(BIN)/la-medical demo

test: lint types imports unit

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed
	$(BIN)/mypy

imports: $(VENV)/installed
	$(BIN)/lint-imports

unit: $(VENV)/installed
	$(BIN)/python -m pytest

# The counts that docs/trust.md states, several hours on two cores; `make test` runs a seeded sample of each.
stress: $(VENV)/installed
	LA_MEDICAL_STRESS=$(CURDIR)/build/stress $(BIN)/python -m pytest tests/stress
	LA_MEDICAL_STRESS=$(CURDIR)/build/stress $(MAKE) coverage mutation
	$(BIN)/python -m tests.stress.summary build/stress docs/stress.md

# Coverage of the rooms whose figures are quoted, by their own tests and those of the commands; fails when one room is
# below 95% (lines and branches).
coverage: $(VENV)/installed
	$(BIN)/python -m pytest --cov --cov-report=json:build/coverage.json --cov-report=term-missing:skip-covered \
		tests/labels tests/losses tests/statistics tests/detection tests/manifest tests/cli
	$(BIN)/python -m tests.stress.room_coverage build/coverage.json

# One change at a time in losses, statistics and detection: do their tests notice? Stopped and started again it goes on
# (build/mutation); fails when a mutant survives that tests/stress/equivalent_mutants.yaml does not explain.
mutation: $(VENV)/installed
	$(BIN)/python -m tests.stress.mutation losses
	$(BIN)/python -m tests.stress.mutation statistics
	$(BIN)/python -m tests.stress.mutation detection

# The licence of each locked package, from its metadata.
licences: $(VENV)/installed
	$(BIN)/python docs/licences.py > docs/licences.md

# All of docs/ and the API reference as HTML in build/docs, warnings as errors (about a minute of CPU).
docs: $(VENV)/installed
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs

# Every benchmark, one after the other on one core (about a quarter of an hour), and the table in docs/benchmarks.md.
bench: $(VENV)/installed
	$(BIN)/python benchmarks/run.py

# Resolves again from pyproject.toml. torch stays out: its CPU and CUDA builds are different files (torchvision hangs on
# torch and on nothing of ours: nnU-Net's network library names it).
lock: $(VENV)/installed
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links \
		--no-emit-trusted-host --unsafe-package torch --unsafe-package torchvision --unsafe-package la-medical \
		--extra test --extra tensorboard --extra docs --extra stress --output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
