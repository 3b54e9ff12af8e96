"""Searches for better values of a config: trials, one after another, each a run of its own.

A folder holds it all: `search.journal` (Optuna's, appended to), `trials/00007` (a workdir),
`report.json`. A search that is stopped or killed goes on: its trial from the last checkpoint, and
what comes next is what would have come, because each trial draws by its number and the seed.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import optuna
import tensorflow as tf
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from catalog import storage
from catalog.errors import UserError
from trainer import naming
from trainer.config import TrainConfig
from trainer.config import files as config_files
from trainer.data.data_set import DataSet
from trainer.metrics.classification import Metrics
from trainer.training.loop import train
from trainer.training.state import NotFinite
from trainer.tune import results as search_report
from trainer.tune import space as search_space
from trainer.tune.results import Tried
from trainer.tune.space import Space

JOURNAL = 'search.journal'
TRIALS = 'trials'

_FAILURES = (NotFinite, tf.errors.ResourceExhaustedError)  # the trial's own, not the data's


@dataclass(frozen=True)
class Plan:
    """What is searched.

    Attributes:
      config_path: of the config that all trials begin with.
      overrides: of it, for all trials.
      space: what is varied.
      output: a local folder, new or of this search.
      trials: in all, with those that were tried before.
      unpruned: the first so many trials run to their end whatever they show.
      seed: of what is tried.
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
            raise UserError(f'{self.output}: --output must be a local folder')

    def config(self, drawn: tuple[str, ...] = ()) -> TrainConfig:
        """The config of a trial."""
        return config_files.load(self.config_path, [*self.overrides, *drawn])


def search(
    plan: Plan, data: DataSet, *, tell: Callable[[Tried], None] | None = None
) -> search_report.Report:
    """Tries until there are enough trials; after each, `report.json` is written and `tell` called.

    Raises:
      UserError: if the folder holds another search, the config evaluates nothing, or a run is
        stopped by its data.
      stopping.Stopped: on SIGTERM or Ctrl-C; the same call goes on.
    """
    config = plan.config()
    if not config.validation.every_steps:
        raise UserError('validation.every_steps must be set: a search goes by evaluations, got 0')
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = _open(plan, config, data)
    while trial := _next(study, plan):
        _try(trial, plan, data, drawn=tuple(search_space.draw(trial, plan.space)))
        report = search_report.of(study, plan.space, metric=config.validation.metric)
        search_report.write(report, plan.output)
        if tell:
            tell(report.trials[trial.number])
        _keep_only(report.best, plan.output, numbers=range(len(study.trials)))
    return search_report.of(study, plan.space, metric=config.validation.metric)


def _open(plan: Plan, config: TrainConfig, data: DataSet) -> optuna.Study:
    Path(plan.output).mkdir(parents=True, exist_ok=True)
    journal = JournalFileBackend(storage.join(plan.output, JOURNAL))
    study = optuna.create_study(
        study_name='search',
        storage=optuna.storages.JournalStorage(journal),
        direction='minimize' if config.validation.metric == 'loss' else 'maximize',
        pruner=optuna.pruners.MedianPruner(n_startup_trials=plan.unpruned),
        load_if_exists=True,
    )
    mine = {
        'config': json.loads(config_files.to_json(config)),
        'space': search_space.told(plan.space),
        'data': data.digest,
        'seed': plan.seed,
        'unpruned': plan.unpruned,
    }
    for name, value in mine.items():
        before = study.user_attrs.get(name, value)
        if before != value:
            raise UserError(
                f'{plan.output}: a search must go on with the {name} that it began with; '
                'take another --output'
            )
        study.set_user_attr(name, value)
    return study


def _next(study: optuna.Study, plan: Plan) -> optuna.Trial | None:
    """The trial that was cut off, a new one, or None where there are enough."""
    number = len(study.trials)
    cut_off = [trial for trial in study.trials if trial.state == TrialState.RUNNING]
    if not cut_off and number >= plan.trials:
        return None
    if cut_off:
        number = cut_off[0].number
    entropy = np.random.SeedSequence([plan.seed, number]).generate_state(1)
    study.sampler = optuna.samplers.TPESampler(seed=int(entropy[0]))
    return optuna.Trial(study, cut_off[0]._trial_id) if cut_off else study.ask()


def _try(trial: optuna.Trial, plan: Plan, data: DataSet, *, drawn: tuple[str, ...]) -> None:
    """Runs a trial and tells the study how it went."""
    workdir = _workdir(plan.output, trial.number)
    try:
        config = plan.config(drawn)
    except UserError as error:
        _fail(trial, error)
        return
    keras.backend.clear_session()  # or its layers are named after those of the trial before
    try:
        train(config, data, workdir, observe=_observer(trial, config))
    except optuna.TrialPruned:
        trial.study.tell(trial, state=TrialState.PRUNED)
    except _FAILURES as error:
        _fail(trial, error)
    else:
        trial.study.tell(trial, search_report.best_of(trial.study, trial.number)[1])


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
    return storage.join(output, TRIALS, f'{number:05d}')


def _keep_only(best: Tried | None, output: str, *, numbers: range) -> None:
    """Deletes the checkpoints of all trials but the best; curves and configs stay."""
    for number in numbers:
        if best is None or number != best.number:
            for folder in (naming.CHECKPOINTS, naming.BEST):
                storage.delete_folder(storage.join(_workdir(output, number), folder))
