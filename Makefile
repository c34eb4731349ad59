# Everything starts here: `make help`. Needs Python 3.11 to 3.13 and make; nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
export PIP_DISABLE_PIP_VERSION_CHECK := 1
PIP_INSTALL := .venv/bin/python -m pip install --quiet --require-hashes
COMPILE := .venv/bin/uv pip compile pyproject.toml --universal --python-version 3.11 --quiet \
	--fork-strategy fewest --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate

# A virtual environment that is broken, or was moved here from elsewhere, counts as missing.
$(shell [ "$$(cat .venv/.made 2>/dev/null)" = "$(CURDIR)" ] && .venv/bin/python -c '' 2>/dev/null \
	|| rm -f .venv/.made .venv/.ready .venv/.ready-dev)

.PHONY: help run test check bench soak lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/.ready ## Set up, start everything on 127.0.0.1:8000 with a demo stream (Ctrl-C stops it)
	@exec .venv/bin/touchstone demo $(ARGS)

test: .venv/.ready-dev ## Set up and run the tests (ARGS="-k name" for some of them)
	@sh .ci/need-chromium
	@.venv/bin/python -m pytest -n 2 --dist loadfile $(ARGS)

check: .venv/.ready-dev ## Lint, format, types, import contracts, rules
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@.venv/bin/touchstone rules check

bench: .venv/.ready-dev ## Measure decisions, profiles, velocities and history on this machine
	@.venv/bin/python -m tests.bench $(ARGS)
	@.venv/bin/python -m tests.bench.know
	@.venv/bin/python -m tests.bench.rules_bench

soak: .venv/.ready-dev ## Prove at length what the tests prove in short (ARGS="kills" for one proof)
	@.venv/bin/python -m tests.soak $(ARGS)

lock: .venv/.ready-dev ## Resolve the dependencies anew into requirements*.lock
	@$(COMPILE) --upgrade --all-extras -o requirements-dev.lock
	@$(COMPILE) --extra training --extra build -c requirements-dev.lock -o requirements.lock
	@$(COMPILE) --extra build --extra kms -c requirements-dev.lock -o requirements-image.lock

clean: ## Remove .venv and caches (data in var/ stays)
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

.venv/.made:
	@sh .ci/make-venv

.venv/.ready: requirements.lock pyproject.toml | .venv/.made
	@sh .ci/need-libgomp
	@echo "Installing dependencies (a minute or two, once) ..."
	@$(PIP_INSTALL) -r requirements.lock
	@.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

.venv/.ready-dev: requirements-dev.lock requirements.lock pyproject.toml | .venv/.made
	@sh .ci/need-libgomp
	@echo "Installing dependencies of the tests (a minute or two, once) ..."
	@$(PIP_INSTALL) -r requirements-dev.lock
	@.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch .venv/.ready $@
