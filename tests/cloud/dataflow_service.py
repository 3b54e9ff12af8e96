"""A Dataflow service on loopback that runs the jobs it is sent.

It speaks REST of v1b3: requests are checked against the official messages. A job's staged files
and its pipeline are downloaded from the (emulated) bucket, as worker machines do. The pipeline is
run as it was staged, in worker processes that see the packages the job brings and Beam's, and
nothing of the caller's checkout; or in containers of the image that the job names.

Beam uses REST only where the address is spelled `localhost`.
"""

import contextlib
import hashlib
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import apache_beam
from google.cloud import dataflow
from google.protobuf import json_format

from tests import gcs_emulator

_MAX_REQUEST_BYTES = 10 << 20  # Dataflow's limit of a job
_NAME = r'[a-z]([-a-z0-9]{0,1022}[a-z0-9])?'
_LOCATION = r'/v1b3/projects/([^/]+)/locations/([^/]+)'
_FLOATS = {'profile_sample_rate'}  # options
ENDED = ('JOB_STATE_DONE', 'JOB_STATE_FAILED', 'JOB_STATE_CANCELLED')
# What Google's launcher does in the end; the launcher itself needs a machine of Google's.
_LAUNCH = 'exec python "$FLEX_TEMPLATE_PYTHON_PY_FILE" "$@"'

# The packages that Beam's image has, without those that are installed from a checkout.
SITE_PACKAGES = Path(apache_beam.__file__).parents[1]


class Refusal(Exception):
    """A request that the service refuses: HTTP status, the API's status, and a message."""


@dataclass
class Job:
    """A job of the service.

    Attributes:
      proto: The job as the API shows it.
      folder: Folder of its staged files.
      messages: Its messages, as in the API.
      process: The process that runs it.
    """

    proto: dataflow.Job
    folder: Path
    messages: list[dict[str, str]] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    @property
    def state(self) -> str:
        """The state, such as `JOB_STATE_DONE`."""
        return self.proto.current_state.name

    def change_state(self, name: str) -> None:
        """Changes the state, unless the job has ended."""
        if self.state not in ENDED:
            self.proto.current_state = dataflow.JobState[name]

    def report(self, importance: str, text: str) -> None:
        """Adds a message."""
        message = {
            'id': f'{len(self.messages):06d}',
            'time': _now(),
            'messageText': text,
            'messageImportance': f'JOB_MESSAGE_{importance}',
        }
        self.messages.append(message)

    def metrics(self) -> list[dict[str, Any]]:
        """Returns the counters so far, as in the API."""
        path = self.folder / 'metrics.json'
        return json.loads(path.read_text()) if path.exists() else []

    def cancel(self) -> None:
        """Ends the job and its workers."""
        self.change_state('JOB_STATE_CANCELLED')
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)


class Service(http.server.ThreadingHTTPServer):
    """The service.

    Args:
      folder: Folder for the jobs.
      store_url: The emulated object store.
      bundle_repeat: How many times each bundle is run again.
      starts_jobs: Whether jobs are run, or wait for ever.
      containers: Whether to run the images that jobs and templates name, by `docker`.
      path: The PATH on which `docker` is found; None for that of this process.
      launcher: The command that stands for the template's image where there are no containers.
    """

    daemon_threads = True

    def __init__(
        self,
        folder: Path,
        *,
        store_url: str,
        bundle_repeat: int = 0,
        starts_jobs: bool = True,
        containers: bool = False,
        path: str | None = None,
        launcher: Sequence[str] = (),
    ) -> None:
        super().__init__(('127.0.0.1', 0), _Handler)
        self.folder = folder
        self.store_url = store_url
        self.bundle_repeat = bundle_repeat
        self.starts_jobs = starts_jobs
        self.containers = containers
        self.environment = {
            **os.environ,
            'STORAGE_EMULATOR_HOST': store_url,
            **({'PATH': path} if path else {}),
        }
        self.launcher = launcher
        self.jobs: dict[str, Job] = {}
        self.refuse_next: list[int] = []  # HTTP statuses of the next requests

    @property
    def url(self) -> str:
        """The address for clients."""
        return f'http://localhost:{self.server_port}'

    @property
    def only_job(self) -> Job:
        """The job, of which there is one."""
        (job,) = self.jobs.values()
        return job

    def download(self, url: str) -> bytes:
        """Downloads an object."""
        path = url.removeprefix('gs://').removeprefix('storage.googleapis.com/')
        bucket, name = path.split('/', 1)
        return gcs_emulator.client(self.store_url).bucket(bucket).blob(name).download_as_bytes()

    def create(self, project: str, location: str, body: bytes) -> Job:
        """Creates a job and starts it."""
        if len(body) > _MAX_REQUEST_BYTES:
            raise Refusal(400, 'INVALID_ARGUMENT', 'Request payload size exceeds the limit')
        proto = _parse(dataflow.Job(), json.loads(body))
        if not re.fullmatch(_NAME, proto.name):
            raise Refusal(400, 'INVALID_ARGUMENT', f'bad job name {proto.name!r}')
        for other in self.jobs.values():
            if other.proto.name == proto.name and other.state not in ENDED:
                raise Refusal(409, 'ALREADY_EXISTS', f'active job named {proto.name}')
        proto.id = time.strftime('%Y-%m-%d_%H_%M_%S-') + str(uuid.uuid4().int)[:18]
        proto.project_id, proto.location = project, location
        proto.current_state = dataflow.JobState.JOB_STATE_QUEUED
        job = self.jobs[proto.id] = Job(proto, self.folder / proto.id)
        if self.starts_jobs:
            threading.Thread(target=self._run, args=(job,), daemon=True).start()
        return job

    def _run(self, job: Job) -> None:
        try:
            job.change_state('JOB_STATE_RUNNING')
            self._run_staged(job)
        except (RuntimeError, OSError) as error:
            job.report('ERROR', str(error))
            job.change_state('JOB_STATE_FAILED')

    def _run_staged(self, job: Job) -> None:
        environment = job.proto.environment
        staged = job.folder / 'semi' / 'staged'
        staged.mkdir(parents=True)
        for pool in environment.worker_pools:
            for package in pool.packages:
                (staged / package.name).write_bytes(self.download(package.location))
        options = _worker_options(environment)
        pipeline = self.download(options['pipelineUrl'])
        if hashlib.sha256(pipeline).hexdigest() != options['pipelineProtoHash']:
            raise RuntimeError('pipelineProtoHash does not match the staged pipeline')
        (job.folder / 'pipeline.pb').write_bytes(pipeline)
        (job.folder / 'options.json').write_text(json.dumps(options))
        if not self.containers and (staged / 'workflow.tar.gz').exists():
            _install(staged / 'workflow.tar.gz', job.folder / 'site')
        pool = environment.worker_pools[0]
        workers = int(pool.num_workers) or 2
        module = [sys.executable, '-m', 'tests.cloud.dataflow_job', str(job.folder), str(workers)]
        with (job.folder / 'log').open('wb') as log:
            job.process = subprocess.Popen(
                [
                    *module,
                    f'--bundle_repeat={self.bundle_repeat}',
                    *(['--containers'] if self.containers else []),
                ],
                stdout=log,
                stderr=log,
                cwd=Path(__file__).parents[2],
                env=self.environment,
                start_new_session=True,
            )
        if job.process.wait():
            raise RuntimeError((job.folder / 'log').read_text()[-6000:])
        job.change_state('JOB_STATE_DONE')

    def launch(self, project: str, location: str, body: Mapping[str, Any]) -> Job:
        """Launches a flex template: runs its image as a launcher, then the job that it wrote."""
        asked = _parse(dataflow.LaunchFlexTemplateRequest(), body).launch_parameter
        specification = dataflow.ContainerSpec()
        text = self.download(asked.container_spec_gcs_path)
        _parse(specification, json.loads(text))
        _check_parameters(specification.metadata.parameters, asked.parameters)
        environment = asked.environment
        stem = f'{environment.temp_location}/template_launches/{asked.job_name}'
        flags = {
            **asked.parameters,
            'runner': 'DataflowRunner',
            'project': project,
            'region': location,
            'job_name': asked.job_name,
            'temp_location': environment.temp_location,
            'staging_location': environment.staging_location or environment.temp_location,
            'template_location': f'{stem}/job_object',
        }
        if environment.sdk_container_image:
            flags['sdk_container_image'] = environment.sdk_container_image
        if environment.num_workers:
            flags['num_workers'] = environment.num_workers
        if environment.machine_type:
            flags['machine_type'] = environment.machine_type
        command = list(self.launcher)
        if self.containers:
            command = ['docker', 'run', '--rm', '--network=host', '--entrypoint=sh']
            command += ['--env=STORAGE_EMULATOR_HOST', specification.image, '-c', _LAUNCH, 'launch']
        command.append('--no_auth')  # the emulated store has no accounts
        done = subprocess.run(
            [*command, *(f'--{name}={value}' for name, value in flags.items())],
            capture_output=True,
            text=True,
            check=False,
            env=self.environment,
        )
        if done.returncode:
            raise Refusal(400, 'FAILED_PRECONDITION', f'Template launch failed: {done.stderr}')
        return self.create(project, location, self.download(f'{stem}/job_object'))


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    server: Service

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        try:
            if self.server.refuse_next:
                raise Refusal(self.server.refuse_next.pop(0), 'UNAVAILABLE', 'injected')
            self._answer(200, self._route(urlsplit(self.path).path, body))
        except Refusal as refusal:
            code, status, message = refusal.args
            error = {'code': code, 'status': status, 'message': message}
            self._answer(code, {'error': error})

    do_GET = do_POST = do_PUT = _handle  # noqa: N815  (the server calls these names)

    def _route(self, path: str, body: bytes) -> dict[str, Any]:
        found = re.fullmatch(_LOCATION + r'/(jobs|flexTemplates:launch)(/[^/]+)?(/\w+)?', path)
        if not found:
            raise Refusal(404, 'NOT_FOUND', path)
        project, location, kind, job_id, part = found.groups()
        if kind != 'jobs':
            launched = self.server.launch(project, location, json.loads(body))
            return {'job': _as_json(launched.proto)}
        if not job_id:
            return _as_json(self.server.create(project, location, body).proto)
        job = self.server.jobs.get(job_id[1:])
        if not job:
            raise Refusal(
                404, 'NOT_FOUND', f'{job_id[1:]}: Information about job could not be found'
            )
        if part == '/messages':
            return {'jobMessages': job.messages}
        if part == '/metrics':
            return {'metricTime': _now(), 'metrics': job.metrics()}
        if self.command == 'PUT':
            asked = _parse(dataflow.Job(), json.loads(body)).requested_state
            if asked == dataflow.JobState.JOB_STATE_CANCELLED:
                job.cancel()
        return _as_json(job.proto)

    def _answer(self, code: int, document: Mapping[str, Any]) -> None:
        data = json.dumps(document).encode()
        self.send_response(code)
        self.send_header('Content-Type', 'application/json; charset=UTF-8')
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the server's name)
        """Quiet."""


def _now() -> str:
    return (
        time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime())
        + f'.{time.time_ns() // 1000 % 10**6:06d}Z'
    )


def _parse(message: Any, document: Mapping[str, Any]) -> Any:
    """Fills a message from JSON. An unknown field is an error, as it is for the service."""
    try:
        json_format.ParseDict(dict(document), type(message).pb(message))
    except json_format.ParseError as error:
        raise Refusal(400, 'INVALID_ARGUMENT', str(error)) from error
    return message


def _as_json(message: Any) -> dict[str, Any]:
    return json_format.MessageToDict(type(message).pb(message))


def _worker_options(environment: Any) -> dict[str, Any]:
    """Returns the options that workers get: a Struct has floats only, the service whole numbers."""
    message = type(environment).pb(environment).sdk_pipeline_options
    options = json_format.MessageToDict(message)['options']

    def whole(name: str, value: Any) -> Any:
        is_whole = isinstance(value, float) and value.is_integer() and name not in _FLOATS
        return int(value) if is_whole else value

    return {name: whole(name, value) for name, value in options.items()}


def _install(package: Path, folder: Path) -> None:
    """Installs a package as a worker's container does, but without its requirements."""
    pip = [sys.executable, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check']
    done = subprocess.run(
        [*pip, '--no-deps', '--no-build-isolation', '--target', str(folder), str(package)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f'A setup error was detected in the worker: {done.stderr[-3000:]}')


def _check_parameters(known: Sequence[Any], given: Mapping[str, str]) -> None:
    """Checks the parameters of a template by its metadata, as the service does."""
    by_name = {parameter.name: parameter for parameter in known}
    for name in given:
        if name not in by_name:
            raise Refusal(400, 'INVALID_ARGUMENT', f'Unrecognized parameter: {name}')
    for name, parameter in by_name.items():
        if name not in given:
            if not parameter.is_optional:
                raise Refusal(400, 'INVALID_ARGUMENT', f'Missing required parameter: {name}')
            continue
        for rule in parameter.regexes:
            if not re.fullmatch(rule, given[name]):
                message = f'{name}: {given[name]!r} does not match {rule!r}'
                raise Refusal(400, 'INVALID_ARGUMENT', message)


@contextlib.contextmanager
def running_service(folder: Path, **options: Any) -> Iterator[Service]:
    """Runs the service. At the end, jobs that still run are cancelled."""
    with Service(folder, **options) as service:
        thread = threading.Thread(target=service.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield service
        finally:
            for job in service.jobs.values():
                job.cancel()
            service.shutdown()
            thread.join()
