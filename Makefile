# Everything a newcomer needs: `make run` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PORT   ?= 8080
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help setup run agent test test-all check fmt bench lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.run ## Create the virtual environment with hashed pins

run: $(VENV)/.run ## Start the product with a demo shop on port 8080 (PORT= changes it)
	@exec $(BIN)/shopbell up --demo --port $(PORT) $(ARGS)

agent: $(VENV)/.run ## Answer as the demo agent, in this terminal
	@exec $(BIN)/shopbell agent --port $(PORT) $(ARGS)

test: $(VENV)/.dev ## Run the fast tests
	@$(BIN)/python -m pytest -m "not slow" $(ARGS)

test-all: $(VENV)/.dev ## Run every test, the slow proofs too
	@$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.dev ## Lint, format check and strict types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/mypy gateway/client/shopbell_client/*.py

fmt: $(VENV)/.dev ## Format the code and fix what lint can fix
	@$(BIN)/ruff check --fix-only -q .
	@$(BIN)/ruff format .

bench: $(VENV)/.dev ## Measure: each figure a ratio taken in one run
	@$(BIN)/python -m tests.bench $(ARGS)

lock: ## Renew the pin files (needs `uv` on the PATH)
	@sh requirements/lock.sh

clean: ## Remove the virtual environment and caches, not the data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Shopbell needs Python 3.11 or newer; name one with PYTHON=, for example: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@echo "Creating the virtual environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

# The second install links the two packages of this repository; their build backend is among the pins.
define install
	@echo "Installing $(1) (hashed pins) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r $(1)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e gateway/client -e .
endef

$(VENV)/.run: requirements/run.txt pyproject.toml gateway/client/pyproject.toml | $(VENV)/bin/python
	$(call install,requirements/run.txt)
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml gateway/client/pyproject.toml | $(VENV)/bin/python
	$(call install,requirements/dev.txt)
	@touch $@ $(VENV)/.run
