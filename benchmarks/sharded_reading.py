"""Simulates hosts that read their own parts of an epoch, one after another, in this process.

Each host's stream of `input.reading=sharded` is read as training reads it, without decoding. Prints
for each number of hosts:
  of all bytes   bytes that a host reads in an epoch, over the bytes of all shards: the median and
                 the largest of the hosts, as the kernel counts them for this process
  epoch          whether the hosts together read each example once in each epoch
  out of step    steps between the first and the last host that begins the last epoch
  mix of batch   chi-squared of the classes of a global batch against those of the shards, over its
                 degrees of freedom: the mean of all batches; 1 is a random draw
  mix of host    the same of the examples of a host in an epoch. A random draw of products, whose
                 pictures share a class, gives their mean squared number over their mean number

Example:
  python -m catalog.samples kaggle-like --products=20000 --classes=200 --output=DIR/dump
  python -m beam_pipelines.shard --input=DIR/dump/train.bson --output=DIR/shards --shards=400 \
    --categories=DIR/dump/category_names.csv
  python -m benchmarks.sharded_reading --data=DIR/shards
"""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from absl import flags

from catalog import command_line
from trainer import startup
from trainer.data.data_set import DataSet, open_data_set

_DATA = flags.DEFINE(command_line.PATH, 'data', None, 'A data set with many shards.', required=True)
_HOSTS = flags.DEFINE_multi_integer('hosts', [1, 4, 100], 'Numbers of hosts.')
_EPOCHS = flags.DEFINE_integer('epochs', 3, 'Epochs to read.')
_HOST_BATCH = flags.DEFINE_integer('host_batch', 32, 'Examples of a host in a batch.')

_HEADER = (
    f'{"hosts":>5}{"of all bytes":>22}{"largest":>10}{"epoch":>10}{"out of step":>22}'
    f'{"mix of batch":>14}{"mix of host":>13}'
)


@dataclass(frozen=True)
class _Host:
    """What a host read: the labels of its examples [n], their epochs [n], and bytes an epoch."""

    labels: npt.NDArray[np.int64]
    epochs: npt.NDArray[np.int64]
    read_bytes: float
    pictures: Counter[tuple[int, bytes]]


def main(argv: list[str]) -> None:
    """Reads as each number of hosts in turn."""
    del argv
    startup.start()
    data = open_data_set(_DATA.value)
    shards = data.split('train').shards
    total = sum(shard.bytes for shard in shards)
    prior = np.array(data.split('train').pictures_per_class, float)
    print(f'{len(shards)} shards, {total / 1e6:,.0f} MB, {prior.sum():,.0f} examples an epoch')
    print(_HEADER)
    for count in _HOSTS.value:
        hosts = [_read(data, host, count) for host in range(count)]
        shares = np.array([host.read_bytes for host in hosts]) / total
        once = _is_exact(hosts, examples=int(prior.sum()))
        begins = [int(np.sum(h.epochs < _EPOCHS.value - 1)) // _HOST_BATCH.value for h in hosts]
        of_batches, of_hosts = _mixes(hosts, prior)
        print(
            f'{count:>5}{np.median(shares):>22.2%}{shares.max():>10.2%}'
            f'{"exact" if once else "NOT EXACT":>10}'
            f'{f"{max(begins) - min(begins)} of {min(begins)}":>22}'
            f'{of_batches:>14.3f}{of_hosts:>13.3f}',
            flush=True,
        )


def _read(data: DataSet, host: int, hosts: int) -> _Host:
    """Reads all epochs of one host."""
    from trainer.config import InputConfig, TrainConfig
    from trainer.data.batches import encoded_batches
    from trainer.data.examples import batch_spec
    from trainer.data.sources import train_source

    given = InputConfig(shuffle_records=1000, reading='sharded')
    config = TrainConfig(batch_size=hosts * _HOST_BATCH.value, total_steps=1, input=given)
    batches = encoded_batches(
        data, batch_spec(config), source=train_source(data, given), stream=(host, hosts)
    )
    before = _bytes_read()
    labels, epochs = [], []
    pictures: Counter[tuple[int, bytes]] = Counter()
    for batch in batches.as_numpy_iterator():
        labels.append(batch['label'])
        epochs.append(batch['position'][:, 0])
        for epoch, picture in zip(epochs[-1].tolist(), batch['encoded'].tolist(), strict=True):
            pictures[epoch, hashlib.blake2b(picture, digest_size=8).digest()] += 1
        if epochs[-1][-1] >= _EPOCHS.value:
            break
    read = (_bytes_read() - before) / _EPOCHS.value
    return _Host(np.concatenate(labels), np.concatenate(epochs), read, pictures)


def _bytes_read() -> int:
    [count] = re.findall(r'rchar: (\d+)', Path('/proc/self/io').read_text())
    return int(count)


def _is_exact(hosts: list[_Host], *, examples: int) -> bool:
    """Returns whether all epochs have the same pictures, as many as the shards have."""
    pictures = sum((host.pictures for host in hosts), Counter[tuple[int, bytes]]())
    epochs = [
        {digest: count for (epoch, digest), count in pictures.items() if epoch == number}
        for number in range(_EPOCHS.value)
    ]
    return sum(epochs[0].values()) == examples and all(epoch == epochs[0] for epoch in epochs)


def _mixes(hosts: list[_Host], prior: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Returns the mean chi-squared, over its degrees of freedom, of batches and of hosts."""
    size = _HOST_BATCH.value
    steps = min(len(host.labels) for host in hosts) // size
    of_batches = [
        _chi_squared(np.concatenate([h.labels[n * size : (n + 1) * size] for h in hosts]), prior)
        for n in range(steps)
    ]
    of_hosts = [_chi_squared(host.labels[host.epochs == 0], prior) for host in hosts]
    return float(np.mean(of_batches)), float(np.mean(of_hosts))


def _chi_squared(labels: npt.NDArray[np.int64], prior: npt.NDArray[np.float64]) -> float:
    present = prior > 0
    expected = prior[present] / prior.sum() * len(labels)
    counts = np.bincount(labels, minlength=len(prior))[present]
    return float(np.sum((counts - expected) ** 2 / expected) / (present.sum() - 1))


if __name__ == '__main__':
    command_line.run(main)
