# `make` alone lists what there is. Everything runs in .venv, made on first use: PYTHON=python3.12 make test picks a Python.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable
CHECKED := minigrad kernels tests benchmarks setup.py

.DEFAULT_GOAL := help
.PHONY: help demo test lint types mutants bench-overhead bench-import wheel clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: $(VENV)/.demo ## train a small GPT on Shakespeare (at most three minutes) into runs/demo
	$(BIN)/minigrad train gpt --out runs/demo

test: lint types ## lint, types, doctests and tests: what a change must pass
	@printf '\n==== doctests and tests (pytest) ====\n'
	$(BIN)/python -m pytest

lint: $(VENV)/.test ## ruff
	@printf '\n==== lint (ruff) ====\n'
	$(BIN)/ruff check $(CHECKED)

types: $(VENV)/.test ## mypy
	@printf '\n==== types (mypy) ====\n'
	$(BIN)/mypy

mutants: $(VENV)/.test ## break every derivative rule in turn, and see that some test notices
	$(BIN)/python -m tests.mutants

bench-overhead: $(VENV)/.test ## what the engine costs per operation, beside PyTorch
	$(BIN)/python benchmarks/overhead.py

bench-import: $(VENV)/.demo ## how long `import minigrad` takes, beside NumPy
	$(BIN)/python benchmarks/import_time.py

wheel: $(VENV)/bin/python ## a wheel in dist/
	rm -rf build dist
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## remove .venv and what the build and the tools left; runs/ stays
	rm -rf .venv build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment. The stamps say what is installed; a changed pyproject.toml or setup.py makes them old.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "minigrad needs Python 3.11 or \
	newer, and '$(PYTHON)' is not that; name another: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || { echo "'$(PYTHON)' cannot make environments: install its venv \
	package (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml setup.py | $(VENV)/bin/python
	@echo "Installing minigrad and what training needs into $(VENV) ..."
	@$(INSTALL) '.[train,data]'
	@touch $@

$(VENV)/.test: pyproject.toml setup.py | $(VENV)/bin/python
	@echo "Installing minigrad and what its tests need, PyTorch among it, into $(VENV) ..."
	@$(INSTALL) '.[train,data,test]'
	@touch $@
