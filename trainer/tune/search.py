"""Runs the trials of a search, one after another; each is a run of its own.

A folder holds the search: `search.journal` (Optuna's, append-only), `trials/00007` (a workdir) and
`report.json`. An interrupted search resumes: its trial from the last checkpoint, and the next
trials with the same values, because each trial draws by its number and the seed.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import optuna
import tensorflow as tf
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from catalog import storage
from catalog.errors import UserError
from trainer import naming
from trainer.config import TrainConfig, files
from trainer.data.data_set import DataSet
from trainer.metrics.classification import Metrics
from trainer.training.loop import train
from trainer.training.state import NotFinite
from trainer.tune import results, search_space
from trainer.tune.results import Report, TrialResult
from trainer.tune.search_space import Space

JOURNAL = 'search.journal'

_TRIAL_FAILURES = (NotFinite, tf.errors.ResourceExhaustedError)  # caused by the trial's values


@dataclass(frozen=True)
class Plan:
    """The parameters of a search.

    Attributes:
      config_path: File of the config that all trials start from.
      overrides: Overrides of the config, for all trials.
      space: The fields to vary, and their possible values.
      output: A local folder, new or with this search.
      trials: Total number of trials, over all sessions.
      unpruned: Number of first trials that are never pruned.
      seed: Seed of the values that are drawn.
    """

    config_path: str
    overrides: tuple[str, ...]
    space: Space
    output: str
    trials: int
    unpruned: int
    seed: int

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise UserError(f'--trials must be at least 1, got {self.trials}')
        if storage.is_remote(self.output):
            raise UserError(f'--output must be a local folder, got {self.output}')

    def config(self, drawn: tuple[str, ...] = ()) -> TrainConfig:
        """Returns the config of a trial with the drawn overrides."""
        return files.load(self.config_path, [*self.overrides, *drawn])


def search(
    plan: Plan, data: DataSet, *, on_trial: Callable[[TrialResult], None] | None = None
) -> Report:
    """Runs trials until there are `plan.trials`.

    After each trial, writes `report.json` and calls `on_trial`.

    Raises:
      UserError: If the folder holds another search, the config does not evaluate, or the data are
        damaged.
      signals.Stopped: On SIGTERM or Ctrl-C; the same call resumes the search.
    """
    config = plan.config()
    if not config.validation.every_steps:
        raise UserError('validation.every_steps must be above 0 for a search, got 0')
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = _open_study(plan, config, data)
    while trial := _next_trial(study, plan):
        _run_trial(trial, plan, data, drawn=tuple(search_space.draw(trial, plan.space)))
        report = results.build_report(study, plan.space, metric=config.validation.metric)
        results.write_report(report, plan.output)
        if on_trial:
            on_trial(report.trials[trial.number])
        _delete_checkpoints(plan.output, best=report.best, numbers=range(len(study.trials)))
    return results.build_report(study, plan.space, metric=config.validation.metric)


def _open_study(plan: Plan, config: TrainConfig, data: DataSet) -> optuna.Study:
    storage.make_folder(plan.output)
    journal = JournalFileBackend(storage.join(plan.output, JOURNAL))
    study = optuna.create_study(
        study_name='search',
        storage=optuna.storages.JournalStorage(journal),
        direction='minimize' if config.validation.metric == 'loss' else 'maximize',
        pruner=optuna.pruners.MedianPruner(n_startup_trials=plan.unpruned),
        load_if_exists=True,
    )
    identity = {
        'config': json.loads(files.to_json(config)),
        'space': search_space.describe(plan.space),
        'data': data.digest,
        'seed': plan.seed,
        'unpruned': plan.unpruned,
    }
    for name, value in identity.items():
        before = study.user_attrs.get(name, value)
        if before != value:
            raise UserError(
                f'{plan.output}: a search must resume with the {name} that it began with; '
                'take another --output'
            )
        study.set_user_attr(name, value)
    return study


def _next_trial(study: optuna.Study, plan: Plan) -> optuna.Trial | None:
    """Returns the interrupted trial, else a new one, or None if there are enough."""
    number = len(study.trials)
    interrupted = [trial for trial in study.trials if trial.state == TrialState.RUNNING]
    if not interrupted and number >= plan.trials:
        return None
    if interrupted:
        number = interrupted[0].number
    entropy = np.random.SeedSequence([plan.seed, number]).generate_state(1)
    study.sampler = optuna.samplers.TPESampler(seed=int(entropy[0]))
    return optuna.Trial(study, interrupted[0]._trial_id) if interrupted else study.ask()


def _run_trial(trial: optuna.Trial, plan: Plan, data: DataSet, *, drawn: tuple[str, ...]) -> None:
    """Runs a trial and reports its outcome to the study."""
    try:
        config = plan.config(drawn)
    except UserError as error:
        _fail(trial, error)
        return
    keras.backend.clear_session()  # otherwise Keras numbers layers on from the trial before
    try:
        train(config, data, _workdir(plan.output, trial.number), observe=_observer(trial, config))
    except optuna.TrialPruned:
        trial.study.tell(trial, state=TrialState.PRUNED)
    except _TRIAL_FAILURES as error:
        _fail(trial, error)
    else:
        trial.study.tell(trial, results.best_evaluation(trial.study, trial.number)[1])


def _observer(trial: optuna.Trial, config: TrainConfig) -> Callable[[int, Metrics], None]:
    def observe(step: int, metrics: Metrics) -> None:
        if step not in trial.study.trials[trial.number].intermediate_values:
            trial.report(float(getattr(metrics, config.validation.metric)), step)
        if step < config.total_steps and trial.should_prune():
            raise optuna.TrialPruned

    return observe


def _fail(trial: optuna.Trial, error: Exception) -> None:
    trial.set_user_attr('why', ' '.join(str(error).split()))
    trial.study.tell(trial, state=TrialState.FAIL)


def _workdir(output: str, number: int) -> str:
    return storage.join(output, naming.trial(number))


def _delete_checkpoints(output: str, *, best: TrialResult | None, numbers: range) -> None:
    """Deletes the checkpoints of all trials but the best; curves and configs stay."""
    for number in numbers:
        if best is None or number != best.number:
            for folder in (naming.CHECKPOINTS, naming.BEST):
                storage.delete_folder(storage.join(_workdir(output, number), folder))
