# make run: a server with demo data on 127.0.0.1:8000. make test: the suite. make check: the static checks.
# make bench: this server beside others.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

NODE_PACKAGES := bench/contestants/node
CLIENT_PACKAGES := $(patsubst %/package.json,%/node_modules/.package-lock.json,\
  $(wildcard docs/clients/package.json tests/clients/*/package.json))
CLIENT_TOOLS := tests/clients/tools/.venv

.PHONY: run test test-long fuzz chaos clients bench bench-soak bench-sign-in bench-capital bench-live bench-writes bench-metrics bench-snapshots migration-locks check format lock schema clean
.DEFAULT_GOAL := run

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	$(PIP) install --require-hashes -r requirements-dev.lock
	touch $@

run: $(VENV)/.installed
	@exec $(BIN)/tranche serve --demo

test: $(VENV)/.installed-dev clients
	$(BIN)/python -m pytest $(ARGS)

# Fifty thousand generated queries on both paths instead of two thousand, which takes half an hour; and five hundred random
# lives of committed money instead of thirty, which takes minutes.
test-long: $(VENV)/.installed-dev
	TRANCHE_MONEY_RUNS=$${MONEY_RUNS:-500} $(BIN)/python -m pytest tests/services/test_money_machine.py
	TRANCHE_GENERATED_QUERIES=$${QUERIES:-50000} TRANCHE_GENERATED_SEED=$${SEED:-2} $(BIN)/python -m pytest tests/reads/test_compiled.py

# Generated operations for ten minutes, hostile connections for five, then more random requests than the suite sends.
fuzz: $(VENV)/.installed-dev
	$(BIN)/python -m tests.fuzz $${FUZZ_SECONDS:-600}
	TRANCHE_FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-1000} $(BIN)/python -m pytest -q tests/http/test_fuzz.py

# Writers and subscribers of capital for a minute, while servers are killed and connections cut; then workers are killed.
chaos: $(VENV)/.installed-dev
	$(BIN)/python -m tests.chaos $${CHAOS_SECONDS:-60}
	TRANCHE_WORKER_KILLS=$${WORKER_KILLS:-12} $(BIN)/python -m pytest -q tests/services/test_worker.py -k killed

# Without npm, or without a Node that is new enough, the Node contestants are left out and named in the report, and the
# tests of the clients are skipped.
%/node_modules/.package-lock.json: %/package.json %/package-lock.json
	if command -v npm >/dev/null; then cd $* && npm ci --no-audit --no-fund --loglevel=error && touch node_modules/.package-lock.json; fi

# The generators for Python need an older graphql-core than the server.
$(CLIENT_TOOLS)/.installed: tests/clients/tools/requirements.lock
	$(PYTHON) -m venv $(CLIENT_TOOLS)
	$(CLIENT_TOOLS)/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes -r $<
	touch $@

# What the clients of docs/clients and the tests of tests/clients need.
clients: $(CLIENT_PACKAGES) $(CLIENT_TOOLS)/.installed

# Five queries to this server and to others, side by side; writes bench/RESULTS.md. ARGS=--quick is short.
bench: $(VENV)/.installed-dev $(NODE_PACKAGES)/node_modules/.package-lock.json
	$(BIN)/python -m bench $(ARGS)

# 200,000 requests of 5,000 documents; fails unless memory is steady.
bench-soak: $(VENV)/.installed-dev
	$(BIN)/python -m bench.soak $(ARGS)

# 10,000 failing sign-ins; fails where a reader's p95 is more than half longer meanwhile. Takes three minutes.
bench-sign-in: $(VENV)/.installed-dev
	$(BIN)/python -m bench.sign_in $(ARGS)

# What capital costs with ten thousand entries and with a million; writes bench/CAPITAL.md.
bench-capital: $(VENV)/.installed-dev
	$(BIN)/python -m bench.capital $(ARGS)

# From a commit to its thousand subscribers; writes bench/LIVE.md.
bench-live: $(VENV)/.installed-dev
	$(BIN)/python -m bench.live $(ARGS)

# Previews and commits of reallocations, beside the same statements by hand; writes bench/WRITES.md.
bench-writes: $(VENV)/.installed-dev
	$(BIN)/python -m bench.writes $(ARGS)

# A large fund's metrics from memory and worked out anew, at two processes; writes bench/METRICS.md. Takes three minutes.
bench-metrics: $(VENV)/.installed-dev
	$(BIN)/python -m bench.metrics $(ARGS)

# A snapshot of a large fund beside the statement that reads it; writes bench/SNAPSHOTS.md, fails above three times that.
bench-snapshots: $(VENV)/.installed-dev
	$(BIN)/python -m bench.snapshots $(ARGS)

# Migrates a million lots while a client writes; fails where one of its writes takes more than a second. Takes a minute.
migration-locks: $(VENV)/.installed-dev
	$(BIN)/python -m tests.migration_locks $(ARGS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/tranche schema | diff schema.graphql -
	$(BIN)/python -m tests.check_migrations

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schema: $(VENV)/.installed
	$(BIN)/tranche schema > schema.graphql
	$(BIN)/tranche state-machines > docs/state-machines.md

# Resolves the pinned versions anew; needs uv.
lock:
	uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate \
	  --python-version 3.11 pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate \
	  --python-version 3.11 --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate \
	  --python-version 3.11 tests/clients/tools/requirements.in -o tests/clients/tools/requirements.lock

clean:
	test ! -x $(BIN)/python || $(BIN)/python -c 'from pathlib import Path; from api.db import embedded; embedded.remove(Path(".tranche"))'
	rm -rf $(VENV) $(CLIENT_TOOLS) .tranche .mypy_cache .ruff_cache .pytest_cache
