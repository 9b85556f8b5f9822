# What there is to do. Each task sets up what it needs.
PYTHON ?= python3
BIN    := .venv/bin
PLUGINS := $(sort $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml)))
PROTOS := $(wildcard proto/cuvee/v1/*.proto)
# one BLAS thread: on few cores more threads make small products slower (DESIGN.md)
export OPENBLAS_NUM_THREADS ?= 1
export OMP_NUM_THREADS ?= 1

.PHONY: help install demo serve docs test conformance lint format proto bench bench-data bench-accuracy bench-cold bench-deep bench-serving bench-store pins clean
help:            ## list the tasks
	@grep -hE '^[a-z]+: .*##|^[a-z]+:  *##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

install: .venv/.installed ## set up .venv with everything
.venv/.installed: requirements/dev.txt pyproject.toml hatch_build.py $(wildcard engine/cuvee/kernels/compiled*.pyx) $(addsuffix /pyproject.toml,$(PLUGINS))
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Cuvee needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e . $(addprefix -e ./,$(PLUGINS))
	@touch $@

demo: .venv/.installed ## the main job on MovieLens 100k, from download to attribution, under 5 minutes
	$(BIN)/python -m deploy.demo

serve: .venv/.installed ## the demo, then leave the server running
	$(BIN)/python -m deploy.demo --keep

docs: .venv/.installed ## the documentation as a site in build/docs/html; a warning is an error
	$(BIN)/python -m docs.site

# these measure time or fill the machine by themselves; all others run two at a time. What fails is tried
# once more, and said to have been ("R"): a machine of two shared cores stands still for a second now and then
ALONE := $(addprefix tests/serving/,admission faults scheduling telemetry workers test_lifecycle.py test_replicas.py) \
  tests/benchmarks tests/deploy plugins/tfserving/tests/test_faults.py tests/installs
test: .venv/.installed ## all tests
	@failed=0; \
	$(BIN)/python -m pytest -q --reruns 1 -n 2 --dist loadfile $(ALONE:%=--ignore=%) || failed=1; \
	$(BIN)/python -m pytest -q --reruns 1 $(ALONE) || failed=1; \
	exit $$failed

conformance: .venv/.installed ## the genuine tensorflow/serving, in Docker, against the cases of the embedded one
	$(BIN)/python plugins/tfserving/conformance/genuine.py

lint: .venv/.installed ## ruff, bandit, mypy, import-linter, buf, generated code, documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/bandit -q -ll -ii -r engine plugins/*/src deploy
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint proto
	$(BIN)/python -m pytest -q tests/proto
	$(BIN)/python -m docs.site

format: .venv/.installed ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

proto: .venv/.installed ## generate engine/cuvee/v1 from proto/
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -I proto --python_out=engine --grpc_python_out=engine --mypy_out=engine --mypy_grpc_out=engine $(PROTOS)

# what a fresh clone can run comes first; accuracy is of data sets that only CUVEE_DATA brings
bench: bench-serving bench-store $(if $(CUVEE_DATA),bench-data bench-accuracy bench-cold bench-deep) ## speed and, where CUVEE_DATA names the folder of data sets, accuracy; or a part: bench-serving ...
bench-data: .venv/.installed
	$(BIN)/python tests/benchmarks/datasets.py
bench-accuracy: .venv/.installed
	$(BIN)/python tests/benchmarks/accuracy.py --keep-data history sampled time random
bench-cold: .venv/.installed
	$(BIN)/python tests/benchmarks/accuracy.py --keep-data cold
bench-deep: .venv/.installed
	$(BIN)/python tests/benchmarks/deep.py --keep-data
	$(BIN)/python tests/benchmarks/newcomers.py
bench-serving: .venv/.installed
	$(BIN)/python tests/benchmarks/serving.py
	$(BIN)/python tests/benchmarks/blenders.py
	$(BIN)/python plugins/lightfm/tests/benchmark_predict.py
bench-store: .venv/.installed
	$(BIN)/python tests/benchmarks/events.py
	$(BIN)/python tests/benchmarks/catalogue.py
	$(if $(CUVEE_DATA),$(BIN)/python tests/benchmarks/store.py)

PIN := $(BIN)/pip-compile -q --generate-hashes --allow-unsafe --strip-extras --no-header --no-annotate --no-emit-index-url --no-emit-find-links --no-emit-trusted-host
pins:            ## pin requirements/*.txt anew, from every pyproject.toml here (needs a .venv with pip-tools)
	$(BIN)/python requirements/inputs.py dev | $(PIN) -o requirements/dev.txt -
	$(BIN)/python requirements/inputs.py engine | $(PIN) -c requirements/dev.txt -o requirements/engine.txt -
	$(BIN)/python requirements/inputs.py runtime | $(PIN) -c requirements/dev.txt -o requirements/runtime.txt -
	$(BIN)/python requirements/inputs.py build | $(PIN) -c requirements/dev.txt -o requirements/build.txt -

clean:           ## forget everything that was set up, built or fitted
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist var
