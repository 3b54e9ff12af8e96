"""The loop: steps, a line of metrics, a checkpoint, until the last step or a request to stop.

Owns the order of things in a run. What a step does is in `step`, what a checkpoint holds in
`checkpoint`, what is told to people in `boards`.
"""

import contextlib
import math
from collections.abc import Callable

import keras
import tensorflow as tf

from catalog import manifest, storage
from catalog.errors import UserError
from trainer import averages, boards, checkpoint, data_set, loss, resume, stopping, validation
from trainer import config_files as configs
from trainer.config import TrainConfig
from trainer.data_set import DataSet
from trainer.input_pipeline import evaluation_batches, train_batches
from trainer.metrics import Figures
from trainer.model import build_model
from trainer.optimizers import build_optimizer
from trainer.plateau import Plateau
from trainer.reporting import Reporter
from trainer.step import State, Window, compile_steps
from trainer.strategy import build_strategy, cluster_of
from trainer.workers import Cluster, Workers, lost_peers_are_told

_BAD_INPUT = (
    tf.errors.DataLossError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.OutOfRangeError,
)


def train(config: TrainConfig, data: DataSet, workdir: str) -> dict[str, float]:
    """Trains from where the workdir stands to `total_steps`; the metrics of the last logged step.

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
        _claim_together(workdir, config=config, data=data, workers=workers)
        _take_all_steps(config, data, workdir, strategy=strategy, workers=workers)
        workers.wait()  # for the chief's last line
    return boards.read_metrics(workdir)[-1]


def _take_all_steps(
    config: TrainConfig,
    data: DataSet,
    workdir: str,
    *,
    strategy: tf.distribute.Strategy,
    workers: Workers,
) -> None:
    info = data_set.info_of(data)
    cluster = workers.cluster
    state = _build_state(config, data, strategy=strategy, cluster=cluster)
    done = resume.restore(state, workdir, workers=workers)
    if done > config.total_steps:
        raise UserError(f'total_steps must be at least the {done} done, got {config.total_steps}')

    shift = loss.training_shift(loss.priors(info, config.loss))
    take = compile_steps(state, strategy, config, shift=shift, num_workers=cluster.count)
    validate = _compile_validation(state, config, data, strategy=strategy, workers=workers)
    with (
        stopping.requests() as request,
        boards.open_boards(workdir, step=done, silent=not cluster.is_chief) as board,
        contextlib.closing(
            Reporter(board, config=config, info=info, state=state, done=done)
        ) as reporter,
    ):
        while done < config.total_steps and not state.best.is_over(config.validation):
            count = _steps_to_next_stop(done, config)
            _run(take, count, data=data)
            done += count
            _check_loss(state.window, done=done)
            measured = {}
            if validate and _due(done, every=config.validation.every_steps, config=config):
                _check_weights(state, done=done)
                figures = validate()
                measured = validation.told(figures)
                if state.plateau:
                    metric = config.optimizer.schedule.plateau_metric
                    state.plateau.observe(getattr(figures, metric), config.optimizer.schedule)
                if state.best.observe(figures, config.validation, step=done) and cluster.is_chief:
                    checkpoint.save_best(state.shared_checkpoint(), workdir, step=done)
            if _due(done, every=config.log_every_steps, config=config):
                reporter.log(done=done, validation=measured)
            over = state.best.is_over(config.validation)
            signal = stopping.agree(request.signal, workers=workers)
            if signal or over or _due(done, every=config.checkpoint_every_steps, config=config):
                _check_weights(state, done=done)
                keep = config.keep_checkpoints
                resume.save(state, workdir, step=done, keep=keep, workers=workers)
            if signal and done < config.total_steps:
                workers.wait()  # for the chief's checkpoint
                raise stopping.Stopped(step=done, by=signal)


def _claim_together(workdir: str, *, config: TrainConfig, data: DataSet, workers: Workers) -> None:
    """`_claim` by the chief, then by the others, who must see what it wrote."""
    if workers.cluster.is_chief:
        _claim(workdir, config=config, data=data)
    workers.wait()
    if not workers.cluster.is_chief:
        if not storage.exists(storage.join(workdir, configs.FILE_NAME)):
            raise UserError(
                f'{workdir}: --workdir must be a folder that all workers share, worker '
                f'{workers.cluster.index} does not find there what the chief wrote'
            )
        _check_claim(workdir, config=config, data=data)


def _claim(workdir: str, *, config: TrainConfig, data: DataSet) -> None:
    """Makes a workdir this run's, or checks that it is."""
    if storage.exists(storage.join(workdir, configs.FILE_NAME)):
        _check_claim(workdir, config=config, data=data)
    elif checkpoint.steps(workdir):
        raise UserError(
            f'{workdir}: a workdir with checkpoints must have a {configs.FILE_NAME}, got none; '
            'bring it back, or take another --workdir'
        )
    data_set.save_info(data, workdir)
    configs.save(config, workdir)  # last: it makes the folder a workdir


def _check_claim(workdir: str, *, config: TrainConfig, data: DataSet) -> None:
    configs.check_resumable(config, workdir)
    before = data_set.restore_info(workdir).digest
    if before != data.digest:
        raise UserError(
            f'{workdir}: a run must go on with the data it began with (manifest {before[:12]}),'
            f' got {data.folder} (manifest {data.digest[:12]}); take another --workdir'
        )


def _build_state(
    config: TrainConfig, data: DataSet, *, strategy: tf.distribute.Strategy, cluster: Cluster
) -> State:
    keras.utils.set_random_seed(config.seed)
    batches = train_batches(data, config, worker=cluster.index, num_workers=cluster.count)
    iterator = iter(batches)
    with strategy.scope():
        model = _build_model(config, num_classes=data.num_classes)
        plateau = Plateau() if config.optimizer.schedule.name == 'plateau' else None
        optimizer = build_optimizer(
            config.optimizer,
            total_steps=config.total_steps,
            model=model,
            drop=plateau.factor if plateau else None,
        )
        if config.step.precision == 'float16':
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(model.trainable_variables)
        means = averages.make(model) if config.step.ema_decay else []
    return State(model, optimizer, iterator, Window(), means, validation.Best(), plateau)


def _build_model(config: TrainConfig, *, num_classes: int) -> keras.Model:
    policy = {'float32': 'float32', 'float16': 'mixed_float16', 'bfloat16': 'mixed_bfloat16'}
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy[config.step.precision])
    try:
        shape = (config.input.height, config.input.width, 3)
        model = build_model(config.model, num_classes=num_classes, input_shape=shape)
    finally:
        keras.config.set_dtype_policy(before)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = config.step.synchronized_batch_norm
    return model


def _compile_validation(
    state: State,
    config: TrainConfig,
    data: DataSet,
    *,
    strategy: tf.distribute.Strategy,
    workers: Workers,
) -> Callable[[], Figures] | None:
    if not config.validation.every_steps:
        return None
    split, cluster = config.validation.split, workers.cluster
    pictures = data.split(split).pictures
    if not any(data.split(split).products_per_class):
        raise UserError(f'{data.folder}: validation.split must have labels, {split!r} has none')
    forward = validation.compile_forward(state.model, strategy, config, num_workers=cluster.count)
    batches = evaluation_batches(
        data, split, config, worker=cluster.index, num_workers=cluster.count
    )

    def validate() -> Figures:
        with averages.in_place_of_weights(state.means, state.model):
            return validation.measure(
                forward,
                batches,
                num_classes=data.num_classes,
                pictures=pictures,
                workers=workers,
            )

    return validate


def _due(done: int, *, every: int, config: TrainConfig) -> bool:
    return done % every == 0 or done == config.total_steps


def _steps_to_next_stop(done: int, config: TrainConfig) -> int:
    return min(
        config.steps_per_call,
        config.log_every_steps - done % config.log_every_steps,
        config.checkpoint_every_steps - done % config.checkpoint_every_steps,
        config.total_steps - done,
    )


def _run(take: Callable[[tf.Tensor], None], count: int, *, data: DataSet) -> None:
    try:
        take(tf.constant(count))
    except _BAD_INPUT as error:
        # The reader does not say which file it was in: the digests do. If all are right, the fault
        # is not the data's.
        split = data.split('train')
        manifest.check_files(data.folder, split)
        data_set.check_digests(data.folder, split.shards)
        if '/Decode' not in error.message:  # the node that failed
            raise
        raise UserError(
            f'{data.folder}: every picture of the train split must be decodable, one is not, though'
            ' the shards are whole: the shard job let it pass'
        ) from error


def _check_loss(window: Window, *, done: int) -> None:
    if not math.isfinite(float(window.loss.numpy())):
        raise UserError(
            f'the loss must be finite, got {float(window.loss.numpy())} by step {done}; '
            'the last checkpoint is from before: lower optimizer.learning_rate or warm up longer'
        )


def _check_weights(state: State, *, done: int) -> None:
    if not state.is_finite():
        raise UserError(
            f'the weights must be finite, some are not after step {done}, which is not saved; '
            'the last checkpoint is from before: lower optimizer.learning_rate or warm up longer'
        )
