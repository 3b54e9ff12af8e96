# The shard job on Dataflow: the container of the workers, and the launcher of the flex template. No
# TensorFlow. PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:... pins the bytes too (docs/images.md).
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
# The version of apache-beam in constraints.txt.
ARG BEAM_IMAGE=apache/beam_python3.11_sdk:2.77.0
# Google also publishes dated tags of the launcher.
ARG LAUNCHER_IMAGE=gcr.io/dataflow-templates-base/python311-template-launcher-base:latest
FROM ${BEAM_IMAGE} AS beam
FROM ${LAUNCHER_IMAGE} AS launcher

FROM ${PYTHON_IMAGE}
COPY --from=beam /opt/apache/beam /opt/apache/beam
COPY --from=launcher /opt/google/dataflow/python_template_launcher /opt/google/dataflow/
WORKDIR /app
# Requirements first: a change of the code installs none of them again.
COPY constraints.txt pyproject.toml setup.py ./
RUN pip install --no-cache-dir --constraint constraints.txt setuptools && \
    pip install --no-cache-dir --constraint constraints.txt --no-build-isolation '.[beam,buckets]'
COPY LICENSE README.md ./
COPY catalog catalog
COPY beam_pipelines beam_pipelines
RUN pip install --no-cache-dir --no-deps --no-build-isolation . && \
    pip check && \
    rm -rf build ./*.egg-info catalog beam_pipelines
COPY docker/pipeline_main.py ./
ENV PIPELINE_MODULE=beam_pipelines.shard \
    FLEX_TEMPLATE_PYTHON_PY_FILE=/app/pipeline_main.py \
    RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1 \
    MALLOC_ARENA_MAX=1 \
    PYTHONUNBUFFERED=1
# Dataflow mounts folders of root's and needs a container that runs as root. Nothing listens in it.
# hadolint ignore=DL3002
USER 0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="product-categories-beam" \
      org.opencontainers.image.description="Apache Beam job that turns a dump of products into shards" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim-bookworm" \
      org.opencontainers.image.revision="${REVISION}"
ENTRYPOINT ["/opt/apache/beam/boot"]
