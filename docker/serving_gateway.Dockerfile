# The HTTP gateway before a model's server. No TensorFlow.
# PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:... pins the bytes too (docs/images.md).
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
FROM ${PYTHON_IMAGE}
RUN useradd --uid 10001 --create-home app
WORKDIR /app
# Requirements first: a change of the code installs none of them again.
COPY constraints.txt pyproject.toml setup.py ./
RUN pip install --no-cache-dir --constraint constraints.txt setuptools && \
    pip install --no-cache-dir --constraint constraints.txt --no-build-isolation '.[gateway]'
COPY LICENSE README.md ./
COPY catalog catalog
COPY serving serving
RUN pip install --no-cache-dir --no-deps --no-build-isolation . && \
    pip check && \
    rm -rf build ./*.egg-info catalog serving
USER 10001
ENV PYTHONUNBUFFERED=1
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ARG REVISION=unknown
LABEL org.opencontainers.image.title="product-categories-serving-gateway" \
      org.opencontainers.image.description="HTTP gateway that classifies photos with a model's server" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim-bookworm" \
      org.opencontainers.image.revision="${REVISION}"
ENTRYPOINT ["python", "-m", "serving.gateway", "--host=0.0.0.0"]
