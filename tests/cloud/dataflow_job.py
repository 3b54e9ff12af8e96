"""Runs one staged pipeline, as Dataflow's service and worker machines do.

usage: python -m tests.cloud.dataflow_job FOLDER WORKERS [--bundle_repeat=N] [--containers]
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_provision_api_pb2 as provision_api
from apache_beam.portability.api import beam_runner_api_pb2 as runner_api
from apache_beam.portability.python_urns import SUBPROCESS_SDK
from apache_beam.runners.portability import local_job_service
from apache_beam.runners.portability.fn_api_runner import fn_runner, worker_handlers
from google.protobuf import struct_pb2

from beam_pipelines.local import loopback_patch
from tests.cloud.dataflow_service import SITE_PACKAGES

_COUNTER = 'beam:metric:user:sum_int64:v1'
_WORKER_LOST_EXIT_CODE = 3


class Runner(fn_runner.FnApiRunner):
    """Beam's local runner, which reports the counters after each bundle."""

    def __init__(self, report: Path, **options: Any) -> None:
        super().__init__(**options)
        self._report = report
        self._counters: Counter[tuple[str, str]] = Counter()

    def _execute_bundle(self, *arguments: Any) -> Any:
        result = super()._execute_bundle(*arguments)
        for info in result.process_bundle.monitoring_infos:
            if info.urn == _COUNTER:
                self._counters[info.labels['NAMESPACE'], info.labels['NAME']] += _varint(
                    info.payload
                )
        metrics = [
            {
                'name': {
                    'origin': 'user',
                    'name': name,
                    'context': {'namespace': namespace, 'step': 's1', **tentative},
                },
                'scalar': value,
            }
            for (namespace, name), value in self._counters.items()
            for tentative in ({}, {'tentative': 'true'})
        ]
        partial = self._report.with_suffix('.partial')
        partial.write_text(json.dumps(metrics))
        partial.replace(self._report)
        return result


def _varint(data: bytes) -> int:
    return sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(data))


def _end_with_a_lost_worker() -> None:
    """Ends this process when a worker does: the runner would wait for it for ever."""
    run = local_job_service.SubprocessSdkWorker.run

    def run_or_exit(self: Any) -> None:
        try:
            run(self)
        except RuntimeError as error:
            print(f'worker: {error}', flush=True)
            os._exit(_WORKER_LOST_EXIT_CODE)

    def watch(self: Any) -> None:
        while not self._done:
            time.sleep(1)
            status = subprocess.run(
                ['docker', 'inspect', '-f', '{{.State.Status}}', self._container_id],
                capture_output=True,
                text=True,
                check=False,
            ).stdout
            if status.strip() != 'running' and not self._done:
                subprocess.run(['docker', 'logs', '--tail=30', self._container_id], check=False)
                os._exit(_WORKER_LOST_EXIT_CODE)

    local_job_service.SubprocessSdkWorker.run = run_or_exit
    worker_handlers.DockerSdkWorkerHandler.watch_container = watch


def _use_processes(environment: Any, folder: Path) -> None:
    """Replaces an image by a process with the packages of Beam's image and those of the job.

    `-S` reads no .pth file, so that an editable install is not seen; `-P` keeps the working folder
    off the path.
    """
    assert environment.urn == common_urns.environments.DOCKER.urn, environment.urn
    variables = {
        'SEMI_PERSISTENT_DIRECTORY': folder / 'semi',
        'PIPELINE_OPTIONS_FILE': folder / 'options.json',
        'PYTHONPATH': f'{folder / "site"}:{SITE_PACKAGES}',
    }
    settings = ' '.join(f'{name}={value}' for name, value in variables.items())
    module = 'apache_beam.runners.worker.sdk_worker_main'
    environment.urn = SUBPROCESS_SDK
    environment.payload = f'cd / && exec env {settings} {sys.executable} -S -P -m {module}'.encode()
    del environment.dependencies[:]


def _use_downloaded(environment: Any, folder: Path) -> None:
    """Names the downloaded files, because Beam's artifact service reads no bucket."""
    for dependency in environment.dependencies:
        role = runner_api.ArtifactStagingToRolePayload.FromString(dependency.role_payload)
        path = str(folder / 'semi' / 'staged' / role.staged_name)
        dependency.type_urn = common_urns.artifact_types.FILE.urn
        dependency.type_payload = runner_api.ArtifactFilePayload(path=path).SerializeToString()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument('folder', type=Path)
    parser.add_argument('workers', type=int)
    parser.add_argument('--bundle_repeat', type=int, default=0)
    parser.add_argument('--containers', action='store_true')
    arguments = parser.parse_args()
    folder = arguments.folder
    pipeline = runner_api.Pipeline.FromString((folder / 'pipeline.pb').read_bytes())
    options = json.loads((folder / 'options.json').read_text())
    loopback_patch.patch()
    _end_with_a_lost_worker()
    for environment in pipeline.components.environments.values():
        (_use_downloaded if arguments.containers else _use_processes)(environment, folder)
    given = struct_pb2.Struct()
    given.update({f'beam:option:{k}:v1': v for k, v in options.items() if v is not None})
    information = provision_api.ProvisionInfo(pipeline_options=given, retrieval_token='unused')
    runner = Runner(
        folder / 'metrics.json',
        bundle_repeat=arguments.bundle_repeat,
        provision_info=fn_runner.ExtendedProvisionInfo(information),
    )
    runner._num_workers = arguments.workers
    runner.run_via_runner_api(pipeline, PipelineOptions([], runner='FnApiRunner'))


if __name__ == '__main__':
    main()
