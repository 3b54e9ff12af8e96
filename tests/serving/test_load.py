"""The real server under load: four times what it admits, new versions, clients that misbehave.

`LOAD_SECONDS=1800` makes each test as long; without it they take seconds.
"""

import io
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tests.serving.colours import RED, jpeg, save_version
from tests.serving.faults import FAULTS, gzip_bomb
from tests.serving.load import OK, REFUSED, clients, memory_bytes
from tests.serving.running import RunningServer
from tests.serving.slow_requests import wait_for

SECONDS = float(os.environ.get('LOAD_SECONDS', '2'))
FLAGS = ['--enable_batching', '--monitoring_config_file=serving/tf_serving/monitoring.config']
QUEUE = re.compile(rb'queue_rows\{model_name="colours"\} (\d+)')
MAX_GROWTH = 100 << 20  # bytes; TensorFlow keeps up to half of it
BALLAST = 32 << 20  # bytes of a model, so that seven models that are not freed add twice as much


def queue_rows(server: RunningServer) -> int:
    found = QUEUE.search(server.raw_http('GET', '/monitoring/prometheus/metrics')[1])
    return int(found[1]) if found else 0


def large_picture() -> bytes:
    file = io.BytesIO()
    Image.effect_noise((700, 700), 60).convert('RGB').save(file, 'JPEG', quality=30)
    return file.getvalue()


def test_four_times_the_load_is_refused_in_part_and_memory_stays(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    save_version(tmp_path, 1)
    limits = ['--grpc_max_threads=8', '--rest_api_num_threads=8']  # 6 requests are admitted
    server = start(tmp_path, *FLAGS, *limits)
    with clients(server, large_picture(), rest=12, grpc_clients=12) as results:
        wait_for(lambda: results.outcomes[OK] > 100)
        before = memory_bytes(server)
        queued, end = [0], time.monotonic() + SECONDS
        wait_for(lambda: queued.append(queue_rows(server)) or time.monotonic() > end)
        accepted = results.outcomes[OK]
        wait_for(lambda: results.outcomes[OK] > accepted)
        growth = memory_bytes(server) - before
    assert set(results.outcomes) == {OK, REFUSED}, results.outcomes
    assert results.hints == results.outcomes[REFUSED]
    assert len(results.answers) == 1  # no answer of another request
    assert max(queued) <= 6
    assert queue_rows(server) == 0
    assert growth < MAX_GROWTH
    assert server.stop() == 0


def test_ten_new_versions_under_load_fail_no_request(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    base, saved = tmp_path / 'served', tmp_path / 'saved'
    base.mkdir()
    saved.mkdir()
    for version, bias in [(1, 0.0), (2, 5.0)]:
        save_version(saved, version, bias=bias, ballast_bytes=BALLAST)
    (base / '1').symlink_to(saved / '1')
    server = start(base, *FLAGS, '--file_system_poll_wait_seconds=0.1')
    memory: list[int] = []

    def available() -> list[str]:
        _, response = server.http('GET', '/v1/models/colours')
        statuses = response['model_version_status']
        return [s['version'] for s in statuses if s['state'] == 'AVAILABLE']

    with clients(server, jpeg(RED), rest=2, grpc_clients=2, pause=0.01) as results:
        for version in range(2, 12):
            end = time.monotonic() + SECONDS / 10
            (base / str(version)).symlink_to(saved / str(version % 2 + 1))
            wait_for(lambda version=version: available() == [str(version)])
            answered = results.outcomes[OK]
            wait_for(lambda n=answered: results.outcomes[OK] > n + 10)
            wait_for(lambda end=end: time.monotonic() > end)
            memory.append(memory_bytes(server))
    assert set(results.outcomes) == {OK}, results.outcomes
    assert len(results.answers) == 2  # of both models, never mixed
    assert memory[-1] - memory[2] < MAX_GROWTH, memory
    assert server.stop() == 0


def test_clients_that_misbehave_harm_no_other_request(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    save_version(tmp_path, 1)
    server = start(tmp_path, *FLAGS, '--request_read_seconds=5')
    with clients(server, jpeg(RED), rest=1, grpc_clients=1, pause=0.01) as results:
        left_open = [fault(server) for fault in FAULTS * 2]  # until freed memory is used again
        before, end = memory_bytes(server), time.monotonic() + SECONDS
        while time.monotonic() < end:
            left_open += [fault(server) for fault in FAULTS]
        for _ in range(6):  # six times 101 MiB, if they were kept
            gzip_bomb(server)
        growth = memory_bytes(server) - before
        answered = results.outcomes[OK]
        wait_for(lambda: results.outcomes[OK] > answered + 10)
    assert set(results.outcomes) == {OK}, results.outcomes
    assert len(results.answers) == 1
    assert growth < 2 * MAX_GROWTH  # it goes up and down by 130 MiB
    assert server.stop() == 0
    for client in left_open:
        if client:
            client.close()
