# Everything that a fresh machine needs is Python 3.10-3.13 and make; the rest comes by pip and `reward-monitor fetch`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: help setup demo fetch picture schema grafana metrics calibrate detection secrets lock test coverage test-fast check proto proto-check

help:            ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ — /'

setup: $(VENV)/.ready            ## the environment, by hash from requirements/dev.txt
$(VENV)/.ready: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup                      ## everything on this machine: Kafka, ClickHouse, the jobs, a real small training
	$(BIN)/reward-monitor demo $(DEMO)

fetch: setup                     ## Kafka and the ClickHouse library, into the cache that all projects share
	$(BIN)/reward-monitor fetch

secrets:                         ## passwords for docker compose, once; needs Python alone
	@PYTHONPATH=infra:schemas $(PYTHON) -m reward_infra.compose_secrets infra/docker/secrets

test: fetch check                ## all tests, on the real Kafka, Faust and ClickHouse
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

test-trl: setup                  ## watch(trainer) on the real TRL, in an environment of its own: torch is several GB
	[ -e .venv-trl ] || $(PYTHON) -m venv .venv-trl
	.venv-trl/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/trl.txt
	.venv-trl/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	.venv-trl/bin/python -m pytest tests/trl

coverage: fetch                  ## the same, and what of the code they reached: three times as long
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

FAST = tests/engine tests/schemas tests/jobs/test_assign.py tests/infra/test_ports.py tests/infra/test_part_log.py tests/test_docs.py tests/test_metrics.py
test-fast: setup                 ## the pure tests: no broker, no database, under 30 s
	$(BIN)/python -m pytest -m "not slow" $(FAST)

check: setup proto-check         ## every fast gate: style, types, layers, dead code, generated code, field numbers, documents
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	[ ! -e $(BIN)/mypy ] || $(BIN)/mypy  # from Python 3.11 on, see pyproject.toml
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/python -m reward_schemas.evolution
	$(BIN)/python scripts/check_docs.py
	$(BIN)/python scripts/metrics.py --check
	[ ! -e $(BIN)/mypy ] || $(BIN)/python -W ignore::DeprecationWarning -m reward_dashboards.grafana --check  # from 3.11 on, too

schema: setup                    ## the JSON Schema of rule files anew, for editors
	$(BIN)/python -c "import json; from reward_engine.rules.language import schema; print(json.dumps(schema(), indent=1))" \
		> engine/reward_engine/rules/alert_rules.schema.json

grafana: setup                   ## the dashboards for Grafana anew, from reward_dashboards.grafana
	$(BIN)/python -W ignore::DeprecationWarning -m reward_dashboards.grafana

metrics: setup                   ## docs/METRICS.md anew from the catalogues of measures and sums
	$(BIN)/python scripts/metrics.py

calibrate: setup                 ## docs/CALIBRATION.md anew: how often the statistics call what is not there
	$(BIN)/python scripts/calibrate.py

detection: setup                 ## docs/DETECTION.md anew: trains the library and judges every run, half an hour on two cores
	$(BIN)/python scripts/detection.py

# The locks of requirements/ anew, with uv: what is in dev.txt is tested, so the image's have the same versions.
LOCK = uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.10
lock:
	$(LOCK) --extra dev pyproject.toml -o requirements/dev.txt
	$(LOCK) --extra jobs -c requirements/dev.txt pyproject.toml -o requirements/jobs.txt
	$(LOCK) -c requirements/dev.txt requirements/build.in -o requirements/build.txt
	$(LOCK) requirements/picture.in -o requirements/picture.txt
	$(subst 3.10,3.11,$(LOCK)) pyproject.toml requirements/trl.in -o requirements/trl.txt

picture: setup                   ## README's picture anew, from a hacked and an honest run
	$(PYTHON) -m venv .venv-picture
	.venv-picture/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/picture.txt
	rm -rf build/picture
	$(BIN)/reward-monitor demo --seed 0 --pause-ms 0 --data-dir build/picture
	$(BIN)/reward-monitor demo --seed 3 --pause-ms 0 --data-dir build/picture
	$(BIN)/reward-monitor up --detach --data-dir build/picture
	PATH=$(BIN):$$PATH .venv-picture/bin/python scripts/picture.py build/picture docs/images
	$(BIN)/reward-monitor down --data-dir build/picture

PROTOC = cd schemas && ../.venv-protoc/bin/python -m grpc_tools.protoc -I. reward_schemas/events.proto reward_schemas/results.proto
proto: .venv-protoc/.ready       ## generated protobuf code anew from the .proto files
	$(PROTOC) --python_out=. --pyi_out=.
proto-check: .venv-protoc/.ready
	@rm -rf .venv-protoc/out && mkdir .venv-protoc/out && $(PROTOC) --python_out=../.venv-protoc/out --pyi_out=../.venv-protoc/out
	@for file in .venv-protoc/out/reward_schemas/*; do cmp $$file schemas/reward_schemas/$$(basename $$file) \
		|| { echo "$$file is not what the .proto files give: run make proto"; exit 1; }; done
.venv-protoc/.ready: requirements/protoc.txt
	$(PYTHON) -m venv .venv-protoc
	.venv-protoc/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/protoc.txt
	@touch $@
