# Every target sets up .venv by itself; a second run finds it ready.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup run demo test test-long coverage check fix bench bench-peers eval docs dist pins clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

setup: $(READY) ## make .venv with everything in it

run: $(READY) ## serve on 127.0.0.1:4040
	@$(BIN)/askonce serve

demo: $(READY) ## watch real customers' questions being answered from cache
	@$(BIN)/askonce demo

# One worker a core: with more, tests of stores with real deadlines fail under their own load.
WORKERS ?= $(shell getconf _NPROCESSORS_ONLN)
PYTEST := $(BIN)/pytest -n $(WORKERS) --dist worksteal

test: $(READY) ## run all tests, on real servers
	@$(BIN)/python scripts/servers.py
	@$(PYTEST)

test-long: $(READY) ## the same with 16 seconds for each fuzz, and ten thousand writes to be killed in
	@$(BIN)/python scripts/servers.py
	@ASKONCE_FUZZ_SECONDS=16 $(PYTEST)

coverage: $(READY) ## run all tests and fail below the floor of pyproject.toml
	@$(BIN)/python scripts/servers.py
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -n $(WORKERS) --dist worksteal
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

check: $(READY) ## lint, format and types, changing nothing
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

fix: $(READY) ## mend what ruff can mend
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

bench: $(READY) ## measure: a table, and JSON in .bench/
	@$(BIN)/python scripts/servers.py
	@$(BIN)/python -m bench

bench-peers: $(READY) ## measure against other caches, each in a virtual environment of its own
	@$(BIN)/python -m bench.peers

# A folder of public sets of questions to measure matching by meaning with (make eval DATA=FOLDER);
# without it, only the sets that ship.
DATA ?=

eval: $(READY) ## measure matching by meaning: tables, JSON and pictures in .bench/eval/
	@$(BIN)/python -m bench.evaluate $(if $(DATA),--data $(DATA))

docs: $(VENV)/.docs-ready ## build the documentation site into site/, with strict links
	@$(BIN)/python scripts/docs.py
	@$(BIN)/python scripts/settings.py
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "Open site/index.html"

# The public address of the repository, for project URLs; without it, where this clone came from.
REPOSITORY ?=

dist: $(READY) ## build wheels and source archives of both packages into dist/
	@$(BIN)/python scripts/dist.py $(if $(REPOSITORY),--repository $(REPOSITORY))

pins: $(READY) ## resolve requirements/*.txt again
	@$(BIN)/python scripts/pin.py

clean: ## remove what make made
	rm -rf $(VENV) .bench .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist site

$(READY): requirements/dev.txt pyproject.toml packages/askonce-models/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "AskOnce needs Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up $(VENV) (once) ..."
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "Python's venv module is missing; on Debian: apt install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --require-hashes --requirement requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --no-deps --no-build-isolation --editable . --editable packages/askonce-models
	@touch $@

$(VENV)/.docs-ready: $(READY) requirements/docs.txt
	@echo "Adding the tools of the site to $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --require-hashes --requirement requirements/docs.txt
	@touch $@
