# The verbs people try first. Each looks first at what pip cannot bring, and says all at once what is missing; as root
# on Debian it is installed. Everything else happens in .venv and .cache; nothing outside this folder is changed.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check install --no-cache-dir --no-compile
# What packages bring that nobody runs: their own tests, headers, Arrow's network service.
UNUSED := find .venv/lib \( -type d \( -name tests -o -path '*/pyarrow/include' \) -o -path '*/pyarrow/*flight*.so*' \) \
	-prune -exec rm -rf {} +
PYTEST := $(BIN)/python -m pytest
# Two more than there are cores: much of the time is spent waiting, for servers and for the clock.
PARALLEL := -n $(shell echo $$(($$(nproc) + 2))) --dist worksteal

# An ordinary user mounts small disks in a name space of his own.
DISKS := tests/faults/test_disks.py
AS_ROOT := $(if $(filter-out 0,$(shell id -u)),unshare --map-root-user --mount)

.PHONY: help demo test test-versions facts influxd victorialogs bench bench-quick bench-peers faults mutants containers kubernetes cluster pythons lint types \
	pytest format schema clean
help:
	@echo "make demo           two throwaway servers, sample data, backups into a server and into files, exact comparisons"
	@echo "make test           lint, types and all tests that need one InfluxDB: Debian's, or INFLUXD=program"
	@echo "                    INFLUXD_VERSION=1.8.10 make test builds that version, and runs on it"
	@echo "make test-versions  builds other versions of InfluxDB, VictoriaLogs and an object store, and tests on all of them"
	@echo "make facts          of these the facts of docs/influxdb.md; make facts VERSION=1.7.11 on one version"
	@echo "make faults         every fault, all rounds, source and destination compared after each; make test injects each once,"
	@echo "                    FAULT_ROUNDS=10 make faults a tenth"
	@echo "make mutants        mistakes put into the code, one at a time: which of them does no test notice? About an hour"
	@echo "make containers     as root: integration tests on containers, and tests of the image"
	@echo "make kubernetes     builds helm and kubeconform, and checks deploy/kubernetes with them"
	@echo "make cluster        builds Kubernetes itself, and rolls them out on an API server; minutes, and no part of .ci/run"
	@echo "make pythons        the unit tests, on every Python from 3.11 on that is here"
	@echo "make influxd        the servers of make test-versions; make influxd VERSION=1.7.11 one of them"
	@echo "make bench          time, CPU and memory on real servers, against SELECT INTO; make bench-quick in three minutes"
	@echo "make bench-peers    the same against what comes with InfluxDB: influxd backup, influx_inspect export"
	@echo "make format         reformat the code       make schema  refresh config/schema.json"
	@echo "make clean          remove .venv and caches"

demo: prepare-demo .venv/archive
	$(BIN)/python -m demo.run

test: prepare-tests lint types pytest

lint: .venv/tests
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: .venv/tests
	$(BIN)/mypy

pytest: prepare-tests .venv/tests .cache/influxd/$(INFLUXD_VERSION)
ifeq ($(AS_ROOT),)
	$(PYTEST) $(PARALLEL)
else
	$(PYTEST) $(PARALLEL) --ignore $(DISKS)
	$(AS_ROOT) $(PYTEST) $(DISKS)
endif

test-versions: prepare-versions .venv/tests
	tests/support/versions.sh

kubernetes: prepare-versions .venv/tests
	tests/support/programs.sh kubernetes
	tests/support/kubernetes.sh

cluster: prepare-versions .venv/tests
	tests/support/programs.sh kubernetes
	tests/support/programs.sh cluster
	CLUSTER_TESTS=1 $(PYTEST) tests/cluster

facts: prepare-versions .venv/tests
	tests/support/versions.sh facts $(VERSION)

PYTHONS ?= 3.11 3.12 3.13 3.14
pythons: prepare-tests
	tests/support/pythons.sh $(PYTHONS)

influxd: prepare-versions
	tests/support/programs.sh influxd $(or $(VERSION),all)

victorialogs: prepare-versions
	tests/support/programs.sh victorialogs

.cache/influxd/: ;
.cache/influxd/%:
	@sh demo/prepare.sh $(PYTHON) versions
	tests/support/programs.sh influxd $*

FAULT_ROUNDS ?= all
faults: prepare-faults .venv/tests .cache/influxd/$(INFLUXD_VERSION)
ifeq ($(AS_ROOT),)
	FAULT_ROUNDS=$(FAULT_ROUNDS) $(PYTEST) tests/faults $(PARALLEL) --timeout 1800
else
	FAULT_ROUNDS=$(FAULT_ROUNDS) $(PYTEST) tests/faults $(PARALLEL) --timeout 1800 --ignore $(DISKS)
	FAULT_ROUNDS=$(FAULT_ROUNDS) $(AS_ROOT) $(PYTEST) $(DISKS) --timeout 1800
endif

bench: prepare-demo .venv/bench
	$(BIN)/python -m bench.run $(BENCH)

bench-quick: prepare-demo .venv/bench
	$(BIN)/python -m bench.run --quick $(BENCH)

bench-peers: prepare-versions .venv/bench
	tests/support/programs.sh peers
	$(BIN)/python -m bench.run --case peers $(BENCH)

mutants: prepare-tests .venv/tests .cache/mutants .cache/influxd/$(INFLUXD_VERSION)
	.cache/mutants/bin/python -m tests.mutants.run --python $(BIN)/python $(MUTANTS)

.cache/mutants: tests/mutants/requirements.txt | prepare-python
	@echo "Making .cache/mutants, with what makes mistakes"
	$(PYTHON) -m venv $@
	$@/bin/pip --disable-pip-version-check install --no-cache-dir --no-compile -r $<
	@touch $@

# What depends on how a server is started, stopped, configured and named. The rest asks it the same questions anywhere.
IN_CONTAINERS := check client daemon exactness influx_client jobs nothing_copied order range reads resume rights \
	same_server second_look selection small_measurements whole_database writes
containers: prepare-containers .venv/tests
	tests/support/engine.sh
	tests/support/images.sh
	INFLUX_SERVERS=containers INFLUXDB_IMAGE=local/influxdb:1.6 $(PYTEST) $(PARALLEL) \
		$(foreach name,$(IN_CONTAINERS),tests/integration/test_$(name).py)
	CONTAINER_TESTS=1 INFLUXDB_IMAGE=local/influxdb:1.6 $(PYTEST) tests/containers

format: .venv/tests
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schema: .venv/tests
	$(BIN)/python config.py > config/schema.new
	mv config/schema.new config/schema.json
	$(BIN)/python config.py --shared > config/schema.new
	mv config/schema.new config/shared.schema.json

prepare-%:
	@sh demo/prepare.sh $(PYTHON) $*

.venv/runtime: requirements.txt | prepare-python
	@echo "Making .venv, with what a backup needs"
	$(PYTHON) -m venv .venv
	$(PIP) -r requirements.txt
	@$(UNUSED)
	@touch $@

.venv/archive: copying/archive/requirements.txt .venv/runtime
	@echo "Adding to .venv what archives need"
	$(PIP) -r copying/archive/requirements.txt
	@$(UNUSED)
	@touch $@

.venv/tests: tests/requirements.txt influx/requirements.txt copying/archive/requirements.txt \
		copying/distribution/requirements.txt .venv/runtime
	@echo "Adding to .venv what the tests need"
	$(PIP) -r tests/requirements.txt
	@$(UNUSED)
	@touch $@

.venv/bench: bench/requirements.txt .venv/archive
	@echo "Adding to .venv what the measurements need"
	$(PIP) -r bench/requirements.txt
	@$(UNUSED)
	@touch $@

clean:
	rm -rf .venv .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
