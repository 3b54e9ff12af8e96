# The stand-in for TensorFlow Serving, for a demonstration with compose.yaml. Not for production.
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
RUN pip install --no-cache-dir --constraint constraints.txt --no-build-isolation '.[serve]'
COPY LICENSE README.md ./
COPY catalog catalog
COPY serving serving
RUN pip install --no-cache-dir --no-deps --no-build-isolation . && \
    pip check && \
    rm -rf build ./*.egg-info catalog serving
USER 10001
ENV PYTHONUNBUFFERED=1 \
    TF_CPP_MIN_LOG_LEVEL=2
EXPOSE 8500 8501
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/v1/models/product_categories', timeout=4)"]
ARG REVISION=unknown
LABEL org.opencontainers.image.title="product-categories-model-server" \
      org.opencontainers.image.description="Stand-in for TensorFlow Serving, not for production" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim-bookworm" \
      org.opencontainers.image.revision="${REVISION}"
ENTRYPOINT ["python", "-m", "serving.model_server", "--host=0.0.0.0"]
