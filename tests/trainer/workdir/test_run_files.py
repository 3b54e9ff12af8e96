"""The files that make a folder a workdir."""

import dataclasses
import json
from pathlib import Path

import pytest

from catalog.errors import UserError
from trainer.config import InputConfig, OptimizerConfig, TrainConfig, files
from trainer.data import data_set
from trainer.data.info import data_info
from trainer.workdir import run_files

TINY = str(Path(__file__).parents[3] / 'configs' / 'tiny.py')


def test_a_saved_config_has_every_field_and_is_restored_equal(tmp_path: Path) -> None:
    saved = files.load(TINY, ['optimizer.learning_rate=0.1', 'model.dropout=0'])
    run_files.save_config(saved, str(tmp_path))
    document = json.loads((tmp_path / 'config.json').read_text())
    assert document['optimizer']['learning_rate'] == 0.1
    assert document['loss']['target_power'] == 1.0
    assert run_files.restore_config(str(tmp_path)) == saved


def test_a_missing_or_invalid_config_json_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'must have a config\.json, got none'):
        run_files.restore_config(str(tmp_path))
    (tmp_path / 'config.json').write_text('{"batch_size": 8')
    with pytest.raises(UserError, match='must be JSON'):
        run_files.restore_config(str(tmp_path))
    (tmp_path / 'config.json').write_text('{"batch_size": 8, "total_steps": 1, "lr": 1}')
    with pytest.raises(UserError, match="there is no field 'lr'"):
        run_files.restore_config(str(tmp_path))


def test_a_run_resumes_with_more_steps_but_not_with_another_learning_rate(tmp_path: Path) -> None:
    first = TrainConfig(batch_size=8, total_steps=10)
    run_files.save_config(first, str(tmp_path))
    run_files.check_same_config(
        TrainConfig(batch_size=8, total_steps=99, log_every_steps=1, checkpoint_every_steps=5),
        str(tmp_path),
    )
    other = TrainConfig(batch_size=16, total_steps=10, optimizer=OptimizerConfig(learning_rate=0.5))
    with pytest.raises(UserError) as caught:
        run_files.check_same_config(other, str(tmp_path))
    changes = 'batch_size was 8 and now is 16; optimizer.learning_rate was 0.001 and now is 0.5'
    assert changes in str(caught.value)


def test_a_run_of_an_earlier_version_resumes_with_its_defaults(tmp_path: Path) -> None:
    """Earlier versions wrote the goal `min` and the decay 0.0001, whatever used them."""
    config = TrainConfig(batch_size=8, total_steps=10, optimizer=OptimizerConfig(name='adamw'))
    run_files.save_config(config, str(tmp_path))
    path = tmp_path / 'config.json'
    document = json.loads(path.read_text())
    assert document['optimizer']['weight_decay'] is None
    assert document['optimizer']['schedule']['plateau_goal'] is None
    document['optimizer']['weight_decay'] = 1e-4
    document['optimizer']['schedule']['plateau_goal'] = 'min'
    path.write_text(json.dumps(document))
    run_files.check_same_config(config, str(tmp_path))
    without = dataclasses.replace(config, optimizer=OptimizerConfig(name='adamw', weight_decay=0.0))
    with pytest.raises(UserError, match=r'weight_decay was 0\.0001 and now is 0\.0'):
        run_files.check_same_config(without, str(tmp_path))


@pytest.mark.parametrize('name', ['sgd', 'adam', 'nadam'])
def test_a_run_of_an_earlier_version_resumes_without_the_decay_that_it_ignored(
    tmp_path: Path, name: str
) -> None:
    document = {
        'batch_size': 8,
        'total_steps': 10,
        'optimizer': {'name': name, 'weight_decay': 1e-4, 'schedule': {'plateau_goal': 'min'}},
    }
    (tmp_path / 'config.json').write_text(json.dumps(document))

    def config(weight_decay: float | None) -> TrainConfig:
        optimizer = OptimizerConfig(name=name, weight_decay=weight_decay)
        return TrainConfig(batch_size=8, total_steps=10, optimizer=optimizer)

    run_files.check_same_config(config(None), str(tmp_path))
    with pytest.raises(UserError, match=r'weight_decay was 0\.0001 and now is 0\.001'):
        run_files.check_same_config(config(1e-3), str(tmp_path))


def test_a_run_that_is_not_deterministic_cannot_resume(tmp_path: Path) -> None:
    config = TrainConfig(batch_size=20, total_steps=1, input=InputConfig(deterministic=False))
    with pytest.raises(UserError, match='cannot resume exactly where it stopped'):
        run_files.check_deterministic(config, str(tmp_path))


def test_data_json_has_the_class_counts_of_the_data(data_folder: str, tmp_path: Path) -> None:
    data = data_set.open_data_set(data_folder)
    saved = data_info(data, TrainConfig(batch_size=1, total_steps=1))
    run_files.save_info(saved, data, str(tmp_path / 'run'))
    info = run_files.restore_info(str(tmp_path / 'run'))
    assert info == saved
    assert (info.num_classes, sum(info.examples_per_class)) == (4, data.split('train').pictures)
    assert info.natural_prior == pytest.approx((46 / 98, 29 / 98, 16 / 98, 7 / 98))
    assert run_files.restore_categories(str(tmp_path / 'run')).names == data.categories.names


def test_a_missing_data_json_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'must have a data\.json, got none'):
        run_files.restore_info(str(tmp_path))


def test_a_folder_with_other_files_is_no_workdir(tmp_path: Path) -> None:
    run_files.check_no_other_files(str(tmp_path / 'new'))
    for name in ('.lock', '.gitkeep', 'data.json', 'category_names.csv'):  # of a failed start
        (tmp_path / name).touch()
    run_files.check_no_other_files(str(tmp_path))
    (tmp_path / 'notes').mkdir()
    with pytest.raises(UserError, match=r'must be a new folder .* other files, such as notes;'):
        run_files.check_no_other_files(str(tmp_path))
    (tmp_path / 'config.json').touch()  # a workdir, in which a user keeps notes
    run_files.check_no_other_files(str(tmp_path))
