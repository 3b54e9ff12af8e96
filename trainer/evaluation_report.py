"""What an evaluation says: to a program (JSON), to a person (HTML), to a terminal (text).

Knows no model and no data set: figures and a category tree in, files out.
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog.categories import Categories
from trainer import charts, metrics, pages, tables
from trainer.metrics import Confusion, Figures

JSON = 'evaluation.json'
HTML = 'evaluation.html'

_MAX_CLASSES_IN_MATRIX = 60
_MAX_CONFUSED = 25
_MAX_WORST = 10

DEFINITIONS = {
    'accuracy': 'The share whose likeliest class is the label (categorisation accuracy).',
    'top5_accuracy': 'The share that has the label among the five likeliest classes.',
    'loss': 'The mean of -log(probability of the label), in nats.',
    'precision, recall, f1': 'As scikit-learn has them; 0 where the denominator is 0.',
    'macro': 'The plain mean over the classes that occur in the labels or the predictions.',
    'weighted': "The mean over classes, weighted by the label's count.",
    'micro': 'Over all together; with one label each, all three are the accuracy.',
    'without_leaked': 'Without the products, or pictures, whose bytes occur in train too.',
}

SHOWN = [
    ('accuracy', 'accuracy'),
    ('top5_accuracy', 'top-5 accuracy'),
    ('macro_precision', 'macro precision'),
    ('macro_recall', 'macro recall'),
    ('macro_f1', 'macro F1'),
    ('weighted_precision', 'weighted precision'),
    ('weighted_recall', 'weighted recall'),
    ('weighted_f1', 'weighted F1'),
    ('micro_f1', 'micro F1'),
]
_COLUMNS = ['', 'products', '… not leaked', 'pictures', '… not leaked']


@dataclass(frozen=True)
class Evaluation:
    """The figures of a model on a split.

    Attributes:
      split: what was measured on.
      product_rule: what a product's probabilities are, in words.
      data_digest: SHA-256 of the data set's manifest, in hex.
      products: per product.
      products_without_leaked: without the products that have a picture which occurs in train too.
      pictures: per picture.
      pictures_without_leaked: without the pictures that occur in train too.
      confusion: per product.
    """

    split: str
    product_rule: str
    data_digest: str
    products: Figures
    products_without_leaked: Figures
    pictures: Figures
    pictures_without_leaked: Figures
    confusion: Confusion

    @property
    def columns(self) -> tuple[Figures, Figures, Figures, Figures]:
        """The four sets of figures, in the order in which they are shown."""
        return (
            self.products,
            self.products_without_leaked,
            self.pictures,
            self.pictures_without_leaked,
        )


def write(evaluation: Evaluation, tree: Categories, *, folder: Path) -> None:
    """Writes `evaluation.json` and `evaluation.html`."""
    document = json.dumps(to_document(evaluation, tree), indent=1, ensure_ascii=False)
    (folder / JSON).write_text(document + '\n', encoding='utf-8')
    (folder / HTML).write_bytes(page(evaluation, tree))


def to_document(evaluation: Evaluation, tree: Categories) -> dict[str, Any]:
    """The evaluation as JSON: the figures per product at the top."""
    return {
        **dataclasses.asdict(evaluation.products),
        'unit': 'product',
        'split': evaluation.split,
        'data_manifest_sha256': evaluation.data_digest,
        'without_leaked': dataclasses.asdict(evaluation.products_without_leaked),
        'pictures': {
            **dataclasses.asdict(evaluation.pictures),
            'without_leaked': dataclasses.asdict(evaluation.pictures_without_leaked),
        },
        'classes': class_rows(evaluation.confusion, tree),
        'most_confused': confused_rows(evaluation.confusion, tree),
        'definitions': definitions(evaluation),
    }


def definitions(evaluation: Evaluation) -> dict[str, str]:
    """What the words in a report mean."""
    product = f"A product's probabilities are {evaluation.product_rule}."
    return {'product': product, **DEFINITIONS}


def class_rows(confusion: Confusion, tree: Categories) -> list[dict[str, Any]]:
    """The figures of each class that occurs, by label."""
    classes = metrics.per_class(confusion)
    names = [field.name for field in dataclasses.fields(classes)]
    columns = [getattr(classes, name).tolist() for name in names]
    rows = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    return [{**row, **_node(row['label'], tree)} for row in rows]


def _node(label: int, tree: Categories) -> dict[str, Any]:
    return {'category_id': int(tree.ids[label]), 'path': list(tree.names[label])}


def confused_rows(confusion: Confusion, tree: Categories) -> list[dict[str, Any]]:
    """The wrong pairs that occur most."""
    worst = metrics.most_confused(confusion, limit=_MAX_CONFUSED)
    pairs = zip(worst.label.tolist(), worst.predicted.tolist(), worst.count.tolist(), strict=True)
    return [
        {
            'label': label,
            'predicted': predicted,
            'count': count,
            'label_path': list(tree.names[label]),
            'predicted_path': list(tree.names[predicted]),
        }
        for label, predicted, count in pairs
    ]


def _cells(figures: Sequence[Figures], name: str) -> list[str]:
    return [tables.percent(getattr(column, name)) if column.examples else '-' for column in figures]


def figure_rows(evaluation: Evaluation) -> list[list[str]]:
    """The table of figures, a row a figure; `-` where nothing was counted."""
    columns = evaluation.columns
    return [
        ['examples', *(f'{column.examples:,}' for column in columns)],
        *([title, *_cells(columns, name)] for name, title in SHOWN),
        ['loss', *(f'{column.loss:.4f}' if column.examples else '-' for column in columns)],
    ]


def text(evaluation: Evaluation) -> str:
    """The figures as a table for the terminal."""
    title = f"{evaluation.split}: a product's probabilities are {evaluation.product_rule}\n\n"
    return title + tables.aligned(figure_rows(evaluation), header=_COLUMNS)


def matrix_picture(confusion: Confusion, tree: Categories) -> bytes | None:
    """The confusion matrix as a PNG; None where there are too many classes to see anything."""
    if len(tree) > _MAX_CLASSES_IN_MATRIX:
        return None
    names = [names[-1] for names in tree.names]
    return charts.confusion_matrix(confusion.dense(len(tree)), names)


def page(evaluation: Evaluation, tree: Categories) -> bytes:
    """The evaluation as a page that needs nothing else."""
    classes = class_rows(evaluation.confusion, tree)
    supported = [row for row in classes if row['support']]
    picture = matrix_picture(evaluation.confusion, tree)
    return pages.render(
        'evaluation.html',
        split=evaluation.split,
        digest=evaluation.data_digest,
        products=evaluation.products,
        columns=_COLUMNS,
        figures=figure_rows(evaluation),
        classes=classes,
        num_classes=len(tree),
        worst=sorted(supported, key=lambda row: (row['f1'], -row['support']))[:_MAX_WORST],
        confused=confused_rows(evaluation.confusion, tree),
        matrix=pages.data_uri(picture) if picture else None,
        definitions=definitions(evaluation),
        product_rule=evaluation.product_rule,
    )
