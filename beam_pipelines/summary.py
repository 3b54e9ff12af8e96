"""What a run made, in a few lines for people. The manifest says the same, and all of it."""

from collections.abc import Mapping

from beam_pipelines.write import ledger, rejected
from catalog import storage
from catalog.manifest import Manifest
from catalog.process import progress
from catalog.shards import SPLITS

_DROPPED = 'dropped_'
_NOTES = {
    'duplicate_pictures': 'pictures whose bytes came before',
    'conflicting_pictures': 'pictures whose bytes come under several categories',
    'leaked_pictures': 'held-out pictures that train shows too',
    'blank_pictures': 'blank pictures',
    'converted_pictures': 'pictures converted to RGB JPEG',
    'copied_pictures': 'pictures written again to balance the classes',
}


def summary(made: Manifest, *, output: str, seconds: float) -> str:
    """The text.

    Args:
      made: what the run wrote.
      output: the folder of the data set.
      seconds: that the run took.
    """
    documents, pictures = made.ledger['documents'], made.ledger['pictures']
    lines = [('read', _both(documents[ledger.READ], pictures[ledger.READ]))]
    lines += [(split, _split(made, split)) for split in sorted(made.splits, key=SPLITS.index)]
    for name in sorted(name for name in pictures if name.startswith(_DROPPED)):
        text = _both(documents.get(name, 0), pictures[name])
        lines.append(('dropped', f'{text}: {name.removeprefix(_DROPPED).replace("_", " ")}'))
    for kind, places in (('documents', documents), ('pictures', pictures)):
        reasons = ledger.rejected(places)
        if reasons:
            number = _number(sum(reasons.values()), kind.removesuffix('s'))
            lines.append(('rejected', f'{number}: {_named(reasons)}'))
    notes = made.ledger['notes']
    lines += [('noticed', f'{text}: {notes[n]:,}') for n, text in _NOTES.items() if notes.get(n)]
    if any(name == 'rejected' for name, _ in lines) or notes.get('blank_pictures'):
        lines.append(('see', storage.join(output, rejected.FOLDER)))
    lines.append(('took', _speed(made, seconds)))
    return '\n'.join(f'{name:<10} {text}' for name, text in lines)


def _both(documents: int, pictures: int) -> str:
    return f'{_number(documents, "document")}, {_number(pictures, "picture")}'


def _split(made: Manifest, split: str) -> str:
    content = made.splits[split]
    return (
        f'{_number(content.records, "record")}, {_number(content.pictures, "picture")}, '
        f'{content.bytes / 1e6:,.1f} MB in {_number(len(content.shards), "shard")}'
    )


def _number(number: int, noun: str) -> str:
    return f'{number:,} {noun}{"" if number == 1 else "s"}'


def _named(reasons: Mapping[str, int]) -> str:
    return ', '.join(f'{reason} {number:,}' for reason, number in sorted(reasons.items()))


def _speed(made: Manifest, seconds: float) -> str:
    return (
        f'{progress.duration(seconds)}: {made.source["pictures"] / seconds:,.0f} pictures/s, '
        f'{made.source["picture_bytes"] / 1e6 / seconds:,.1f} MB/s'
    )
