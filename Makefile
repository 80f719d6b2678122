# make demo: set up and run the main job on the sample corpora. make test: set up and pass the tests.
.PHONY: setup demo demo-models test lint bench clean
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.earloom-ready

setup: $(STAMP)

# torch goes first and by exact version: asked for by another package it may bring a build for GPUs that are not there.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Earloom needs Python 3.11 or later; set PYTHON=python3.11"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[models,panns,clap,llm,text,train,dev]"
	@touch $(STAMP)

demo: setup
	$(BIN)/earloom sample data/sample
	$(BIN)/earloom run configs/demo.yaml --set data.root=data/sample --out runs/demo
	$(BIN)/earloom report runs/demo

# The small models that the demo listens with, from sample worlds of their own; 5 minutes on 2 cores.
demo-models: setup
	$(BIN)/python -m trainers.demo_models

test: setup
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy

bench: setup
	$(BIN)/python benchmarks/index.py
	$(BIN)/python benchmarks/ingest.py
	$(BIN)/python benchmarks/listen.py
	$(BIN)/python benchmarks/mixing.py
	$(BIN)/python benchmarks/loading.py
	$(BIN)/python benchmarks/engines.py

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
