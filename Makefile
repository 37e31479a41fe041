# Every target installs what it needs into .venv by itself, once, and again when pyproject.toml or
# constraints.txt change: with uv where it is on the PATH, else with pip. `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS_VENV := .venv-peers
DPBENCH := $(BIN)/python -m benchmark
UV := $(shell command -v uv 2>/dev/null)
INSTALL := $(if $(UV),uv pip install --quiet --python $(BIN)/python,\
	$(BIN)/python -m pip install -qq --disable-pip-version-check) -c constraints.txt

TASK ?= pusht
PRESET ?= quick
STUDY ?= list
# Files and folders reach the shell through the environment: they may hold spaces and quotes.
export DATA_PATH PUBLIC OUT RECORD
comma := ,
spaced = $(subst $(comma), ,$(1))
STUDY_FLAGS = --task $(TASK) --preset $(PRESET) \
	$(if $(METHODS),--methods $(call spaced,$(METHODS))) $(if $(SEEDS),--seeds $(call spaced,$(SEEDS))) \
	$(if $(DATA),--data $(DATA)) $(if $(DATA_PATH),--data-path "$$DATA_PATH") \
	$(if $(FILTER_KEY),--filter-key $(FILTER_KEY)) \
	$(if $(OUT),--out "$$OUT") $(if $(WORKERS),--workers $(WORKERS)) $(if $(DEVICE),--device $(DEVICE)) \
	$(if $(ENGINE),--engine $(ENGINE))
BENCH_FLAGS = $(STUDY_FLAGS) $(if $(CONTROL),--control $(call spaced,$(CONTROL))) \
	$(if $(EVIDENCE),--with-evidence) $(if $(VIDEO),--video $(VIDEO))

# What a task or an engine needs beside the rest, a stamp each.
INSTALLED := $(VENV)/.installed $(if $(filter lift can square,$(TASK)),$(VENV)/.installed-robosuite) \
	$(if $(filter ray,$(ENGINE)),$(VENV)/.installed-ray)

.DEFAULT_GOAL := help
.PHONY: help install bench study report keep results perf speedrun play doctor demos test test-browser test-peers test-slow test-ray docs torture check format clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'
	@echo
	@echo "  TASK=pusht|pusht-image|lift|can|square PRESET=smoke|quick|laptop|paper METHODS=... SEEDS=... CONTROL=position|velocity"
	@echo "  DATA=scripted|human DATA_PATH=FILE FILTER_KEY=train OUT=FOLDER EVIDENCE=1 VIDEO=N WORKERS=N DEVICE=cpu"
	@echo "  ENGINE=local|ray STUDY=all|action-horizon|..."
	@echo "  POLICY=shipped|RUN,RUN RECORD=FILE.npz OPEN=1 (report)"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "dpbench needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.11"; exit 2; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing dpbench into $(VENV) (about a minute)"
	@$(INSTALL) -e '.[human]'
	@touch $@

$(VENV)/.installed-robosuite: $(VENV)/.installed
	@echo "installing robosuite and MuJoCo into $(VENV)"
	@$(INSTALL) -e '.[human,mujoco]'
	@$(INSTALL) --no-deps robosuite
	@touch $@

$(VENV)/.installed-ray: $(VENV)/.installed
	@echo "installing Ray into $(VENV)"
	@$(INSTALL) -e '.[human,ray]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-robosuite
	@echo "installing the tools of the tests into $(VENV)"
	@$(INSTALL) -e '.[dev]'
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	@echo "installing the tools of the documentation into $(VENV)"
	@$(INSTALL) -e '.[docs]'
	@touch $@

install: $(VENV)/.installed ## Install dpbench into .venv

bench: $(INSTALLED) ## Demonstrations, training, evaluation, table and report of one task
	@$(DPBENCH) bench $(BENCH_FLAGS)

study: $(INSTALLED) ## Test a published claim: STUDY=action-horizon, or STUDY=all
	@$(DPBENCH) study $(STUDY) $(STUDY_FLAGS)

report: $(VENV)/.installed ## Draw the report of all that has been run, or is committed (OPEN=1: in the browser)
	@$(DPBENCH) report $(if $(filter-out file,$(origin TASK)),--task $(call spaced,$(TASK))) \
		$(if $(OUT),--out "$$OUT") $(if $(OPEN),--open)

keep: $(VENV)/.installed ## Turn finished runs into evidence under results/
	@$(DPBENCH) keep

results: $(VENV)/.installed ## Draw results/ and the tables of the documentation from the evidence
	@$(DPBENCH) results

play: $(INSTALLED) ## Push the T yourself (RECORD=FILE.npz), or watch POLICY=shipped or runs and get in their way
	@$(DPBENCH) play --task $(TASK) $(if $(POLICY),--policy $(call spaced,$(POLICY))) \
		$(if $(RECORD),--record "$$RECORD")

perf: $(VENV)/.installed ## Measure this machine (PEERS=1: gym-pusht too, in a venv of its own; PUBLIC=checkout)
	@$(DPBENCH) perf $(if $(PEERS),--peers) $(if $(PUBLIC),--public "$$PUBLIC") $(if $(OUT),--out "$$OUT")

speedrun: $(VENV)/.installed ## Seconds of training to a validation score of .95 (DATA_PATH: human demonstrations)
	@$(VENV)/bin/python -m benchmark.perf.speedrun $(if $(DATA_PATH),--data-path "$$DATA_PATH")

doctor: $(VENV)/.installed ## Check the installation
	@$(DPBENCH) doctor

demos: $(INSTALLED) ## Generate, list and inspect the demonstrations of a task
	@$(DPBENCH) demos $(TASK)

test: $(VENV)/.installed-dev ## Run the test suite
	@$(BIN)/python -m pytest -n auto --dist worksteal

test-browser: $(VENV)/.installed-dev ## Run the tests of the report in a browser; installs Chromium where there is none
	@command -v chromium chromium-browser >/dev/null || $(BIN)/python -m playwright install --with-deps chromium
	@$(BIN)/python -m pytest tests/benchmark/report/test_browser.py

test-ray: $(VENV)/.installed-dev $(VENV)/.installed-ray ## Run the tests on a Ray cluster of this machine
	@$(BIN)/python -m pytest -m ray

test-slow: $(VENV)/.installed-dev ## Run the learning tests that take minutes
	@$(BIN)/python -m pytest -m slow

docs: $(VENV)/.installed-docs ## Build the documentation into site/; a warning is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build
	@echo "$(CURDIR)/site/index.html"

$(PEERS_VENV)/.installed: pyproject.toml constraints.txt
	@echo "installing Stable-Baselines3 and TorchRL into $(PEERS_VENV), beside dpbench"
	@$(PYTHON) -m venv $(PEERS_VENV)
	@$(PEERS_VENV)/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt \
		-e '.[peers]'
	@touch $@

test-peers: $(PEERS_VENV)/.installed ## Let Stable-Baselines3 and TorchRL collect from the environments
	@$(PEERS_VENV)/bin/python -m pytest -m peers -W default tests/peers

torture: $(VENV)/.installed-dev ## Damage, interrupt and misuse everything (ONLY=interrupted BAD_FILES=N KILLS=N)
	@DPBENCH_TORTURE=1 DPBENCH_BAD_FILES=$(or $(BAD_FILES),720) DPBENCH_KILLS=$(or $(KILLS),5) \
		$(BIN)/python -m pytest -m "slow or not slow" $(if $(ONLY),-k "$(ONLY)") tests/torture \
		tests/benchmark/test_wrong_calls.py tests/benchmark/test_start.py tests/benchmark/test_sealed.py \
		tests/benchmark/test_parquet.py tests/benchmark/running/test_contract.py \
		tests/benchmark/running/test_workers.py tests/benchmark/running/test_once.py

check: $(VENV)/.installed-dev ## Check format, lint and types
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m mypy

format: $(VENV)/.installed-dev ## Format the code
	@$(BIN)/python -m ruff format .
	@$(BIN)/python -m ruff check --fix .

clean: ## Remove the environment and caches (runs/ stays)
	rm -rf $(VENV) site .mypy_cache .pytest_cache .ruff_cache .hypothesis
