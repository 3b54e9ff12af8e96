"""The typed job of Vertex AI."""

import json

import pytest
from google.cloud.aiplatform_v1.types import CustomJob, HyperparameterTuningJob
from google.protobuf import json_format

from catalog.errors import UserError
from tests.cloud import vertex_rules
from tests.trainer.submit.jobs import training_job
from trainer.submit.machines import MACHINES
from trainer.submit.vertex_job import Search, VertexOptions, build_job, to_json
from trainer.tune.search_space import Choice, Range

OPTIONS = VertexOptions(project='p', region='europe-west4')


@pytest.mark.parametrize('machine', MACHINES)
def test_each_machine_is_one_that_vertex_ai_offers(machine: str) -> None:
    job = build_job(training_job(machine), OPTIONS)
    vertex_rules.check(job.job_spec)
    parsed = json_format.Parse(to_json(job), CustomJob.pb(CustomJob()))
    assert parsed == CustomJob.pb(job)


def test_the_hosts_of_a_spot_job_start_again_together() -> None:
    options = VertexOptions(
        project='p',
        region='europe-west4',
        service_account='trainer@p.iam.gserviceaccount.com',
        tensorboard='projects/p/locations/europe-west4/tensorboards/12',
        labels={'team': 'shop'},
        timeout_hours=1.5,
    )
    document = json.loads(to_json(build_job(training_job('l4x8', hosts=4, spot=True), options)))
    spec = document['jobSpec']
    assert (document['displayName'], document['labels']) == ('shop', {'team': 'shop'})
    machine = {
        'machineType': 'g2-standard-96',
        'acceleratorType': 'NVIDIA_L4',
        'acceleratorCount': 8,
    }
    arguments = [
        '--config=configs/tiny.py',
        '--data=gs://shop/shards',
        '--workdir=gs://shop/work',
        '--config.strategy=multi_worker',
        '--config.device=gpu',
    ]
    assert [pool['replicaCount'] for pool in spec['workerPoolSpecs']] == ['1', '3']
    for pool in spec['workerPoolSpecs']:
        assert pool['machineSpec'] == machine
        assert pool['containerSpec'] == {
            'imageUri': 'eu-docker.pkg.dev/p/shop/train:1',
            'command': ['python', '-m', 'trainer.task'],
            'args': arguments,
        }
    assert spec['scheduling'] == {
        'timeout': '5400s',
        'strategy': 'SPOT',
        'restartJobOnWorkerRestart': True,
    }
    assert spec['serviceAccount'] == 'trainer@p.iam.gserviceaccount.com'
    assert spec['tensorboard'] == 'projects/p/locations/europe-west4/tensorboards/12'
    assert spec['baseOutputDirectory'] == {'outputUriPrefix': 'gs://shop/work/tensorboard'}


def test_a_tpu_has_a_topology_and_no_accelerator_type() -> None:
    document = json.loads(to_json(build_job(training_job('v5ex4'), OPTIONS)))
    (pool,) = document['jobSpec']['workerPoolSpecs']
    assert pool['machineSpec'] == {'machineType': 'ct5lp-hightpu-4t', 'tpuTopology': '2x2'}


def test_a_search_has_the_fields_of_its_space() -> None:
    space = {
        'optimizer.learning_rate': Range(3e-4, 3e-2, log=True),
        'model.dropout': Range(0.0, 0.3, step=0.1),
        'batch_size': Range(64, 256, step=64),
        'model.channels': Range(8, 32),
        'augment.flip': Choice((True, False)),
    }
    job = training_job('l4', overrides=('validation.every_steps=300', 'validation.metric=loss'))
    typed = build_job(job, OPTIONS, Search(space=space, trials=20, parallel=4))
    assert isinstance(typed, HyperparameterTuningJob)
    document = json.loads(to_json(typed))
    assert (document['maxTrialCount'], document['parallelTrialCount']) == (20, 4)
    study = document['studySpec']
    assert study['metrics'] == [{'metricId': 'loss', 'goal': 'MINIMIZE'}]
    rate, dropout, batch, channels, flip = study['parameters']
    assert rate == {
        'parameterId': 'config.optimizer.learning_rate',
        'doubleValueSpec': {'minValue': 3e-4, 'maxValue': 3e-2},
        'scaleType': 'UNIT_LOG_SCALE',
    }
    assert dropout['discreteValueSpec'] == {'values': [0.0, 0.1, 0.2, 0.3]}
    assert batch['categoricalValueSpec'] == {'values': ['64', '128', '192', '256']}
    assert channels['integerValueSpec'] == {'minValue': '8', 'maxValue': '32'}
    assert flip['categoricalValueSpec'] == {'values': ['true', 'false']}


def test_a_search_needs_evaluations() -> None:
    search = Search(space={'model.channels': Range(8, 32)}, trials=2, parallel=1)
    with pytest.raises(UserError, match=r'validation\.every_steps must be above 0 for a search'):
        build_job(training_job('l4'), OPTIONS, search)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'project': 'My Project'}, "--project must be .*, got 'My Project'"),
        ({'region': 'europe'}, "--region must be a region like europe-west4, got 'europe'"),
        ({'service_account': 'me'}, "--service_account must be an e-mail address .*, got 'me'"),
        ({'tensorboard': '12'}, "--tensorboard must be like .*, got '12'"),
        (
            {'tensorboard': 'projects/p/locations/r/tensorboards/12'},
            '--service_account must be given with --tensorboard',
        ),
        ({'labels': {'Team': 'x'}}, '--labels must be .*, got Team=x'),
        ({'timeout_hours': 0}, '--timeout_hours must be above 0 and at most 720, got 0'),
    ],
)
def test_an_invalid_option_is_an_error(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        VertexOptions(**{'project': 'p', 'region': 'europe-west4', **changes})


def test_more_trials_at_a_time_than_trials_is_an_error() -> None:
    with pytest.raises(UserError, match=r'--parallel_trials must be .*, got 3 and 2'):
        Search(space={'seed': Range(0, 9)}, trials=2, parallel=3)
