"""What the shard job guarantees for a data set, with real pictures and real files."""

import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import bson
import numpy as np
import pytest
from PIL import Image

from beam_pipelines.options import ShardOptions
from catalog.errors import UserError
from tests.beam_pipelines.running import SHARED, files, read_split, run_command, run_job
from tests.shop import CATEGORY_IDS, jpeg, product, shop

WriteBson = Callable[..., Path]


def shard(source: Path, tree: Path | None, output: Path, **others: object) -> dict:
    """Runs the job in this process. Returns the manifest."""
    run_job(source, tree, output, **others)
    return json.loads((output / 'manifest.json').read_text())


def all_records(output: Path, split: str) -> list:
    return [record for of_shard in read_split(output, split) for record in of_shard]


def test_every_product_and_picture_is_in_exactly_one_split(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    path = write_bson(shop(60))
    manifest = shard(
        path, categories_path, tmp_path / 'out', validation_fraction=0.2, test_fraction=0.1
    )
    with path.open('rb') as file:
        wanted = {
            fields['_id']: ([i['picture'] for i in fields['imgs']], fields['category_id'])
            for fields in bson.decode_file_iter(file)
        }
    found = {}
    for split in ('train', 'validation', 'test'):
        for record in all_records(tmp_path / 'out', split):
            assert record.product_id not in found
            found[record.product_id] = (list(record.pictures), record.category.category_id)
            assert record.category.label == CATEGORY_IDS.index(record.category.category_id)
            assert record.category.parents[0] == record.category.label // 2
            assert (record.leaked is None) == (split == 'train')
    assert found == wanted
    for kind, total in (('documents', 60), ('pictures', sum(len(p) for p, _ in wanted.values()))):
        places = manifest['ledger'][kind]
        assert places['read'] == total
        assert sum(places.values()) == 2 * total


def test_balanced_shards_have_equal_shares_of_each_class_and_separate_copies(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    path = write_bson(shop(200))
    options = {'balance': 'uniform', 'max_copies': 3, 'shards': 5, 'validation_fraction': 0.2}
    manifest = shard(path, categories_path, tmp_path / 'out', **options)
    shards = read_split(tmp_path / 'out', 'train')
    of_class = np.array(
        [np.bincount([r.category.label for r in s], minlength=4) for s in shards]
    )  # [shards, classes]
    assert (of_class.max(axis=0) - of_class.min(axis=0) <= 1).all()

    products = Counter(
        r.category.label for r in {r.product_id: r for s in shards for r in s}.values()
    )
    largest = max(products.values())
    wanted = [min(largest, 3 * products[label]) for label in range(4)]
    assert of_class.sum(axis=0).tolist() == wanted
    assert manifest['splits']['train']['records_per_class'] == wanted
    assert manifest['splits']['train']['products_per_class'] == [products[n] for n in range(4)]
    for of_shard in shards:
        ids = [record.product_id for record in of_shard]
        assert len(ids) == len(set(ids))
    np.testing.assert_allclose(manifest['priors']['written'], np.array(wanted) / sum(wanted))
    validation = Counter(r.category.label for r in all_records(tmp_path / 'out', 'validation'))
    natural = [products[n] + validation[n] for n in range(4)]
    np.testing.assert_allclose(manifest['priors']['natural'], np.array(natural) / 200)


def test_the_bytes_are_the_same_for_any_workers_ranges_and_order_of_files(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    documents = [*shop(80), product(5000, CATEGORY_IDS[0], [jpeg(100)])]
    path = write_bson(documents)
    options = {'balance': 'sqrt', 'shards': 3, 'seed': 4}
    shard(path, categories_path, tmp_path / 'one', **options)
    shard(path, categories_path, tmp_path / 'small', range_bytes=700, **options)
    two = ('--runner=FnApiRunner', '--direct_num_workers=2')
    shard(path, categories_path, tmp_path / 'two', beam=two, range_bytes=9000, **options)
    reversed_path = write_bson(documents[::-1], 'reversed.bson')
    shard(reversed_path, categories_path, tmp_path / 'reversed', **options)
    wanted = files(tmp_path / 'one')
    assert any(name.startswith('train-00002-of-00003') for name in wanted)
    for other in ('small', 'two', 'reversed'):
        assert files(tmp_path / other) == wanted, other
    shard(path, categories_path, tmp_path / 'seed', **(options | {'seed': 5}))
    assert files(tmp_path / 'seed') != wanted


def test_tensorflow_reads_every_shard_and_finds_the_numbers_of_the_manifest(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    tf = pytest.importorskip('tensorflow', reason='the trainer reads shards with TensorFlow')
    for compression in ('none', 'gzip'):
        output = tmp_path / compression
        manifest = shard(
            write_bson(shop(40)), categories_path, output, compression=compression, shards=2
        )
        for split in ('train', 'validation'):
            for of_shard in manifest['splits'][split]['shards']:
                assert of_shard['file'].endswith('.gz') == (compression == 'gzip')
                kind = 'GZIP' if compression == 'gzip' else ''
                records = tf.data.TFRecordDataset(str(output / of_shard['file']), kind)
                pictures = 0
                count = 0
                for serialized in records.as_numpy_iterator():
                    feature = tf.train.Example.FromString(serialized).features.feature
                    pictures += len(feature['image/encoded'].bytes_list.value)
                    count += 1
                    for data in feature['image/encoded'].bytes_list.value:
                        assert tf.io.decode_jpeg(data).shape == (16, 16, 3)
                assert (count, pictures) == (of_shard['records'], of_shard['pictures'])


def test_record_image_writes_one_record_per_picture(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    documents = shop(60)
    manifest = shard(
        write_bson(documents), categories_path, tmp_path / 'out', record='image', balance='uniform'
    )
    records = all_records(tmp_path / 'out', 'train')
    assert all(len(record.pictures) == 1 for record in records)
    assert manifest['splits']['train']['records_per_class'] == [
        sum(r.category.label == label for r in records) for label in range(4)
    ]
    held_out = all_records(tmp_path / 'out', 'validation')
    views = {10 * number: number % 4 + 1 for number in range(60)}
    at = 0
    while at < len(held_out):  # a held-out product's records are consecutive
        product_id = held_out[at].product_id
        together = held_out[at : at + views[product_id]]
        assert [(r.product_id, r.indices) for r in together] == [
            (product_id, [index]) for index in range(views[product_id])
        ]
        at += len(together)
    splits = [{r.product_id for r in part} for part in (records, held_out)]
    assert not splits[0] & splits[1]
    assert len(splits[0] | splits[1]) == 60


def test_validation_pictures_that_train_contains_too_are_marked_as_leaked(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    # All products of the class have a common picture and one of their own.
    documents = [product(n, CATEGORY_IDS[1], [jpeg(999), jpeg(n)]) for n in range(10)]
    manifest = shard(write_bson(documents), categories_path, tmp_path / 'out')
    (record,) = all_records(tmp_path / 'out', 'validation')
    assert record.leaked == [1, 0]
    assert manifest['ledger']['notes']['leaked_pictures'] == 1
    assert manifest['ledger']['notes']['duplicate_pictures'] == 9


def test_duplicates_are_counted_and_dropped_on_demand(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    documents = [
        product(1, CATEGORY_IDS[0], [jpeg(1), jpeg(2)]),
        product(2, CATEGORY_IDS[1], [jpeg(2), jpeg(3)]),
        product(3, CATEGORY_IDS[0], [jpeg(1)]),
        product(4, CATEGORY_IDS[1], [jpeg(4)]),
    ]
    path = write_bson(documents)
    kept = shard(path, categories_path, tmp_path / 'kept', validation_fraction=0)
    assert kept['ledger']['documents'] == {'read': 4, 'train': 4}
    notes = kept['ledger']['notes']
    assert notes['duplicate_pictures'] == 2
    assert notes['conflicting_hashes'] == 1  # picture 2, under two categories
    assert notes['conflicting_pictures'] == 2

    dropped = shard(
        path, categories_path, tmp_path / 'dropped', validation_fraction=0, duplicates='drop'
    )
    assert dropped['ledger']['documents'] == {'read': 4, 'train': 3, 'dropped_duplicate': 1}
    assert dropped['ledger']['pictures'] == {'read': 6, 'train': 4, 'dropped_duplicate': 2}
    records = {r.product_id: r for r in all_records(tmp_path / 'dropped', 'train')}
    assert records[2].pictures == [jpeg(3)]
    assert records[2].indices == [1]


def test_only_the_first_document_of_a_repeated_id_is_kept(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    documents = [
        product(1, CATEGORY_IDS[0], [jpeg(1)]),
        product(2, CATEGORY_IDS[0], [jpeg(2)]),
        product(1, CATEGORY_IDS[1], [jpeg(3), jpeg(4)]),
    ]
    manifest = shard(
        write_bson(documents),
        categories_path,
        tmp_path / 'out',
        validation_fraction=0,
        max_rejected_fraction=1.0,
    )
    assert manifest['ledger']['documents'] == {'read': 3, 'train': 2, 'rejected_duplicate_id': 1}
    assert manifest['ledger']['pictures'] == {'read': 4, 'train': 2, 'rejected_duplicate_id': 2}
    found = {r.product_id: list(r.pictures) for r in all_records(tmp_path / 'out', 'train')}
    assert found == {1: [jpeg(1)], 2: [jpeg(2)]}


def test_no_class_gets_more_train_products_than_the_limit(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    documents = [product(n, CATEGORY_IDS[n % 2], [jpeg(n)]) for n in range(20)]
    manifest = shard(write_bson(documents), categories_path, tmp_path / 'out', max_per_class=4)
    assert manifest['splits']['train']['products_per_class'] == [4, 4, 0, 0]
    assert manifest['ledger']['documents'] == {
        'read': 20,
        'train': 8,
        'validation': 2,
        'dropped_max_per_class': 10,
    }


def encoded(form: str, *, mode: str = 'RGB') -> bytes:
    file = io.BytesIO()
    Image.new(mode, (12, 10), 128 if mode in ('L', 'P') else (10, 200, 90, 128)[: len(mode)]).save(
        file, form
    )
    return file.getvalue()


def test_other_formats_become_rgb_jpeg_and_jpeg_is_kept_byte_for_byte(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    progressive = io.BytesIO()
    Image.new('RGB', (12, 10), 'red').save(progressive, 'JPEG', progressive=True)
    kept = [jpeg(1), jpeg(2, mode='L'), progressive.getvalue()]
    converted = [
        encoded('PNG'),
        encoded('PNG', mode='RGBA'),
        encoded('GIF', mode='P'),
        encoded('WEBP'),
        encoded('BMP'),
        jpeg(3, mode='CMYK'),
    ]
    documents = [product(n, CATEGORY_IDS[0], [data]) for n, data in enumerate(kept + converted)]
    manifest = shard(
        write_bson(documents), categories_path, tmp_path / 'out', validation_fraction=0
    )
    records = {r.product_id: r.pictures[0] for r in all_records(tmp_path / 'out', 'train')}
    assert [records[n] for n in range(3)] == kept
    for number in range(3, 9):
        with Image.open(io.BytesIO(records[number])) as picture:
            assert (picture.format, picture.mode) == ('JPEG', 'RGB')
    assert manifest['ledger']['notes']['converted_pictures'] == 6


def test_rejected_pieces_are_written_with_their_bytes(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    broken = jpeg(1)[:200]
    bomb = bytearray(jpeg(2))
    frame = bomb.index(b'\xff\xc0')
    bomb[frame + 5 : frame + 9] = b'\x4e\x20\x4e\x20'  # 20000 x 20000
    bad = product(9, 42, [jpeg(9)])
    documents = [
        product(1, CATEGORY_IDS[0], [jpeg(1), broken]),
        product(2, CATEGORY_IDS[0], [bytes(bomb), jpeg(2)]),
        bad,
    ]
    path = write_bson(documents)
    with pytest.raises(UserError, match=r'max_rejected_fraction: at most 0.01 of the documents'):
        shard(path, categories_path, tmp_path / 'out')
    assert not (tmp_path / 'out' / 'manifest.json').exists()
    shard(path, categories_path, tmp_path / 'out', max_rejected_fraction=0.7, resume=True)
    lines = (tmp_path / 'out' / 'rejected' / 'rejected.jsonl').read_text().splitlines()
    index = [json.loads(line) for line in lines]
    assert [(r['product_id'], r['picture'], r['reason']) for r in index] == [
        (1, 1, 'corrupt'),
        (2, 0, 'too_large'),
        (9, None, 'unknown_category'),
    ]
    with zipfile.ZipFile(tmp_path / 'out' / 'rejected' / 'rejected.zip') as archive:
        assert [archive.read(r['bytes']) for r in index] == [broken, bytes(bomb), bad]


def test_decoding_finds_damage_behind_the_header(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    damaged = bytearray(encoded('PNG'))
    damaged[-25:-15] = bytes(10)
    path = write_bson(
        [product(1, CATEGORY_IDS[0], [bytes(damaged)]), product(2, CATEGORY_IDS[0], [jpeg(2)])]
    )
    manifest = shard(
        path,
        categories_path,
        tmp_path / 'out',
        verify='decode',
        max_rejected_fraction=1.0,
        validation_fraction=0,
    )
    assert manifest['ledger']['pictures'] == {'read': 2, 'train': 1, 'rejected_corrupt': 1}


def test_unlabelled_input_becomes_predict_shards(write_bson: WriteBson, tmp_path: Path) -> None:
    documents = [product(n, None, [jpeg(n)]) for n in range(50)]
    manifest = shard(write_bson(documents), None, tmp_path / 'out', unlabelled=True, shards=3)
    shards = read_split(tmp_path / 'out', 'predict')
    assert sorted(r.product_id for s in shards for r in s) == list(range(50))
    assert all(r.category is None for s in shards for r in s)
    assert manifest['ledger']['documents'] == {'read': 50, 'predict': 50}
    assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == [
        'manifest.json',
        *(f'predict-0000{n}-of-00003.tfrecord' for n in range(3)),
    ]


@pytest.mark.skipif(not SHARED.exists(), reason='the genuine sample is not on this machine')
def test_the_genuine_sample_is_complete(tmp_path: Path) -> None:
    path = SHARED / 'train_example.bson'
    manifest = shard(path, SHARED / 'category_names.csv', tmp_path / 'out')
    assert manifest['ledger']['documents']['read'] == 82
    assert manifest['ledger']['pictures']['read'] == 110
    found = {}
    for split in ('train', 'validation'):
        for r in all_records(tmp_path / 'out', split):
            found[r.product_id] = (list(r.pictures), r.category.category_id)
    with path.open('rb') as file:
        wanted = {
            f['_id']: ([i['picture'] for i in f['imgs']], f['category_id'])
            for f in bson.decode_file_iter(file)
        }
    assert found == wanted
    assert manifest['source']['picture_bytes'] == sum(
        len(p) for ps, _ in wanted.values() for p in ps
    )


def test_a_data_set_is_replaced_only_with_overwrite_and_completely(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    output = tmp_path / 'out'
    arguments = [
        f'--input={write_bson(shop(40))}',
        f'--categories={categories_path}',
        f'--output={output}',
    ]
    assert run_command(*arguments, '--shards=4').returncode == 0
    before = files(output)
    refused = run_command(*arguments, '--shards=2')
    assert refused.returncode == 2
    assert refused.stderr.strip().splitlines()[-1] == (
        f'error: --output: {output} contains a data set; use --overwrite to replace it'
    )
    assert files(output) == before
    done = run_command(*arguments, '--shards=2', '--overwrite')
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in output.iterdir())
    assert names == [
        'category_names.csv',
        'manifest.json',
        'train-00000-of-00002.tfrecord',
        'train-00001-of-00002.tfrecord',
        'validation-00000-of-00001.tfrecord',
    ]
    assert done.stdout.startswith('read       40 documents, ')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--shards=1000'], '--shards: must not exceed the 54 records of train, got 1000'),
        (['--validation_fraction=1.5'], 'validation_fraction must be in [0, 1), got 1.5'),
        (['--range_mb=nan'], '--range_mb must be a number'),
        (['--range_mb=0'], '--range_mb: 0.0 is not a number in the range [0.001, 1048576]'),
        (
            ['--balance=2'],
            'balance must be one of none, sqrt, uniform, or a power in [0, 1], got 2',
        ),
        (
            ['--no_such_flag'],
            "'--no_such_flag' is neither a flag of this job nor of Beam. --help",
        ),
        (['--input=/nowhere/x.bson'], '--input: must name existing files, got /nowhere/x.bson'),
        (['--record=video'], "--record must be one of product, image, got 'video'"),
        (['--categories=/nowhere/tree.csv'], 'No such file or directory: /nowhere/tree.csv'),
    ],
)
def test_a_user_error_is_one_line(
    arguments: list[str],
    message: str,
    write_bson: WriteBson,
    categories_path: Path,
    tmp_path: Path,
) -> None:
    defaults = {
        '--input': write_bson(shop(60)),
        '--categories': categories_path,
        '--output': tmp_path / 'out',
    }
    given = {argument.split('=')[0] for argument in arguments}
    rest = [f'{name}={value}' for name, value in defaults.items() if name not in given]
    done = run_command(*rest, *arguments)
    assert done.returncode == 2
    assert 'Traceback' not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith('error: ')
    assert message in last
    assert not (tmp_path / 'out' / 'manifest.json').exists()


def test_a_misspelled_flag_that_is_required_is_named() -> None:
    done = run_command('--inptu=x.bson', '--output=y')
    assert (done.returncode, done.stderr) == (
        2,
        "error: --input must be given, got '--inptu' (did you mean 'input'?). "
        '--help lists the flags\n',
    )


def test_help_shows_examples_and_every_option() -> None:
    done = run_command('--help')
    assert done.returncode == 0
    assert 'python -m beam_pipelines.shard --input=train.bson' in done.stdout
    for name in ShardOptions.__dataclass_fields__:
        assert name in done.stdout
