"""Hashes the pictures of a scan, each content once: decoding takes longer than all else."""

import numpy as np
import numpy.typing as npt

from beam_pipelines.near_duplicates import visual_hash
from beam_pipelines.near_duplicates.columns import VISUAL
from beam_pipelines.near_duplicates.visual_hash import HASH
from beam_pipelines.table import Table

_NONE = -1  # the place of a content that has no visual hash


class VisualHasher:
    """Remembers the visual hash of each content that it has seen, 16 bytes and a key each."""

    def __init__(self) -> None:
        self._places: dict[tuple[int, int], int] = {}
        self._hashes = np.zeros(0, HASH)

    def hash_rows(self, data: bytes, places: npt.NDArray[np.int64], rows: Table) -> Table:
        """Returns the visual hashes of pictures, VISUAL. Some pictures have none.

        Args:
          data: Bytes that contain the pictures.
          places: Offset and length of each picture, int64 [pictures, 2].
          rows: Row of each picture, with the hash of its bytes.
        """
        contents = list(zip(rows['hash_high'].tolist(), rows['hash_low'].tolist(), strict=True))
        new = {}
        for number, content in enumerate(contents):
            if content not in self._places:
                self._places[content] = _NONE
                new[number] = content
        if new:
            self._add(new, data, places, rows)
        found = np.array([self._places[content] for content in contents], np.int64)
        usable = np.flatnonzero(found != _NONE)
        visual = np.zeros(len(usable), VISUAL)
        for name in ('product_id', 'document', 'file', 'index'):
            visual[name] = rows[name][usable]
        hashes = self._hashes[found[usable]]
        for name in HASH.names or ():
            visual[name] = hashes[name]
        return visual

    def _add(
        self,
        new: dict[int, tuple[int, int]],
        data: bytes,
        places: npt.NDArray[np.int64],
        rows: Table,
    ) -> None:
        """Hashes the new contents, by the numbers of their pictures."""
        pictures = list(new)
        numbers, hashes = visual_hash.hash_pictures(
            data, places[pictures], rows['traits'][pictures]
        )
        contents = list(new.values())
        for place, number in enumerate(numbers.tolist(), len(self._hashes)):
            self._places[contents[number]] = place
        self._hashes = np.concatenate([self._hashes, hashes])
