"""A training job, as tests of Vertex AI and of Kubernetes submit it."""

from trainer.submit.machines import MACHINES
from trainer.submit.training_job import TrainingJob


def training_job(machine: str, **changes: object) -> TrainingJob:
    given = {
        'name': 'shop',
        'image': 'eu-docker.pkg.dev/p/shop/train:1',
        'config_path': 'configs/tiny.py',
        'data': 'gs://shop/shards',
        'workdir': 'gs://shop/work',
    }
    return TrainingJob(**{**given, 'machine': MACHINES[machine], **changes})
