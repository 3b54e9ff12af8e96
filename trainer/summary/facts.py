"""What a summary says of a run, in numbers and words, before it is laid out."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog import shards, storage
from trainer import naming
from trainer.evaluate import text as evaluation_report
from trainer.summary.artifacts import RunRecord

MAX_CLASSES = 20  # in a table of a summary

# What to type for the real files, in order.
NEXT_COMMANDS = """\
# 58 GB of products to class-balanced shards
python -m beam_pipelines.shard --input=train.bson --categories=category_names.csv \\
    --output=kaggle/shards
# the thesis's network, from ImageNet weights
python -m trainer.task --config=configs/kaggle_inception_v3.py \\
    --data=kaggle/shards --workdir=kaggle/workdir
# figures, then a model to serve
python -m trainer.evaluate --workdir=kaggle/workdir --data=kaggle/shards \\
    --split=validation --output=kaggle/workdir/report
python -m trainer.export --workdir=kaggle/workdir --output=kaggle/models/product_categories/1
# answers
python -m serving.model_server --model_base_path=kaggle/models/product_categories \\
    --model_name=product_categories --port=8500 --rest_api_port=8501
python -m serving.query --image=photo.jpg --transport=grpc --server=127.0.0.1:8500"""


@dataclass(frozen=True)
class Place:
    """Where something lies: its path as it was given, and from the page's folder."""

    what: str
    path: str
    href: str


def places(*, data: str, workdir: str, export: str, output: str) -> list[Place]:
    """Where everything of a run lies."""
    report = storage.join(workdir, naming.REPORT)
    named = [
        ('this summary', output),
        ('shards and manifest', data),
        ('training run', workdir),
        ('evaluation', storage.join(report, naming.EVALUATION_PAGE)),
        ('predictions, a row a product', storage.join(report, naming.PREDICTIONS)),
        ('model', export),
        ('model card', storage.join(export, naming.MODEL_CARD)),
    ]
    start = os.path.dirname(os.path.abspath(output))
    return [
        Place(what, path, path if storage.is_remote(path) else os.path.relpath(path, start))
        for what, path in named
    ]


@dataclass(frozen=True)
class ClassBalance:
    """A class before and after balancing; shares in [0, 1]."""

    path: tuple[str, str, str]
    products: int  # distinct, in train
    records: int  # written to train, copies included
    validation: int
    before: float
    after: float


def balance(run: RunRecord) -> list[ClassBalance]:
    """Every class, the largest first."""
    train = run.manifest.splits['train']
    validation = run.manifest.splits.get('validation')
    rows = [
        ClassBalance(
            path=run.tree.names[label],
            products=train.products_per_class[label],
            records=train.records_per_class[label],
            validation=validation.products_per_class[label] if validation else 0,
            before=run.manifest.priors['natural'][label],
            after=run.manifest.priors['written'][label],
        )
        for label in range(len(run.tree))
    ]
    return sorted(rows, key=lambda row: -row.before)


def _imbalance(shares: Sequence[float]) -> float | None:
    """How many times larger the largest class is than the smallest that is there at all."""
    present = [share for share in shares if share > 0]
    return max(present) / min(present) if present else None


def ledger(run: RunRecord) -> list[tuple[str, int | None, int | None]]:
    """(place, documents, pictures): what was read, then where it went, the most first."""
    kinds = [run.manifest.ledger['documents'], run.manifest.ledger['pictures']]
    names = sorted(set().union(*kinds) - {'read'}, key=lambda name: -kinds[1].get(name, 0))
    return [(_words(name), kinds[0].get(name), kinds[1].get(name)) for name in ['read', *names]]


def _words(name: str) -> str:
    """`rejected_not_a_picture` -> `rejected: not a picture`."""
    if name.startswith('rejected_'):
        return 'rejected: ' + name.removeprefix('rejected_').replace('_', ' ')
    return name.replace('_', ' ')


def splits(run: RunRecord) -> list[tuple[str, int, int, int, int]]:
    """(split, shards, records, pictures, bytes)."""
    return [
        (name, len(split.shards), split.records, split.pictures, split.bytes)
        for name in shards.SPLITS
        if (split := run.manifest.splits.get(name)) and split.shards
    ]


def training(run: RunRecord) -> str:
    """The training in a line."""
    config = run.config
    return (
        f'{config.model.name}, {run.steps[-1] if run.steps else 0:,} steps of '
        f'{config.batch_size:,} pictures, {config.optimizer.name}, strategy {config.strategy}'
    )


def agreement(run: RunRecord) -> str:
    """Whether all transports gave the same answers, as a sentence."""
    names = ' and '.join(transport_name(answers.transport) for answers in run.answers)
    if len(run.answers) < 2:
        return f'Asked over {names}.'
    if run.differing:
        return f'{names} differ for {len(run.differing)} of {len(run.photos)} photos.'
    return f'{names} gave identical answers, to the last bit of every confidence.'


def transport_name(name: str) -> str:
    """A transport as people write it."""
    return {'rest': 'REST', 'grpc': 'gRPC'}.get(name, name)


def figures(evaluation: Mapping[str, Any]) -> list[tuple[str, float, float | None]]:
    """(figure, of all products, of those that are not leaked)."""
    unseen = evaluation['without_leaked']
    return [
        (title, evaluation[name], unseen[name] if unseen['examples'] else None)
        for name, title in evaluation_report.SHOWN
    ]


def balance_words(run: RunRecord) -> str:
    """How much less uneven the classes are, as a sentence."""
    before, after = (_imbalance(run.manifest.priors[name]) for name in ('natural', 'written'))
    if before is None or after is None:
        return 'No class has any product.'
    return (
        f'The largest class is {before:,.0f} times the smallest before balancing, '
        f'{after:,.0f} times after.'
    )
