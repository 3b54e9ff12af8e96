"""Sampling while reading: how often each class and product is drawn."""

import dataclasses
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from trainer.config import FusionConfig, InputConfig, LossConfig, ModelConfig, TrainConfig
from trainer.data import data_set, sampling
from trainer.data.batches import train_batches
from trainer.data.data_set import DataSet
from trainer.data.examples import batch_spec
from trainer.data.info import data_info
from trainer.losses import priors

COUNTS = (160, 40, 10)  # products
PRODUCTS = ModelConfig(fusion=FusionConfig(name='mean', max_views=1))


@pytest.fixture(scope='module')
def data(make_data_set: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    folder = make_data_set(tmp_path_factory.mktemp('data'), counts=COUNTS, size=8)
    return data_set.open_data_set(folder)


def _config(*, seed: int = 0, model: ModelConfig = PRODUCTS, **sampled: object) -> TrainConfig:
    given = InputConfig(height=8, width=8, shuffle_records=50, **sampled)  # type: ignore[arg-type]
    return TrainConfig(batch_size=21, total_steps=1, seed=seed, input=given, model=model)


def _seen(data: DataSet, config: TrainConfig, *, epochs: int) -> Counter[tuple[bytes, int]]:
    """Counts how often each product was drawn, by first picture and label."""
    actual: Counter[tuple[bytes, int]] = Counter()
    batches = train_batches(data, batch_spec(config))
    for batch in batches.take(epochs * sum(COUNTS) // config.batch_size).as_numpy_iterator():
        pictures = [picture.tobytes() for picture in batch['image'][:, 0]]
        actual.update(zip(pictures, batch['label'].tolist(), strict=True))
    return actual


def _shares(seen: Counter[tuple[bytes, int]]) -> np.ndarray:
    counts = np.zeros(len(COUNTS))
    for (_, label), count in seen.items():
        counts[label] += count
    return counts / counts.sum()


@pytest.mark.parametrize(
    ('power', 'wanted'),
    [(1.0, [160, 40, 10]), (0.5, [160**0.5, 40**0.5, 10**0.5]), (0.0, [1, 1, 1])],
)
def test_a_class_is_drawn_by_a_power_of_its_count_and_its_products_equally(
    data: DataSet, power: float, wanted: list[float]
) -> None:
    seen = _seen(data, _config(sampling_power=power), epochs=30)
    shares = np.array(wanted) / sum(wanted)
    np.testing.assert_allclose(_shares(seen), shares, atol=0.01)
    for label, products in enumerate(COUNTS):
        counts = [count for (_, seen_label), count in seen.items() if seen_label == label]
        assert len(counts) == products
        drawn_per_epoch = np.ceil(shares[label] * sum(COUNTS) / products)  # of an incomplete epoch
        assert max(counts) - min(counts) <= 1 + drawn_per_epoch


def test_the_loss_uses_the_sampled_prior_of_pictures(data: DataSet) -> None:
    config = _config(sampling_power=0.5, model=ModelConfig())
    info = data_info(data, config)
    prior = priors.compute_priors(info, LossConfig()).written
    np.testing.assert_allclose(prior, np.sqrt(COUNTS) / np.sqrt(COUNTS).sum(), atol=0.005)
    assert sum(info.examples_per_class) == pytest.approx(data.split('train').pictures)
    steps = 30 * data.split('train').pictures // config.batch_size
    labels = [
        batch['label'].numpy() for batch in train_batches(data, batch_spec(config)).take(steps)
    ]
    actual = np.bincount(np.concatenate(labels)) / (steps * config.batch_size)
    np.testing.assert_allclose(actual, prior, atol=0.01)


def test_balanced_shards_are_sampled_to_the_same_shares() -> None:
    """The classes have 90 and 10 products; the second is written three times."""
    actual = sampling.examples_per_epoch((90, 30), (90, 10), power=0.5)
    assert actual == pytest.approx((90.0, 30.0))
    assert sampling.expected_copies((90, 30), (90, 10), power=1.0) == pytest.approx((1.2, 0.4))
    assert sampling.examples_per_epoch((90, 0, 30), (90, 0, 10), power=0.0) == pytest.approx(
        (60, 0, 60)
    )


def test_only_the_seed_decides_which_products_are_skipped(data: DataSet) -> None:
    first = _seen(data, _config(sampling_power=0.0), epochs=1)
    assert len(first) < sum(COUNTS)
    assert first == _seen(data, _config(sampling_power=0.0), epochs=1)
    assert set(first) != set(_seen(data, _config(sampling_power=0.0, seed=1), epochs=1))


def test_a_sample_fraction_is_combined_with_sampling_by_class(data: DataSet) -> None:
    seen = _seen(data, _config(sampling_power=0.0, sample_fraction=0.5), epochs=10)
    products = Counter(label for _, label in seen)
    assert 60 < products[0] < 100
    # Of 160 and of 40 products about half: each product as often as without the sample.
    shares = _shares(seen)
    assert shares[0] / products[0] * 160 == pytest.approx(shares[1] / products[1] * 40, rel=0.1)


def test_the_parts_of_all_workers_form_the_batches_of_one(data: DataSet) -> None:
    config = dataclasses.replace(_config(sampling_power=0.0, model=ModelConfig()), batch_size=20)
    batches_of_one = iter(train_batches(data, batch_spec(config)))
    parts = [
        iter(train_batches(data, batch_spec(config), worker=w, num_workers=2)) for w in range(2)
    ]
    for _ in range(30):  # some epochs
        expected = next(batches_of_one)
        actual = [next(part) for part in parts]
        for name in ('image', 'label'):
            joined = np.concatenate([part[name] for part in actual])
            np.testing.assert_array_equal(joined, expected[name])
