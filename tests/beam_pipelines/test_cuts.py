"""A large source on an object store is cut into parts: the same bytes, each byte read once."""

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from beam_pipelines.write import cuts
from catalog.stores import limits
from tests import gcs_emulator
from tests.beam_pipelines.running import files, run_job
from tests.gcs_emulator import Fault, Proxy, Refuse, Request
from tests.shop import photo_dump

SHARDS = {'shards': 20, 'test_fraction': 0.1}
PART_BYTES = 256 << 10


@pytest.fixture(scope='module')
def dump() -> bytes:
    return photo_dump(240)


@pytest.fixture
def proxy(dump: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A store with the dump in two files, whose parts are small."""
    monkeypatch.setattr(cuts, '_PART_BYTES', PART_BYTES)
    with gcs_emulator.running_store() as url, gcs_emulator.running_proxy(url) as proxy:
        bucket = gcs_emulator.client(url).create_bucket('shop')
        bucket.blob('raw/train.bson').upload_from_string(dump)
        monkeypatch.setenv('STORAGE_EMULATOR_HOST', proxy.url)
        yield proxy


def objects(proxy: Proxy, folder: str) -> dict[str, bytes]:
    blobs = gcs_emulator.client(proxy.store_url).list_blobs('shop', prefix=folder + '/')
    return {blob.name.removeprefix(folder + '/'): blob.download_as_bytes() for blob in blobs}


def wanted(dump: bytes, tree: Path, folder: Path, options: dict[str, object]) -> dict[str, bytes]:
    """What a local run, which cuts nothing, writes."""
    (folder / 'train.bson').write_bytes(dump)
    run_job(folder / 'train.bson', tree, folder / 'wanted', **options)
    return files(folder / 'wanted')


@pytest.mark.parametrize('more', [{'balance': 'sqrt'}, {'record': 'image'}], ids=str)
def test_parts_give_the_same_bytes_although_every_bundle_runs_twice(
    more: dict[str, object], dump: bytes, proxy: Proxy, categories_path: Path, tmp_path: Path
) -> None:
    options = SHARDS | more
    repeat = ['--direct_runner_bundle_repeat=1']
    run_job('gs://shop/raw/train.bson', categories_path, 'gs://shop/out', beam=repeat, **options)
    assert any('part-' in request.path for request in proxy.log.requests)
    assert objects(proxy, 'out') == wanted(dump, categories_path, tmp_path, options)


def test_the_source_is_read_once_to_cut_it_and_a_resumed_run_does_not_cut_again(
    dump: bytes,
    proxy: Proxy,
    categories_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = -(-len(dump) // PART_BYTES)
    run = functools.partial(run_job, 'gs://shop/raw/train.bson', categories_path, 'gs://shop/out')
    scanned: list[int] = []  # the number of reads before the first part

    def refuse_the_tenth_shard(request: Request) -> Fault | None:
        note_the_first_part(request)
        if request.uploads and sum('train-' in name for name in objects(proxy, 'out')) >= 18:
            return Refuse(503)  # nine shards, with receipts
        return None

    def note_the_first_part(request: Request) -> None:
        if 'part-' in request.path and not scanned:
            scanned.append(len(proxy.log.reads))

    def reads_after_the_scan() -> tuple[list[int], list[int]]:
        later = proxy.log.reads[scanned[0] :]
        return [n for path, n in later if 'train.bson' in path], [
            n for path, n in later if 'part-' in path
        ]

    monkeypatch.setattr(limits, 'FIRST_WAIT_SECONDS', 0.05)
    monkeypatch.setattr(limits, 'RETRY_SECONDS', 0.5)
    proxy.fault = refuse_the_tenth_shard
    with pytest.raises(OSError, match='The object store failed'):
        run(**SHARDS)
    of_source, _ = reads_after_the_scan()
    assert len(of_source) <= parts
    assert sum(of_source) <= len(dump)

    scanned.clear()
    proxy.fault = note_the_first_part
    run(resume=True, **SHARDS)
    of_source, of_parts = reads_after_the_scan()
    assert not of_source
    assert len(of_parts) <= (20 - 9 + 3 + 3) * parts
    assert sum(of_parts) < len(dump)
    assert objects(proxy, 'out') == wanted(dump, categories_path, tmp_path, SHARDS)
