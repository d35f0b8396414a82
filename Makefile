# `make demo` and `make test` start from a bare clone: they make .venv and install from requirements.lock.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock
DEMO_ARGS ?=

.PHONY: demo test test-slow evidence lint format setup bench bench-parity tpu-table lock clean help

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.runtime  ## install, make shapes, train YOLOv4-tiny, evaluate, draw runs/demo/index.html
	$(BIN)/python -m tools.demo $(DEMO_ARGS)

test: $(VENV)/.dev lint  ## install, lint, and run the test suite
	$(BIN)/python -m pytest

test-slow: $(VENV)/.dev  ## the slow checks: minutes of training
	$(BIN)/python -m pytest -m slow

evidence: $(VENV)/.dev  ## say whether the evidence of each project may be believed
	$(BIN)/python -m tools.workflow check yolo
	$(BIN)/python -m tools.workflow check maskformer

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev  ## rewrite the sources in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: $(VENV)/.dev  ## install everything: parity, TPU and developer extras too

bench: $(VENV)/.dev  ## print our speed beside upstream's, in CPU seconds
	$(BIN)/python -m benchmarks

bench-parity: $(VENV)/.dev  ## plant porting defects, and see that parity finds them: benchmarks/parity/results.md
	$(BIN)/python -m benchmarks.parity

tpu-table: $(VENV)/.dev  ## compile every experiment for its TPU: benchmarks/tpu_table.md
	$(BIN)/python -m benchmarks.tpu_table

$(VENV)/.python:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.python pyproject.toml requirements.lock
	$(PIP) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	$(PIP) -e '.[parity,tpu,dev]'
	@touch $@

lock: $(VENV)/.dev  ## rewrite requirements.lock from what .venv holds
	{ head -1 requirements.lock; $(BIN)/python -m pip freeze --exclude-editable --all | sed 's/+cpu$$//' | sort -f; } > requirements.lock.new
	mv requirements.lock.new requirements.lock

clean:  ## remove the environment and every run
	rm -rf $(VENV) runs
