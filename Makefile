# Everything that toft needs is set up by these targets, in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TESTS_READY := $(VENV)/.tests-ready
SANITY := $(CURDIR)/build/sanity
# Several tests at a time, with hosts of their own: they wait more often than they work.
AT_ONCE := -n 3 --dist worksteal
COLLECTION := collection/ansible_collections/toft/fleet
# Those for sh; there are some for Python among them.
ROLE_SCRIPTS = $(shell grep -l '^.!/bin/sh' $(COLLECTION)/roles/*/files/* $(COLLECTION)/extensions/molecule/*/*.sh)

.PHONY: run test unit lab-test molecule bench lint sanity lab lab-down build clean
.DEFAULT_GOAL := run

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "toft needs Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip --quiet --disable-pip-version-check install --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip --quiet --disable-pip-version-check install --editable .
	@touch $@

$(TESTS_READY): $(READY)
	@$(BIN)/python -m pip --quiet --disable-pip-version-check install --group test --group lint --group roles
	@touch $@

run: $(READY) ## the main job, on this machine as a fleet of one
	@TOFT=$(BIN)/toft sh wrapper/tour.sh

test: $(TESTS_READY) ## all tests
	$(BIN)/python -m pytest $(AT_ONCE) tests

unit: $(TESTS_READY)
	$(BIN)/python -m pytest $(AT_ONCE) tests --ignore tests/lab --ignore tests/faults

lab-test: $(TESTS_READY)
	$(BIN)/python -m pytest $(AT_ONCE) tests/lab tests/faults

molecule: $(TESTS_READY) ## the roles on hosts of the lab (SCENARIO="storage" for some of them)
	$(BIN)/python -m tests.scenarios $(SCENARIO)

bench: $(TESTS_READY) ## how fast it is: figures, on hosts of this machine
	$(BIN)/python -m tests.bench.run $(BENCH)

lint: $(TESTS_READY) ## types, style, shell, YAML
	$(BIN)/ruff check .
	$(BIN)/mypy wrapper collection tests/scenarios.py tests/go_module.py $(wildcard tests/tailnet/*.py tests/agentapi/*.py tests/bench/*.py) $(filter-out tests/lab/test_%,$(wildcard tests/lab/*.py))
	$(BIN)/yamllint --strict inventories playbooks/ roles/ $(COLLECTION)/extensions $(COLLECTION)/galaxy.yml
	cd $(COLLECTION) && PATH="$(CURDIR)/$(BIN):$$PATH" $(CURDIR)/$(BIN)/ansible-lint --offline -q --profile production roles playbooks extensions
	$(BIN)/shellcheck $(COLLECTION)/plugins/plugin_utils/*.sh $(ROLE_SCRIPTS) wrapper/*.sh .ci/run

sanity: $(TESTS_READY) ## what Ansible asks of a collection
	rm -rf $(SANITY)
	mkdir -p $(SANITY)/ansible_collections/toft $(SANITY)/home/.ansible/test/cache
	cp -RL $(COLLECTION) $(SANITY)/ansible_collections/toft/fleet
	for pip in 24_2 25_2; do cp tests/collection/get_pip.py $(SANITY)/home/.ansible/test/cache/get_pip_$$pip.py; done
	cd $(SANITY)/ansible_collections/toft/fleet && git init --quiet && git add --all && \
	  HOME=$(SANITY)/home PATH="$(CURDIR)/$(BIN):$$PATH" ansible-test sanity --local \
	  --python $$($(CURDIR)/$(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')

lab: ## hosts to try things on; `make lab-down` removes them
	$(PYTHON) tests/lab/lab.py up --keep

lab-down:
	$(PYTHON) tests/lab/lab.py down

build: $(READY) ## the wheel and the collection
	$(BIN)/python -m pip --quiet wheel --no-deps --wheel-dir dist .
	$(BIN)/ansible-galaxy collection build --force --output-path dist $(COLLECTION)

clean:
	rm -rf $(VENV) dist build
