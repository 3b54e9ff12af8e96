"""How a job of Vertex AI ended."""

from google.cloud.aiplatform_v1.types import (
    CustomJob,
    HyperparameterTuningJob,
    Measurement,
    StudySpec,
    Trial,
)

from trainer.submit import results


def _trial(number: int, metric: float, **values: object) -> Trial:
    return Trial(
        id=str(number),
        state=Trial.State.SUCCEEDED,
        parameters=[
            Trial.Parameter(parameter_id=f'config.{name}', value=value)
            for name, value in values.items()
        ],
        final_measurement=Measurement(metrics=[Measurement.Metric(metric_id='loss', value=metric)]),
    )


def test_the_trials_are_a_table_and_the_best_one_a_command() -> None:
    names = ('seed', 'start', 'device')
    study = StudySpec(
        metrics=[StudySpec.MetricSpec(metric_id='loss', goal='MINIMIZE')],
        parameters=[StudySpec.ParameterSpec(parameter_id=f'config.{name}') for name in names],
    )
    trials = [
        _trial(1, 0.5, seed=8, start=0.00123456, device='a b'),
        _trial(2, 0.75, seed=16, start=0.01, device='cpu'),
        Trial(id='3', state=Trial.State.INFEASIBLE),
    ]
    job = HyperparameterTuningJob(study_spec=study, trials=trials)
    command = ['python', '-m', 'trainer.task']
    assert results.format_trials(job, command=command).splitlines() == [
        'trial                loss  seed       start  device',
        '-' * 51,
        '1       succeeded  0.5000     8  0.00123456     a b',
        '2       succeeded  0.7500    16        0.01     cpu',
        '3      infeasible       -     -           -       -',
        '',
        'best: trial 1',
        "python -m trainer.task --config.seed=8 --config.start=0.00123456 '--config.device=a b'",
    ]


def test_a_search_without_a_finished_trial_has_no_best_one() -> None:
    study = StudySpec(metrics=[StudySpec.MetricSpec(metric_id='loss', goal='MINIMIZE')])
    job = HyperparameterTuningJob(study_spec=study)
    assert results.format_trials(job, command=[]) == 'no trial is done, so there is no best trial'


def test_a_job_has_a_page() -> None:
    job = CustomJob(name='projects/p/locations/europe-west4/customJobs/4711')
    assert results.link(job) == (
        'https://console.cloud.google.com/vertex-ai/locations/europe-west4/training/4711?project=p'
    )
