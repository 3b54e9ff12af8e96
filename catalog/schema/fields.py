"""What a shop's data calls the fields of a product: `--fields=_id=sku,imgs=images`."""

from collections.abc import Collection
from dataclasses import dataclass

from catalog.errors import UserError

DOCUMENT_FIELDS = ('_id', 'imgs', 'picture', 'category_id', 'split', 'group')
LIST_FIELDS = ('path', 'category', 'product', 'split', 'group')

EXAMPLE = '--fields=_id=sku,imgs=images,picture=data,category_id=cat.leaf'


@dataclass(frozen=True)
class Fields:
    """The names of the fields. Fields that are not renamed keep their own names.

    Attributes:
      renamed: Our name and the shop's name of each renamed field. The shop's name may be a path
        with dots into nested documents; that of `picture` is relative to an element of `imgs`.
    """

    renamed: tuple[tuple[str, str], ...] = ()

    def __getitem__(self, field: str) -> str:
        """Returns the shop's name of a field."""
        return dict(self.renamed).get(field, field)

    def is_renamed(self, field: str) -> bool:
        """Returns whether the shop's name of a field was given."""
        return field in dict(self.renamed)

    def path(self, field: str) -> tuple[bytes, ...]:
        """Returns the names from the document to a field."""
        return tuple(self[field].encode().split(b'.'))

    def as_text(self) -> str:
        """Returns the renamed fields as `our=theirs,...`, in one order."""
        return ','.join('='.join(pair) for pair in sorted(self.renamed))

    def check(self, known: Collection[str], *, source: str) -> None:
        """Checks that a kind of source has the renamed fields.

        Raises:
          UserError: Naming the first other field.
        """
        for field, _ in self.renamed:
            if field not in known:
                raise UserError(
                    f'--fields: {source} have the fields {", ".join(known)}, got {field!r}'
                )


OWN_NAMES = Fields()


def parse(pairs: Collection[str]) -> Fields:
    """Parses `our=theirs` pairs.

    Raises:
      UserError: If a pair is not `our=theirs`, or a field is unknown or given twice.
    """
    renamed: dict[str, str] = {}
    known = dict.fromkeys((*DOCUMENT_FIELDS, *LIST_FIELDS))
    for pair in pairs:
        ours, equals, theirs = (part.strip() for part in pair.partition('='))
        if not equals or not ours or not all(theirs.split('.')):
            raise UserError(f'--fields: must be OURS=THEIRS, for example {EXAMPLE}; got {pair!r}')
        if ours not in known:
            raise UserError(f'--fields: must rename one of {", ".join(known)}, got {ours!r}')
        if ours in renamed:
            raise UserError(f'--fields: must rename a field once, got {ours} twice')
        renamed[ours] = theirs
    return Fields(tuple(renamed.items()))
