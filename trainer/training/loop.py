"""The loop: steps, a line of metrics, a checkpoint, until the last step or a request to stop.

Owns the order of things in a run. What a step does is in `step`, what a checkpoint holds in
`checkpoint`, what is told to people in `boards`.
"""

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from catalog import storage
from catalog.errors import UserError
from trainer import naming
from trainer.config import TrainConfig
from trainer.config import files as configs
from trainer.data import progressive_resizing as sizes
from trainer.data import sampling, sources
from trainer.data.data_set import DataSet
from trainer.distribution import signals as stopping
from trainer.distribution.strategy import build_strategy, cluster_of
from trainer.distribution.workers import Workers, lost_peers_are_told
from trainer.losses import objective
from trainer.metrics.classification import Metrics
from trainer.models import weights
from trainer.monitoring import metric_writers, wandb_sync
from trainer.monitoring.profiler import Profiler
from trainer.training import build, resume
from trainer.training.build import build_state
from trainer.training.reporter import Reporter
from trainer.training.resume import claim
from trainer.training.state import State, check_loss, check_weights
from trainer.training.step import compile_steps
from trainer.training.validation import Evaluator, Found
from trainer.workdir import checkpoint

Board = metric_writers.MetricWriter | metric_writers.NullMetricWriter
Observe = Callable[[int, Metrics], None]


@dataclass(frozen=True)
class _Run:
    config: TrainConfig
    data: DataSet
    workdir: str
    workers: Workers
    state: State
    observe: Observe | None

    @property
    def is_chief(self) -> bool:
        return self.workers.cluster.is_chief

    @property
    def is_over(self) -> bool:
        """Whether it has waited long enough for a better evaluation."""
        return self.state.best.is_over(self.config.validation)


def train(
    config: TrainConfig, data: DataSet, workdir: str, *, observe: Observe | None = None
) -> dict[str, float]:
    """Trains from where the workdir stands to `total_steps`; the metrics of the last logged step.

    Args:
      config: of the run.
      data: to learn from.
      workdir: of the run, new or its own.
      observe: called with the step and the metrics of each evaluation; what it raises ends the run.

    Raises:
      UserError: if the workdir holds another run, the devices are absent, a shard is damaged, the
        loss is no longer finite, or a checkpoint cannot be read or written.
      stopping.Stopped: on SIGTERM or Ctrl-C, after a checkpoint.
    """
    cluster = cluster_of(config)
    if config.step.deterministic_ops:
        tf.config.experimental.enable_op_determinism()
    with lost_peers_are_told(cluster):
        strategy = build_strategy(config)
        workers = Workers(cluster, strategy)
        claim(workdir, config=config, data=data, workers=workers)
        with sources.damaged_input_is_named(data, split='train'):  # some read it all
            state = build_state(config, data, strategy=strategy, cluster=cluster)
        _take_all_steps(_Run(config, data, workdir, workers, state, observe), strategy)
        workers.wait()  # for the chief's last line
    return metric_writers.read_metrics(workdir)[-1]


def _take_all_steps(run: _Run, strategy: tf.distribute.Strategy) -> None:
    config, state, data = run.config, run.state, run.data
    done = resume.restore(state, run.workdir, workers=run.workers)
    if not done:
        build.take_weights(state, config.start)
    if done > config.total_steps:
        raise UserError(f'total_steps must be at least the {done} done, got {config.total_steps}')
    info = sampling.data_info(data, config)
    goal = objective.build_objective(config.loss, info=info, tree=data.categories)
    count = run.workers.cluster.count

    @functools.cache
    def compiled(now: TrainConfig) -> Callable[[tf.Tensor], None]:
        return compile_steps(state, strategy, now, objective=goal, num_workers=count)

    evaluator = Evaluator(state, config, data, strategy=strategy, workers=run.workers)
    silent = not run.is_chief
    with (
        stopping.requests() as request,
        wandb_sync.sync_to_wandb(run.workdir, config.board, silent=silent),
        metric_writers.open_metric_writer(run.workdir, step=done, silent=silent) as board,
        Profiler(
            storage.join(run.workdir, naming.TENSORBOARD), config.board, done=done, silent=silent
        ) as profiler,
        contextlib.closing(
            Reporter(board, config=config, info=info, state=state, done=done)
        ) as reporter,
    ):
        board.log_config(configs.flat(config))
        while done < config.total_steps and not run.is_over:
            profiler.on_step(done)
            steps = min(_steps_to_next_stop(done, config), profiler.steps_to_next_stop(done))
            with sources.damaged_input_is_named(data, split='train'):
                compiled(sizes.at(config, done=done))(tf.constant(steps))
            done += steps
            check_loss(state.window, done=done)
            found = _evaluate(run, evaluator, done=done)
            if _due(done, every=config.log_every_steps, config=config):
                reporter.log(done=done, validation=found.told() if found else {})
            if found:
                _judge(run, found, board, reporter, done=done)
            signal = stopping.agree(request.signal, workers=run.workers)
            every = config.checkpoint_every_steps
            if signal or run.is_over or _due(done, every=every, config=config):
                _save(run, board, reporter, done=done)
            if signal and done < config.total_steps:
                run.workers.wait()  # for the chief's checkpoint
                raise stopping.Stopped(step=done, by=signal)


def _evaluate(run: _Run, evaluator: Evaluator, *, done: int) -> Found | None:
    every = run.config.validation.every_steps
    if not every or not _due(done, every=every, config=run.config):
        return None
    check_weights(run.state, done=done)
    return evaluator.evaluate()


def _judge(run: _Run, found: Found, board: Board, reporter: Reporter, *, done: int) -> None:
    """What follows from an evaluation: pictures, a lower learning rate, the best checkpoint."""
    config, state = run.config, run.state
    if len(found.pictures):
        board.log_images('samples', found.pictures, step=done)
    if state.plateau:
        metric = config.optimizer.schedule.plateau_metric
        state.plateau.observe(getattr(found.metrics, metric), config.optimizer.schedule)
    if state.best.observe(found.metrics, config.validation, step=done) and run.is_chief:
        with reporter.saving():
            checkpoint.save_best(state.shared_checkpoint(), run.workdir, step=done)
    if run.observe:
        run.observe(done, found.metrics)


def _save(run: _Run, board: Board, reporter: Reporter, *, done: int) -> None:
    check_weights(run.state, done=done)
    keep = run.config.keep_checkpoints
    with reporter.saving():
        resume.save(run.state, run.workdir, step=done, keep=keep, workers=run.workers)
    if run.config.board.histograms:
        board.log_histograms(dict(weights.weight_paths(run.state.network)), step=done)


def _due(done: int, *, every: int, config: TrainConfig) -> bool:
    return done % every == 0 or done == config.total_steps


def _steps_to_next_stop(done: int, config: TrainConfig) -> int:
    return min(
        config.steps_per_call,
        config.log_every_steps - done % config.log_every_steps,
        config.checkpoint_every_steps - done % config.checkpoint_every_steps,
        config.total_steps - done,
        sizes.steps_to_next(config.input, done=done),
    )
