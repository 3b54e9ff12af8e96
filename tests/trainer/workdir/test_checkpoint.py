from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import tensorflow as tf

from catalog.errors import UserError
from trainer.inference.runs import restore_member
from trainer.workdir import checkpoint

LargestFile = Callable[[int], AbstractContextManager[None]]


def _state(value: float) -> tf.train.Checkpoint:
    return tf.train.Checkpoint(number=tf.Variable(value), more=tf.Variable(tf.ones([500])))


def _save_steps(workdir: Path, *steps: int, keep: int = 9) -> None:
    for step in steps:
        checkpoint.save(_state(float(step)), str(workdir), step=step, keep=keep)


def _restored(workdir: Path) -> tuple[int | None, float]:
    state = _state(-1.0)
    step = checkpoint.restore(state, str(workdir))
    return step, float(state.number.numpy())


def _files(workdir: Path) -> list[str]:
    return sorted(path.name for path in (workdir / 'checkpoints').iterdir())


def test_the_newest_checkpoint_is_restored(tmp_path: Path) -> None:
    _save_steps(tmp_path, 5, 900, 20)
    assert checkpoint.steps(str(tmp_path)) == [900, 20, 5]
    assert _restored(tmp_path) == (900, 900.0)


def test_a_new_run_has_no_checkpoint(tmp_path: Path) -> None:
    assert _restored(tmp_path) == (None, -1.0)


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    _save_steps(tmp_path, 10, 20, 30, 40, keep=2)
    assert _files(tmp_path) == [
        'ckpt-00000030.data-00000-of-00001',
        'ckpt-00000030.index',
        'ckpt-00000040.data-00000-of-00001',
        'ckpt-00000040.index',
    ]


def test_an_incomplete_checkpoint_is_ignored_and_deleted_by_the_next_save(tmp_path: Path) -> None:
    _save_steps(tmp_path, 10)
    folder = tmp_path / 'checkpoints'
    (folder / 'partial-ckpt-00000020.index').write_bytes(b'half')
    (folder / 'partial-ckpt-00000020_temp').mkdir()
    (folder / 'partial-ckpt-00000020_temp' / 'part').write_bytes(b'half')
    assert _restored(tmp_path) == (10, 10.0)
    _save_steps(tmp_path, 30)
    assert [name for name in _files(tmp_path) if 'partial' in name] == []


def _flip_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _cut_in_half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _empty(path: Path) -> None:
    path.write_bytes(b'')


@pytest.mark.parametrize('damage', [_flip_middle, _cut_in_half, _empty, Path.unlink])
@pytest.mark.parametrize('suffix', ['.data-00000-of-00001', '.index'])
def test_a_damaged_checkpoint_is_renamed_and_the_previous_one_is_restored(
    tmp_path: Path,
    suffix: str,
    damage: Callable[[Path], None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    _save_steps(tmp_path, 10, 20)
    damage(tmp_path / 'checkpoints' / f'ckpt-00000020{suffix}')
    assert _restored(tmp_path) == (10, 10.0)
    if (suffix, damage) != ('.index', Path.unlink):
        assert 'ckpt-00000020 is damaged and renamed to .damaged' in ''.join(capfd.readouterr())
    _save_steps(tmp_path, 20)
    assert _restored(tmp_path) == (20, 20.0)


def test_every_flipped_byte_of_the_data_is_detected(tmp_path: Path) -> None:
    _save_steps(tmp_path, 10, 20)
    path = tmp_path / 'checkpoints' / 'ckpt-00000020.data-00000-of-00001'
    intact = path.read_bytes()
    for offset in range(0, len(intact), 97):
        changed = bytearray(intact)
        changed[offset] ^= 0x10
        path.write_bytes(changed)
        assert _restored(tmp_path) == (10, 10.0), offset
        aside = path.with_name('ckpt-00000020.index.damaged')
        aside.rename(path.with_name('ckpt-00000020.index'))


@pytest.mark.parametrize('damage', [_cut_in_half, Path.unlink])
def test_a_run_does_not_restart_if_all_checkpoints_are_damaged(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    _save_steps(tmp_path, 10, 20)
    for path in (tmp_path / 'checkpoints').glob('*.index'):
        damage(path)
    with pytest.raises(UserError, match='at least one checkpoint must be intact, none is'):
        _restored(tmp_path)
    with pytest.raises(UserError, match='at least one checkpoint must be intact, none is'):
        _restored(tmp_path)  # nor at the second attempt


def test_a_checkpoint_that_cannot_be_written_leaves_the_previous_one(
    largest_file: LargestFile, tmp_path: Path
) -> None:
    _save_steps(tmp_path, 10)
    with (
        largest_file(1000),
        pytest.raises(
            UserError, match=r'ckpt-00000020: must be writable, got: /[^{]*too large; free'
        ),
    ):
        _save_steps(tmp_path, 20)
    assert _restored(tmp_path) == (10, 10.0)
    assert len(_files(tmp_path)) == 2


def test_a_workdir_without_a_checkpoint_has_no_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'must have a config\.json'):
        restore_member(str(tmp_path))
