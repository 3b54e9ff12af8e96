"""Folders and lists from strangers: nothing outside is read, nothing waits, nothing is readable."""

import base64
import bz2
import contextlib
import json
import os
import re
import stat
import zipfile
import zlib
from pathlib import Path

import apache_beam as beam
import pytest
from pymongo import MongoClient

from beam_pipelines.options import ShardOptions
from beam_pipelines.pipeline import job
from beam_pipelines.write import commit
from catalog import categories
from catalog.errors import UserError
from catalog.sources import opening
from tests import mongodb
from tests.beam_pipelines.running import run_command
from tests.shop import CATEGORY_IDS, jpeg, product, write_photo

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


@pytest.mark.parametrize('workers', [1, 2])
def test_names_that_are_no_text_are_escaped_for_the_terminal(
    workers: int, categories_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / 'photos' / str(CATEGORY_IDS[0])
    for number in range(3):
        write_photo(folder, f'{number}.jpg', jpeg(number))
    name = b'\xff\x1b[31mred\r.jpg'
    Path(os.fsdecode(os.fsencode(folder) + b'/' + name)).write_bytes(b'no picture')
    arguments = [f'--input={tmp_path / "photos"}', f'--categories={categories_path}']
    arguments += [f'--direct_num_workers={workers}', '--validation_fraction=0']
    done = run_command(*arguments, f'--output={tmp_path / "few"}')
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert line.startswith('error: --max_rejected_fraction: ')
    assert r'/\udcff\x1b[31mred\r.jpg, 10 bytes' in line
    assert '\x1b' not in done.stderr
    done = run_command(*arguments, f'--output={tmp_path / "out"}', '--max_rejected_fraction=1')
    assert done.returncode == 0, done.stderr
    assert reasons(tmp_path / 'out') == {os.fsdecode(name): 'not_a_picture'}


def test_links_in_the_output_are_refused(tmp_path: Path) -> None:
    (tmp_path / 'elsewhere').mkdir()
    for name in ('_staging', 'rejected'):
        output = tmp_path / f'out{name}'
        output.mkdir()
        (output / name).symlink_to(tmp_path / 'elsewhere')
        with pytest.raises(UserError) as error:
            commit.prepare(str(output), resume=False, overwrite=True)
        assert str(error.value) == f'{output}/{name}: must be a folder, got a link; delete it'


@pytest.mark.parametrize(
    'name',
    [
        'category_names.csv',
        'products.parquet',
        'rejected/mine.jpg',
        'train-00000-of-00001.tfrecord',
    ],
)
@pytest.mark.parametrize('resume', [False, True])
def test_files_of_someone_else_are_not_replaced(name: str, resume: bool, tmp_path: Path) -> None:
    write_photo(tmp_path, name, b'mine')
    write_photo(tmp_path, 'notes.txt', b'mine')
    with pytest.raises(UserError) as error:
        commit.prepare(str(tmp_path), resume=resume, overwrite=False)
    assert str(error.value) == (
        f'--output: {tmp_path} contains {name.split("/")[0]}, which would be replaced; use another '
        'folder, or --overwrite if it may be'
    )
    assert not commit.prepare(str(tmp_path), resume=False, overwrite=True)
    (tmp_path / '_staging').mkdir()  # of a run that was killed when it committed
    assert not commit.prepare(str(tmp_path), resume=resume, overwrite=False)


def test_a_mongodb_secret_is_neither_in_the_steps_nor_in_the_output(
    mongodb_server: str, categories_path: Path, tmp_path: Path
) -> None:
    with MongoClient(mongodb_server) as client:
        documents = [product(n, CATEGORY_IDS[0], [jpeg(n)]) for n in range(20)]
        mongodb.fill(client['shop']['secret'], [*documents, product(20, 5, [jpeg(20)])])
    address = f'{mongodb_server}/shop.secret?authMechanismProperties=AWS_SESSION_TOKEN:s3cret'
    tree = categories.load(str(categories_path))
    described = job.Job(
        source=opening.open_source([address], tree=tree),
        categories=tree,
        category_bytes=b'',
        options=ShardOptions(),
        output=str(tmp_path / 'unused'),
        range_bytes=1 << 20,
    )
    pipeline = beam.Pipeline()
    job.build(pipeline, described)
    steps = pipeline.to_runner_api().SerializeToString()
    pickled = [pickles(blob) for blob in re.findall(rb'[A-Za-z0-9+/=]{80,}', steps)]
    assert any(b'mongodb+env://' in data for data in pickled)
    assert not any(b's3cret' in data for data in [steps, *pickled])

    arguments = [f'--input={address}', f'--categories={categories_path}', '--direct_num_workers=2']
    done = run_command(*arguments, f'--output={tmp_path / "few"}')
    assert done.returncode == 2
    assert 'rejected_fraction' in done.stderr
    output = tmp_path / 'out'
    complete = run_command(*arguments, f'--output={output}', '--max_rejected_fraction=0.1')
    assert complete.returncode == 0, complete.stderr
    for text in (done.stderr, done.stdout, complete.stderr, complete.stdout):
        assert 's3cret' not in text
    assert b's3cret' not in contents(output)


def pickles(blob: bytes) -> bytes:
    """Returns a function of a step as Beam pickles it."""
    for start in range(4):  # the bytes before it may look like base64, too
        for unpack in (zlib.decompress, bz2.decompress):
            with contextlib.suppress(Exception):
                text = blob[start:]
                return unpack(base64.b64decode(text[: len(text) // 4 * 4]))
    return b''
