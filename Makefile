# Runs on a fresh machine: `make run` demonstrates the system, `make test` runs its tests.
# Each target is built once. `make clean` deletes what `make run` made, but not the environment.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3.11
VENV := .venv
READY := $(VENV)/.ready
TFIO := .venv-tfio
PY := $(VENV)/bin/python
RUN := run
WORK := $(RUN)/work
MODEL := product_categories
EXPORT := $(RUN)/models/$(MODEL)/1
SIMILAR := $(RUN)/similar
WEB_PORT ?= 8090
RECIPE := configs/tiny.py
IMAGE ?=
TEMPLATE ?=

export TF_CPP_MIN_LOG_LEVEL := 2
export PYTHONUNBUFFERED := 1

title = @printf '\n== %s\n'

.PHONY: help setup run web test test-images test-tfio test-vertex lint template fuzz xla study clean

help:  ## prints this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

setup: $(READY)  ## creates the environment in .venv

$(READY): setup.py constraints.txt
	$(title) 'environment: creating $(VENV) with $(PYTHON), once, about 3 GB and some minutes'
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo 'error: PYTHON must be Python 3.11 with venv, got $(PYTHON); set it with make PYTHON=...' >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --use-pep517 --constraint constraints.txt --editable '.[all]'
	@touch $@

$(RUN)/sample/train.bson: | $(READY)
	$(title) "sample: Zalando's product photos as a shop's dump, with a long tail"
	@$(PY) -m catalog.samples fashion --output=$(@D) || { code=$$?; [ $$code = 3 ] || exit $$code; \
	  echo 'the photos cannot be downloaded here (see above): using synthetic product pictures'; \
	  $(PY) -m catalog.samples kaggle-like --products=6000 --classes=10 --output=$(@D); }

$(RUN)/shards/manifest.json: $(RUN)/sample/train.bson
	$(title) 'shards: Apache Beam job with balanced train classes and natural validation classes'
	$(PY) -m beam_pipelines.shard --input=$< --categories=$(RUN)/sample/category_names.csv \
	  --output=$(@D) --balance=sqrt --shards=8 --overwrite

$(WORK)/report/evaluation.json: $(RUN)/shards/manifest.json $(RECIPE)
	$(title) 'training: $(RECIPE)'
	$(PY) -m trainer.task --config=$(RECIPE) --data=$(RUN)/shards --workdir=$(WORK) \
	  --config.validation.every_steps=300
	$(title) 'evaluation: on the validation split'
	$(PY) -m trainer.evaluate --workdir=$(WORK) --data=$(RUN)/shards --split=validation --output=$(@D)

$(EXPORT)/saved_model.pb: $(WORK)/report/evaluation.json
	$(title) 'export: SavedModel for TensorFlow Serving'
	rm -rf $(@D)
	$(PY) -m trainer.export --workdir=$(WORK) --output=$(@D)

run: $(EXPORT)/saved_model.pb  ## runs the system on product photos: shards, training, export, serving, queries
	$(title) 'queries: the same photos over REST and over gRPC'
	@RUN=$(RUN) MODEL=$(MODEL) EXPORT=$(EXPORT) PY=$(PY) bash serving/ask.sh
	$(title) 'summary'
	@$(PY) -m trainer.summary --data=$(RUN)/shards --workdir=$(WORK) --export=$(EXPORT) \
	  --answers=$(RUN)/answers/rest.json,$(RUN)/answers/grpc.json --output=$(RUN)/index.html

$(SIMILAR)/1/index.json: $(EXPORT)/saved_model.pb
	$(title) 'index: embeddings of all products, for similar ones'
	rm -rf $(SIMILAR)
	$(PY) -m serving.index --model=$(<D) --data=$(RUN)/shards --output=$(SIMILAR)

web: $(SIMILAR)/1/index.json  ## shows a page that classifies your photos, until Ctrl-C
	$(title) 'page: starting the server of the model, the gateway and the page'
	@$(PY) -m serving.demo --model=$(EXPORT) --data=$(RUN)/shards --index=$(SIMILAR) \
	  --logs=$(RUN)/web --port=$(WEB_PORT)

# Hundreds of commands that tests start load compiled modules. A worker that has run its half of the
# tests takes over half of what is left to the other.
test: export PYTHONDONTWRITEBYTECODE :=
test: $(READY)  ## runs all tests
	$(PY) -m pytest -q -n 2 --dist worksteal

test-images: $(READY)  ## builds the images with docker or podman, runs them and asks each something
	$(PY) -m pytest -q -s -rs --timeout=10800 tests/images/built_images.py

test-vertex: $(READY)  ## runs training jobs on a stand-in for Vertex AI, some minutes
	$(PY) -m pytest -q tests/cloud/vertex_trainings.py

$(TFIO)/.ready: setup.py constraints-tfio.txt
	$(title) 'environment: creating $(TFIO) with TensorFlow 2.17 and tensorflow-io, once, about 2 GB'
	$(PYTHON) -m venv $(TFIO)
	$(TFIO)/bin/python -m pip install --quiet --disable-pip-version-check --use-pep517 \
	  --constraint constraints-tfio.txt '.[tfio]'
	@touch $@

test-tfio: $(READY) $(TFIO)/.ready  ## trains with data and workdir on s3:// by tensorflow-io
	TFIO_PYTHON=$(CURDIR)/$(TFIO)/bin/python $(PY) -m pytest -q --timeout=3600 tests/trainer/test_tensorflow_io.py

lint: $(READY)  ## checks style, types, security and configuration files
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/bandit -q -r catalog beam_pipelines trainer serving configs -c pyproject.toml
	$(VENV)/bin/yamllint -s cloudbuild.yaml compose.yaml compose.stand_in.yaml serving/tf_serving
	$(VENV)/bin/hadolint docker/*.Dockerfile

template: $(READY)  ## writes a flex template of Dataflow: IMAGE=REGISTRY/beam:TAG TEMPLATE=gs://BUCKET/shard.json
	@[ -n '$(IMAGE)' ] && [ -n '$(TEMPLATE)' ] || \
	  { echo 'error: IMAGE and TEMPLATE must be given, like IMAGE=REGISTRY/beam:TAG TEMPLATE=gs://BUCKET/shard.json' >&2; exit 2; }
	@mkdir -p $(RUN)
	$(PY) -m beam_pipelines.template > $(RUN)/template_metadata.json
	gcloud dataflow flex-template build '$(TEMPLATE)' --image='$(IMAGE)' --sdk-language=PYTHON \
	  --metadata-file=$(RUN)/template_metadata.json

fuzz: $(READY)  ## fuzzes the readers of BSON and of pictures (a million mutants), an hour
	HYPOTHESIS_PROFILE=fuzz $(PY) -m pytest -q tests/beam_pipelines/scan/test_bson_scans.py -k any_damage --timeout=1800
	HYPOTHESIS_PROFILE=fuzz $(PY) -m pytest -q tests/catalog/test_pixels_fuzz.py

xla: $(READY)  ## compiles the training step of all options and configs with XLA, minutes
	XLA_ALL=1 $(PY) -m pytest -q tests/trainer/training/test_xla.py --timeout=1800
	$(PY) -m benchmarks.xla_configs

study: $(READY)  ## runs the ablation study of docs/study.md, an hour of training
	$(PY) -m benchmarks.study --output=$(RUN)/study

clean:  ## deletes what `make run` made
	rm -rf $(RUN)
