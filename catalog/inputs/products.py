"""The products in the pieces of a source, with or without categories."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from catalog import product_key
from catalog.formats.bad_picture import BadPicture
from catalog.schema.absent import NO_CATEGORY, is_category_id
from catalog.sources.source import Products, Rejected


@dataclass(frozen=True)
class InputProduct:
    """A product.

    Attributes:
      product_id: Its number.
      pictures: Encoded, in source order.
      position: Where the source finds the product.
      length: Its size in bytes.
      offsets: Where the source finds each picture.
      unreadable: Why pictures could not be read, by index; their bytes are empty.
      key: The id as in the source if it is not an integer, else ''.
      category: A category id or a text ('' if unknown), None if it has none.
    """

    product_id: int
    pictures: tuple[bytes, ...]
    position: int
    length: int
    offsets: tuple[int, ...]
    unreadable: Mapping[int, BadPicture] = field(default_factory=dict)
    key: str = ''
    category: int | str | None = None


def products_in(piece: Products) -> Iterator[InputProduct]:
    """Yields the products of a piece."""
    first = 0
    places, offsets = piece.places.tolist(), piece.offsets.tolist()
    for number, views in enumerate(piece.views.tolist()):
        mine = range(first, first + views)
        yield InputProduct(
            product_id=int(piece.product_ids[number]),
            pictures=tuple(piece.data[o : o + n] for o, n in places[mine.start : mine.stop]),
            position=int(piece.positions[number]),
            length=int(piece.lengths[number]),
            offsets=tuple(offsets[mine.start : mine.stop]),
            unreadable={n - first: piece.unreadable[n] for n in mine if n in piece.unreadable}
            if piece.unreadable
            else {},
            key=_key(piece, number),
            category=_category(piece, number),
        )
        first += views


def unseen_product(piece: Rejected) -> InputProduct | None:
    """Returns a rejected piece that has an id as a product without pictures, else None."""
    if piece.product_id is None or piece.gap:
        return None
    return InputProduct(piece.product_id, (), piece.offset, piece.length, (), key=piece.key)


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
