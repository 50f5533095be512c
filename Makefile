# make run     sets up .venv and trains the example          make test      the same set-up, then the tests
# make test-all  adds PostgreSQL, Chromium and long fuzzing  make check     lint, types, architecture
PYTHON ?= python3
VENV ?= .venv
EXPERIMENT ?= examples/penguins.yaml
BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed
# Another torch build: make run TORCH_INDEX=URL (see the README on what the default downloads).
TORCH_INDEX ?=
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	$(if $(TORCH_INDEX),--extra-index-url "$(TORCH_INDEX)")

# One test file a worker, on up to four cores.
SIDE_BY_SIDE = --numprocesses logical --maxprocesses 4 --dist loadfile

.PHONY: run test test-all check bench faults outages clean help
.DEFAULT_GOAL = help

help:
	@sed -n '1,2s/^# //p' Makefile

run: $(INSTALLED)
	@$(BIN)/etude run "$(EXPERIMENT)"

test: $(INSTALLED)
	@$(BIN)/python -m pytest -q $(SIDE_BY_SIDE) -m "not slow and not services"

test-all: $(INSTALLED)
	@$(BIN)/python -m pytest -q -m "slow or services"

check: $(INSTALLED)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(INSTALLED)
	@$(BIN)/python bench/overhead.py

faults: $(INSTALLED)
	@$(BIN)/python bench/kill.py --kills 120 --runs 10

outages: $(INSTALLED)
	@$(BIN)/python bench/outages.py
	@$(BIN)/python bench/writers.py

$(INSTALLED): pyproject.toml constraints.txt
	@echo "setting up $(VENV): torch, prefect, mlflow and what they need, about two minutes"
	@test -x "$(BIN)/python" || $(PYTHON) -m venv "$(VENV)"
	@$(PIP) -e ".[dev]"
	@touch "$@"

clean:
	rm -rf "$(VENV)" .etude mlflow.db mlruns build dist

-include stack.mk
