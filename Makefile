# Every target works on a fresh clone: `setup` and the harness install what they need.
.PHONY: setup demo test quick browser-test lint faults ten-faults bench monitoring lock clean install uninstall deb deb-test shipped picture dist dist-test sbom

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

# What makes the distribution has an environment of its own; nobody else needs it.
TOOLS := .venv-distribution
TOOLS_STAMP := $(TOOLS)/.complete

$(TOOLS_STAMP): tests/distribution/requirements.lock
	@tests/harness/make_venv.sh $(PYTHON) $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --require-hashes --no-deps -r $<
	@touch $@

demo: setup
	$(BIN)/tie-forwarder demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What has a target of its own is not part of `test`.
EVERYDAY := not long and not machine and not image and not manifests and not distribution

test: lint
	$(BIN)/python -m tests.harness.provision
	$(BIN)/python -m pytest -m "$(EVERYDAY) and not quiet" --numprocesses 3 --dist worksteal
	$(BIN)/python -m pytest -m quiet

# For whoever changes a line: lint, types, and the tests that need no server, with a tenth of the random schedules.
quick: lint
	TIE_FORWARDER_SHARE=0.1 $(BIN)/python -m pytest -m "$(EVERYDAY) and quick and not quiet" --numprocesses 2 --dist worksteal

# The tests of the status page alone; PICTURES=FOLDER takes photographs of it.
browser-test: setup
	$(BIN)/python -m tests.harness.provision
	TIE_FORWARDER_PICTURES=$(PICTURES) $(BIN)/python -m pytest -m browser

# Every kind of fault to groups of forwarders under 200,000 detections; about a quarter of an hour.
faults: setup
	$(BIN)/python -m tests.harness.provision
	$(BIN)/python -m pytest -m long
	$(BIN)/python -m tests.groups

# Ten faults made for real, and the words that are shown of each, written into docs/runbook.md; five minutes, as root.
ten-faults: setup
	$(BIN)/python -m tests.harness.provision
	$(BIN)/python -m tests.ten_faults

# The systemd service; PREFIX=, DESTDIR=, PYTHON=, PURGE=1 as the script says them.
install:
	@PYTHON=$(PYTHON) PIP="$(PIP)" deploy/systemd/install.sh install

uninstall:
	@deploy/systemd/install.sh uninstall

# The Debian package of this release, in dist/.
deb: setup
	@PIP="$(CURDIR)/$(BIN)/python -m pip" deploy/debian/build.sh

# Boots a clean Debian and tries package and service in it; needs root on a Debian, and four minutes.
deb-test: setup
	$(BIN)/python -m tests.harness.provision
	$(BIN)/python -m tests.machine.provision
	$(BIN)/python -m pytest -m machine

# The man page and the completions, from the command line; commit what it writes.
shipped: setup
	$(BIN)/python -m tests.distribution.shipped

# docs/demo.svg, a capture of the demo; commit what it writes.
picture: setup
	$(BIN)/python -m tests.distribution.picture

# sdist and wheel in dist/, byte for byte the same wherever a commit is built.
dist: $(TOOLS_STAMP)
	rm -f dist/tie_forwarder-*
	tests/distribution/build.sh $(TOOLS)/bin/python . dist
	$(TOOLS)/bin/python -m twine check --strict dist/tie_forwarder-*

# Of what requirements.lock installs, with the hashes; the lock knows no graph, which the library would warn of.
sbom: $(TOOLS_STAMP)
	@mkdir -p dist
	PYTHONWARNINGS=ignore::UserWarning $(TOOLS)/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --validate \
		--output-format JSON --output-file dist/tie-forwarder.cdx.json requirements.lock

# Installs what `dist` made on each of these Pythons, and tries it; about five minutes for each.
PYTHONS ?= 3.11 3.12 3.13

dist-test: setup dist sbom
	$(BIN)/python -m tests.distribution.provision
	PYTHONS="$(PYTHONS)" $(BIN)/python -m pytest -m distribution

bench: setup
	$(BIN)/python -m tests.harness.provision
	$(BIN)/python -m tests.bench

# Writes docs/metrics.md and the dashboards anew from the code; commit what it writes.
monitoring: setup
	$(BIN)/python -m tests.monitoring

# The container image, by docker, podman or buildah; deploy/image/build.sh says what may be set.
.PHONY: image image-test manifests-test
image:
	deploy/image/build.sh

# Builds that image and runs it with a real fabric and a real Kafka, as root; five minutes.
image-test: setup
	$(BIN)/python -m tests.harness.provision
	$(BIN)/python -m tests.image.provision
	BUILDER=buildah deploy/image/build.sh
	$(BIN)/python -m pytest -m image -s tests/image

# Builds kustomize and Compose's reader from Go modules and holds deploy/ against them; needs Go 1.24 or newer.
manifests-test: setup
	$(BIN)/python -m pytest -m manifests tests/manifests

# Resolves the newest versions that pyproject.toml allows; commit what it writes.
lock: setup
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
		pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
		--extra registry -c requirements.lock pyproject.toml -o requirements-registry.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
		--extra dev -c requirements.lock pyproject.toml tests/build-requirements.in -o tests/requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
		-c tests/requirements.lock tests/build-requirements.in -o deploy/image/build-requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
		-c tests/requirements.lock tests/distribution/requirements.in -o tests/distribution/requirements.lock

clean:
	rm -rf $(VENV) $(TOOLS) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
