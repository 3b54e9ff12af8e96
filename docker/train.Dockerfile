# The trainer, for CPUs by default. For GPUs: --build-arg EXTRA=train-gpu, where CUDA and cuDNN come as
# wheels of the versions in constraints.txt; the host has the driver and NVIDIA's container toolkit.
# PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:... pins the bytes too (docs/images.md).
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
FROM ${PYTHON_IMAGE}
RUN useradd --uid 10001 --create-home app
WORKDIR /app
# One layer for all images with TensorFlow: a registry and a host keep it once.
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt setuptools tensorflow
# Requirements first: a change of the code installs none of them again.
COPY pyproject.toml setup.py ./
ARG EXTRA=train
RUN pip install --no-cache-dir --constraint constraints.txt --no-build-isolation ".[${EXTRA},buckets]"
COPY LICENSE README.md ./
COPY catalog catalog
COPY trainer trainer
COPY configs configs
RUN pip install --no-cache-dir --no-deps --no-build-isolation . && \
    pip check && \
    rm -rf build ./*.egg-info catalog trainer
USER 10001
# The NVIDIA variables have no effect without GPUs.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PYTHONUNBUFFERED=1 \
    TF_CPP_MIN_LOG_LEVEL=2
ARG REVISION=unknown
LABEL org.opencontainers.image.title="product-categories-train" \
      org.opencontainers.image.description="Trains a classifier of products on shards, on CPUs or GPUs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim-bookworm" \
      org.opencontainers.image.revision="${REVISION}"
ENTRYPOINT ["python", "-m", "trainer.task"]
