"""Formats the summary of a run. `predictions.json` contains the same numbers and more."""

from collections.abc import Iterable, Mapping
from typing import Any

from beam_pipelines import ledger
from beam_pipelines.predict.answers import CORRECT, LABELLED, UNKNOWN, UNSEEN
from beam_pipelines.write import rejected
from catalog import storage, terminal
from catalog.process import progress
from catalog.terminal import counted


def summarize(
    made: Mapping[str, Any], *, output: str, seconds: float, notes: Iterable[str] = ()
) -> str:
    """Returns the summary.

    Args:
      made: Content of `predictions.json`.
      output: Folder of the predictions.
      seconds: Duration of the run.
      notes: Lines about the source.
    """
    documents, pictures = made['ledger']['documents'], made['ledger']['pictures']
    found, rows = made['ledger']['notes'], sum(each['rows'] for each in made['files'])
    products = counted(documents[ledger.READ], 'product')
    lines = [
        ('read', f'{products}, {counted(pictures[ledger.READ], "picture")}'),
        ('written', f'{counted(rows, "row")} in {counted(len(made["files"]), "file")}: {output}'),
    ]
    if labelled := found.get(LABELLED):
        correct = found.get(CORRECT, 0)
        share = f'{correct / labelled:.4f}: {correct:,} of {counted(labelled, "labelled product")}'
        lines.append(('accuracy', share))
    if unknown := found.get(UNKNOWN):
        text = 'with a category that the tree of the model does not have'
        lines.append(('note', f'{counted(unknown, "product")} {text}'))
    for kind, places in (('product', documents), ('picture', pictures)):
        if reasons := ledger.rejected(places):
            named = ', '.join(f'{reason} {count:,}' for reason, count in sorted(reasons.items()))
            lines.append(('rejected', f'{counted(sum(reasons.values()), kind)}: {named}'))
    if unseen := found.get(UNSEEN):
        text = 'without a decodable picture got the most common category'
        lines.append(('note', f'{counted(unseen, "product")} {text}'))
    if found.get(ledger.GAPS):
        lines.append(('warning', f'places where bytes are missing: {found[ledger.GAPS]:,}'))
    lines += [('note', note) for note in notes]
    if any(name == 'rejected' for name, _ in lines):
        lines.append(('details', storage.join(output, rejected.FOLDER)))
    speed = f'{progress.duration(seconds)}: {rows / max(seconds, 1e-9):,.0f} products/s'
    lines.append(('took', speed))
    return terminal.escape('\n'.join(f'{name:<10} {text}' for name, text in lines))
