# Every target works on a fresh clone: `setup` and the harness install what they need.
.PHONY: setup demo test lint faults bench lock clean install uninstall deb deb-test

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
	$(BIN)/python -m pytest -m "not long and not quiet and not machine" --numprocesses 3 --dist worksteal
	$(BIN)/python -m pytest -m quiet

# Every kind of fault to groups of forwarders under 200,000 detections; about a quarter of an hour.
faults: setup
	$(BIN)/python -m tests.harness.provision
	$(BIN)/python -m pytest -m long
	$(BIN)/python -m tests.groups

# The systemd service; PREFIX=, DESTDIR=, PYTHON=, PURGE=1 as the script says them.
install uninstall:
	@PYTHON=$(PYTHON) PIP="$(PIP)" deploy/systemd/install.sh $@

# The Debian package of this release, in dist/.
deb: setup
	@PIP="$(CURDIR)/$(BIN)/python -m pip" deploy/debian/build.sh

# Boots a clean Debian and tries package and service in it; needs root on a Debian, and three minutes.
deb-test: setup
	$(BIN)/python -m tests.harness.provision
	$(BIN)/python -m tests.machine.provision
	$(BIN)/python -m pytest -m machine

bench: setup
	$(BIN)/python -m tests.harness.provision
	$(BIN)/python -m tests.bench

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
