"""Formats the summary of a run. The manifest contains the same numbers and more."""

from collections.abc import Iterable, Mapping

from beam_pipelines import ledger
from beam_pipelines.write import rejected
from beam_pipelines.write.shard_writer import HELD_OUT
from catalog import storage, terminal
from catalog.manifest import PSEUDO_LABELLED, Manifest
from catalog.process import progress
from catalog.shards import SPLITS
from catalog.terminal import counted

_DROPPED = 'dropped_'


def summarize(
    made: Manifest,
    *,
    output: str,
    seconds: float,
    notes: Iterable[str] = (),
    derived: str = '',
) -> str:
    """Returns the summary.

    Args:
      made: Manifest of the data set.
      output: Folder of the data set.
      seconds: Duration of the run.
      notes: Lines about the source.
      derived: The categories that are derived from the source, if they are.
    """
    documents, pictures = made.ledger['documents'], made.ledger['pictures']
    read_bytes = made.ledger.get('bytes', {ledger.READ: 0})  # absent from older manifests
    read = _both(documents[ledger.READ], pictures[ledger.READ])
    lines = [('read', f'{read}, {_megabytes(read_bytes[ledger.READ])}')]
    if derived:
        lines.append(('categories', derived))
    lines += [(split, _split(made, split)) for split in sorted(made.splits, key=SPLITS.index)]
    for name in sorted(name for name in pictures if name.startswith(_DROPPED)):
        text = _both(documents.get(name, 0), pictures[name])
        lines.append(('dropped', f'{text}: {name.removeprefix(_DROPPED).replace("_", " ")}'))
    for kind, places in (('documents', documents), ('pictures', pictures)):
        reasons = ledger.rejected(places)
        if reasons:
            number = counted(sum(reasons.values()), kind.removesuffix('s'))
            lines.append(('rejected', f'{number}: {_named(reasons)}'))
    if reasons := ledger.rejected(read_bytes):
        lost_bytes = sum(reasons.values())
        share = lost_bytes / max(read_bytes[ledger.READ], 1)
        text = f'{lost_bytes:,} bytes, {share:.2%} of all: {_named(reasons)}'
        lines.append(('rejected', text))
    lines += _notes(made)
    lines += [('note', note) for note in notes]
    if any(name == 'rejected' for name, _ in lines) or made.ledger['notes'].get('blank_pictures'):
        lines.append(('details', storage.join(output, rejected.FOLDER)))
    lines.append(('took', _speed(made, seconds)))
    return terminal.escape('\n'.join(f'{name:<10} {text}' for name, text in lines))


def _notes(made: Manifest) -> list[tuple[str, str]]:
    held_out = ' and '.join(split for split in HELD_OUT if split in made.splits)
    texts = {
        ledger.GAPS: ('warning', 'places where an unknown number of bytes is missing'),
        'duplicate_pictures': ('warning', 'duplicate images'),
        'conflicting_pictures': ('warning', 'duplicate images in several categories'),
        'leaked_pictures': ('warning', f'{held_out} images also in train (leakage)'),
        'near_duplicate_leaked_pictures': (
            'warning',
            f'{held_out} images that look like train images',
        ),
        'blank_pictures': ('warning', 'blank images'),
        'classes_without_train': ('warning', 'categories without a product in train'),
        PSEUDO_LABELLED: ('note', 'train products with a pseudo-label'),
        'converted_pictures': ('note', 'images converted to RGB JPEG'),
        'copied_pictures': ('note', 'oversampled images'),
    }
    notes = {**made.ledger['notes']}
    if near := notes.get('near_duplicate_leaked_pictures'):
        notes['leaked_pictures'] -= near  # each picture is in one line
    return [(kind, f'{text}: {notes[n]:,}') for n, (kind, text) in texts.items() if notes.get(n)]


def _both(documents: int, pictures: int) -> str:
    return f'{counted(documents, "document")}, {counted(pictures, "picture")}'


def _split(made: Manifest, split: str) -> str:
    content = made.splits[split]
    return (
        f'{counted(content.records, "record")}, {counted(content.pictures, "picture")}, '
        f'{_megabytes(content.bytes)} in {counted(len(content.shards), "shard")}'
    )


def _megabytes(number: int) -> str:
    return f'{number / 1e6:,.1f} MB'


def _named(reasons: Mapping[str, int]) -> str:
    return ', '.join(f'{reason} {number:,}' for reason, number in sorted(reasons.items()))


def _speed(made: Manifest, seconds: float) -> str:
    return (
        f'{progress.duration(seconds)}: {made.source["pictures"] / seconds:,.0f} pictures/s, '
        f'{made.source["picture_bytes"] / 1e6 / seconds:,.1f} MB/s'
    )
