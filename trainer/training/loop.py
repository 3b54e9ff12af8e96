"""The training loop: steps, logging, evaluation and checkpoints until the last step or a signal.

This module orders the parts of a run. A step is in `step`, the content of a checkpoint in `state`,
its files in `workdir.checkpoint`, logging in `reporter`.
"""

import contextlib
import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from typing import Any

import tensorflow as tf

from catalog.errors import UserError
from trainer.config import SizeConfig, TrainConfig, files
from trainer.data import progressive_resizing, sources
from trainer.data.batches import train_batches
from trainer.data.data_set import DataInfo, DataSet
from trainer.data.examples import batch_spec, example_spec
from trainer.data.info import data_info
from trainer.distribution import machines, replica_batches, signals
from trainer.distribution.batch_division import check_shards
from trainer.distribution.machines import Machines
from trainer.distribution.strategy import build_strategy, find_cluster
from trainer.distribution.workers import Workers, lost_workers_named
from trainer.losses import objective
from trainer.metrics.classification import Metrics
from trainer.models import weights
from trainer.monitoring import metric_writers, wandb_sync
from trainer.monitoring.event_folder import event_folder
from trainer.monitoring.profiler import Profiler
from trainer.optim import stretched
from trainer.training import resume
from trainer.training.build import build_state, load_initial_weights
from trainer.training.model_inputs import model_inputs
from trainer.training.reporter import Reporter
from trainer.training.state import State, check_loss, check_weights
from trainer.training.step import compile_steps
from trainer.training.validation import Evaluation, Evaluator
from trainer.undecodable import limit
from trainer.undecodable.log import UndecodableLog
from trainer.workdir import checkpoint, metrics_file

Board = metric_writers.MetricWriter | metric_writers.NullMetricWriter
Observe = Callable[[int, Metrics], None]


@dataclass(frozen=True)
class Outcome:
    """The end of a run.

    Attributes:
      step: Its last step.
      trained: Steps of this session; 0 if the run was complete before.
      metrics: Metrics of the last logged step; empty if metrics.jsonl has been deleted.
    """

    step: int
    trained: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class _Run:
    config: TrainConfig
    data: DataSet
    info: DataInfo
    workdir: str
    workers: Workers
    state: State
    machines: Machines
    undecodable: UndecodableLog
    check_owned: Callable[[], None]
    observe: Observe | None
    before: TrainConfig | None  # the config of the run when it stopped

    @property
    def is_chief(self) -> bool:
        return self.workers.cluster.is_chief

    @property
    def is_over(self) -> bool:
        """Whether it has waited long enough for a better evaluation."""
        return self.state.best.is_over(self.config.validation)


def train(
    config: TrainConfig, data: DataSet, workdir: str, *, observe: Observe | None = None
) -> Outcome:
    """Trains from the newest checkpoint of the workdir to `total_steps`.

    Args:
      config: The config of the run.
      data: The data set to learn from.
      workdir: A new folder, or the workdir of this run.
      observe: Called with step and metrics of each evaluation; an exception from it ends the run.

    Raises:
      UserError: If the workdir holds another run, another process trains in it, devices are
        missing, a shard is damaged, too many pictures are undecodable, the loss is not finite, or a
        checkpoint cannot be read or written.
      signals.Stopped: After SIGTERM or Ctrl-C, once a checkpoint is saved.
    """
    cluster = find_cluster(config.strategy)
    if config.step.deterministic_ops:
        tf.config.experimental.enable_op_determinism()
    with lost_workers_named(cluster):
        strategy = build_strategy(config)
        workers = Workers(cluster, strategy)
        info = data_info(data, config)
        with resume.own_workdir(workdir, workers=workers) as check_owned:
            before = resume.claim_workdir(
                workdir, config=config, data=data, info=info, workers=workers
            )
            undecodable = UndecodableLog(data.paths('train'))
            here = Machines.here(cluster, strategy)
            state = build_state(config, data, info, strategy=strategy, machines=here)
            run = _Run(
                config,
                data,
                info,
                workdir,
                workers,
                state,
                here,
                undecodable,
                check_owned,
                observe,
                before,
            )
            first, last = _train_to_end(run, strategy)
            workers.wait()  # for the last line of the chief
    logged = metrics_file.read_metrics(workdir)
    return Outcome(last, last - first, logged[-1] if logged else {})


def _train_to_end(run: _Run, strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """Returns the step that the run started from or resumed at, and its last step."""
    config, state, data = run.config, run.state, run.data
    step = resume.restore(state, run.workdir, workers=run.workers)
    machines_before = Machines(*state.machines.numpy().tolist())
    state.machines.assign(astuple(run.machines))
    if not step and config.input.reading == 'sharded':
        shards = data.split('train').shards
        check_shards(shards, hosts=run.machines.hosts, folder=data.folder)
    mapped = '' if step else load_initial_weights(state, config.start, data)
    first = step
    if step > config.total_steps:
        raise UserError(
            f'total_steps must be at least {step}, which the run has completed, got '
            f'{config.total_steps}'
        )
    loss = objective.build_objective(config.loss, info=run.info, tree=data.categories)
    with sources.input_errors_named(data, split='train'):  # a cached set is read here
        batches = _batches(run, strategy, step=step)

    @functools.cache
    def steps_of(stage: SizeConfig) -> Callable[[tf.Tensor, Iterator[Any]], None]:
        stage_input = progressive_resizing.input_at(config.input, stage=stage)
        stage_config = dataclasses.replace(config, input=stage_input)
        return compile_steps(state, strategy, stage_config, objective=loss)

    evaluator = Evaluator(state, config, data, strategy=strategy, workers=run.workers)
    silent = not run.is_chief
    with (
        signals.stop_requests() as request,
        wandb_sync.sync_to_wandb(run.workdir, config.board, silent=silent),
        metric_writers.open_metric_writer(run.workdir, step=step, silent=silent) as board,
        Profiler(event_folder(run.workdir), config.board, done=step, silent=silent) as profiler,
        contextlib.closing(
            Reporter(board, config=config, info=run.info, state=state, step=step, silent=silent)
        ) as reporter,
    ):
        _report_start(run, reporter, step=step, mapped=mapped, machines_before=machines_before)
        board.log_config(files.flat(config), identity=files.identity(config))
        while step < config.total_steps and not run.is_over:
            profiler.on_step(step)
            count = min(_steps_to_next_event(step, config), profiler.steps_to_next_stop(step))
            stage = progressive_resizing.stage_at(config.input, step=step)
            with sources.input_errors_named(data, split='train'):
                steps_of(stage)(tf.constant(count), batches)
            step += count
            check_loss(state.window, step=step)
            evaluation = _evaluate(run, evaluator, step=step)
            if _is_due(step, every=config.log_every_steps, last=config.total_steps):
                reporter.log(
                    step=step,
                    validation=evaluation.measured.logged() if evaluation else {},
                )
                _check_pictures(run, step=step)
            if evaluation:
                _use_evaluation(run, evaluation, board, reporter, step=step)
            signal = signals.agree(request.signal, workers=run.workers)
            every = config.checkpoint_every_steps
            if signal or run.is_over or _is_due(step, every=every, last=config.total_steps):
                _save(run, board, reporter, step=step)
            if signal and step < config.total_steps:
                run.workers.wait()  # for the checkpoint of the chief
                raise signals.Stopped(step=step, by=signal)
        if run.is_over:
            reporter.message(
                f'over after {config.validation.patience} evaluations without a better '
                f'{config.validation.metric} than that of step {int(state.best.step.numpy()):,}'
            )
    return first, step


def _report_start(
    run: _Run, reporter: Reporter, *, step: int, mapped: str, machines_before: Machines
) -> None:
    """Says where the run begins or what it resumed, and whether its devices or its schedule's end
    are others.

    Args:
      run: The run.
      reporter: Prints the lines.
      step: Steps that are done.
      mapped: What became of the rows of another run's categories; '' for none.
      machines_before: What wrote the checkpoint.
    """
    now = run.config.total_steps
    if not step:
        reporter.message(f'starting at step 0 of {now:,} in {run.workdir}')
        if mapped:
            reporter.message(f'rows of categories from {run.config.start.workdir}: {mapped}')
        return
    reporter.message(f'resumed from the checkpoint of step {step:,} of {now:,} in {run.workdir}')
    if change := machines.describe(machines_before, run.machines):
        reporter.message(change)
    before = run.before.total_steps if run.before else now
    if before != now:
        config = run.config.optimizer
        reporter.message(stretched.describe(config, step=step, before=before, now=now))


def _batches(run: _Run, strategy: tf.distribute.Strategy, *, step: int) -> Iterator[Any]:
    """Returns the batches from the position of the state on."""
    spec, starts = batch_spec(run.config), run.state.positions

    def make_parts(worker: int, num_workers: int, devices: int) -> tf.data.Dataset:
        return train_batches(
            run.data,
            spec,
            worker=worker,
            num_workers=num_workers,
            devices=devices,
            starts=starts,
            first_step=step,
            undecodable=run.undecodable,
        )

    draw = model_inputs(run.config).draw
    return replica_batches.iterate(make_parts, strategy, draw=draw, spec=spec, first_step=step)


def _check_pictures(run: _Run, *, step: int) -> None:
    """Names undecodable pictures, and checks that they are few.

    Only at logged steps, which are the same wherever a run was interrupted.
    """
    config, state, train_split = run.config, run.state, run.data.split('train')
    example = example_spec(config)
    is_last = step == config.total_steps
    with sources.input_errors_named(run.data, split='train'):
        run.undecodable.report(at_once=is_last)
    undecodable = int(state.pictures.undecodable.numpy())
    if not undecodable:
        return
    epochs_begun = 1 + step * config.batch_size // math.ceil(sum(run.info.examples_per_class))
    reads = limit.reads_in_an_epoch(
        run.info.examples_per_class,
        example.count_per_class(train_split),
        train_split.products_per_class,
        train_split.records_per_class,
    )
    limit.check_limit(
        undecodable=undecodable,
        read=int(state.pictures.read.numpy()),
        always_allowed=reads * epochs_begun,
        fraction=config.input.max_undecodable,
        places=run.undecodable.places,
        folder=run.data.folder,
        step=step,
    )


def _evaluate(run: _Run, evaluator: Evaluator, *, step: int) -> Evaluation | None:
    every = run.config.validation.every_steps
    if not every or not _is_due(step, every=every, last=run.config.total_steps):
        return None
    check_weights(run.state, step=step)
    return evaluator.evaluate()


def _use_evaluation(
    run: _Run, evaluation: Evaluation, board: Board, reporter: Reporter, *, step: int
) -> None:
    """Logs the pictures of an evaluation, adapts the learning rate, and keeps the best weights."""
    config, state, metrics = run.config, run.state, evaluation.measured.leaves
    if len(evaluation.pictures):
        board.log_images('samples', evaluation.pictures, step=step)
    if state.plateau:
        metric = config.optimizer.schedule.plateau_metric
        state.plateau.observe(getattr(metrics, metric), config.optimizer.schedule)
    if state.best.observe(metrics, config.validation, step=step) and run.is_chief:
        with reporter.saving(f'the best weights, those of step {step:,},'):
            checkpoint.save_best(state.checkpoint(), run.workdir, step=step)
    if run.observe:
        run.observe(step, metrics)


def _save(run: _Run, board: Board, reporter: Reporter, *, step: int) -> None:
    run.check_owned()
    check_weights(run.state, step=step)
    keep = run.config.keep_checkpoints
    with reporter.saving(f'the checkpoint of step {step:,}'):
        resume.save(run.state, run.workdir, step=step, keep=keep, workers=run.workers)
    if run.config.board.histograms:
        board.log_histograms(dict(weights.weight_paths(run.state.network)), step=step)


def _is_due(step: int, *, every: int, last: int) -> bool:
    return step % every == 0 or step == last


def _steps_to_next_event(step: int, config: TrainConfig) -> int:
    return min(
        config.steps_per_call,
        config.log_every_steps - step % config.log_every_steps,
        config.checkpoint_every_steps - step % config.checkpoint_every_steps,
        config.total_steps - step,
        progressive_resizing.steps_to_next(config.input, step=step),
    )
