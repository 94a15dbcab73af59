# make demo: the whole method on phantoms, minutes. make test: everything that is checked. Both make their own .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0

.PHONY: demo test lint types imports unit stress bench docs lock clean

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

# Resolves again from pyproject.toml. torch stays out: its CPU and CUDA builds have different files.
lock: $(VENV)/installed
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links \
		--no-emit-trusted-host --extra test --extra tensorboard --output-file $(VENV)/all.lock pyproject.toml
	$(BIN)/python -c 'import re, pathlib; text = pathlib.Path("$(VENV)/all.lock").read_text(); \
		blocks = re.split(r"\n(?=[a-zA-Z0-9])", text.split("\n\n", 0)[0]); \
		kept = [b for b in blocks if not re.match(r"#|torch==|la[-_]medical", b)]; \
		head = "# Every package that `make test` installs, with hashes, except torch, whose CPU and CUDA builds differ:\n# install that first (`pip install $(TORCH)`). Made by `make lock`.\n"; \
		pathlib.Path("requirements.lock").write_text(head + "\n".join(kept) + "\n")'

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
