# make demo: the whole way once, from a fresh clone.   make test: all tests.   make lint: everything CI checks beside.
# make examples: the scripts of examples/, and its plug-in package, installed beside and tested.
# make base: what the base install weighs, and how soon it answers.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo examples test lint format base
.DELETE_ON_ERROR:

demo: .venv/.all
	rm -rf demo
	$(BIN)/svertka demo --out demo

# One process a core, each with one thread: threads that wait for one another would only get in the way.
test: .venv/.dev
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist worksteal

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

examples: .venv/.dev
	for script in examples/*.py; do $(BIN)/python $$script || exit 1; done
	rm -rf .venv/plugin_package
	$(BIN)/pip install --quiet --no-deps --target .venv/plugin_package ./examples/plugin_package
	PYTHONPATH=.venv/plugin_package OMP_NUM_THREADS=1 $(BIN)/pytest --config-file examples/plugin_package/pyproject.toml examples/plugin_package/tests

base: .venv/.dev
	$(BIN)/python benchmarks/base_install.py

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Python compiles what is imported; the thousands of files that never are would take pip more than a minute.
.venv/.all .venv/.dev: .venv/.%: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-compile --editable '.[$*]'
	touch $@
