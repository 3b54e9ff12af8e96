"""The summary of a run as text for a terminal."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer.report import charts, tables
from trainer.summary import facts
from trainer.summary.artifacts import RunArtifacts
from trainer.summary.facts import OutputFile
from trainer.summary.responses import ImageResponse


def format_summary(run: RunArtifacts, outputs: Sequence[OutputFile], *, bold: bool) -> str:
    """Returns the summary; `bold` marks headings with control codes, otherwise underlined."""
    files = [[output.description, output.path] for output in outputs]
    sections = [
        ('Input and output of the shard job', _ledger_text(run)),
        ('Class balance of train', _balance_text(run)),
        ('Training', _training_text(run)),
        (f'Metrics on {run.evaluation["split"]}, per product', _metrics_text(run.evaluation)),
        *([('Predictions of the server', _responses_text(run))] if run.responses else []),
        ('Files', tables.format_table(files, align='ll')),
        ('Next: the original Kaggle files', facts.NEXT_COMMANDS),
    ]
    return '\n'.join(f'\n{_heading(title, bold=bold)}\n\n{body}' for title, body in sections)


def _heading(title: str, *, bold: bool) -> str:
    return f'\x1b[1m{title}\x1b[0m' if bold else f'{title}\n{"=" * len(title)}'


def _count(value: int | None) -> str:
    return '-' if value is None else f'{value:,}'


def _ledger_text(run: RunArtifacts) -> str:
    ledger = [
        [entry, _count(documents), _count(pictures)]
        for entry, documents, pictures in facts.ledger_rows(run)
    ]
    splits = [
        [name, f'{shards:,}', f'{records:,}', f'{pictures:,}', f'{size / 1e6:,.1f} MB']
        for name, shards, records, pictures, size in facts.split_rows(run)
    ]
    return '\n\n'.join(
        [
            tables.format_table(ledger, header=['', 'products', 'pictures']),
            tables.format_table(splits, header=['split', 'shards', 'records', 'pictures', 'size']),
        ]
    )


def _balance_text(run: RunArtifacts) -> str:
    classes = facts.class_balance(run)
    largest = max(one.before for one in classes) or 1.0
    cells = [
        [
            charts.shorten(one.path[-1]),
            tables.percent(one.before),
            tables.percent(one.after),
            tables.bar(one.before / largest, width=20),
            tables.bar(one.after / largest, width=20),
        ]
        for one in classes[: facts.MAX_CLASSES]
    ]
    header = ['class', 'before', 'after', 'before', 'after']
    lines = [tables.format_table(cells, header=header, align='lrrll')]
    if len(classes) > facts.MAX_CLASSES:
        lines.append(f'... and {len(classes) - facts.MAX_CLASSES:,} smaller classes')
    return '\n'.join([*lines, '', facts.balance_sentence(run)])


def _training_text(run: RunArtifacts) -> str:
    if not run.losses:
        return facts.training_sentence(run)
    highest = max(run.losses) or 1.0
    curve = [
        [f'{run.steps[i]:,}', f'{run.losses[i]:.3f}', tables.bar(run.losses[i] / highest)]
        for i in np.unique(np.linspace(0, len(run.losses) - 1, 8).round().astype(int))
    ]
    table = tables.format_table(curve, header=['step', 'loss', ''], align='rrl')
    return f'{facts.training_sentence(run)}\n\n{table}'


def _metrics_text(evaluation: Mapping[str, Any]) -> str:
    cells = [
        [title, tables.percent(value), '-' if unleaked is None else tables.percent(unleaked)]
        for title, value, unleaked in facts.metric_rows(evaluation)
    ]
    counts = [
        'products',
        _count(evaluation['examples']),
        _count(evaluation['without_leaked']['examples']),
    ]
    return tables.format_table([counts, *cells], header=['', 'all', 'without leaked'])


def _responses_text(run: RunArtifacts) -> str:
    cells = [
        [
            os.path.basename(responses[0].image),
            *(_best(response) for response in responses),
            'different' if responses[0].image in run.differing else 'identical',
        ]
        for responses in zip(*(one.images for one in run.responses), strict=True)
    ]
    header = ['photo', *(facts.transport_title(one.transport) for one in run.responses), '']
    if len(run.responses) < 2:
        header, cells = header[:-1], [row[:-1] for row in cells]
    table = tables.format_table(cells, header=header, align='l' * len(header))
    return f'{table}\n\n{facts.agreement_sentence(run)}'


def _best(response: ImageResponse) -> str:
    best = response.categories[0]
    return f'{charts.shorten(best.path[-1])} {tables.percent(float(best.confidence))}'
