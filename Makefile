# `make` alone lists what there is. Everything runs in .venv, made on first use: PYTHON=python3.12 make test picks a Python.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable
CHECKED := minigrad kernels tests benchmarks tutorials docs setup.py

.DEFAULT_GOAL := help
.PHONY: help demo test lint types lessons docs docs-check mutants gpu gpu-counters test-cupy bench bench-variants bench-report bench-overhead bench-import wheel clean

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

lessons: $(VENV)/.test ## every lesson as a learner finds it, solved, and with every known mistake; `make test` runs this too
	$(BIN)/python -m pytest tests/tutorials tests/learn

docs: $(VENV)/.docs ## the site, into docs/build/html: lessons, guides, reference; LESSONS=off runs no lesson
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -b html docs docs/build/html
	@echo "open docs/build/html/index.html"

docs-check: $(VENV)/.docs ## look at the site with a real browser (Chromium): links, formulas, console, dark, phone
	$(BIN)/python docs/check.py

mutants: $(VENV)/.test ## break every derivative rule and every CUDA kernel in turn, and see that some test notices
	$(BIN)/python -m tests.mutants
	$(BIN)/python -m tests.kernels.mutants

bench: $(VENV)/.bench ## everything against PyTorch and others, into benchmarks/results (12 minutes; leave the machine alone)
	$(BIN)/minigrad bench --save

VARIANT = $(BIN)/minigrad bench training --against torch --save
bench-variants: $(VENV)/.bench ## the training steps on one thread, without MKL, and without numba (6 minutes each)
	$(VARIANT) --threads 1
	$(VARIANT) --no-mkl
	$(VARIANT) --no-mkl --no-numba

bench-report: $(VENV)/.bench ## tables and pictures of README.md and benchmarks/ from benchmarks/results
	$(BIN)/minigrad bench --report

gpu: $(VENV)/.gpu ## on a machine with an NVIDIA card: the GPU tests, then benchmarks/gpu.py, which writes a row named after the card
	$(BIN)/python -m pytest -n0 -m gpu tests/cuda
	$(BIN)/python benchmarks/gpu.py

gpu-counters: $(VENV)/.gpu ## on a machine with an NVIDIA card and Nsight Compute: what its counters say, to compare with the simulator
	$(BIN)/python benchmarks/counters.py

test-cupy: $(VENV)/.gpu ## the CUDA tests with the real CuPy (70 MB), which need no card: its arrays, its names, our kernels
	$(BIN)/python -m pytest -n0 tests/cuda tests/kernels/test_launcher.py

bench-overhead: $(VENV)/.test ## what the engine costs per operation, beside PyTorch
	$(BIN)/python benchmarks/overhead.py

bench-import: $(VENV)/.demo ## how long `import minigrad` takes, beside NumPy
	$(BIN)/python benchmarks/import_time.py

wheel: $(VENV)/bin/python ## a wheel in dist/
	rm -rf build dist
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## remove .venv and what the build and the tools left; runs/ stays
	rm -rf .venv build dist docs/build docs/generated *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
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

$(VENV)/.docs: pyproject.toml setup.py | $(VENV)/bin/python
	@echo "Installing minigrad and what the site is built with into $(VENV) ..."
	@$(INSTALL) '.[docs]'
	@touch $@

$(VENV)/.bench: pyproject.toml setup.py | $(VENV)/bin/python
	@echo "Installing minigrad, its fast paths and all opponents into $(VENV) ..."
	@$(INSTALL) '.[fast,bench]'
	@$(INSTALL) '.[mkl]' || echo "no MKL for this machine: going on without"
	@touch $@

$(VENV)/.gpu: $(VENV)/.test
	@echo "Installing CuPy and NVRTC into $(VENV) ..."
	@$(INSTALL) '.[cuda]'
	@touch $@
