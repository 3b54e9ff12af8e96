"""An evaluation as text for the terminal; its sentences are also on the page."""

from trainer import naming
from trainer.evaluate import rows
from trainer.evaluate.result import EvaluationResult
from trainer.metrics.label_errors import LEAST_KAPPA
from trainer.report import tables

_LISTED = 10  # ids of products that were not evaluated


def coverage_sentence(evaluation: EvaluationResult) -> str:
    """Returns the coverage at the target accuracy."""
    found, target = evaluation.coverage_at_target, f'{100 * evaluation.target:g} %'
    if not found.share:
        return f'No products can be auto-classified at {target} accuracy.'
    low, high = evaluation.intervals['coverage']
    return (
        f'{tables.percent(found.share)} of the products can be auto-classified at {target} '
        f'accuracy (95 % interval {100 * low:.1f} to {tables.percent(high)}): those with a '
        f'confidence of at least {found.threshold:.3f}.'
    )


def temperature_sentence(evaluation: EvaluationResult) -> str:
    """Returns the temperatures and their data."""
    fitted = evaluation.temperatures
    return (
        f'Temperature {fitted.temperatures.product:.3f} for products, '
        f'{fitted.temperatures.picture:.3f} for pictures, fitted on {fitted.products:,} products '
        f'of {fitted.split}.'
    )


def label_error_sentence(evaluation: EvaluationResult) -> str:
    """Returns the number of suspected label errors, or why none can be suspected."""
    if not evaluation.label_errors.has_learned:
        low, high = evaluation.intervals['kappa']
        return (
            'No label is suspected: the model has not learned enough for that. Its agreement with '
            f"the labels beyond chance, Cohen's kappa, is {evaluation.products.metrics.kappa:.2f} "
            f'(95 % interval {low:.2f} to {high:.2f}); the interval must be above {LEAST_KAPPA:g}.'
        )
    count, total = len(evaluation.label_errors), max(evaluation.products.metrics.examples, 1)
    noun = 'label error' if count == 1 else 'label errors'
    note = ''
    if evaluation.split == 'train':
        note = ' The model was trained on these labels, so it finds few of their errors.'
    return (
        f'{count:,} suspected {noun} ({tables.percent(count / total)} of the products), '
        f'listed in {naming.LABEL_ERRORS}.{note}'
    )


def undecodable_sentence(evaluation: EvaluationResult) -> str:
    """Returns the numbers of pictures and products that were left out; empty if none was."""
    pictures, products = len(evaluation.undecodable), evaluation.not_evaluated
    if not pictures:
        return ''
    ids = ', '.join(str(id_) for id_ in products[:_LISTED])
    if len(products) > _LISTED:
        ids += f' and {len(products) - _LISTED:,} more'
    return (
        f'Undecodable pictures, left out: {pictures:,}. Products without another picture, not '
        f'evaluated: {len(products):,}{f" ({ids})" if ids else ""}.'
    )


def pseudo_label_sentence(pseudo_labelled: int, train_products: int) -> str:
    """Returns how many of the training products have a pseudo-label; empty if none has."""
    if not pseudo_labelled:
        return ''
    share = tables.percent(pseudo_labelled / train_products)
    return (
        f'{pseudo_labelled:,} of the {train_products:,} products for training ({share}) have a '
        'pseudo-label, which an earlier model predicted.'
    )


def format_evaluation(evaluation: EvaluationResult) -> str:
    """Returns the evaluation for the terminal."""
    parts = [
        f"Evaluation on {evaluation.split}. A product's probabilities are "
        f'{evaluation.product_rule}.',
        tables.format_table(rows.metric_rows(evaluation), header=rows.METRIC_HEADER),
        tables.format_table(rows.level_rows(evaluation), header=rows.LEVEL_HEADER),
        tables.format_table(rows.shot_rows(evaluation), header=rows.SHOT_HEADER),
        '\n'.join(
            [
                coverage_sentence(evaluation),
                temperature_sentence(evaluation),
                label_error_sentence(evaluation),
                *filter(
                    None,
                    [
                        undecodable_sentence(evaluation),
                        pseudo_label_sentence(
                            evaluation.pseudo_labelled, evaluation.train_products
                        ),
                    ],
                ),
            ]
        ),
    ]
    return '\n\n'.join(parts)
