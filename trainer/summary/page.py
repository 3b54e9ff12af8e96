"""The summary of a run as an HTML page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from catalog.formats import image_header
from trainer.evaluate.page import confusion_chart
from trainer.evaluate.rows import confused_rows
from trainer.report import charts, pages
from trainer.summary import facts
from trainer.summary.artifacts import RunArtifacts
from trainer.summary.facts import OutputFile

_MAX_PREDICTIONS = 3
_MAX_CONFUSED = 8


def render_page(run: RunArtifacts, outputs: Sequence[OutputFile]) -> bytes:
    """Returns the page; names are escaped, images are embedded."""
    matrix = confusion_chart(run.confusion, run.tree)
    balance = facts.class_balance(run)
    names = [path[-1] for path in run.tree.names]
    priors = run.manifest.priors
    return pages.render(
        'summary.html',
        evaluation=run.evaluation,
        metrics=facts.metric_rows(run.evaluation),
        num_classes=len(run.tree),
        ledger=facts.ledger_rows(run),
        splits=facts.split_rows(run),
        balance=balance[: facts.MAX_CLASSES],
        more_classes=max(0, len(balance) - facts.MAX_CLASSES),
        balance_sentence=facts.balance_sentence(run),
        balance_chart=pages.data_uri(
            charts.class_balance(priors['natural'], priors['written'], names)
        ),
        balance_option=run.manifest.options.get('balance', 'none'),
        training=facts.training_sentence(run),
        first_loss=run.losses[0] if run.losses else None,
        last_loss=run.losses[-1] if run.losses else None,
        loss_chart=pages.data_uri(
            charts.loss_curve(run.steps, run.losses, validation=run.validation)
        ),
        matrix=pages.data_uri(matrix) if matrix else None,
        confused=confused_rows(run.confusion, run.tree)[:_MAX_CONFUSED],
        responses=_response_cards(run),
        agreement=facts.agreement_sentence(run) if run.responses else None,
        agree=not run.differing,
        outputs=outputs,
        next_commands=facts.NEXT_COMMANDS,
    )


def _response_cards(run: RunArtifacts) -> list[dict[str, Any]]:
    """One card per image, with the responses of each transport; of one if they are the same."""
    cards = []
    for responses in zip(*(one.images for one in run.responses), strict=True):
        path = responses[0].image
        differs = path in run.differing
        shown = [
            {
                'transport': facts.transport_title(transport.transport),
                'predictions': [
                    {'path': category.path, 'confidence': float(category.confidence)}
                    for category in response.categories[:_MAX_PREDICTIONS]
                ],
            }
            for transport, response in zip(run.responses, responses, strict=True)
        ]
        cards.append(
            {
                'name': Path(path).name,
                'image': pages.data_uri(run.images[path]),
                'small': image_header.read_header(run.images[path]).width < pages.SMALL_IMAGE,
                'differs': differs,
                'responses': shown if differs else shown[:1],
            }
        )
    return cards
