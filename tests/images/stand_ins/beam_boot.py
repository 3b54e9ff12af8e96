#!/usr/bin/env python3
"""Stands for Beam's /opt/apache/beam/boot, a program in Go, where no registry of images is reached.

It follows Beam's contract of containers: asks the runner what to run, downloads the staged files,
installs them, and becomes the worker.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import grpc
from apache_beam.portability import common_urns
from apache_beam.portability.api import (
    beam_artifact_api_pb2,
    beam_artifact_api_pb2_grpc,
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    beam_runner_api_pb2,
    endpoints_pb2,
)
from google.protobuf import json_format, text_format

WORKER = [sys.executable, '-m', 'apache_beam.runners.worker.sdk_worker_main']
PIP = [sys.executable, '-m', 'pip', 'install', '--disable-pip-version-check', '--no-cache-dir']


def main() -> None:
    given = parse()
    metadata = [('worker_id', given.id)]
    channel = grpc.insecure_channel(given.provision_endpoint)
    asked = beam_provision_api_pb2.GetProvisionInfoRequest()
    stub = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
    info = stub.GetProvisionInfo(asked, metadata=metadata).info
    staged = Path(given.semi_persist_dir) / 'staged'
    staged.mkdir(parents=True, exist_ok=True)
    if info.dependencies:
        endpoint = info.artifact_endpoint.url or given.artifact_endpoint
        download(info.dependencies, endpoint, metadata, staged)
    install(staged)
    options = os.environ.get('PIPELINE_OPTIONS') or json.dumps(
        whole(json_format.MessageToDict(info.pipeline_options))
    )
    variables = {
        'WORKER_ID': given.id,
        'SEMI_PERSISTENT_DIRECTORY': given.semi_persist_dir,
        'PIPELINE_OPTIONS': options,
        'CONTROL_API_SERVICE_DESCRIPTOR': described(
            info.control_endpoint.url or given.control_endpoint
        ),
        'LOGGING_API_SERVICE_DESCRIPTOR': described(
            info.logging_endpoint.url or given.logging_endpoint
        ),
        'RUNNER_CAPABILITIES': ' '.join(info.runner_capabilities),
    }
    os.execve(sys.executable, WORKER, {**os.environ, **variables})


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ('id', 'logging', 'artifact', 'provision', 'control'):
        flag = name if name == 'id' else f'{name}_endpoint'
        parser.add_argument(f'--{flag}', default='')
    parser.add_argument('--semi_persist_dir', default='/tmp')
    return parser.parse_args()


def download(
    dependencies: list[object], endpoint: str, metadata: list[tuple[str, str]], folder: Path
) -> None:
    """Downloads the staged files from the runner."""
    channel = grpc.insecure_channel(endpoint)
    stub = beam_artifact_api_pb2_grpc.ArtifactRetrievalServiceStub(channel)
    asked = beam_artifact_api_pb2.ResolveArtifactsRequest(artifacts=dependencies)
    for artifact in stub.ResolveArtifacts(asked, metadata=metadata).replacements:
        assert artifact.role_urn == common_urns.artifact_roles.STAGING_TO.urn
        role = beam_runner_api_pb2.ArtifactStagingToRolePayload.FromString(artifact.role_payload)
        request = beam_artifact_api_pb2.GetArtifactRequest(artifact=artifact)
        with (folder / role.staged_name).open('wb') as file:
            file.writelines(part.data for part in stub.GetArtifact(request, metadata=metadata))


def install(folder: Path) -> None:
    """Installs the requirements and the package of --setup_file, if they were staged."""
    for name, flags in (('requirements.txt', ['-r']), ('workflow.tar.gz', [])):
        if (folder / name).exists():
            subprocess.run([*PIP, *flags, str(folder / name)], check=True)


def whole(value: object) -> object:
    """Go writes the number 2.0 of a Struct as 2, from which Beam's flags are parsed."""
    if isinstance(value, dict):
        return {key: whole(one) for key, one in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def described(url: str) -> str:
    return text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=url))


if __name__ == '__main__':
    main()
