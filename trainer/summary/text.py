"""The summary of a run for a terminal: aligned text, headings marked only where that is asked."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer.report import charts, tables
from trainer.summary import facts
from trainer.summary.artifacts import Answer, RunRecord
from trainer.summary.facts import Place


def text(run: RunRecord, located: Sequence[Place], *, bold: bool) -> str:
    """The summary for a terminal; `bold` marks the headings with control codes."""
    sections = [
        ('What went in and came out', _ledger_text(run)),
        ('Class balance of train', _balance_text(run)),
        ('Training', _training_text(run)),
        (f'Figures on {run.evaluation["split"]}, per product', _figures_text(run.evaluation)),
        *([('Answers', _answers_text(run))] if run.answers else []),
        (
            'Where everything lies',
            tables.format_table([[p.what, p.path] for p in located], align='ll'),
        ),
        ('Next, on the real Kaggle files', facts.NEXT_COMMANDS),
    ]
    return '\n'.join(f'\n{_heading(title, bold=bold)}\n\n{body}' for title, body in sections)


def _heading(title: str, *, bold: bool) -> str:
    return f'\x1b[1m{title}\x1b[0m' if bold else f'{title}\n{"=" * len(title)}'


def _count(value: int | None) -> str:
    return '-' if value is None else f'{value:,}'


def _ledger_text(run: RunRecord) -> str:
    ledger = [
        [place, _count(docs), _count(pictures)] for place, docs, pictures in facts.ledger(run)
    ]
    splits = [
        [name, f'{shards:,}', f'{records:,}', f'{pictures:,}', f'{size / 1e6:,.1f} MB']
        for name, shards, records, pictures, size in facts.splits(run)
    ]
    return '\n\n'.join(
        [
            tables.format_table(ledger, header=['', 'products', 'pictures']),
            tables.format_table(splits, header=['split', 'shards', 'records', 'pictures', 'size']),
        ]
    )


def _balance_text(run: RunRecord) -> str:
    rows = facts.balance(run)
    largest = max(row.before for row in rows)
    table = [
        [
            charts.short(row.path[2]),
            tables.percent(row.before),
            tables.percent(row.after),
            tables.bar(row.before / largest, width=20),
            tables.bar(row.after / largest, width=20),
        ]
        for row in rows[: facts.MAX_CLASSES]
    ]
    header = ['class', 'before', 'after', 'before', 'after']
    lines = [tables.format_table(table, header=header, align='lrrll'), '', facts.balance_words(run)]
    if len(rows) > facts.MAX_CLASSES:
        lines.insert(1, f'... and {len(rows) - facts.MAX_CLASSES:,} smaller classes')
    return '\n'.join(lines)


def _training_text(run: RunRecord) -> str:
    if not run.losses:
        return facts.training(run)
    highest = max(run.losses) or 1.0
    curve = [
        [f'{run.steps[i]:,}', f'{run.losses[i]:.3f}', tables.bar(run.losses[i] / highest)]
        for i in np.unique(np.linspace(0, len(run.losses) - 1, 8).round().astype(int))
    ]
    table = tables.format_table(curve, header=['step', 'loss', ''], align='rrl')
    return f'{facts.training(run)}\n\n{table}'


def _figures_text(evaluation: Mapping[str, Any]) -> str:
    rows = [
        [title, tables.percent(value), '-' if unseen is None else tables.percent(unseen)]
        for title, value, unseen in facts.figures(evaluation)
    ]
    counts = [
        'products',
        _count(evaluation['examples']),
        _count(evaluation['without_leaked']['examples']),
    ]
    return tables.format_table([counts, *rows], header=['', 'all', 'not leaked'])


def _answers_text(run: RunRecord) -> str:
    rows = [
        [
            os.path.basename(answers[0].image),
            *(_best(answer) for answer in answers),
            'different' if answers[0].image in run.differing else 'identical',
        ]
        for answers in zip(*(answers.answers for answers in run.answers), strict=True)
    ]
    if len(run.answers) < 2:
        rows = [row[:-1] for row in rows]
    header = ['photo', *(facts.transport_name(answers.transport) for answers in run.answers), ''][
        : len(rows[0])
    ]
    table = tables.format_table(rows, header=header, align='l' * len(header))
    return f'{table}\n\n{facts.agreement(run)}'


def _best(answer: Answer) -> str:
    best = answer.predictions[0]
    return f'{charts.short(best.path[2])} {tables.percent(float(best.confidence))}'
