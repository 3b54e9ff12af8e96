"""Manifests and shard names."""

import hashlib
import json
from pathlib import Path

import pytest

from catalog import manifest, shards
from catalog.errors import UserError
from catalog.manifest import Manifest, Shard, Split
from catalog.shards import ShardName

SHARD = Shard('train-00000-of-00001.tfrecord', 3, 5, 4, hashlib.sha256(b'data').hexdigest())
MANIFEST = Manifest(
    options={'seed': 0, 'balance': 'sqrt'},
    source={'fingerprint': 'ab', 'documents': 3, 'pictures': 5, 'picture_bytes': 9},
    categories={'sha256': 'cd', 'count': 2},
    splits={'train': Split((SHARD,), (2, 1), (4, 1), (2, 1))},
    priors={'natural': (2 / 3, 1 / 3), 'written': (2 / 3, 1 / 3)},
    ledger={'documents': {'read': 3, 'train': 3}, 'pictures': {'read': 5, 'train': 5}, 'notes': {}},
)


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    manifest.write(MANIFEST, str(tmp_path))
    assert manifest.read(str(tmp_path)) == MANIFEST
    data = (tmp_path / 'manifest.json').read_bytes()
    assert manifest.digest(str(tmp_path)) == hashlib.sha256(data).hexdigest()


def test_a_manifest_is_json_with_the_documented_keys(tmp_path: Path) -> None:
    document = json.loads(manifest.to_bytes(MANIFEST))
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


def test_a_folder_without_a_manifest_is_not_a_data_set(tmp_path: Path) -> None:
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
def test_an_invalid_manifest_is_an_error_with_the_cause(
    text: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / 'manifest.json').write_text(text)
    with pytest.raises(UserError) as caught:
        manifest.read(str(tmp_path))
    assert message in str(caught.value)


def test_missing_and_truncated_shards_are_named(tmp_path: Path) -> None:
    path = tmp_path / SHARD.file
    with pytest.raises(UserError, match=f'{SHARD.file}: the manifest lists this shard, but'):
        manifest.check_files(str(tmp_path), MANIFEST.splits['train'])
    path.write_bytes(b'dat')
    with pytest.raises(UserError, match=f'{SHARD.file}: must have 4 bytes, got 3'):
        manifest.check_files(str(tmp_path), MANIFEST.splits['train'])
    path.write_bytes(b'data')
    manifest.check_files(str(tmp_path), MANIFEST.splits['train'])


def test_an_unknown_split_is_an_error_that_lists_the_splits() -> None:
    with pytest.raises(UserError, match=r"split must be one of \['train'\], got 'test'"):
        manifest.get_split(MANIFEST, 'test', folder='data')


@pytest.mark.parametrize(
    ('name', 'compression', 'file'),
    [
        (ShardName('train', 7, 512), 'none', 'train-00007-of-00512.tfrecord'),
        (ShardName('predict', 123456, 200000), 'gzip', 'predict-123456-of-200000.tfrecord.gz'),
    ],
)
def test_a_shard_name_is_formatted_and_parsed(name: ShardName, compression: str, file: str) -> None:
    assert name.file(compression=compression) == file
    assert shards.parse(file) == name


@pytest.mark.parametrize(
    'file', ['train.tfrecord', 'dev-00000-of-00001.tfrecord', 'train-00000-of-00001.tfrecord.tmp']
)
def test_other_file_names_are_not_shards(file: str) -> None:
    assert shards.parse(file) is None
