"""The summary of a run as one HTML page that needs nothing else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from catalog.formats import image_header
from trainer.evaluate import text as evaluation_report
from trainer.report import charts, pages
from trainer.summary import facts
from trainer.summary.artifacts import RunRecord
from trainer.summary.facts import Place

_SHOWN_PREDICTIONS = 3
_SHOWN_CONFUSED = 8
_SMALL_PHOTO = 64  # pixels; smaller ones are shown with their pixels sharp


def page(run: RunRecord, located: Sequence[Place]) -> bytes:
    """The summary as a page that needs nothing else."""
    matrix = evaluation_report.matrix_picture(run.confusion, run.tree)
    balance = facts.balance(run)
    names = [path[2] for path in run.tree.names]
    priors = run.manifest.priors
    return pages.render(
        'summary.html',
        evaluation=run.evaluation,
        figures=facts.figures(run.evaluation),
        num_classes=len(run.tree),
        ledger=facts.ledger(run),
        splits=facts.splits(run),
        balance=balance[: facts.MAX_CLASSES],
        more_classes=max(0, len(balance) - facts.MAX_CLASSES),
        balance_words=facts.balance_words(run),
        balance_picture=pages.data_uri(
            charts.class_balance(priors['natural'], priors['written'], names)
        ),
        training=facts.training(run),
        first_loss=run.losses[0] if run.losses else None,
        last_loss=run.losses[-1] if run.losses else None,
        loss_picture=pages.data_uri(charts.loss_curve(run.steps, run.losses)),
        matrix=pages.data_uri(matrix) if matrix else None,
        confused=evaluation_report.confused_rows(run.confusion, run.tree)[:_SHOWN_CONFUSED],
        answers=_answer_cards(run),
        agreement=facts.agreement(run) if run.answers else None,
        agree=not run.differing,
        places=located,
        next_commands=facts.NEXT_COMMANDS,
        balance_option=run.manifest.options.get('balance', 'none'),
    )


def _answer_cards(run: RunRecord) -> list[dict[str, Any]]:
    """A card a photo: the photo, and what each transport said; only one where all said the same."""
    cards = []
    for answers in zip(*(answers.answers for answers in run.answers), strict=True):
        image = answers[0].image
        differs = image in run.differing
        said = [
            {
                'transport': facts.transport_name(transport.transport),
                'predictions': [
                    {'path': p.path, 'confidence': float(p.confidence)}
                    for p in answer.predictions[:_SHOWN_PREDICTIONS]
                ],
            }
            for transport, answer in zip(run.answers, answers, strict=True)
        ]
        header = image_header.read_header(run.photos[image])
        cards.append(
            {
                'name': Path(image).name,
                'photo': pages.data_uri(run.photos[image]),
                'small': header.width < _SMALL_PHOTO,
                'differs': differs,
                'said': said if differs else said[:1],
            }
        )
    return cards
