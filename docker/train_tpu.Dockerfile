# The trainer for TPUs. TensorFlow for TPUs is one version behind: docker/constraints_tpu.txt.
# PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:... pins the bytes too (docs/images.md).
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
FROM ${PYTHON_IMAGE}
WORKDIR /app
# Requirements first: a change of the code installs none of them again.
COPY constraints.txt pyproject.toml setup.py docker/constraints_tpu.txt ./
RUN sed -i "/^tensorboard==/d" constraints.txt && \
    pip install --no-cache-dir --constraint constraints.txt setuptools && \
    pip install --no-cache-dir --constraint constraints.txt --constraint constraints_tpu.txt \
      --no-build-isolation '.[train-tpu,buckets]'
COPY LICENSE README.md ./
COPY catalog catalog
COPY trainer trainer
COPY configs configs
RUN pip install --no-cache-dir --no-deps --no-build-isolation . && \
    pip check && \
    rm -rf build ./*.egg-info catalog trainer
# TPU VMs give /dev/accel* or /dev/vfio to root.
# hadolint ignore=DL3002
USER 0
ENV PYTHONUNBUFFERED=1 \
    TF_CPP_MIN_LOG_LEVEL=2
ARG REVISION=unknown
LABEL org.opencontainers.image.title="product-categories-train-tpu" \
      org.opencontainers.image.description="Trains a classifier of products on shards, on TPUs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim-bookworm" \
      org.opencontainers.image.revision="${REVISION}"
ENTRYPOINT ["python", "-m", "trainer.task"]
