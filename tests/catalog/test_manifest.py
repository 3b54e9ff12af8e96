"""Manifests and shard names."""

import hashlib
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import categories, manifest, shards
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


@pytest.mark.parametrize(
    ('rows', 'version', 'levels'),
    [
        (b'category_id,category_level1,category_level2,category_level3\n1,A,B,C\n', 1, None),
        (b'id,level1,level2,level3\nC-1,A,B,C\n', 2, None),
        (b'id,level1\n1,A\n', 2, 1),
        (b'id,level1,level2,level3,level4\n1,A,B,C,D\n2,A,,,\n', 2, 4),
    ],
)
def test_other_trees_than_kaggles_have_a_later_schema(
    rows: bytes, version: int, levels: int | None
) -> None:
    tree = categories.parse(rows, path='tree.csv')
    assert manifest.schema_version(tree) == version
    assert manifest.describe_tree(tree).get('levels') == levels


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
        ('[]', 'manifest.json: must be an object, got []'),
        ('{}', 'manifest.json: schema_version must exist, got none'),
        ('{"schema_version": 99}', 'schema_version must be 1 or 2, or write the data set again'),
        ('{"schema_version": 1}', 'categories must exist, got none'),
        ('[' * 100_000, 'must be nested at most 16 levels deep, got more'),
        ('[' * 500 + ']' * 500, 'must be nested at most 16 levels deep, got more'),
        ('{"schema_version": 1' + '0' * 10_000 + '}', 'must be JSON, got: an integer beyond int64'),
        ('{"schema_version": 1e999}', 'must be JSON, got: a number that is not finite, 1e999'),
        ('{"schema_version": NaN}', 'must be JSON, got: a number that is not finite, NaN'),
        ('\ud800'.encode(errors='surrogatepass').decode('latin-1'), 'must be JSON'),
    ],
)
def test_an_invalid_manifest_is_an_error_with_the_cause(
    text: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / 'manifest.json').write_text(text)
    with pytest.raises(UserError) as caught:
        manifest.read(str(tmp_path))
    assert message in str(caught.value)


SHARDS = 'splits.train.shards'


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('options', [], 'options must be an object, got []'),
        ('options', {'a': [[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]}, 'nested at most 16 levels deep'),
        ('source', 'x', "source must be an object, got 'x'"),
        ('source.pictures', -1, 'source.pictures must be an integer of at least 0, got -1'),
        ('source.pictures', True, 'source.pictures must be an integer of at least 0, got True'),
        ('source.pictures', 1.5, 'source.pictures must be an integer of at least 0, got 1.5'),
        ('source.pictures', 2**63, 'an integer beyond int64'),
        ('source.fingerprint', 7, 'source.fingerprint must be a string, got 7'),
        ('categories', None, 'categories must be an object, got None'),
        ('categories.count', '2', "categories.count must be an integer of at least 0, got '2'"),
        ('categories.sha256', None, 'categories.sha256 must be a string, got None'),
        ('splits', [1], 'splits must be an object, got [1]'),
        ('splits.train', 3, 'splits.train must be an object, got 3'),
        (SHARDS, {}, f'{SHARDS} must be an array, got {{}}'),
        (SHARDS, [7], f'{SHARDS}[0] must be an object, got 7'),
        (SHARDS, [{}], f'{SHARDS}[0].file must exist, got none'),
        ('splits.train.records_per_class', [1], 'must have 2 elements, as many as categories.c'),
        ('splits.train.records_per_class', [1, 'x'], 'class[1] must be an integer of at least'),
        ('splits.train.records_per_class', 'xx', 'must be an array'),
        ('priors', {}, 'priors.natural must exist, got none'),
        ('priors.natural', [0.5, 1.5], 'priors.natural[1] must be a number in [0, 1], got 1.5'),
        ('ledger.documents', {}, 'ledger.documents.read must exist, got none'),
        ('ledger.pictures.read', 'many', "must be an integer of at least 0, got 'many'"),
        ('ledger.notes', 'x' * 1000, f"ledger.notes must be an object, got '{'x' * 59}..."),
    ],
)
def test_a_wrong_value_in_a_manifest_is_named_with_its_key_and_rule(
    key: str, value: object, message: str, tmp_path: Path
) -> None:
    document = json.loads(manifest.to_bytes(MANIFEST))
    *parents, last = key.split('.')
    place = document
    for parent in parents:
        place = place[parent]
    place[last] = value
    path = tmp_path / 'manifest.json'
    path.write_text(json.dumps(document))
    with pytest.raises(UserError) as caught:
        manifest.read(str(tmp_path))
    assert str(caught.value).startswith(f'{path}: ')
    assert message in str(caught.value)


@given(data=st.data())
def test_a_changed_manifest_is_read_or_refused_in_one_line(data: st.DataObject) -> None:
    changed = bytearray(manifest.to_bytes(MANIFEST))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, 'manifest.json').write_bytes(changed)
        message = ''
        try:
            manifest.read(folder)
        except UserError as error:
            message = str(error)
    assert '\n' not in message


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
    with pytest.raises(UserError, match="split must be one of train, got 'test'"):
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
