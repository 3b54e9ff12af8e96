"""The flex template of the shard job, launched by Google's client on a service that runs it."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import dataflow

from beam_pipelines import template
from tests import gcs_emulator
from tests.cloud import dataflow_service
from tests.cloud.dataflow_service import Service
from tests.shop import shop

IMAGE = 'gcr.io/my-project/beam:1'
SPECIFICATION = 'gs://temp/templates/shard.json'

Launch = Callable[..., dataflow.Job]


@pytest.fixture(scope='module')
def service(categories_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose jobs wait for ever. A process stands for the template's container."""
    specification = {
        'image': IMAGE,
        'sdkInfo': {'language': 'PYTHON'},
        'metadata': json.loads(template.as_text()),
    }
    launcher = [sys.executable, '-m', 'beam_pipelines.shard']
    with gcs_emulator.running_store() as url:
        client = gcs_emulator.client(url)
        written = client.create_bucket('temp').blob('templates/shard.json')
        written.upload_from_string(json.dumps(specification))
        bucket = client.create_bucket('shop')
        bucket.blob('raw/train.bson').upload_from_string(b''.join(shop(40)))
        bucket.blob('raw/category_names.csv').upload_from_filename(str(categories_path))
        folder = tmp_path_factory.mktemp('service')
        with dataflow_service.running_service(
            folder, store_url=url, starts_jobs=False, launcher=launcher
        ) as started:
            yield started


@pytest.fixture
def launch(service: Service) -> Launch:
    client = dataflow.FlexTemplatesServiceClient(
        credentials=AnonymousCredentials(),
        transport='rest',
        client_options=ClientOptions(api_endpoint=service.url),
    )

    def call(**parameters: str) -> dataflow.Job:
        request = dataflow.LaunchFlexTemplateRequest(
            project_id='my-project',
            location='europe-west1',
            launch_parameter=dataflow.LaunchFlexTemplateParameter(
                job_name='shards',
                container_spec_gcs_path=SPECIFICATION,
                parameters=parameters,
                environment=dataflow.FlexTemplateRuntimeEnvironment(
                    temp_location='gs://temp/tmp',
                    num_workers=3,
                    machine_type='e2-standard-2',
                    sdk_container_image=IMAGE,
                ),
            ),
        )
        return client.launch_flex_template(request, timeout=120).job

    return call


GIVEN = {
    'input': 'gs://shop/raw/train.bson',
    'categories': 'gs://shop/raw/category_names.csv',
    'output': 'gs://shop/out',
}


def test_a_launch_submits_the_job_with_the_image_and_the_workers(
    launch: Launch, service: Service
) -> None:
    launched = launch(**GIVEN, balance='sqrt', shards='4')
    assert launched.name == 'shards'
    job = service.jobs[launched.id]
    (pool,) = job.proto.environment.worker_pools
    assert (pool.num_workers, pool.machine_type) == (3, 'e2-standard-2')
    assert {harness.container_image for harness in pool.sdk_harness_container_images} == {IMAGE}
    # The lease stays for the workers.
    lock = gcs_emulator.client(service.store_url).bucket('shop').blob('out/.lock')
    assert json.loads(lock.download_as_bytes().splitlines()[0])['owner'] == 'beam_pipelines.shard'


@pytest.mark.parametrize(
    ('change', 'error'),
    [
        ({'colour': 'red'}, 'Unrecognized parameter: colour'),
        ({'output': '/data/shards'}, "output: '/data/shards' does not match 'gs://.+'"),
        ({'shards': 'many'}, "shards: 'many' does not match"),
        ({'overwrite': 'yes'}, "overwrite: 'yes' does not match 'true|false'"),
        ({'record': 'pixel'}, "record: 'pixel' does not match 'product|image'"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_runs(
    change: dict[str, str], error: str, launch: Launch
) -> None:
    with pytest.raises(exceptions.BadRequest) as caught:
        launch(**GIVEN | change)
    assert error in caught.value.message


def test_only_the_input_and_the_output_are_required() -> None:
    parameters = template.metadata()['parameters']
    required = [p['name'] for p in parameters if not p.get('isOptional')]
    assert sorted(required) == ['input', 'output']
    assert all(p['helpText'] and p['label'] for p in parameters)
