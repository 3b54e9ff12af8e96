#!/bin/sh
# Builds images under the names of the official ones that docker/*.Dockerfile start from, on Debian 12
# without a registry of images: needs root, mmdebstrap and podman, or a program with its command line.
#   sh tests/images/stand_ins/build.sh podman
set -eu
engine=${1:?'usage: build.sh podman'}
here=$(dirname "$(readlink -f "$0")")
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
cp "$here"/* "$context"
chmod 755 "$context/beam_boot.py" "$context/launcher"
mmdebstrap --variant=minbase --include=ca-certificates,python3,python3-pip,python3-venv \
  bookworm "$context/base.tar"
"$engine" build --squash --file="$context/python.Dockerfile" \
  --tag=docker.io/library/python:3.11-slim-bookworm "$context"
"$engine" build --file="$context/dataflow.Dockerfile" \
  --tag=docker.io/apache/beam_python3.11_sdk:2.77.0 \
  --tag=gcr.io/dataflow-templates-base/python311-template-launcher-base:latest "$context"
