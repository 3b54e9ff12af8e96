"""Folders and lists from strangers: nothing outside is read, nothing waits, nothing is readable."""

import json
import os
import stat
import zipfile
from pathlib import Path

import pytest

from beam_pipelines.write import commit
from catalog.errors import UserError
from tests.beam_pipelines.running import run_command
from tests.shop import CATEGORY_IDS, jpeg, write_photo

SECRET = b'root:x:0:0 the secret'


def reasons(output: Path) -> dict[str, str]:
    """Returns the reasons of rejected pictures by the names of their files."""
    lines = (output / 'rejected' / 'rejected.jsonl').read_text().splitlines()
    return {Path(line['place']).name: line['reason'] for line in map(json.loads, lines)}


def contents(folder: Path) -> bytes:
    """Returns all bytes of a data set, those in archives unpacked."""
    data = b''.join(path.read_bytes() for path in folder.rglob('*') if path.is_file())
    for path in folder.rglob('*.zip'):
        with zipfile.ZipFile(path) as archive:
            data += b''.join(archive.read(name) for name in archive.namelist())
    return data


def test_hostile_photos_are_rejected_by_name_and_never_read(
    categories_path: Path, tmp_path: Path
) -> None:
    (tmp_path / 'secret').write_bytes(SECRET)
    folder, output = tmp_path / 'photos', tmp_path / 'out'
    shoes = folder / str(CATEGORY_IDS[0])
    for number in range(4):
        write_photo(shoes, f'{number}.jpg', jpeg(number))
    write_photo(shoes, 'Thumbs.db', b'clutter')
    (shoes / 'link.jpg').symlink_to(tmp_path / 'secret')
    (shoes / 'folder').symlink_to(tmp_path)
    os.mkfifo(shoes / 'fifo.jpg')
    with (shoes / 'sparse.jpg').open('wb') as file:
        file.truncate(50 << 30)
    arguments = [f'--input={folder}', f'--categories={categories_path}', '--direct_num_workers=1']
    arguments += ['--max_rejected_fraction=1', '--validation_fraction=0']
    done = run_command(*arguments, f'--output={output}')
    assert done.returncode == 0, done.stderr
    assert reasons(output) == {
        'link.jpg': 'outside',
        'folder': 'outside',
        'fifo.jpg': 'not_a_file',
        'sparse.jpg': 'too_many_bytes',
    }
    assert SECRET not in contents(output)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in output.rglob('rejected*')}
    assert modes == {'rejected': 0o700, 'rejected.jsonl': 0o600, 'rejected.zip': 0o600}


def test_a_list_names_photos_outside_only_if_allowed(categories_path: Path, tmp_path: Path) -> None:
    (tmp_path / 'secret').write_bytes(SECRET)
    folder = tmp_path / 'photos'
    write_photo(folder, 'in.jpg', jpeg(1))
    write_photo(tmp_path, 'out.jpg', jpeg(2))
    names = ['in.jpg', str(folder / 'in.jpg'), '../secret', str(tmp_path / 'secret'), '/etc/passwd']
    rows = [f'{name},{CATEGORY_IDS[0]},{n}' for n, name in enumerate([*names, '../out.jpg'])]
    (folder / 'list.csv').write_text('\n'.join(['path,category,product', *rows]) + '\n')
    arguments = [f'--input={folder / "list.csv"}', f'--categories={categories_path}']
    arguments += ['--validation_fraction=0', '--direct_num_workers=1']
    done = run_command(*arguments, f'--output={tmp_path / "few"}')
    assert done.returncode == 2
    assert f'must be below {folder}; --allow_outside permits others' in done.stderr
    arguments += ['--max_rejected_fraction=1']
    done = run_command(*arguments, f'--output={tmp_path / "out"}')
    assert done.returncode == 0, done.stderr
    assert set(reasons(tmp_path / 'out').values()) == {'outside'}
    assert SECRET not in contents(tmp_path / 'out')
    assert b'root:' not in contents(tmp_path / 'out')
    done = run_command(*arguments, f'--output={tmp_path / "all"}', '--allow_outside')
    assert done.returncode == 0, done.stderr
    assert set(reasons(tmp_path / 'all').values()) == {'not_a_picture'}
    assert 'train      3 records' in done.stdout


def test_a_category_that_links_outside_is_refused(categories_path: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / 'elsewhere', '1.jpg', jpeg(1))
    folder = tmp_path / 'photos'
    folder.mkdir()
    (folder / str(CATEGORY_IDS[0])).symlink_to(tmp_path / 'elsewhere')
    done = run_command(
        f'--input={folder}', f'--categories={categories_path}', f'--output={tmp_path / "out"}'
    )
    assert done.returncode == 2
    assert done.stderr == (
        f'error: {folder}/{CATEGORY_IDS[0]}: must be a folder below {folder}, got a link to '
        'another; --allow_outside permits this\n'
    )


def test_links_in_the_output_are_refused(tmp_path: Path) -> None:
    (tmp_path / 'elsewhere').mkdir()
    for name in ('_staging', 'rejected'):
        output = tmp_path / f'out{name}'
        output.mkdir()
        (output / name).symlink_to(tmp_path / 'elsewhere')
        with pytest.raises(UserError) as error:
            commit.prepare(str(output), resume=False, overwrite=True)
        assert str(error.value) == f'{output}/{name}: must be a folder, got a link; delete it'
