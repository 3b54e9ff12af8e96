"""How the products of an input are read."""

from collections.abc import Collection
from dataclasses import dataclass, field

from catalog.photos.confined import Rules
from catalog.schema import fields
from catalog.schema.fields import OWN_NAMES, Fields
from catalog.sources import bson_files

_SPLIT_FIELDS = ('split', 'group')


@dataclass(frozen=True)
class SourceOptions:
    """How the products of an input are read.

    Attributes:
      fields: Names of the fields.
      rules: Which photos may be read.
      product_folders: Of folders that name no category of the model, whether the innermost ones are
        products. None if not known.
      folder_in_key: Whether the keys of photos in folders begin with the name of the input folder.
      max_unpack_ratio: Largest size of a `.gz` file once unpacked, in sizes of the file.
    """

    fields: Fields = OWN_NAMES
    rules: Rules = field(default_factory=Rules)
    product_folders: bool | None = None
    folder_in_key: bool = False
    max_unpack_ratio: float = bson_files.MAX_UNPACK_RATIO


def parse_fields(pairs: Collection[str]) -> Fields:
    """Parses `our=theirs` pairs. Those of splits and groups are left out: all are predicted.

    Raises:
      UserError: If a pair is invalid.
    """
    renamed = fields.parse(pairs).renamed
    return Fields(tuple(pair for pair in renamed if pair[0] not in _SPLIT_FIELDS))
