"""What a dump loses is measured in bytes too, and memory does not depend on it."""

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import bson
import pytest

from catalog.errors import UserError
from tests.beam_pipelines.running import run_command, run_job
from tests.shop import CATEGORY_IDS, jpeg, product

WriteBson = Callable[..., Path]

DOCUMENTS = [product(n, CATEGORY_IDS[n % 4], [jpeg(n % 97)]) for n in range(1500)]
DUMP = b''.join(DOCUMENTS)


def first_lost(dump: bytes, at: int) -> int:
    """The offset of the document that contains byte `at` of the dump."""
    offset = 0
    for document in DOCUMENTS:
        if offset + len(document) > at:
            return offset
        offset += len(document)
    return len(dump)


def document_after(at: int) -> int:
    """The offset of the first document that begins at byte `at` or later."""
    found = first_lost(DUMP, at)
    return found if found == at else found + len(DOCUMENTS[index_of(found)])


def index_of(offset: int) -> int:
    return next(n for n in range(len(DOCUMENTS)) if sum(map(len, DOCUMENTS[:n])) == offset)


BEGIN, END = int(len(DUMP) * 0.31), int(len(DUMP) * 0.71)


def zeroed() -> bytes:
    return DUMP[:BEGIN] + bytes(END - BEGIN) + DUMP[END:]


def run(path: Path, tree: Path, output: Path, *arguments: str) -> tuple[int, str]:
    done = run_command(f'--input={path}', f'--categories={tree}', f'--output={output}', *arguments)
    return done.returncode, done.stderr.strip()


@pytest.mark.parametrize('kind', ['zeros', 'hole'])
@pytest.mark.parametrize('range_mb', [0.05, 64])
def test_a_zeroed_part_of_a_dump_fails_by_the_limit_on_bytes(
    kind: str, range_mb: float, categories_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / 'train.bson'
    if kind == 'zeros':
        path.write_bytes(zeroed())
    else:
        with path.open('wb') as file:
            file.write(DUMP[:BEGIN])
            file.seek(END)
            file.write(DUMP[END:])
    begin, end = first_lost(DUMP, BEGIN), document_after(END)
    code, error = run(path, categories_path, tmp_path / 'out', f'--range_mb={range_mb}')
    assert code == 2
    assert re.fullmatch(
        r'error: --max_rejected_fraction: at most 0.01 of the bytes may be rejected, got '
        rf'{end - begin} of \d+ \(garbage {end - begin}\); the largest: {re.escape(str(path))} at '
        rf'byte {begin}, {end - begin} bytes: garbage, {end - begin} bytes are not a document',
        error,
    )
    assert not (tmp_path / 'out' / 'manifest.json').exists()


@pytest.mark.parametrize('seed', [0, 1, 2, 3, 18])
def test_a_dump_without_its_middle_or_end_is_refused_with_the_place(
    seed: int, write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    at = BEGIN + 211 * seed
    missing_end = seed % 2
    data = DUMP[:at] if missing_end else DUMP[:at] + DUMP[END + 97 * seed :]
    begin = first_lost(DUMP, at)
    with pytest.raises(UserError) as caught:
        run_job(write_bson([data]), categories_path, tmp_path / 'out')
    place = f'train.bson at byte {begin}, '
    assert re.match(
        '--input: must be complete, but bytes are missing at 1 place', str(caught.value)
    )
    assert place in str(caught.value)


def test_an_unknown_loss_is_accepted_with_a_limit_above_the_default_and_is_in_the_summary(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    path = write_bson([DUMP[:BEGIN] + DUMP[END:]])
    done = run_command(
        f'--input={path}',
        f'--categories={categories_path}',
        f'--output={tmp_path / "out"}',
        '--max_rejected_fraction=0.02',
    )
    assert done.returncode == 0, done.stderr
    begin, end = first_lost(DUMP, BEGIN), document_after(END)
    lost = end - begin - (END - BEGIN)
    ledger = json.loads((tmp_path / 'out' / 'manifest.json').read_text())['ledger']
    assert ledger['notes']['gaps'] == 1
    pictures = sum(len(jpeg(n % 97)) for n in range(1500))
    gone = sum(len(jpeg(n % 97)) for n in range(index_of(begin), index_of(end)))
    assert ledger['bytes'] == {'read': pictures - gone + lost, 'rejected_garbage': lost}
    assert 'warning    places where an unknown number of bytes is missing: 1' in done.stdout
    share = lost / ledger['bytes']['read']
    assert (
        f'rejected   1 document: garbage 1\n'
        f'rejected   {lost:,} bytes, {share:.2%} of all: garbage {lost:,}\n'
    ) in done.stdout


def test_a_dump_of_another_schema_ends_the_job_before_the_scan_in_one_line(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    path = write_bson([bson.encode({'_id': 'SKU', 'images': [], 'category_id': 7})] * 300)
    code, error = run(path, categories_path, tmp_path / 'out', '--max_rejected_fraction=1')
    assert code == 2
    assert error == (
        f'error: {path}: must contain products {{_id: integer, string, ObjectId or UUID, imgs: '
        '[{picture: binary}], category_id: integer, string, ObjectId or UUID}, got 200 documents '
        'without a usable one, {_id: string, images: [], category_id: int32}: a product must '
        'have pictures, got none; convert the fields, for example with a view of MongoDB, and '
        'export them again'
    )
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('cut_bytes', [1, 3, 30])
def test_a_small_cut_of_a_large_dump_is_within_the_limits(
    cut_bytes: int, write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    run_job(write_bson([DUMP[:-cut_bytes]]), categories_path, tmp_path / 'out')
    ledger = json.loads((tmp_path / 'out' / 'manifest.json').read_text())['ledger']
    lost = len(DOCUMENTS[-1]) - cut_bytes
    assert ledger['documents']['rejected_cut_off'] == 1
    assert ledger['bytes']['rejected_cut_off'] == lost
    assert 'gaps' not in ledger['notes']


def test_a_zeroed_disk_block_is_within_the_limits(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    data = DUMP[:BEGIN] + bytes(512) + DUMP[BEGIN + 512 :]
    run_job(write_bson([data]), categories_path, tmp_path / 'out')
    ledger = json.loads((tmp_path / 'out' / 'manifest.json').read_text())['ledger']
    assert ledger['documents']['read'] >= 1498


def test_bytes_of_unknown_categories_and_repeated_ids_count(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    documents = [
        *DOCUMENTS[:100],
        product(1000, 42, [jpeg(1), jpeg(2)]),
        product(0, CATEGORY_IDS[0], [jpeg(3)]),
    ]
    run_job(write_bson(documents), categories_path, tmp_path / 'out', max_rejected_fraction=0.1)
    ledger = json.loads((tmp_path / 'out' / 'manifest.json').read_text())['ledger']
    assert ledger['bytes'] == {
        'read': sum(len(jpeg(n % 97)) for n in range(100)) + sum(len(jpeg(n)) for n in (1, 2, 3)),
        'rejected_unknown_category': len(jpeg(1)) + len(jpeg(2)),
        'rejected_duplicate_id': len(jpeg(3)),
    }


def test_bytes_of_rejected_pictures_count(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    cut, text = jpeg(1)[: len(jpeg(1)) // 2], b'no picture' * 20_000
    documents = [*DOCUMENTS, product(2000, CATEGORY_IDS[0], [cut, jpeg(2), text])]
    path = write_bson(documents)
    code, error = run(path, categories_path, tmp_path / 'out')
    read = sum(len(jpeg(n % 97)) for n in range(1500)) + len(cut) + len(jpeg(2)) + len(text)
    assert code == 2
    assert error.startswith(
        f'error: --max_rejected_fraction: at most 0.01 of the bytes may be rejected, got '
        f'{len(cut) + len(text)} of {read} (corrupt {len(cut)}, not_a_picture {len(text)}); '
        f'the largest: {path} at byte '
    )
    run_job(path, categories_path, tmp_path / 'out', max_rejected_fraction=0.9)
    ledger = json.loads((tmp_path / 'out' / 'manifest.json').read_text())['ledger']
    assert ledger['bytes'] == {
        'read': read,
        'rejected_corrupt': len(cut),
        'rejected_not_a_picture': len(text),
    }


def test_few_rejected_pieces_are_listed_and_all_are_counted(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    wrong = [product(10_000 + n, 42, [jpeg(n)]) for n in range(50)]
    path = write_bson([*DOCUMENTS[:60], *wrong, *DOCUMENTS[60:120]])
    listed = []
    for name, range_mb in (('small', '0.01'), ('large', '64')):
        code, error = run(
            path,
            categories_path,
            tmp_path / name,
            '--max_rejected_fraction=1',
            '--keep_rejected=7',
            f'--keep_rejected_mb={3.5 * len(wrong[0]) / 1e6}',
            f'--range_mb={range_mb}',
        )
        assert (code, error) == (0, '')
        ledger = json.loads((tmp_path / name / 'manifest.json').read_text())['ledger']
        assert ledger['documents']['rejected_unknown_category'] == 50
        listed.append((tmp_path / name / 'rejected' / 'rejected.jsonl').read_text())
    lines = [json.loads(line) for line in listed[0].splitlines()]
    assert [line['product_id'] for line in lines] == list(range(10_000, 10_007))
    kept = [line['bytes'] for line in lines if line['bytes']]
    assert 2 <= len(kept) <= 4
    with zipfile.ZipFile(tmp_path / 'small' / 'rejected' / 'rejected.zip') as archive:
        assert archive.namelist() == kept
        assert [archive.read(name) for name in kept] == wrong[: len(kept)]
    assert listed[0] == listed[1]


def peak_bytes(path: Path, tree: Path, output: Path) -> int:
    """The peak memory of the job in bytes, with one worker."""
    code = (
        'import atexit, pathlib, runpy\n'
        "atexit.register(lambda: print(pathlib.Path('/proc/self/status').read_text()))\n"
        "runpy.run_module('beam_pipelines.shard', run_name='__main__', alter_sys=True)\n"
    )
    arguments = (
        f'--input={path}',
        f'--categories={tree}',
        f'--output={output}',
        '--max_rejected_fraction=1',
        '--direct_num_workers=1',
    )
    done = subprocess.run(
        [sys.executable, '-c', code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    peak = re.search(r'VmHWM:\s+(\d+) kB', done.stdout)
    assert peak
    return int(peak[1]) * 1024


def test_memory_does_not_depend_on_how_much_is_rejected(
    write_bson: WriteBson, categories_path: Path, tmp_path: Path
) -> None:
    few = [product(10**6 + n, CATEGORY_IDS[0], []) for n in range(10_000)]
    many = [product(10**6 + n, CATEGORY_IDS[0], []) for n in range(100_000)]
    usual = write_bson([*DOCUMENTS, *few], 'usual.bson')
    armed = write_bson(DOCUMENTS[:-1], 'armed.bson')
    hole_bytes = 200_000_000
    with armed.open('ab') as file:
        file.truncate(file.tell() + hole_bytes)
        file.write(DOCUMENTS[-1] + b''.join(many))
    usual_peak = peak_bytes(usual, categories_path, tmp_path / 'usual')
    peak = peak_bytes(armed, categories_path, tmp_path / 'armed')
    assert peak - usual_peak < 60e6
    ledger = json.loads((tmp_path / 'armed' / 'manifest.json').read_text())['ledger']
    assert ledger['documents']['rejected_no_pictures'] == 100_000
    assert ledger['bytes']['rejected_garbage'] == hole_bytes
    rejected = tmp_path / 'armed' / 'rejected'
    assert len((rejected / 'rejected.jsonl').read_text().splitlines()) == 10_000
    with zipfile.ZipFile(rejected / 'rejected.zip') as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
        assert largest.file_size == hole_bytes
