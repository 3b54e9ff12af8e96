"""The manifest: one form for one content, and what is wrong is named."""

import hashlib
import json
from pathlib import Path

import pytest

from catalog import manifest, shards
from catalog.errors import UserError
from catalog.manifest import Manifest, Shard, Split
from catalog.shards import ShardName

SHARD = Shard('train-00000-of-00001.tfrecord', 3, 5, 4, hashlib.sha256(b'data').hexdigest())
MADE = Manifest(
    options={'seed': 0, 'balance': 'sqrt'},
    source={'fingerprint': 'ab', 'documents': 3, 'pictures': 5, 'picture_bytes': 9},
    categories={'sha256': 'cd', 'count': 2},
    splits={'train': Split((SHARD,), (2, 1), (4, 1), (2, 1))},
    priors={'natural': (2 / 3, 1 / 3), 'written': (2 / 3, 1 / 3)},
    ledger={'documents': {'read': 3, 'train': 3}, 'pictures': {'read': 5, 'train': 5}, 'notes': {}},
)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    manifest.write(MADE, str(tmp_path))
    assert manifest.read(str(tmp_path)) == MADE
    data = (tmp_path / 'manifest.json').read_bytes()
    assert manifest.digest(str(tmp_path)) == hashlib.sha256(data).hexdigest()


def test_it_is_json_with_the_promised_keys(tmp_path: Path) -> None:
    document = json.loads(manifest.to_bytes(MADE))
    assert document['schema_version'] == 1
    assert document['splits']['train']['shards'][0] == {
        'file': SHARD.file,
        'records': 3,
        'pictures': 5,
        'bytes': 4,
        'sha256': SHARD.sha256,
    }
    assert document['splits']['train']['records_per_class'] == [2, 1]
    assert document['categories'] == {'sha256': 'cd', 'count': 2}
    assert document['ledger']['documents'] == {'read': 3, 'train': 3}


def test_a_folder_without_manifest_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'a data set must have a manifest\.json, got none'):
        manifest.read(str(tmp_path))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{', 'must be JSON'),
        ('[]', 'schema_version must be 1, got None'),
        ('{"schema_version": 99}', 'schema_version must be 1, got 99'),
        ('{"schema_version": 1}', 'must follow docs/formats.md'),
    ],
)
def test_a_manifest_that_cannot_be_read_is_told_why(
    text: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / 'manifest.json').write_text(text)
    with pytest.raises(UserError) as caught:
        manifest.read(str(tmp_path))
    assert message in str(caught.value)


def test_missing_and_cut_shards_are_named(tmp_path: Path) -> None:
    path = tmp_path / SHARD.file
    with pytest.raises(UserError, match=f'{SHARD.file}: the manifest names this shard, but'):
        manifest.check_files(str(tmp_path), MADE.splits['train'])
    path.write_bytes(b'dat')
    with pytest.raises(UserError, match=f'{SHARD.file}: must have 4 bytes, got 3'):
        manifest.check_files(str(tmp_path), MADE.splits['train'])
    path.write_bytes(b'data')
    manifest.check_files(str(tmp_path), MADE.splits['train'])


def test_an_unknown_split_is_told_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"split must be one of \['train'\], got 'test'"):
        manifest.get_split(MADE, 'test', folder='data')


@pytest.mark.parametrize(
    ('name', 'compression', 'file'),
    [
        (ShardName('train', 7, 512), 'none', 'train-00007-of-00512.tfrecord'),
        (ShardName('predict', 123456, 200000), 'gzip', 'predict-123456-of-200000.tfrecord.gz'),
    ],
)
def test_a_shard_is_named_and_known_by_its_name(
    name: ShardName, compression: str, file: str
) -> None:
    assert name.file(compression=compression) == file
    assert shards.parse(file) == name


@pytest.mark.parametrize(
    'file', ['train.tfrecord', 'dev-00000-of-00001.tfrecord', 'train-00000-of-00001.tfrecord.tmp']
)
def test_other_files_are_no_shards(file: str) -> None:
    assert shards.parse(file) is None
