"""The page of an evaluation: self-contained, with escaped names and sample images."""

import base64
import csv
import dataclasses
import html.parser
import io
import re

import numpy as np
import pytest
from PIL import Image

from catalog import categories
from trainer.config import InputConfig, ModelConfig, TrainConfig
from trainer.data import data_set
from trainer.evaluate import document, evaluation, sample_images, showcase
from trainer.evaluate.page import render_page
from trainer.evaluate.result import EvaluationResult
from trainer.metrics import bootstrap, coverage, shots
from trainer.metrics.calibration import FittedTemperatures, Temperatures
from trainer.metrics.label_errors import find_label_errors
from trainer.metrics.level_roc import LevelRocAccumulator
from trainer.metrics.prediction_table import Predictions
from trainer.metrics.subset_metrics import ExampleAccumulator
from trainer.training import loop


class _Page(html.parser.HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ''
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def sources(self) -> list[str]:
        return [attributes['src'] or '' for tag, attributes in self.tags if tag == 'img']


@pytest.fixture(scope='module')
def page(data_folder: str, tmp_path_factory: pytest.TempPathFactory) -> _Page:
    """The page of a run that is often wrong."""
    folder = tmp_path_factory.mktemp('run')
    config = TrainConfig(
        batch_size=8,
        total_steps=4,
        model=ModelConfig(channels=4),
        input=InputConfig(height=28, width=28),
    )
    loop.train(config, data_set.open_data_set(data_folder), str(folder / 'workdir'))
    evaluation.evaluate(
        workdir=str(folder / 'workdir'),
        data_folder=data_folder,
        split='validation',
        output=str(folder / 'report'),
    )
    return _Page((folder / 'report' / 'evaluation.html').read_bytes())


def test_the_page_is_self_contained_and_names_every_class(page: _Page) -> None:
    assert not [tag for tag, _ in page.tags if tag in ('script', 'link', 'iframe')]
    assert page.sources()
    assert all(re.match(r'data:image/(png|jpeg);base64,', source) for source in page.sources())
    for label in range(4):
        assert f'LEAF {label}' in page.text


def test_a_model_that_has_not_learned_suspects_no_label_and_says_why(page: _Page) -> None:
    text = ' '.join(page.text.split())
    assert re.search(
        r"No label is suspected: the model has not learned enough for that\. .*Cohen's kappa, is "
        r'-?\d\.\d\d \(95.% interval -?\d\.\d\d to -?\d\.\d\d\); the interval must be above 0\.4\.',
        text,
    )
    assert 'labelled' not in text.partition('Most confused classes')[0]


def test_the_page_has_the_roc_curves_of_the_levels(page: _Page) -> None:
    alternatives = [attributes['alt'] for tag, attributes in page.tags if tag == 'img']
    assert 'ROC curve of each level' in alternatives


def test_confused_pairs_have_images_from_the_shards(page: _Page) -> None:
    found = [source for source in page.sources() if source.startswith('data:image/jpeg')]
    assert found
    for source in found:
        image = Image.open(io.BytesIO(base64.b64decode(source.partition(',')[2])))
        assert image.size == (28, 28)
    assert re.search(r'LEAF \d predicted as LEAF \d: \d+ products?', page.text)


def test_an_image_is_embedded_unchanged_or_as_a_thumbnail() -> None:
    buffer = io.BytesIO()
    Image.new('RGB', (180, 180), 'red').save(buffer, 'JPEG')
    assert sample_images.shrink_to_thumbnail(buffer.getvalue()) == buffer.getvalue()
    large = io.BytesIO()
    Image.new('RGBA', (1600, 400), 'red').save(large, 'PNG')
    with Image.open(io.BytesIO(sample_images.shrink_to_thumbnail(large.getvalue()))) as image:
        assert (image.format, image.size) == ('JPEG', (200, 50))


def _hostile_evaluation(num_classes: int) -> tuple[EvaluationResult, categories.Categories]:
    """An evaluation of many classes with names that need escaping, without images."""
    rows = [f'{i},<script>alert({i})</script>,"A ""B"", C",L{i} &amp;' for i in range(num_classes)]
    text = '\n'.join([','.join(categories.HEADER), *rows])
    tree = categories.parse(text.encode(), path='names.csv')
    random = np.random.default_rng(0)
    labels = random.integers(0, num_classes, 3000)
    guesses = np.where(random.random(3000) < 0.7, labels, (labels + 1) % num_classes)
    probabilities = np.full((3000, num_classes), 0.1 / num_classes, np.float32)
    probabilities[np.arange(3000), guesses] += 0.9
    order = np.argsort(-probabilities, axis=1, kind='stable')[:, :5]
    top = np.take_along_axis(probabilities, order, axis=1)
    products = Predictions(
        product_id=np.arange(3000),
        label=labels,
        leaked=np.zeros(3000, bool),
        pictures=np.ones(3000, int),
        predicted=order,
        confidence=top,
        probability=top,
        label_log_probability=np.log(probabilities[np.arange(3000), labels]).astype(float),
    )
    accumulator = ExampleAccumulator(tree)
    accumulator.update(products, probabilities)
    every, without_leaked = accumulator.compute()
    curve = coverage.coverage_curve(top[:, 0], products.hit)
    label_errors = find_label_errors(
        label=labels,
        own=np.exp(products.label_log_probability),
        predicted=order,
        probability=top,
        kappa=0.7,
        num_classes=num_classes,
    )
    roc = LevelRocAccumulator(tree)
    roc.update(labels=labels, probabilities=probabilities)
    return EvaluationResult(
        split='test',
        step=7,
        product_rule='the mean over its pictures',
        tta='none',
        data_digest='f' * 64,
        products=every,
        products_without_leaked=without_leaked,
        pictures=every,
        pictures_without_leaked=without_leaked,
        confusion=accumulator.confusion(),
        roc=roc.compute(),
        leaf_auc=roc.compute_by_leaf(),
        shots=shots.compute_shot_metrics(
            accumulator.confusion(), np.arange(num_classes, dtype=float)
        ),
        temperatures=FittedTemperatures(Temperatures(1.5, 1.25), 'validation', 900),
        coverage_curve=coverage.thin_curve(curve),
        coverage=coverage.coverage_at_targets(curve),
        target=0.95,
        intervals=bootstrap.confidence_intervals(products, target=0.95, replicates=10),
        predictions=products,
        label_errors=label_errors,
        showcase=showcase.select_showcase(products, label_errors, accumulator.confusion()),
        sample_images={},
    ), tree


@pytest.fixture(scope='module')
def hostile() -> tuple[EvaluationResult, categories.Categories]:
    return _hostile_evaluation(300)


def test_names_are_escaped(
    hostile: tuple[EvaluationResult, categories.Categories],
) -> None:
    page = _Page(render_page(*hostile))
    assert 'script' not in [tag for tag, _ in page.tags]
    assert '<script>alert(7)</script>' in page.text
    assert 'L7 &amp;' in page.text


def test_many_classes_have_a_table_of_confusions_and_no_matrix(
    hostile: tuple[EvaluationResult, categories.Categories],
) -> None:
    page = _Page(render_page(*hostile))
    alternatives = [attributes['alt'] for tag, attributes in page.tags if tag == 'img']
    assert not [text for text in alternatives if 'matrix' in (text or '')]
    assert 'Most confused classes' in page.text
    assert 'Weakest classes' in page.text
    assert 'Temperature 1.250 for products, 1.500 for pictures' in page.text


def test_label_errors_are_a_csv_row_each_whatever_the_names(
    hostile: tuple[EvaluationResult, categories.Categories],
) -> None:
    found, tree = hostile
    lines = document.label_errors_csv(found, tree).splitlines()
    assert lines[0] == (
        'product_id,category_id,suggested_category_id,probability,suggested_probability'
    )
    assert len(lines) == 1 + len(found.label_errors) > 100
    row = {int(id_): place for place, id_ in enumerate(found.predictions.product_id)}
    for line in lines[1:]:
        product_id, category_id, suggested, own, best = line.split(',')
        place = row[int(product_id)]
        label, likeliest = found.predictions.label[place], found.predictions.predicted[place, 0]
        assert int(category_id) == tree.ids[label] != int(suggested) == tree.ids[likeliest]
        assert float(own) < float(best) == pytest.approx(found.predictions.probability[place, 0])


def test_products_are_shown_with_their_keys(
    hostile: tuple[EvaluationResult, categories.Categories],
) -> None:
    found, tree = hostile
    numbers = found.predictions.product_id.tolist()
    keyed = dataclasses.replace(
        found, keys={number: f'SKU,{number}' for number in numbers}, not_evaluated=(numbers[7],)
    )
    rows = list(csv.DictReader(io.StringIO(document.label_errors_csv(keyed, tree))))
    plain = list(csv.DictReader(io.StringIO(document.label_errors_csv(found, tree))))
    assert [row['product_id'] for row in rows] == [f'SKU,{row["product_id"]}' for row in plain]
    made = document.build_document(keyed, tree)
    assert made['undecodable']['products_not_evaluated'] == [f'SKU,{numbers[7]}']
    shown = found.showcase.label_errors[0]
    assert f'SKU,{numbers[shown]}' in _Page(render_page(keyed, tree)).text
