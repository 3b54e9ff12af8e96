"""Writes the files of rows: one worker writes one file, in the order of the source."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from beam_pipelines import ledger
from beam_pipelines.ledger import Counts
from beam_pipelines.predict.answers import PREDICTED, Answers
from beam_pipelines.predict.parts import Part
from beam_pipelines.scan.rejected_pieces import RejectedPieces
from catalog import storage
from catalog.predictions.formats import SUFFIXES, Format

_NAME = re.compile(
    rf'predictions-\d{{5}}-of-\d{{5}}({"|".join(map(re.escape, SUFFIXES.values()))})'
)


@dataclass(frozen=True)
class WrittenFile:
    """A file of rows.

    Attributes:
      name: Its name.
      rows: Number of rows.
      bytes: Its size.
      sha256: SHA-256 of its bytes, in hex.
      counts: What was read for it, and where it went.
      rejected: Undecodable pictures and damaged documents of it.
    """

    name: str
    rows: int
    bytes: int
    sha256: str
    counts: Counts
    rejected: RejectedPieces


def file_name(index: int, shards: int, suffix: str) -> str:
    """Returns the name of a file."""
    return f'predictions-{index:05d}-of-{shards:05d}{suffix}'


def is_file_of_rows(name: str) -> bool:
    """Returns whether a file has the name of one with rows."""
    return _NAME.fullmatch(name) is not None


def file_of(part: Part, shards: int) -> int:
    """Returns the number of the file that gets the rows of a part. Files follow the source."""
    return part.number * shards // part.total


def write_file(
    index: int,
    answers: Iterable[Answers | None],
    *,
    shards: int,
    form: Format,
    folder: str,
    keep_rejected: int,
) -> WrittenFile:
    """Writes a file into a folder.

    Args:
      index: Number of the file.
      answers: The answers to its parts, in any order. None is ignored.
      shards: Number of all files.
      form: The format.
      folder: The folder.
      keep_rejected: Most rejected pieces to keep.
    """
    ordered = sorted((each for each in answers if each), key=lambda each: each.number)
    counts, rejected = Counts(), RejectedPieces(keep_rejected)
    for each in ordered:
        counts.add(each.counts)
        rejected.join(each.rejected)
    name = file_name(index, shards, form.suffix)
    path = storage.join(folder, name)
    with storage.write_atomic(path, synced=False) as file:
        form.write_file(file, (each.rows for each in ordered))
    return WrittenFile(
        name,
        rows=counts.documents[PREDICTED],
        bytes=storage.size(path),
        sha256=storage.sha256(path),
        counts=counts,
        rejected=rejected,
    )


def total(written: Iterable[WrittenFile], *, keep_rejected: int) -> tuple[Counts, RejectedPieces]:
    """Returns the counts and the rejected pieces of all files.

    Raises:
      RuntimeError: If a document or a picture has no place: a bug of this program.
    """
    counts, rejected = Counts(), RejectedPieces(keep_rejected)
    for each in sorted(written, key=lambda each: each.name):
        counts.add(each.counts)
        rejected.join(each.rejected)
    ledger.check_sums(counts)
    return counts, rejected
