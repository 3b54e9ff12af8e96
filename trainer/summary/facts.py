"""The contents of a summary, as numbers and sentences, before layout."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog import shards, storage
from trainer import naming
from trainer.evaluate import rows, text
from trainer.summary.artifacts import RunArtifacts

MAX_CLASSES = 20  # in a table of a summary

# Commands for the original files, in order.
NEXT_COMMANDS = """\
# 58 GB of products to class-balanced shards
python -m beam_pipelines.shard --input=train.bson --categories=category_names.csv \\
    --output=kaggle/shards --balance=sqrt
# the thesis's network, from ImageNet weights
python -m trainer.task --config=configs/kaggle_inception_v3.py \\
    --data=kaggle/shards --workdir=kaggle/workdir
# metrics, then a model to serve
python -m trainer.evaluate --workdir=kaggle/workdir --data=kaggle/shards \\
    --split=validation --output=kaggle/workdir/report
python -m trainer.export --workdir=kaggle/workdir --output=kaggle/models/product_categories/1
# a server in the background, and the category of photo.jpg
python -m serving.model_server --model_base_path=kaggle/models/product_categories \\
    --model_name=product_categories --port=8500 --rest_api_port=8501 &
python -m serving.query --image=photo.jpg --transport=grpc --server=127.0.0.1:8500 \\
    --wait_seconds=120"""


@dataclass(frozen=True)
class OutputFile:
    """A file or folder of the run: its path as given, and its link from the page's folder."""

    description: str
    path: str
    href: str


def list_outputs(*, data: str, workdir: str, export: str, page: str) -> list[OutputFile]:
    """Returns the files and folders of a run; `page` is the page that links to them."""
    report = storage.join(workdir, naming.REPORT)
    described = [
        ('this summary', page),
        ('shards and manifest', data),
        ('training run', workdir),
        ('evaluation', storage.join(report, naming.EVALUATION_PAGE)),
        ('predictions, one row per product', storage.join(report, naming.PREDICTIONS)),
        ('exported model', export),
        ('model card', storage.join(export, naming.MODEL_CARD)),
    ]
    start = os.path.dirname(os.path.abspath(page))
    return [
        OutputFile(
            description, path, path if storage.is_remote(path) else os.path.relpath(path, start)
        )
        for description, path in described
    ]


@dataclass(frozen=True)
class ClassBalance:
    """A class before and after balancing; shares in [0, 1]."""

    path: tuple[str, ...]
    products: int  # distinct, in train
    records: int  # in train, including oversampled copies
    validation: int
    before: float
    after: float


def class_balance(run: RunArtifacts) -> list[ClassBalance]:
    """Returns every class, the largest first."""
    train = run.manifest.splits['train']
    validation = run.manifest.splits.get('validation')
    classes = [
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
    return sorted(classes, key=lambda one: -one.before)


def balance_sentence(run: RunArtifacts) -> str:
    """Returns how much balancing reduced the imbalance."""
    before, after = (_imbalance(run.manifest.priors[name]) for name in ('natural', 'written'))
    if before is None or after is None:
        return 'No class has products.'
    return (
        f'The largest class is {_ratio(before)} times the smallest before balancing, '
        f'{_ratio(after)} times after.'
    )


def _imbalance(shares: Sequence[float]) -> float | None:
    """The ratio of the largest class to the smallest one that occurs."""
    present = [share for share in shares if share > 0]
    return max(present) / min(present) if present else None


def _ratio(ratio: float) -> str:
    return f'{ratio:,.0f}' if ratio >= 10 else f'{ratio:.1f}'


def ledger_rows(run: RunArtifacts) -> list[tuple[str, int | None, int | None]]:
    """Returns (entry, documents, pictures): what was read, then where it went, the most first."""
    kinds = [run.manifest.ledger['documents'], run.manifest.ledger['pictures']]
    names = sorted(set().union(*kinds) - {'read'}, key=lambda name: -kinds[1].get(name, 0))
    return [(_title(name), kinds[0].get(name), kinds[1].get(name)) for name in ['read', *names]]


def _title(name: str) -> str:
    """`rejected_not_a_picture` -> `rejected: not a picture`."""
    if name.startswith('rejected_'):
        return 'rejected: ' + name.removeprefix('rejected_').replace('_', ' ')
    return name.replace('_', ' ')


def split_rows(run: RunArtifacts) -> list[tuple[str, int, int, int, int]]:
    """Returns (split, shards, records, pictures, bytes)."""
    return [
        (name, len(split.shards), split.records, split.pictures, split.bytes)
        for name in shards.SPLITS
        if (split := run.manifest.splits.get(name)) and split.shards
    ]


def training_sentence(run: RunArtifacts) -> str:
    """Returns the network, the steps and the optimizer of the run, and its pseudo-labels if any."""
    config, made = run.config, run.manifest
    trained = (
        f'{config.model.name}, {run.steps[-1] if run.steps else 0:,} steps, batch size '
        f'{config.batch_size:,}, {config.optimizer.name}, strategy {config.strategy}'
    )
    pseudo = text.pseudo_label_sentence(made.pseudo_labelled_products, made.train_products)
    return f'{trained}. {pseudo.removesuffix(".")}' if pseudo else trained


def agreement_sentence(run: RunArtifacts) -> str:
    """Returns whether all transports returned the same responses."""
    names = ' and '.join(transport_title(one.transport) for one in run.responses)
    if len(run.responses) < 2:
        return f'Responses over {names}.'
    if run.differing:
        return f'{names} differ for {len(run.differing)} of {len(run.images)} photos.'
    return f'{names} returned identical responses, to the last bit of every confidence.'


def transport_title(name: str) -> str:
    """Returns the usual spelling of a transport."""
    return {'rest': 'REST', 'grpc': 'gRPC'}.get(name, name)


def metric_rows(evaluation: Mapping[str, Any]) -> list[tuple[str, float, float | None]]:
    """Returns (title, value of all products, value without leaked ones or None)."""
    without_leaked = evaluation['without_leaked']
    return [
        (title, evaluation[name], without_leaked[name] if without_leaked['examples'] else None)
        for name, title in rows.PERCENT_METRICS
    ]
