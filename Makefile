# Every target works on a fresh clone: `setup` and the harness install what they need.
.PHONY: setup demo test browser-test lint faults bench monitoring lock clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete

setup: $(STAMP)

$(STAMP): pyproject.toml tests/requirements.lock
	@tests/harness/make_venv.sh $(PYTHON) $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r tests/requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup
	$(BIN)/tie-forwarder demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m tests.harness.provision
	$(BIN)/python -m pytest -m "not long and not quiet" --numprocesses 3 --dist worksteal
	$(BIN)/python -m pytest -m quiet

# The tests of the status page alone; PICTURES=FOLDER takes photographs of it.
browser-test: setup
	$(BIN)/python -m tests.harness.provision
	TIE_FORWARDER_PICTURES=$(PICTURES) $(BIN)/python -m pytest -m browser

# Every kind of fault to groups of forwarders under 200,000 detections; about a quarter of an hour.
faults: setup
	$(BIN)/python -m tests.harness.provision
	$(BIN)/python -m pytest -m long
	$(BIN)/python -m tests.groups

bench: setup
	$(BIN)/python -m tests.harness.provision
	$(BIN)/python -m tests.bench

# Writes docs/metrics.md and the dashboards anew from the code; commit what it writes.
monitoring: setup
	$(BIN)/python -m tests.monitoring

# Resolves the newest versions that pyproject.toml allows; commit what it writes.
lock: setup
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-header --quiet \
		pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-header --quiet \
		--extra registry -c requirements.lock pyproject.toml -o requirements-registry.lock
	$(BIN)/uv pip compile --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-header --quiet \
		--extra dev -c requirements.lock pyproject.toml tests/build-requirements.in -o tests/requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
