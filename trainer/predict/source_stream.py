"""Reads the products of any source of `catalog.sources` in order. Uses no TensorFlow.

A range of the source is a file of the stream, and an offset counts the products of the range; of
BSON, which is not cut into ranges, files are files and offsets are bytes.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from catalog import product_key
from catalog.errors import UserError
from catalog.schema.absent import NO_CATEGORY, is_category_id
from catalog.sources.source import (
    Piece,
    Products,
    Range,
    Rejected,
    Source,
)
from trainer.predict.dump_stream import DumpPosition, DumpProduct

_RANGE_BYTES = 8 << 20  # 8 MiB: read again at most, when a run resumes


@dataclass(frozen=True)
class SourceStream:
    """The products of a source.

    Attributes:
      source: The source.
      inputs: What the user named.
      labelled: Whether its categories are read.
    """

    source: Source
    inputs: tuple[str, ...]
    labelled: bool = True

    def fingerprint(self) -> str:
        """Returns a digest of what is known of the source without reading pictures."""
        digest = hashlib.sha256(repr((self.inputs, self.total_bytes(), self._ranges)).encode())
        digest.update(self.source.listed_names())
        return digest.hexdigest()

    def total_bytes(self) -> int:
        """Returns the size of the source."""
        return self.source.total_bytes()

    def check(self) -> None:
        """Reads the first product.

        Raises:
          UserError: If there is none, or if it cannot be read.
        """
        if next(self.read(DumpPosition()), None) is None:
            raise UserError(f'--input: must contain a product, got none in {self.inputs[0]}')

    def file_name(self, file: int) -> str:
        """Returns the name of a file of the stream, for messages."""
        return self.source.file_name(self._ranges[file].file)

    def read(self, start: DumpPosition) -> Iterator[DumpProduct]:
        """Yields the products from a position on.

        Raises:
          UserError: If a part of the source cannot be read.
        """
        total, read_bytes = self.total_bytes(), 0
        for file in range(start.file, len(self._ranges)):
            part = self._ranges[file]
            offset = start.offset if file == start.file else 0
            if self.source.guesses_starts():
                part = Range(part.file, max(part.start, offset), part.stop, first=offset)
            passed = 0
            for piece in self.source.read(part):
                for product, end in _products(piece, self.source):
                    read_bytes = min(read_bytes + sum(map(len, product.pictures)), total)
                    passed += 1
                    if self.source.guesses_starts():
                        position = DumpPosition(file, end)
                    elif passed <= offset:
                        continue
                    else:
                        position = DumpPosition(file, passed)
                    yield DumpProduct(
                        product.product_id,
                        product.pictures,
                        position,
                        read_bytes,
                        key=product.key,
                        category=product.category if self.labelled else None,
                    )

    @cached_property
    def _ranges(self) -> Sequence[Range]:
        if self.source.guesses_starts():  # seams are not proven here: read each file in one piece
            return self.source.split(range_bytes=1 << 62)
        return self.source.split(range_bytes=_RANGE_BYTES)


def _products(piece: Piece, source: Source) -> Iterator[tuple[DumpProduct, int]]:
    """Yields the products of a piece, and where each one ends in a source of bytes."""
    here = DumpPosition()
    if isinstance(piece, Rejected):
        if piece.product_id is None or piece.gap:
            raise UserError(f'{source.describe_place(piece)}: must be a product, {piece.message}')
        yield DumpProduct(piece.product_id, (), here, 0, key=piece.key), piece.offset + piece.length
        return
    picture = 0
    places = piece.places.tolist()
    for number, views in enumerate(piece.views.tolist()):
        pictures = tuple(piece.data[o : o + n] for o, n in places[picture : picture + views])
        picture += views
        product = DumpProduct(
            int(piece.product_ids[number]),
            pictures,
            here,
            0,
            key=_key(piece, number),
            category=_category(piece, number),
        )
        yield product, int(piece.positions[number] + piece.lengths[number])


def _key(products: Products, number: int) -> str:
    """Returns the key of a product, '' if its id is an integer."""
    return '' if products.keys is None else product_key.decode(bytes(products.keys[number]))


def _category(products: Products, number: int) -> int | str | None:
    """Returns the category of a product: an id, a text ('' if unknown), or None if it has none."""
    text = products.category_texts.get(number)
    category_id = int(products.category_ids[number])
    if text is None and is_category_id(category_id):
        return category_id
    return '' if text is None and category_id != NO_CATEGORY else text
