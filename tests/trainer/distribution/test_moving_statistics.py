"""The moving statistics of batch normalization on several replicas."""

from tests.trainer.programs import run_program

_BROADCAST = """
import keras
import numpy as np
import tensorflow as tf
from trainer.config import TrainConfig
from trainer.distribution import moving_statistics
from trainer.distribution.strategy import build_strategy
from trainer.distribution.cluster import Cluster
from trainer.distribution.workers import Workers
from trainer.models import batch_norm
from trainer.optim import ema

strategy = build_strategy(TrainConfig(
    batch_size=8, total_steps=1, strategy='mirrored', device='cpu', num_devices=2))
with strategy.scope():
    norm = batch_norm.training_norm(fused=True, synchronized=False)()
    model = keras.Sequential([keras.Input([4, 4, 3]), norm])
    averages = ema.create_averages(model)

def see_own_images():
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    shift = tf.cast(replica, tf.float32)
    model(tf.random.stateless_normal([8, 4, 4, 3], [0, replica], mean=shift), training=True)

@tf.function
def step():
    strategy.run(see_own_images)
    ema.update(averages, model, decay=0.5, step=tf.constant(9), strategy=strategy)

def values_on_replicas(variable):
    return [part.numpy() for part in strategy.experimental_local_results(variable)]

step()
workers = Workers(Cluster(), strategy)
weights = [weight.value for weight in model.weights]
for variables, kept in ((averages, averages), (weights, [])):
    statistics = [v for v, w in zip(variables, model.weights) if 'moving' in w.path]
    before = [values_on_replicas(variable) for variable in statistics]
    assert len(before) == 2
    for first, second in before:
        assert np.abs(first - second).max() > 1e-3
    moving_statistics.broadcast(model, kept, workers=workers)
    for variable, (first, _) in zip(statistics, before):
        for value in values_on_replicas(variable):
            np.testing.assert_array_equal(value, first)
"""


def test_all_replicas_get_the_moving_statistics_of_the_first() -> None:
    """Runs in its own process: the devices must be set before TensorFlow starts."""
    done = run_program(_BROADCAST)
    assert done.returncode == 0, done.stderr
