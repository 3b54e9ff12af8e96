"""Builds every image, runs it, and asks it something: `make test-images`, not `make test`.

One data set and one model go through the images: the shard job writes shards, the trainer learns
from them and exports, the servers and the batch job answer with the export.
"""

import hashlib
import json
import math
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from google.cloud.storage import Bucket

from tests import gcs_emulator
from tests.beam_pipelines.running import files
from tests.cloud import dataflow_service
from tests.cloud.dataflow_service import Service
from tests.images import cloud_build, compose, docker_command, registry
from tests.images import engine as engines
from tests.images.dockerfiles import NAMES, ROOT, values
from tests.images.engine import Container, Engine

MODEL = 'product_categories'
STEPS = 20
PYTHON = '--entrypoint=python'
TAG = os.environ.get('IMAGE_TAG', 'test')


@dataclass
class Images:
    """The images that were built, with what the table at the end shows."""

    engine: Engine
    seconds: dict[str, float] = field(default_factory=dict)
    asked: dict[str, tuple[str, float]] = field(default_factory=dict)

    def get(self, name: str) -> str:
        """Builds an image once, unless IMAGE_TAG says that it exists. Returns its name."""
        image = f'{engines.PREFIX}/{name}:{TAG}'
        if name not in self.seconds:
            start = time.monotonic()
            if 'IMAGE_TAG' not in os.environ:
                self.engine.build(name, tag=image, arguments=[f'--build-arg=REVISION={TAG}'])
            self.seconds[name] = time.monotonic() - start
        return image

    def ask(self, name: str, question: str, start: float) -> None:
        """Notes what an image was asked, and how long that took since `start`."""
        self.asked[name] = (question, time.monotonic() - start)

    def table(self) -> str:
        """Sizes and times, one line an image."""
        lines = ['image                 size   build      run  asked']
        for name, seconds in self.seconds.items():
            size = self.engine.inspect(self.get(name))['Size'] / 1e6
            question, asked = self.asked.get(name, ('nothing', math.nan))
            lines.append(f'{name:15} {size:7,.0f} MB  {seconds:4.0f} s  {asked:5.1f} s  {question}')
        return '\n'.join(lines)


@pytest.fixture(scope='session')
def images() -> Iterator[Images]:
    engine = engines.find()
    if engine is None:
        pytest.fail('neither docker nor podman works here; CONTAINER_ENGINE names another program')
    built = Images(engine)
    yield built
    print(f'\n\n{built.table()}\n(a build of a few seconds took its layers from the cache)')
    if 'IMAGE_TAG' not in os.environ:
        for name in built.seconds:
            engine.remove_image(built.get(name))


@pytest.fixture(scope='session')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the user of every image may write to."""
    path = tmp_path_factory.mktemp('images')
    path.chmod(0o777)
    return path


def mounted(folder: Path) -> str:
    return f'--volume={folder}:/data'


@pytest.fixture(scope='session')
def shards(images: Images, folder: Path) -> Path:
    """Shards that the image of the shard job wrote, from a sample that it drew."""
    image = images.get('beam')
    start = time.monotonic()
    options = [PYTHON, mounted(folder)]
    images.engine.run(
        *(image, '-m', 'catalog.samples', 'kaggle-like', '--output=/data/sample'),
        *('--products=400', '--classes=8'),
        options=options,
    )
    images.engine.run(image, *shard_job('/data'), options=options)
    images.ask('beam', '400 products into shards', start)
    return folder / 'shards'


def shard_job(folder: str, output: str = 'shards') -> list[str]:
    return [
        *('-m', 'beam_pipelines.shard', f'--input={folder}/sample/train.bson', '--shards=4'),
        *(f'--categories={folder}/sample/category_names.csv', f'--output={folder}/{output}'),
    ]


@pytest.fixture(scope='session')
def models(images: Images, folder: Path, shards: Path) -> Path:
    """The folder of a model that the image of the trainer exported."""
    train(images, 'train', folder)
    images.engine.run(
        *(images.get('train'), '-m', 'trainer.export', '--workdir=/data/train'),
        f'--output=/data/models/{MODEL}/1',
        options=[PYTHON, mounted(folder)],
    )
    return folder / 'models'


def train(images: Images, name: str, folder: Path) -> list[float]:
    """Trains a few steps in an image. Returns the losses."""
    image = images.get(name)
    start = time.monotonic()
    images.engine.run(
        *(image, '--config=configs/tiny.py', '--data=/data/shards', f'--workdir=/data/{name}'),
        *(f'--config.total_steps={STEPS}', '--config.log_every_steps=5', '--config.batch_size=32'),
        f'--config.checkpoint_every_steps={STEPS}',
        options=[mounted(folder)],
    )
    images.ask(name, f'{STEPS} steps of configs/tiny.py', start)
    lines = (folder / name / 'metrics.jsonl').read_text().splitlines()
    logged = [json.loads(line) for line in lines]
    assert logged[-1]['step'] == STEPS
    return [line['loss'] for line in logged if 'loss' in line]


def get(url: str) -> tuple[int, bytes]:
    """Returns the status and the body of an answer."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def classify(gateway: str, photo: Path) -> dict[str, object]:
    """Sends a photo as `curl -F file=@photo` does."""
    done = subprocess.run(
        [
            'curl',
            '--silent',
            '--show-error',
            '--fail',
            '-F',
            f'file=@{photo}',
            f'{gateway}/predict',
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)


def wait(condition: Callable[[], bool], containers: list[Container], seconds: int = 180) -> None:
    """Waits until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        logs = '\n'.join(container.logs()[-2000:] for container in containers)
        assert time.monotonic() < end, f'waited {seconds} s:\n{logs}'
        time.sleep(0.5)


def is_ready(url: str, status: int = 200) -> bool:
    try:
        return get(url)[0] == status
    except OSError:
        return False


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(('127.0.0.1', port)) == 0


def need_ports(*ports: int) -> None:
    """Fails if another program has one of the ports that the images listen on."""
    for port in ports:
        assert not is_listening(port), f'port {port} must be free'


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    from tests.shop import photo as draw

    path = tmp_path / 'photo.jpg'
    path.write_bytes(draw(3))
    return path


def test_the_shard_job_writes_the_same_bytes_in_its_image_as_here(
    images: Images, folder: Path, shards: Path
) -> None:
    subprocess.run(
        [sys.executable, *shard_job(str(folder), 'shards_here')], cwd=ROOT, check=True, timeout=600
    )
    digests = [
        {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in where.glob('*.tfrecord')
        }
        for where in (shards, folder / 'shards_here')
    ]
    assert len(digests[0]) >= 5
    assert digests[0] == digests[1]


@pytest.mark.parametrize('name', ['beam', 'serving_gateway', 'web'])
def test_a_light_image_has_no_tensorflow(images: Images, name: str) -> None:
    code = (
        'import importlib.util as u; print([n for n in ("tensorflow", "keras") if u.find_spec(n)])'
    )
    assert images.engine.run(images.get(name), '-c', code, options=[PYTHON]).strip() == '[]'


@pytest.mark.parametrize('name', NAMES)
def test_an_image_has_the_user_and_the_labels_of_its_dockerfile(images: Images, name: str) -> None:
    image = images.get(name)
    user = images.engine.run(image, '-c', 'import os; print(os.getuid())', options=[PYTHON])
    assert [user.strip()] == values(name, 'USER')
    labels = images.engine.inspect(image)['Config']['Labels']
    assert labels['org.opencontainers.image.title'].startswith('product-categories-')
    assert labels['org.opencontainers.image.revision'] == os.environ.get('REVISION', TAG)


@pytest.mark.parametrize('name', ['beam', 'predict'])
def test_an_image_for_dataflow_has_beams_boot_and_the_launcher(images: Images, name: str) -> None:
    code = (
        'import os; print(*map(os.path.exists, ["/opt/apache/beam/boot",'
        ' "/opt/google/dataflow/python_template_launcher",'
        ' os.environ["FLEX_TEMPLATE_PYTHON_PY_FILE"]]))'
    )
    image = images.get(name)
    assert images.engine.run(image, '-c', code, options=[PYTHON]).strip() == 'True True True'
    assert images.engine.inspect(image)['Config']['Entrypoint'] == ['/opt/apache/beam/boot']


def test_the_trainer_learns_in_its_image(images: Images, folder: Path, models: Path) -> None:
    assert (models / MODEL / '1' / 'saved_model.pb').is_file()
    assert list((folder / 'train').glob('**/*ckpt*'))


def test_the_trainer_for_tpus_runs_on_a_cpu(images: Images, folder: Path, shards: Path) -> None:
    losses = train(images, 'train_tpu', folder)
    assert losses
    assert all(math.isfinite(loss) for loss in losses)


def test_the_gateway_and_the_page_are_healthy_without_a_model(images: Images) -> None:
    need_ports(8080, 8090)
    start = time.monotonic()
    gateway = images.engine.start(
        'test-gateway', images.get('serving_gateway'), '--target=127.0.0.1:9'
    )
    page = images.engine.start('test-web', images.get('web'), '--gateway=http://127.0.0.1:8080')
    try:
        wait(lambda: is_ready('http://127.0.0.1:8080/healthz'), [gateway])
        assert gateway.check_health()
        assert get('http://127.0.0.1:8080/readyz')[0] == 503
        images.ask('serving_gateway', 'health', start)
        wait(lambda: is_ready('http://127.0.0.1:8090/'), [page])
        assert page.check_health()
        assert b'<div id="root">' in get('http://127.0.0.1:8090/')[1]
        images.ask('web', 'health and the page', start)
        assert gateway.stop() == 0
        assert page.stop() == 0
    finally:
        images.engine.remove('test-gateway')
        images.engine.remove('test-web')


def test_the_gateway_answers_with_the_model_of_the_stand_in(
    images: Images, folder: Path, models: Path, photo: Path
) -> None:
    need_ports(8080, 8500, 8501)
    start = time.monotonic()
    server = images.engine.start(
        *('test-model-server', images.get('model_server')),
        f'--model_base_path=/data/models/{MODEL}',
        options=[mounted(folder)],
    )
    gateway = images.engine.start(
        'test-gateway', images.get('serving_gateway'), '--target=127.0.0.1:8500'
    )
    try:
        wait(lambda: is_ready('http://127.0.0.1:8080/readyz'), [server, gateway])
        assert server.check_health()
        answer = classify('http://127.0.0.1:8080', photo)
        tree = (folder / 'sample' / 'category_names.csv').read_text()
        assert f'\n{answer["category_id"]},' in tree
        images.ask('model_server', 'a photo, by the gateway', start)
        assert gateway.stop() == 0
        assert server.stop() == 0
    finally:
        images.engine.remove('test-gateway')
        images.engine.remove('test-model-server')


def test_compose_brings_up_the_page_the_gateway_and_the_stand_in(
    images: Images, models: Path, photo: Path
) -> None:
    need_ports(8080, 8090, 8500, 8501)
    gateway = images.get('serving_gateway')
    start = time.monotonic()
    with compose.running(images.engine, models, gateway=gateway) as network:
        wait(lambda: is_ready('http://127.0.0.1:8080/readyz'), [])
        assert classify('http://127.0.0.1:8080', photo)['category_id']
        status = f'http://127.0.0.1:8501/v1/models/{MODEL}'
        assert b'"state": "AVAILABLE"' in get(status)[1]
        wait(lambda: is_ready('http://127.0.0.1:8090/'), [])
        assert b'<div id="root">' in get('http://127.0.0.1:8090/')[1]
    print(f'\ncompose: up and asked in {time.monotonic() - start:.1f} s, network {network}')
    wait(lambda: not is_listening(8080), [])


@pytest.fixture
def bucket(folder: Path, shards: Path) -> Iterator[Bucket]:
    """A bucket of an emulated store with the sample; `temp` is another one."""
    with gcs_emulator.running_store() as url:
        client = gcs_emulator.client(url)
        client.create_bucket('temp')
        bucket = client.create_bucket('shop')
        for name in ('train.bson', 'category_names.csv'):
            bucket.blob(f'sample/{name}').upload_from_filename(str(folder / 'sample' / name))
        yield bucket


def store_url(bucket: Bucket) -> str:
    return str(bucket.client._connection.API_BASE_URL)


@pytest.fixture
def dataflow(images: Images, bucket: Bucket, tmp_path: Path) -> Iterator[Service]:
    """A stand-in for Dataflow whose workers and launchers are containers."""
    url = store_url(bucket)
    emulated = {'STORAGE_EMULATOR_HOST': url}
    with (
        docker_command.on_path(images.engine, tmp_path, environment=emulated) as found,
        dataflow_service.running_service(
            tmp_path / 'jobs', store_url=url, containers=True, path=found['PATH']
        ) as service,
    ):
        yield service


def test_dataflow_runs_containers_of_the_image_and_they_write_the_bytes_of_a_local_run(
    images: Images, shards: Path, bucket: Bucket, dataflow: Service
) -> None:
    start = time.monotonic()
    done = subprocess.run(
        [
            *(sys.executable, *shard_job('gs://shop')),
            *('--runner=DataflowRunner', '--project=my-project', '--region=europe-west1'),
            *('--temp_location=gs://temp/tmp', f'--dataflow_endpoint={dataflow.url}', '--no_auth'),
            *('--num_workers=2', f'--sdk_container_image={images.get("beam")}'),
        ],
        cwd=ROOT,
        env={**os.environ, 'STORAGE_EMULATOR_HOST': store_url(bucket)},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, (done.stderr, dataflow.only_job.messages)
    written = {
        blob.name.removeprefix('shards/'): blob.download_as_bytes()
        for blob in bucket.list_blobs(prefix='shards/')
    }
    assert written == files(shards)
    print(f'\nDataflow in containers: {time.monotonic() - start:.1f} s')


def test_the_image_of_the_shard_job_launches_its_flex_template(
    images: Images, bucket: Bucket, dataflow: Service
) -> None:
    dataflow.starts_jobs = False
    image = images.get('beam')
    described = images.engine.run(image, '-m', 'beam_pipelines.template', options=[PYTHON])
    template = {
        'image': image,
        'sdkInfo': {'language': 'PYTHON'},
        'metadata': json.loads(described),
    }
    bucket.client.bucket('temp').blob('shard.json').upload_from_string(json.dumps(template))
    start = time.monotonic()
    dataflow.launch(
        'my-project',
        'europe-west1',
        {
            'launchParameter': {
                'jobName': 'shards',
                'containerSpecGcsPath': 'gs://temp/shard.json',
                'parameters': {
                    'input': 'gs://shop/sample/train.bson',
                    'categories': 'gs://shop/sample/category_names.csv',
                    'output': 'gs://shop/launched',
                },
                'environment': {'tempLocation': 'gs://temp/tmp', 'sdkContainerImage': image},
            }
        },
    )
    (pool,) = dataflow.only_job.proto.environment.worker_pools
    assert {one.container_image for one in pool.sdk_harness_container_images} == {image}
    print(f'\nlauncher in its container: {time.monotonic() - start:.1f} s')


def test_cloud_build_builds_pushes_and_writes_the_template(
    images: Images, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All steps but `setup`, `lint` and `test`: those are `make` in an image of Python."""
    for program in (registry.PROGRAM, 'gcloud'):
        if not shutil.which(program):
            pytest.skip(f'{program} is not installed')
    need_ports(5000)
    build = cloud_build.read(ROOT / 'cloudbuild.yaml')
    source = cloud_build.copy_source(ROOT, tmp_path / 'source')
    given = {
        '_REPOSITORY': f'{registry.ADDRESS}/product-categories',
        '_TAG': 'cloud-build',
        '_TRAIN_EXTRA': 'train',
        '_TEMPLATES': 'gs://temp/templates',
    }
    monkeypatch.setenv('CLOUDSDK_CONFIG', str(tmp_path / 'gcloud'))
    monkeypatch.setenv('CLOUDSDK_CORE_PROJECT', 'my-project')
    monkeypatch.setenv('CLOUDSDK_AUTH_DISABLE_CREDENTIALS', 'true')
    monkeypatch.setenv(
        'CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE', f'{store_url(bucket)}/storage/v1/'
    )
    pushed = [name for name in NAMES if name != 'model_server']
    (tmp_path / 'registry').mkdir()
    try:
        with (
            docker_command.on_path(images.engine, tmp_path) as path,
            registry.running(tmp_path / 'registry') as url,
        ):
            monkeypatch.setenv('PATH', path['PATH'])
            only = [*pushed, 'push', 'metadata', 'template', 'deploy']
            cloud_build.run(build, only=only, given=given, docker='docker', source=source)
            listed = json.loads(get(f'{url}/v2/_catalog')[1])
            assert listed['repositories'] == [f'product-categories/{name}' for name in pushed]
        text = bucket.client.bucket('temp').blob('templates/shard-cloud-build.json')
        template = json.loads(text.download_as_bytes())
    finally:
        for name in pushed:
            images.engine.remove_image(f'{given["_REPOSITORY"]}/{name}:cloud-build')
    assert template['image'] == f'{registry.ADDRESS}/product-categories/beam:cloud-build'
    parameters = {one['name'] for one in template['metadata']['parameters']}
    assert {'input', 'categories', 'output'} <= parameters


def test_the_batch_job_answers_in_its_image(images: Images, folder: Path, models: Path) -> None:
    start = time.monotonic()
    images.engine.run(
        *(images.get('predict'), '-m', 'beam_pipelines.predict', '--output=/data/answers'),
        *(f'--model=/data/models/{MODEL}/1', '--input=/data/sample/test.bson'),
        options=[PYTHON, mounted(folder)],
    )
    rows = [
        line
        for path in sorted((folder / 'answers').glob('*.csv'))
        for line in path.read_text().splitlines()[1:]
    ]
    labels = (folder / 'sample' / 'test_labels.csv').read_text().splitlines()[1:]
    assert len(rows) == len(labels) > 0
    assert {row.split(',')[0] for row in rows} == {label.split(',')[0] for label in labels}
    images.ask('predict', f'{len(rows)} products', start)
