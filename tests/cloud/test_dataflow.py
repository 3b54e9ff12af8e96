"""The shard job through a Dataflow service that runs what it is sent."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import gcs_emulator
from tests.beam_pipelines.running import files, run_job
from tests.cloud import dataflow_service
from tests.cloud.dataflow_service import Service
from tests.shop import shop

ROOT = Path(__file__).parents[2]
OPTIONS = {'shards': 4, 'test_fraction': 0.1, 'balance': 'sqrt'}


@pytest.fixture(scope='module')
def store(
    categories_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, dict[str, bytes]]]:
    """A store with a dump, and the data set of a local run."""
    dump = tmp_path_factory.mktemp('dump') / 'train.bson'
    dump.write_bytes(b''.join(shop(200)))
    with gcs_emulator.running_store() as url:
        client = gcs_emulator.client(url)
        client.create_bucket('temp')
        bucket = client.create_bucket('shop')
        bucket.blob('raw/train.bson').upload_from_filename(str(dump))
        bucket.blob('raw/category_names.csv').upload_from_filename(str(categories_path))
        output = tmp_path_factory.mktemp('local') / 'out'
        run_job(dump, categories_path, output, **OPTIONS)
        yield url, files(output)


def arguments(service: Service, *more: str) -> list[str]:
    """The command of the job on the service."""
    options = [f'--{name}={value}' for name, value in OPTIONS.items()]
    return [
        *(sys.executable, '-m', 'beam_pipelines.shard'),
        *('--input=gs://shop/raw/train.bson', '--categories=gs://shop/raw/category_names.csv'),
        *('--output=gs://shop/out', '--range_mb=0.05', *options),
        *('--runner=DataflowRunner', '--project=my-project', '--region=europe-west1'),
        *('--temp_location=gs://temp/tmp', f'--dataflow_endpoint={service.url}', '--no_auth'),
        '--save_main_session',  # as Beam has it for the real service
        *more,
    ]


def run(service: Service, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments(service, *more),
        cwd=ROOT,
        env={**os.environ, 'STORAGE_EMULATOR_HOST': service.store_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def objects(store_url: str, folder: str) -> dict[str, bytes]:
    blobs = gcs_emulator.client(store_url).list_blobs('shop', prefix=folder + '/')
    return {blob.name.removeprefix(folder + '/'): blob.download_as_bytes() for blob in blobs}


def test_the_service_makes_the_bytes_of_a_local_run_although_every_bundle_runs_three_times(
    store: tuple[str, dict[str, bytes]], tmp_path: Path
) -> None:
    url, wanted = store
    with dataflow_service.running_service(tmp_path, store_url=url, bundle_repeat=2) as service:
        done = run(service, '--setup_file=./setup.py', '--num_workers=1')
        job = service.only_job
        assert done.returncode == 0, (done.stderr, job.messages)
        assert objects(url, 'out') == wanted
        # Workers saw the package that was sent and not this checkout.
        assert (job.folder / 'site' / 'beam_pipelines' / 'shard.py').exists()
        requirements = next(job.folder.glob('site/product_categories-*/METADATA')).read_text()
        assert re.search(r'^Requires-Dist: numpy==2\.', requirements, re.MULTILINE)
        assert {m['name']['name']: m['scalar'] for m in job.metrics()}['shards_planned'] == 6
        lines = done.stderr.splitlines()
        assert f'job        {job.proto.id}' in lines
        page = f'https://console.cloud.google.com/dataflow/jobs/europe-west1/{job.proto.id}'
        assert f'page       {page}?project=my-project' in lines
        assert lines[-1] == 'state      done'
    assert done.stdout.startswith('read       200 documents, ')
