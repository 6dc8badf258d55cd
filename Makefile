# Two commands matter: `make demo` and `make test`. Both install what they need into .venv, locked and hashed.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
# The newest suitable Python on PATH; `make PYTHON=/path/to/python demo` chooses another.
PYTHON ?= $(firstword $(foreach p,python3.13 python3.12 python3.11 python3,$(shell $(p) -c 'import sys, venv; sys.version_info >= (3, 11) and print("$(p)")' 2>/dev/null)))
# In a folder whose name is not ASCII, Python would not find what is installed.
ifneq ($(filter C POSIX,$(LC_ALL)),)
export LC_ALL := C.UTF-8
endif
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: help demo test test-unit test-faults test-docker chaos lint format lock wheel clean

help:  ## Show this help
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/bin/pip:  # the last thing that venv makes: one that was interrupted is made again
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with the venv module is needed (Debian: apt install python3-venv)"; exit 1; }
	@echo "Making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements/run.txt pyproject.toml | $(VENV)/bin/pip
	@echo "Installing locked packages into $(VENV)"
	@$(PIP) --require-hashes -r requirements/run.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	@echo "Installing locked development packages into $(VENV)"
	@$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

demo: $(VENV)/.run  ## Run the pipeline over examples/documents: embedded Redis, real worker
	@$(BIN)/smart-rag-tasks run examples/documents

test: $(VENV)/.dev  ## Unit, fundamentals, integration and architecture tests (about 5 minutes)
	@$(BIN)/pytest -n 3 --dist loadfile

test-unit: $(VENV)/.dev  ## The tests that need no server (seconds)
	@$(BIN)/pytest tests/unit tests/architecture

test-faults: $(VENV)/.dev  ## Kill, freeze and cut things, and count what is lost (6 minutes)
	@$(BIN)/pytest -n 2 --dist load tests/faults

test-docker: $(VENV)/.dev  ## Containers: pytest-celery clusters and docker-compose.yml (6 minutes)
	@$(BIN)/pytest tests/docker

chaos: $(VENV)/.dev  ## Random faults for MINUTES=30 from SEED=1, then an audit
	@$(BIN)/python tests/faults/chaos.py --minutes $(or $(MINUTES),30) --seed $(or $(SEED),1)

lint: $(VENV)/.dev  ## Lint, format, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.dev  ## Format the code
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

lock: $(VENV)/.dev  ## Lock the requirements again
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header pyproject.toml --group build -o requirements/run.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header pyproject.toml --all-extras --group dev -o requirements/dev.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --group build -o requirements/build.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header pyproject.toml --extra postgres --extra rq --extra encryption --extra openai -o requirements/image.txt -c requirements/dev.txt

wheel: $(VENV)/.dev  ## Build the wheel into dist/
	@$(BIN)/python -m pip --disable-pip-version-check wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

clean:  ## Remove what can be made again
	@rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
