"""Reads the products of any source of `catalog.sources` in order. Uses no TensorFlow.

A part of the source is a file of the stream, and an offset counts the products of the part; of
BSON, which is not cut into parts, files are files and offsets are bytes.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from catalog.errors import UserError
from catalog.inputs import parts
from catalog.inputs.products import InputProduct, products_in, unseen_product
from catalog.sources.source import Piece, Range, Rejected, Source
from trainer.predict.dump_stream import DumpPosition, DumpProduct


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
        in_bytes = self.source.guesses_starts()
        for file in range(start.file, len(self._ranges)):
            part = self._ranges[file]
            offset = start.offset if file == start.file else 0
            if in_bytes:
                part = Range(part.file, max(part.start, offset), part.stop, first=offset)
            passed = 0
            for piece in self.source.read(part):
                for product in _products(piece, self.source):
                    read_bytes = min(read_bytes + sum(map(len, product.pictures)), total)
                    passed += 1
                    if not in_bytes and passed <= offset:
                        continue
                    end = product.position + product.length if in_bytes else passed
                    yield DumpProduct(
                        product.product_id,
                        product.pictures,
                        DumpPosition(file, end),
                        read_bytes,
                        part=parts.part_of(product.position) if in_bytes else 0,
                        key=product.key,
                        category=product.category if self.labelled else None,
                    )

    @cached_property
    def _ranges(self) -> Sequence[Range]:
        if self.source.guesses_starts():  # seams are not proven here: read each file in one piece
            return self.source.split(range_bytes=1 << 62)
        return parts.split(self.source)


def _products(piece: Piece, source: Source) -> Iterator[InputProduct]:
    """Yields the products of a piece.

    Raises:
      UserError: If the piece is damaged.
    """
    if not isinstance(piece, Rejected):
        yield from products_in(piece)
        return
    product = unseen_product(piece)
    if product is None:
        raise UserError(f'{source.describe_place(piece)}: must be a product, {piece.message}')
    yield product
