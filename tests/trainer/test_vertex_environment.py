"""What Vertex AI gives to a training process."""

import json
from pathlib import Path

import pytest

from catalog.errors import UserError
from trainer import vertex_environment


def test_a_process_outside_of_vertex_ai_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('AIP_TENSORBOARD_LOG_DIR', 'CLOUD_ML_TRIAL_ID', 'CLOUD_ML_JOB_ID'):
        monkeypatch.delenv(name, raising=False)
    assert vertex_environment.tensorboard_folder() is None
    assert vertex_environment.workdir_of_trial('gs://shop/work') == 'gs://shop/work'
    assert vertex_environment.exit_code(143) == 143


def test_a_job_that_resumes_ends_with_a_code_after_which_vertex_ai_starts_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv('CLOUD_ML_JOB_ID', '4711')
    assert vertex_environment.exit_code(143) == 134


def test_each_trial_has_its_own_workdir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('CLOUD_ML_TRIAL_ID', '7')
    assert vertex_environment.workdir_of_trial('gs://shop/work') == 'gs://shop/work/trials/00007'
    monkeypatch.setenv('CLOUD_ML_TRIAL_ID', '../7')
    with pytest.raises(UserError, match=r"CLOUD_ML_TRIAL_ID must be a number, got '\.\./7'"):
        vertex_environment.workdir_of_trial('gs://shop/work')


def test_the_last_hundred_metrics_of_a_trial_are_in_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / 'hypertune' / 'output.metrics'
    monkeypatch.setenv('CLOUD_ML_HP_METRIC_FILE', str(path))
    monkeypatch.setenv('CLOUD_ML_TRIAL_ID', '7')
    for step in range(1, 103):
        vertex_environment.report_metric('accuracy', step / 1000, step=step)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row['global_step'] for row in rows] == [str(step) for step in range(3, 103)]
    assert (rows[-1]['trial'], rows[-1]['accuracy']) == ('7', '0.102')
