"""The Grocery Store Dataset as a dump: official splits, unchanged photos, a checked download."""

import csv
import functools
import hashlib
import http.server
import subprocess
import sys
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import bson
import pytest

from catalog import categories
from catalog.errors import UserError
from catalog.samples import dump, grocery, grocery_photos
from catalog.samples.grocery_photos import Origin, Photo
from tests.ports import find_free_port

GENUINE = Path(__file__).parents[3] / 'shared' / 'data' / 'grocery'

CLASSES = """\
Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int),Iconic Image Path (str),Product Description Path (str)
Pink-Lady,0,Apple,0,/iconic/Fruit/Apple/Pink-Lady/Pink-Lady_Iconic.jpg,/iconic/x.txt
Kiwi,1,Kiwi,1,/iconic/Fruit/Kiwi/Kiwi_Iconic.jpg,/iconic/y.txt
"""  # noqa: E501
LISTS = {
    'train.txt': 'train/Fruit/Apple/Pink-Lady/1.jpg, 0, 0\ntrain/Fruit/Kiwi/1.jpg, 1, 1\n',
    'val.txt': 'val/Fruit/Kiwi/1.jpg, 1, 1\n',
    'test.txt': 'test/Fruit/Apple/Pink-Lady/1.jpg, 0, 0\n',
}


def _sha256() -> str:
    """The content digest of the repository below, as `Grocery.sha256` documents it."""
    tree = "((0, 'Fruit', 'Apple', 'Pink-Lady'), (1, 'Fruit', 'Kiwi', 'Kiwi'))"
    digest = hashlib.sha256(tree.encode())
    for split, name in [('train', 'train.txt'), ('validation', 'val.txt'), ('test', 'test.txt')]:
        for line in LISTS[name].splitlines():
            path, category, _ = line.split(', ')
            digest.update(f'{path},{split},{category}\n'.encode())
            digest.update(hashlib.sha256(b'\xff\xd8\xff' + path.encode()).digest())
    return digest.hexdigest()


SHA256 = _sha256()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A small repository in the same layout."""
    folder = tmp_path / 'GroceryStoreDataset-abc' / 'dataset'
    folder.mkdir(parents=True)
    (folder / 'classes.csv').write_text(CLASSES)
    for name, text in LISTS.items():
        (folder / name).write_text(text)
        for line in text.splitlines():
            photo = folder / line.split(',')[0]
            photo.parent.mkdir(parents=True)
            photo.write_bytes(b'\xff\xd8\xff' + str(photo.relative_to(folder)).encode())
    return folder.parent


@pytest.fixture
def url(repository: Path, tmp_path: Path) -> Iterator[str]:
    """A server of the repository's archive."""
    site = tmp_path / 'site'
    site.mkdir()
    with tarfile.open(site / 'HEAD.tar.gz', 'w:gz') as packed:
        packed.add(repository, arcname=repository.name)
    handler = functools.partial(_Handler, directory=str(site))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}/HEAD.tar.gz'
        server.shutdown()


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Prints nothing."""


def _documents(path: Path) -> list[dict]:
    with path.open('rb') as file:
        return list(bson.decode_file_iter(file))


def test_a_photo_is_a_product_with_its_official_split(repository: Path, tmp_path: Path) -> None:
    opened = grocery_photos.open_folder(repository, Origin(sha256=SHA256))
    assert opened.photos[2] == Photo('val/Fruit/Kiwi/1.jpg', 'validation', 1)
    sample = grocery.write(str(tmp_path / 'out'), opened)
    documents = _documents(tmp_path / 'out' / 'train.bson')
    assert [(d['_id'], d['category_id'], d['split']) for d in documents] == [
        (0, 0, 'train'),
        (1, 1, 'train'),
        (2, 1, 'validation'),
        (3, 0, 'test'),
    ]
    (image,) = documents[2]['imgs']
    assert image['picture'] == b'\xff\xd8\xffval/Fruit/Kiwi/1.jpg'
    (unlabelled,) = _documents(tmp_path / 'out' / 'test.bson')
    assert (unlabelled['_id'], sorted(unlabelled)) == (3, ['_id', 'imgs'])
    assert (tmp_path / 'out' / 'test_labels.csv').read_text() == '_id,category_id\n3,0\n'
    tree = categories.load(str(tmp_path / 'out' / 'category_names.csv'))
    assert tree.names == (('Fruit', 'Apple', 'Pink-Lady'), ('Fruit', 'Kiwi', 'Kiwi'))
    assert tree.ids.tolist() == [0, 1]
    assert 'MIT' in dump.table(sample)


def test_a_download_is_checked_and_kept(url: str, tmp_path: Path) -> None:
    cache = tmp_path / 'cache' / 'grocery'
    found = grocery_photos.find(cache, Origin(url, SHA256))
    assert len(found.photos) == 4
    assert [path.name for path in cache.parent.iterdir()] == ['grocery']
    again = grocery_photos.find(cache, Origin('http://127.0.0.1:9/nothing', SHA256))
    assert again == found


def test_another_content_is_refused_and_not_kept(url: str, tmp_path: Path) -> None:
    cache = tmp_path / 'cache' / 'grocery'
    with pytest.raises(UserError, match=f'^{url}: .* content digest {"0" * 64}, got {SHA256}'):
        grocery_photos.find(cache, Origin(url, '0' * 64))
    assert not list(cache.parent.iterdir())


def test_a_changed_photo_and_a_missing_one_are_refused(repository: Path) -> None:
    photo = repository / 'dataset' / 'val/Fruit/Kiwi/1.jpg'
    photo.write_bytes(b'\xff\xd8\xffanother')
    with pytest.raises(UserError, match='must have the content digest'):
        grocery_photos.open_folder(repository, Origin(sha256=SHA256))
    photo.unlink()
    with pytest.raises(UserError, match=r'must be the Grocery Store Dataset, .*No such file'):
        grocery_photos.open_folder(repository, Origin(sha256=SHA256))


@pytest.mark.parametrize('content', [b'', b'no archive'])
def test_a_server_without_the_archive_is_named(content: bytes, url: str, tmp_path: Path) -> None:
    (tmp_path / 'site' / 'broken').write_bytes(content)
    for name in ('absent', 'broken'):
        with pytest.raises(dump.NoPhotos, match=f'must be downloadable from http.*{name}'):
            grocery_photos.find(tmp_path / 'c' / 'g', Origin(url.replace('HEAD.tar.gz', name)))
    assert not list((tmp_path / 'c').iterdir())


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, '-m', 'catalog.samples', *arguments],
        capture_output=True,
        text=True,
        env={**environment},
        cwd=Path(__file__).parents[2],
    )


def test_out_of_reach_is_one_line_and_exit_code_3(tmp_path: Path) -> None:
    done = _run(
        'grocery',
        f'--output={tmp_path}/out',
        f'--cache={tmp_path}/cache',
        https_proxy=f'http://127.0.0.1:{find_free_port()}',
    )
    assert done.returncode == 3
    assert done.stderr.startswith(
        'error: the Grocery Store Dataset must be downloadable from https://github.com/marcusklasson/'
    )
    assert done.stderr.endswith('or be given as --source=FOLDER\n')
    assert done.stderr.count('\n') == 1
    assert not (tmp_path / 'out').exists()


def test_flags_of_other_samples_are_errors(tmp_path: Path) -> None:
    done = _run('grocery', '--output=anywhere', '--products=3')
    assert (done.returncode, '--products is only for fashion' in done.stderr) == (2, True)
    done = _run('fashion', '--output=anywhere', f'--source={tmp_path}')
    assert (done.returncode, '--source is only for grocery' in done.stderr) == (2, True)


@pytest.mark.skipif(not GENUINE.exists(), reason=f'{GENUINE}: the data set is not here')
def test_the_genuine_data_set_has_the_official_splits(tmp_path: Path) -> None:
    done = _run('grocery', f'--output={tmp_path}', f'--source={GENUINE}')
    assert done.returncode == 0, done.stderr
    assert 'licence     MIT, (c) 2019 Marcus Klasson' in done.stdout
    documents = _documents(tmp_path / 'train.bson')
    splits = Counter(document['split'] for document in documents)
    assert splits == {'train': 2640, 'validation': 296, 'test': 2485}
    with (GENUINE / 'classes.csv').open() as file:
        names = {int(row[1]): (row[2], row[0]) for row in list(csv.reader(file))[1:]}
    tree = categories.load(str(tmp_path / 'category_names.csv'))
    assert {int(i): path[1:] for i, path in zip(tree.ids, tree.names, strict=True)} == names
    assert [int(nodes.max()) + 1 for nodes in tree.parents] == [3, 43]
    last = documents[-1]
    path, category_id, _ = (GENUINE / 'test.txt').read_text().splitlines()[-1].split(',')
    assert last['category_id'] == int(category_id)
    assert last['imgs'][0]['picture'] == (GENUINE / path).read_bytes()
