import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from catalog.errors import UserError
from trainer.config import files
from trainer.data.data_set import DataSet, open_data_set
from trainer.tune import Choice, Range, Space, results, search_space
from trainer.tune.search import Plan, search
from trainer.workdir import checkpoint, metrics_file, run_files

TINY = str(Path(__file__).parents[3] / 'configs' / 'tiny.py')
OVERRIDES = (
    'batch_size=16',
    'total_steps=12',
    'log_every_steps=2',
    'checkpoint_every_steps=4',
    'validation.every_steps=2',
    'board.sample_pictures=0',
    'steps_per_call=2',
    'model.channels=2',
    'input.shuffle_records=40',
    'optimizer.schedule.name=constant',
    'optimizer.schedule.warmup_steps=0',
)
SPACE = {
    'optimizer.learning_rate': Range(1e-5, 1e-1, log=True),
    'optimizer.name': Choice(('adamw', 'nadam')),
    'model.dropout': Range(0.0, 0.5, step=0.25),
}
SPACE_FILE = """from trainer.tune import Choice, Range


def get_space():
    return {
        'optimizer.learning_rate': Range(1e-5, 1e-1, log=True),
        'optimizer.name': Choice(('adamw', 'nadam')),
        'model.dropout': Range(0.0, 0.5, step=0.25),
    }
"""


def _plan(output: Path, **values: object) -> Plan:
    plan = Plan(TINY, OVERRIDES, SPACE, str(output), trials=6, unpruned=2, seed=0)
    return dataclasses.replace(plan, **values)


@pytest.fixture(scope='module')
def data(data_folder: str) -> DataSet:
    return open_data_set(data_folder)


@pytest.fixture(scope='module')
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('search')


@pytest.fixture(scope='module')
def report(data: DataSet, output: Path) -> results.Report:
    return search(_plan(output), data)


def _accuracies(output: Path, number: int) -> dict[int, float]:
    rows = metrics_file.read_metrics(str(output / 'trials' / f'{number:05d}'))
    return {int(row['step']): row['validation_accuracy'] for row in rows}


def test_a_trial_runs_with_its_values_and_scores_its_best_evaluation(
    report: results.Report, output: Path
) -> None:
    assert [trial.number for trial in report.trials] == list(range(6))
    for trial in report.trials:
        config = run_files.restore_config(str(output / 'trials' / f'{trial.number:05d}'))
        assert str(config.optimizer.learning_rate) == str(trial.values['optimizer.learning_rate'])
        assert config.optimizer.name == trial.values['optimizer.name']
        assert config.model.dropout == trial.values['model.dropout'] in (0.0, 0.25, 0.5)
        accuracies = _accuracies(output, trial.number)
        assert trial.value == max(accuracies.values()) == accuracies[trial.step]
        assert trial.steps == max(accuracies) == (12 if trial.state == 'done' else trial.steps)
    assert len({trial.values['optimizer.learning_rate'] for trial in report.trials}) == 6


def test_a_trial_worse_than_the_median_of_earlier_trials_is_pruned(
    report: results.Report, output: Path
) -> None:
    assert {trial.state for trial in report.trials[:2]} == {'done'}
    assert 'pruned' in {trial.state for trial in report.trials}
    for trial in report.trials[2:]:
        so_far, done = _accuracies(output, trial.number), []
        for other in report.trials[: trial.number]:
            if other.state == 'done':
                done.append(_accuracies(output, other.number))
        for step in so_far:
            best = max(value for at, value in so_far.items() if at <= step)
            others = sorted(curve[step] for curve in done)
            median = (others[(len(others) - 1) // 2] + others[len(others) // 2]) / 2
            is_last = step == trial.steps
            assert (best < median and step < 12) == (is_last and trial.state == 'pruned')


def test_the_best_finished_trial_keeps_its_checkpoints_and_is_reported(
    report: results.Report, output: Path
) -> None:
    done = [trial for trial in report.trials if trial.state == 'done']
    assert report.best is not None
    assert report.best.value == max(trial.value for trial in done)
    for trial in report.trials:
        workdir = str(output / 'trials' / f'{trial.number:05d}')
        assert bool(checkpoint.steps(workdir)) == (trial.number == report.best.number)
    text = results.format_report(report, command=['python', '-m', 'trainer.task'])
    rate = report.best.values['optimizer.learning_rate']
    assert f'--config.optimizer.learning_rate={rate}' in text.splitlines()[-1]
    written = json.loads((output / 'report.json').read_text())
    assert written == json.loads(json.dumps(dataclasses.asdict(report)))


def test_a_killed_search_resumes_with_the_results_of_an_uninterrupted_one(
    report: results.Report, data: DataSet, tmp_path: Path
) -> None:
    (tmp_path / 'space.py').write_text(SPACE_FILE)
    output = tmp_path / 'search'
    flags = [f'--config={TINY}', f'--data={data.folder}', f'--output={output}', '--unpruned=2']
    flags += [f'--space={tmp_path / "space.py"}', *(f'--config.{value}' for value in OVERRIDES)]
    tune = subprocess.Popen(
        [sys.executable, '-m', 'trainer.tune', *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    second = output / 'trials' / '00001' / 'metrics.jsonl'
    while (
        not second.exists() or second.read_bytes().count(b'\n') < 3
    ):  # step 6, after the checkpoint of step 4
        assert tune.poll() is None, tune.communicate()[1]
        time.sleep(0.05)
    os.kill(tune.pid, signal.SIGKILL)
    printed = tune.communicate()[0].decode().splitlines()
    assert printed[0].startswith(
        f'trial 0 done: accuracy {report.trials[0].value:.4f} after 12 steps'
    )
    assert search(_plan(output, trials=3), data).trials == report.trials[:3]
    assert search(_plan(output), data) == report  # three more trials
    assert search(_plan(output), data) == report  # no more trials


def test_the_folder_of_another_search_is_rejected(
    report: results.Report, data: DataSet, output: Path
) -> None:
    del report
    with pytest.raises(UserError, match='must resume with the space that it began with'):
        search(_plan(output, space={'seed': Range(0, 9)}), data)
    with pytest.raises(UserError, match='must resume with the seed that it began with'):
        search(_plan(output, seed=1), data)


def test_an_invalid_or_diverging_trial_fails_with_a_reason(data: DataSet, tmp_path: Path) -> None:
    diverging = Choice(('1e30', '1e31'))
    found = search(
        _plan(tmp_path / 'a', space={'optimizer.learning_rate': diverging}, trials=1), data
    )
    (trial,) = found.trials
    assert (trial.state, found.best) == ('failed', None)
    assert 'must be finite' in trial.why
    impossible = Choice(('piecewise', 'plateua'))
    found = search(
        _plan(tmp_path / 'b', space={'optimizer.schedule.name': impossible}, trials=1), data
    )
    assert 'schedule' in found.trials[0].why
    assert 'trial 0 failed: ' in results.format_report(found, command=['python'])


def _space(tmp_path: Path, body: str) -> Space:
    path = tmp_path / 'space.py'
    path.write_text(
        f'from trainer.tune import Choice, Range\n\n\ndef get_space():\n    return {body}\n'
    )
    return search_space.load(str(path), files.load(TINY))


@pytest.mark.parametrize(
    ('body', 'message'),
    [
        ("{'optimizer.lr': Range(1, 2)}", "--config.optimizer has no field 'lr'; it has name"),
        ("{'optimizer': Range(1, 2)}", '--config.optimizer is a group of fields'),
        ("{'seed': Range(2, 2)}", 'low must be below high'),
        ("{'seed': Range(0, 2, log=True)}", 'low must be below high, and above 0 with log'),
        ("{'seed': Range(1, 2, log=True, step=1)}", 'step must be None with log'),
        ("{'seed': Choice((1, 1))}", 'values must be a tuple of at least two different values'),
        ("{'seed': (1, 2)}", 'seed must be a Choice or a Range, got'),
        ('[]', r'get_space\(\) must return a dictionary of fields and their values'),
    ],
)
def test_an_invalid_space_is_rejected_by_name(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        _space(tmp_path, body)


def test_a_search_requires_evaluations_and_a_local_folder(data: DataSet, tmp_path: Path) -> None:
    without_evaluations = (*OVERRIDES, 'validation.every_steps=0')
    with pytest.raises(UserError, match=r'validation\.every_steps must be above 0 for a search'):
        search(_plan(tmp_path, overrides=without_evaluations), data)
    with pytest.raises(UserError, match='--output must be a local folder'):
        dataclasses.replace(_plan(tmp_path), output='gs://bucket/search')
    with pytest.raises(UserError, match='--trials must be at least 1, got 0'):
        _plan(tmp_path, trials=0)


def test_the_search_spaces_of_the_repository_are_valid() -> None:
    config = files.load(TINY)
    for path in sorted((Path(TINY).parent / 'spaces').glob('[a-z]*.py')):
        assert search_space.load(str(path), config), path
