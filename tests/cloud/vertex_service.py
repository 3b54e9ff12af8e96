"""A stand-in for Vertex AI's training service and for Cloud Logging, on loopback. It runs the jobs.

Clients find it by `CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM` and `…_LOGGING`. Requests are parsed
by Google's protos: an unknown field is refused, as are jobs that break a documented rule
(`vertex_rules`). Replicas are processes of this machine (`vertex_replicas`).

It has no images, no quotas and no permissions.
"""

import contextlib
import datetime
import itertools
import json
import random
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from google.cloud.aiplatform_v1.types import (
    CustomJob,
    HyperparameterTuningJob,
    JobState,
    Measurement,
    StudySpec,
    Trial,
)
from google.protobuf import json_format

from tests.cloud.vertex_replicas import Replicas
from tests.cloud.vertex_rules import Refused, check

ROOT = Path(__file__).resolve().parents[2]

_KINDS = {
    'customJobs': (CustomJob, 'job_spec'),
    'hyperparameterTuningJobs': (HyperparameterTuningJob, 'trial_job_spec'),
}
_PATH = re.compile(
    r'/v1/(projects/[^/]+/locations/[^/]+)/(customJobs|hyperparameterTuningJobs)(?:/(\d+))?(:cancel)?'
)
_FILTER = re.compile(r'labels\.([a-z]\w*)=([-\w]+)')
_ENDED = ('JOB_STATE_SUCCEEDED', 'JOB_STATE_FAILED', 'JOB_STATE_CANCELLED')


class RunningJob:
    """A job and what runs of it.

    Attributes:
      proto: The job, as clients see it.
      replicas: The replicas of the job, or of its current trial.
    """

    def __init__(self, service: 'VertexService', proto: Any, spec: Any) -> None:
        self.proto = proto
        self.replicas: Replicas | None = None
        self._service = service
        self._spec = spec
        self._is_cancelled = False
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    @property
    def is_ended(self) -> bool:
        """Whether it is in one of the last states."""
        return self.proto.state.name in _ENDED

    def cancel(self) -> None:
        """Ends the job."""
        self._is_cancelled = True
        if self.replicas:
            self.replicas.cancel()

    def join(self) -> None:
        """Waits for the end."""
        self._thread.join()

    def _live(self) -> None:
        proto = self.proto
        proto.state = JobState.JOB_STATE_PENDING
        time.sleep(0.2)
        proto.state = JobState.JOB_STATE_RUNNING
        try:
            if isinstance(proto, HyperparameterTuningJob):
                error = self._run_trials(proto)
            else:
                error = self._run()
        except OSError as failure:  # no such command
            error = str(failure)
        if self._is_cancelled:
            proto.state = JobState.JOB_STATE_CANCELLED
        elif error:
            proto.error.code, proto.error.message = 3, error
            proto.state = JobState.JOB_STATE_FAILED
        else:
            proto.state = JobState.JOB_STATE_SUCCEEDED

    def _run(self, trial: str = '', arguments: tuple[str, ...] = ()) -> str:
        if self._is_cancelled:
            return 'cancelled'
        job_id = self.proto.name.rsplit('/', 1)[1]
        self.replicas = Replicas(
            self._spec,
            name=self.proto.name,
            environment=self._service.environment,
            folder=str(ROOT),
            log=lambda name, line: self._service.log(job_id, name, line),
            trial=trial,
            arguments=arguments,
        )
        return self.replicas.run()

    def _run_trials(self, proto: HyperparameterTuningJob) -> str:
        rng = random.Random(0)
        metric = proto.study_spec.metrics[0]
        for number in range(1, proto.max_trial_count + 1):
            values = {p.parameter_id: _draw(p, rng) for p in proto.study_spec.parameters}
            arguments = tuple(f'--{name}={value}' for name, value in values.items())
            error = self._run(str(number), arguments)
            states = Trial.State
            trial = Trial(id=str(number), state=states.INFEASIBLE if error else states.SUCCEEDED)
            trial.parameters = [
                Trial.Parameter(parameter_id=name, value=value) for name, value in values.items()
            ]
            assert self.replicas
            path = Path(self.replicas.metric_file)
            if path.exists():
                rows = [json.loads(line) for line in path.read_text().splitlines()]
                found = [float(row[metric.metric_id]) for row in rows]
                is_less = metric.goal == StudySpec.MetricSpec.GoalType.MINIMIZE
                best = Measurement.Metric(
                    metric_id=metric.metric_id, value=min(found) if is_less else max(found)
                )
                trial.final_measurement = Measurement(metrics=[best])
            proto.trials.append(trial)
            if self._is_cancelled:
                break
        return ''


def _draw(parameter: StudySpec.ParameterSpec, rng: random.Random) -> Any:
    double, integer = parameter.double_value_spec, parameter.integer_value_spec
    if double.max_value:
        if parameter.scale_type.name == 'UNIT_LOG_SCALE':
            return double.min_value * (double.max_value / double.min_value) ** rng.random()
        return rng.uniform(double.min_value, double.max_value)
    if integer.max_value:
        return rng.randint(integer.min_value, integer.max_value)
    choices = parameter.categorical_value_spec.values or parameter.discrete_value_spec.values
    return rng.choice(list(choices))


class VertexService(ThreadingHTTPServer):
    """The service.

    Attributes:
      environment: The environment of the replicas, to which each gets its own variables.
      jobs: The jobs by name.
      refusals: Statuses that answer the next requests, for tests of errors.
      lost_answers: Statuses that replace the answers of the next requests, which are carried out.
    """

    daemon_threads = True

    def __init__(self, environment: Mapping[str, str], *, port: int = 0) -> None:
        super().__init__(('127.0.0.1', port), _Handler)
        self.environment = dict(environment)
        self.jobs: dict[str, RunningJob] = {}
        self.refusals: list[int] = []
        self.lost_answers: list[int] = []
        self._numbers = itertools.count(4_700_000_000_000_000_001)
        self._entries: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The address for clients."""
        return f'http://127.0.0.1:{self.server_port}'

    @property
    def client_environment(self) -> dict[str, str]:
        """The variables by which clients find the service."""
        names = ('AIPLATFORM', 'LOGGING')
        return {f'CLOUDSDK_API_ENDPOINT_OVERRIDES_{name}': f'{self.url}/' for name in names}

    def create(self, parent: str, kind: str, body: bytes) -> Any:
        """Starts a job and returns it. Raises `Refused`."""
        cls, field = _KINDS[kind]
        proto = cls()
        try:
            json_format.Parse(body, cls.pb(proto))
        except json_format.ParseError as error:
            raise Refused(str(error)) from error
        if not proto.display_name:
            raise Refused('display_name is required')
        check(getattr(proto, field))
        proto.name = f'{parent}/{kind}/{next(self._numbers)}'
        proto.state = JobState.JOB_STATE_QUEUED
        self.jobs[proto.name] = RunningJob(self, proto, getattr(proto, field))
        return proto

    def find(self, parent: str, kind: str, query: str) -> list[Any]:
        """Returns the jobs with a label. Raises `Refused` for another filter."""
        found = _FILTER.fullmatch(query)
        if not found:
            raise Refused(f'filter must be labels.KEY=VALUE here, got {query!r}')
        key, value = found.groups()
        return [
            job.proto
            for name, job in self.jobs.items()
            if name.startswith(f'{parent}/{kind}/') and job.proto.labels.get(key) == value
        ]

    def log(self, job_id: str, task: str, line: str) -> None:
        """Keeps a line that a replica wrote."""
        with self._lock:
            now = datetime.datetime.now(datetime.UTC)
            self._entries.append(
                {
                    'insertId': f'{len(self._entries):08d}',
                    'timestamp': now.strftime('%Y-%m-%dT%H:%M:%S.%f000Z'),
                    'resource': {
                        'type': 'ml_job',
                        'labels': {'job_id': job_id, 'task_name': task},
                    },
                    'jsonPayload': {'message': line},
                }
            )

    def list_entries(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answers `entries:list` of Cloud Logging."""
        asked = request['filter']
        job = re.search(r'resource\.labels\.job_id="(\d+)"', asked)
        since = re.search(r'timestamp>="([^"]+)"', asked)
        with self._lock:
            found = [
                entry
                for entry in self._entries
                if job
                and entry['resource']['labels']['job_id'] == job[1]
                and (not since or entry['timestamp'] >= since[1])
            ]
        first = int(request.get('pageToken') or 0)
        last = first + int(request['pageSize'])
        page: dict[str, Any] = {'entries': found[first:last]}
        return page | ({'nextPageToken': str(last)} if last < len(found) else {})

    def end(self) -> None:
        """Ends all jobs."""
        for job in self.jobs.values():
            job.cancel()
        for job in self.jobs.values():
            job.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    server: VertexService

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        path = urlsplit(self.path).path
        if self.server.refusals:
            self._refuse(self.server.refusals.pop(0), 'injected')
        elif path == '/v2/entries:list':
            self._answer(200, self.server.list_entries(json.loads(body)))
        elif match := _PATH.fullmatch(path):
            self._handle_job(body, *match.groups())
        else:
            self._refuse(404, path)

    do_GET = do_POST = _handle  # noqa: N815  (the server calls these names)

    def _handle_job(
        self, body: bytes, parent: str, kind: str, number: str | None, cancel: str | None
    ) -> None:
        try:
            if not number and self.command == 'POST':
                self._answer(200, _as_json(self.server.create(parent, kind, body)))
            elif not number:
                query = parse_qs(urlsplit(self.path).query)['filter'][0]
                jobs = self.server.find(parent, kind, query)
                self._answer(200, {kind: [_as_json(job) for job in jobs]})
            elif job := self.server.jobs.get(f'{parent}/{kind}/{number}'):
                if cancel:
                    job.cancel()
                self._answer(200, {} if cancel else _as_json(job.proto))
            else:
                self._refuse(404, f'{kind} {number} is not found.')
        except Refused as reason:
            self._refuse(400, str(reason))

    def _refuse(self, code: int, message: str) -> None:
        self._answer(code, {'error': {'code': code, 'message': message}})

    def _answer(self, code: int, document: dict[str, Any]) -> None:
        if code == 200 and self.server.lost_answers:
            self._refuse(self.server.lost_answers.pop(0), 'lost')
            return
        data = json.dumps(document).encode()
        self.send_response(code)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the server's name)
        """Quiet."""


def _as_json(proto: Any) -> dict[str, Any]:
    return json.loads(type(proto).to_json(proto, use_integers_for_enums=False))


@contextlib.contextmanager
def running_service(environment: Mapping[str, str], folder: Path) -> Iterator[VertexService]:
    """Runs the service; ends its jobs at the end.

    Args:
      environment: The environment of the replicas.
      folder: A folder for temporary files.
    """
    programs = str(Path(sys.executable).parent)
    given = {
        **environment,
        'PATH': f'{programs}:{environment.get("PATH", "")}',  # `python` is this one
        'TMPDIR': str(folder),
    }
    with VertexService(given) as service:
        thread = threading.Thread(target=service.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield service
        finally:
            service.end()
            service.shutdown()
            thread.join()
