# Every target installs what it needs into .venv by itself, once, and again when pyproject.toml or
# constraints.txt change. `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DPBENCH := $(BIN)/python -m benchmark

TASK ?= pusht
PRESET ?= quick
STUDY ?= list
comma := ,
spaced = $(subst $(comma), ,$(1))
STUDY_FLAGS := --task $(TASK) --preset $(PRESET) \
	$(if $(METHODS),--methods $(call spaced,$(METHODS))) $(if $(SEEDS),--seeds $(call spaced,$(SEEDS))) \
	$(if $(DATA),--data $(DATA)) $(if $(DATA_PATH),--data-path $(DATA_PATH)) \
	$(if $(OUT),--out $(OUT)) $(if $(WORKERS),--workers $(WORKERS))
BENCH_FLAGS := $(STUDY_FLAGS) $(if $(CONTROL),--control $(call spaced,$(CONTROL))) \
	$(if $(BESIDE),--beside $(call spaced,$(BESIDE)))

# What a task needs beside the rest, a stamp each.
INSTALLED := $(VENV)/.installed $(if $(filter lift can square,$(TASK)),$(VENV)/.installed-robosuite)

.DEFAULT_GOAL := help
.PHONY: help install bench study report perf doctor demos test test-slow check format clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'
	@echo
	@echo "  TASK=pusht|lift|can|square PRESET=smoke|quick|laptop|paper METHODS=... SEEDS=... CONTROL=position|velocity"
	@echo "  DATA=scripted|human DATA_PATH=FILE OUT=FOLDER BESIDE=REPORT WORKERS=N STUDY=all|action-horizon|..."

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "dpbench needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[human]'
	@touch $@

$(VENV)/.installed-robosuite: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[robosuite]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

install: $(VENV)/.installed ## Install dpbench into .venv

bench: $(INSTALLED) ## Demonstrations, training, evaluation, table and report of one task
	$(DPBENCH) sweep $(BENCH_FLAGS)

study: $(INSTALLED) ## Test a published claim: STUDY=action-horizon, or STUDY=all
	$(DPBENCH) study $(STUDY) $(STUDY_FLAGS)

report: $(INSTALLED) ## Draw the report from what has been run
	$(DPBENCH) report $(BENCH_FLAGS)

perf: $(VENV)/.installed ## Measure this machine (PEERS=1: gym-pusht too, in a venv of its own)
	$(DPBENCH) perf $(if $(PEERS),--peers) $(if $(OUT),--out $(OUT))

doctor: $(VENV)/.installed ## Check the installation
	$(DPBENCH) doctor

demos: $(INSTALLED) ## Generate, list and inspect the demonstrations of a task
	$(DPBENCH) demos $(TASK)

test: $(VENV)/.installed-dev ## Run the test suite
	$(BIN)/python -m pytest -n auto --dist worksteal

test-slow: $(VENV)/.installed-dev ## Run the learning tests that take minutes
	$(BIN)/python -m pytest -m slow

check: $(VENV)/.installed-dev ## Check format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## Remove the environment and caches (runs/ stays)
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
