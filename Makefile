# Everything from a fresh machine: `make run` to see it work, `make test` to trust it.
# Each file below is made once; `make clean` forgets what `make run` made, not the environment.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3.11
VENV := .venv
READY := $(VENV)/.ready
PY := $(VENV)/bin/python
RUN := run
WORK := $(RUN)/work
MODEL := product_categories
EXPORT := $(RUN)/models/$(MODEL)/1
RECIPE := configs/tiny.py

export TF_CPP_MIN_LOG_LEVEL := 2
export PYTHONUNBUFFERED := 1

say = @printf '\n== %s\n'

.PHONY: help setup run test lint fuzz study clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

setup: $(READY)  ## the environment alone, in .venv

$(READY): setup.py constraints.txt
	$(say) 'environment: $(VENV) by $(PYTHON), about 3 GB and some minutes, once'
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo 'error: PYTHON must be Python 3.11 with venv, got $(PYTHON); name yours with make PYTHON=...' >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --use-pep517 --constraint constraints.txt --editable '.[all]'
	@touch $@

$(RUN)/sample/train.bson: | $(READY)
	$(say) 'sample: real Zalando photos as the dump of a shop, with a long tail'
	@$(PY) -m catalog.samples fashion --output=$(@D) || { code=$$?; [ $$code = 3 ] || exit $$code; \
	  echo 'no photos are to be had here (see above): going on with synthetic product pictures'; \
	  $(PY) -m catalog.samples kaggle-like --products=6000 --classes=10 --output=$(@D); }

$(RUN)/shards/manifest.json: $(RUN)/sample/train.bson
	$(say) 'shards: by Apache Beam; classes balanced, validation left as it is'
	$(PY) -m beam_pipelines.shard --input=$< --categories=$(RUN)/sample/category_names.csv \
	  --output=$(@D) --balance=sqrt --shards=8 --overwrite

$(WORK)/report/evaluation.json: $(RUN)/shards/manifest.json $(RECIPE)
	$(say) 'training: $(RECIPE)'
	$(PY) -m trainer.task --config=$(RECIPE) --data=$(RUN)/shards --workdir=$(WORK)
	$(say) 'evaluation: products that training never saw'
	$(PY) -m trainer.evaluate --workdir=$(WORK) --data=$(RUN)/shards --split=validation --output=$(@D)

$(EXPORT)/saved_model.pb: $(WORK)/report/evaluation.json
	$(say) 'export: a SavedModel for TF Serving'
	rm -rf $(@D)
	$(PY) -m trainer.export --workdir=$(WORK) --output=$(@D)

run: $(EXPORT)/saved_model.pb  ## the whole system on real product photos: shards, training, export, server, answers
	$(say) 'answers: the same photos over REST and over gRPC'
	@RUN=$(RUN) MODEL=$(MODEL) PY=$(PY) bash serving/ask.sh
	$(say) 'summary'
	@$(PY) -m trainer.summary --data=$(RUN)/shards --workdir=$(WORK) --export=$(EXPORT) \
	  --answers=$(RUN)/answers/rest.json,$(RUN)/answers/grpc.json --output=$(RUN)/index.html

test: $(READY)  ## the whole test suite
	$(PY) -m pytest -q -n 2 --dist loadfile

lint: $(READY)  ## style, types, security, packaging files
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/bandit -q -r catalog beam_pipelines trainer serving configs -c pyproject.toml
	$(VENV)/bin/yamllint -s cloudbuild.yaml

fuzz: $(READY)  ## the BSON reader against damaged files, a quarter of an hour
	HYPOTHESIS_PROFILE=fuzz $(PY) -m pytest -q tests/beam_pipelines/test_bson_files.py -k any_damage --timeout=1800

study: $(READY)  ## what the choices are worth, an hour of training
	$(PY) -m benchmarks.study --output=$(RUN)/study

clean:  ## forget what `make run` made
	rm -rf $(RUN)
