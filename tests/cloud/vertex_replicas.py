"""Runs the containers of a Vertex AI job as processes of this machine, and restarts them as
documented: https://cloud.google.com/vertex-ai/docs/training/understanding-training-service.

- The job succeeds when its primary replica exits with 0; the others are ended.
- A replica that is killed stands for a lost machine, which is noticed late. With
  `restart_job_on_worker_restart` all replicas start again, else that one alone.
- SIGABRT and SIGSEGV restart the job, up to three times. Any other exit code ends it.
"""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping

from google.cloud.aiplatform_v1.types import CustomJobSpec

from tests import ports

ROLES = ('chief', 'worker', 'ps', 'evaluator')

_TRANSIENT = (6, 134, 11, 139, -signal.SIGABRT, -signal.SIGSEGV)
_MOST_RESTARTS = 3
_MOST_LOSSES = 5
_NOTICE_SECONDS = 180.0
_GRACE_SECONDS = 30.0
_POLL_SECONDS = 0.1

Log = Callable[[str, str], None]


class Replicas:
    """The replicas of a job, or of a trial.

    Attributes:
      exits: Name and exit code of every process that ended, in order.
    """

    def __init__(
        self,
        spec: CustomJobSpec,
        *,
        name: str,
        environment: Mapping[str, str],
        folder: str,
        log: Log,
        trial: str = '',
        arguments: tuple[str, ...] = (),
    ) -> None:
        self.exits: list[tuple[str, int]] = []
        self._spec = spec
        self._name = name
        self._given = dict(environment)
        self._folder = folder
        self._log = log
        self._trial = trial
        self._arguments = arguments
        self._cluster = {
            ROLES[place]: [f'127.0.0.1:{ports.find_free_port()}' for _ in range(pool.replica_count)]
            for place, pool in enumerate(spec.worker_pool_specs)
        }
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._losses: dict[str, int] = {}
        self._restarts = 0
        self._cancelled = threading.Event()
        self._readers: list[threading.Thread] = []

    def run(self) -> str:
        """Runs to the end; returns the error, empty after success."""
        try:
            self._start_all()
            while True:
                if self._cancelled.is_set():
                    return 'cancelled'
                ended = self._take_ended()
                if ended.get('workerpool0-0') == 0:
                    return ''
                for name, code in ended.items():
                    if code and (error := self._handle_failure(name, code)):
                        return error
                time.sleep(_POLL_SECONDS)
        finally:
            self._stop_all()
            for reader in self._readers:
                reader.join()

    def cancel(self) -> None:
        """Ends all replicas."""
        self._cancelled.set()

    def kill(self, name: str) -> None:
        """Takes the machine of a replica away."""
        os.killpg(self._running[name].pid, signal.SIGKILL)

    def _handle_failure(self, name: str, code: int) -> str:
        if code == -signal.SIGKILL:
            self._losses[name] = self._losses.get(name, 0) + 1
            if self._losses[name] > _MOST_LOSSES:
                return f'The replica {name} was restarted too often.'
            if not self._spec.scheduling.restart_job_on_worker_restart:
                self._start(name)
                return ''
            end = time.monotonic() + _NOTICE_SECONDS
            while self._running and time.monotonic() < end:
                for peer, peer_code in self._take_ended().items():
                    if peer_code not in (0, -signal.SIGKILL, *_TRANSIENT):
                        return _exit_message(peer, peer_code)
                time.sleep(_POLL_SECONDS)
        elif code not in _TRANSIENT or self._restarts == _MOST_RESTARTS:
            return _exit_message(name, code)
        else:
            self._restarts += 1
        self._stop_all()
        self._start_all()
        return ''

    def _take_ended(self) -> dict[str, int]:
        codes = {name: process.poll() for name, process in self._running.items()}
        ended = {name: code for name, code in codes.items() if code is not None}
        for name in ended:
            del self._running[name]
        self.exits += ended.items()
        return ended

    def _start_all(self) -> None:
        for place, pool in enumerate(self._spec.worker_pool_specs):
            for index in range(pool.replica_count):
                self._start(f'workerpool{place}-{index}')

    def _start(self, name: str) -> None:
        place, index = (int(part) for part in name.removeprefix('workerpool').split('-'))
        container = self._spec.worker_pool_specs[place].container_spec
        process = subprocess.Popen(
            [*container.command, *container.args, *self._arguments],
            env={
                **self._given,
                **self._environment(place, index),
                **{each.name: each.value for each in container.env},
            },
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._running[name] = process
        reader = threading.Thread(target=self._read, args=(name, process), daemon=True)
        reader.start()
        self._readers.append(reader)

    def _read(self, name: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        for line in process.stdout:
            self._log(name, line.rstrip('\n'))

    def _stop_all(self) -> None:
        for number, seconds in ((signal.SIGTERM, _GRACE_SECONDS), (signal.SIGKILL, 60.0)):
            for process in self._running.values():
                if process.poll() is None:
                    os.killpg(process.pid, number)
            end = time.monotonic() + seconds
            while any(process.poll() is None for process in self._running.values()):
                if time.monotonic() > end:
                    break
                time.sleep(_POLL_SECONDS)
        self._take_ended()

    def _environment(self, place: int, index: int) -> dict[str, str]:
        """The documented variables of a replica."""
        job_id = self._name.rsplit('/', 1)[1]
        found = {'CLOUD_ML_JOB_ID': job_id, 'CLOUD_ML_PROJECT_ID': '123456'}
        prefix = self._spec.base_output_directory.output_uri_prefix.rstrip('/')
        if prefix:
            folder = f'{prefix}/{self._trial}' if self._trial else prefix
            found['AIP_MODEL_DIR'] = f'{folder}/model/'
            found['AIP_CHECKPOINT_DIR'] = f'{folder}/checkpoints/'
            found['AIP_TENSORBOARD_LOG_DIR'] = f'{folder}/logs/'
        trial = {'trial': self._trial} if self._trial else {}
        cloud = {'environment': 'cloud', 'job': '{}'}
        pools = {
            f'workerpool{number}': addresses
            for number, addresses in enumerate(self._cluster.values())
        }
        task = {'type': f'workerpool{place}', 'index': index, **trial}
        found['CLUSTER_SPEC'] = json.dumps({'cluster': pools, **cloud, 'task': task})
        if len(pools) > 1:
            task = {'type': ROLES[place], 'index': index, **trial}
            found['TF_CONFIG'] = json.dumps({'cluster': self._cluster, **cloud, 'task': task})
        if self._trial:
            found['CLOUD_ML_TRIAL_ID'] = self._trial
            found['CLOUD_ML_HP_METRIC_FILE'] = self.metric_file
        return found

    @property
    def metric_file(self) -> str:
        """The file that receives the metrics of the trial."""
        job_id = self._name.rsplit('/', 1)[1]
        return f'{self._given["TMPDIR"]}/{job_id}-{self._trial}/output.metrics'


def _exit_message(name: str, code: int) -> str:
    return f'The replica {name} exited with a non-zero status of {code}.'
