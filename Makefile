# The verbs people try first. Everything happens in .venv; nothing outside this folder is changed, except that
# influxd and, for the tests, chromium, prometheus and systemd are installed with apt when they are missing and you
# are root.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo test facts influxd victorialogs bench bench-quick faults containers lint types pytest format schema \
	prepare prepare-tests clean
help:
	@echo "make demo    two throwaway servers, sample data, two backup jobs, an exact comparison"
	@echo "make test    lint, types and all tests, on real servers"
	@echo "make influxd the servers that tests run on; make influxd VERSION=1.7.11 one of them"
	@echo "make facts   what docs/influxdb.md says of InfluxDB, on every version; make facts VERSION=1.7.11 on one"
	@echo "make faults  every fault, all rounds, source and destination compared after each; make test runs a tenth"
	@echo "make bench   time, CPU and memory on real servers, against SELECT INTO; make bench-quick in three minutes"
	@echo "make containers  as root on Debian: the integration suite on containers, and tests of the image"
	@echo "make format  reformat the code       make schema  refresh config/schema.json"
	@echo "make clean   remove .venv and caches"

demo: prepare .venv/runtime
	$(BIN)/python -m demo.run

test: lint types pytest

lint: .venv/dev
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .

types: .venv/dev
	$(BIN)/mypy

pytest: prepare-tests influxd victorialogs .venv/dev
	@tests/support/programs.sh influxd $(or $(INFLUXD_VERSION),1.8.10)
	$(BIN)/python -m pytest -n 2 --dist worksteal

influxd:
	@tests/support/programs.sh influxd $(or $(VERSION),all)

victorialogs:
	@tests/support/programs.sh victorialogs

facts: prepare influxd .venv/dev
	@for version in $(or $(VERSION),$$(cat tests/support/influxd_versions)); do \
		echo "InfluxDB $$version" && INFLUXD_VERSION=$$version $(BIN)/python -m pytest tests/facts -n 2 || exit; \
	done

faults: prepare .venv/dev
	@tests/support/programs.sh influxd $(or $(INFLUXD_VERSION),1.8.10)
	FAULT_ROUNDS=all $(BIN)/python -m pytest tests/faults -n 2 --dist worksteal --timeout 1800

bench: prepare .venv/bench
	$(BIN)/python -m bench.run $(BENCH)

bench-quick: prepare .venv/bench
	$(BIN)/python -m bench.run --quick $(BENCH)

containers: .venv/dev
	@tests/support/programs.sh influxd $(or $(INFLUXD_VERSION),1.8.10)
	tests/support/engine.sh
	tests/support/images.sh
	INFLUX_SERVERS=containers INFLUXDB_IMAGE=local/influxdb:1.6 $(BIN)/python -m pytest tests/integration -n 2 --dist worksteal \
		--ignore tests/integration/test_verify.py --ignore tests/integration/test_late_data.py --ignore tests/integration/test_quarantine.py
	CONTAINER_TESTS=1 INFLUXDB_IMAGE=local/influxdb:1.6 $(BIN)/python -m pytest tests/containers

format: .venv/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schema: .venv/dev
	$(BIN)/python config.py > config/schema.new
	mv config/schema.new config/schema.json

prepare:
	@sh demo/prepare.sh $(PYTHON)

prepare-tests:
	@sh demo/prepare.sh $(PYTHON) tests

.venv/runtime: requirements.txt | prepare
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/dev: requirements-dev.txt .venv/runtime
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

.venv/bench: requirements-bench.txt .venv/runtime
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	@touch $@

clean:
	rm -rf .venv .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
