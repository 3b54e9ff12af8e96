"""Defines the flags. A command shows them in its help by `flags.adopt_module_key_flags`."""

from absl import flags

from catalog.inputs.options import SourceOptions, parse_fields
from catalog.photos.confined import Rules
from catalog.schema.fields import DOCUMENT_FIELDS, EXAMPLE, LIST_FIELDS
from catalog.sources import bson_files

FIELDS = flags.DEFINE_list(
    'fields',
    [],
    'Names of the fields as OURS=THEIRS,... where they differ, with dots into nested documents: '
    f'{", ".join(DOCUMENT_FIELDS)} of documents, {", ".join(LIST_FIELDS)} of lists. '
    f'For example {EXAMPLE}.',
)
PRODUCT_FOLDERS = flags.DEFINE_bool(
    'product_folders',
    None,
    'Where no tree has the names of the folders of photos, whether the innermost ones are products '
    '(DIR/CATEGORY/PRODUCT/...; photos beside them are products too) or categories '
    '(DIR/LEVEL 1/LEVEL 2/...; photos beside folders of photos have no category).',
)
FOLDER_IN_KEY = flags.DEFINE_bool(
    'folder_in_key',
    False,
    'Begin the ids of photos in folders with the name of the folder that --input names, so that '
    'products of two folders with the same paths differ.',
)
_ALLOW_OUTSIDE = flags.DEFINE_bool(
    'allow_outside',
    Rules.allow_outside,
    'Read photos outside of the folder, or of the folder of the list, that --input names.',
)
_MAX_PICTURE_MB = flags.DEFINE_float(
    'max_picture_mb', Rules.max_picture_mb, 'Largest photo file in MB (10^6 bytes).'
)
_MAX_LIST_MB = flags.DEFINE_float(
    'max_list_mb', Rules.max_list_mb, 'Most memory for a list of photos in MB (10^6 bytes).'
)
MAX_UNPACK_RATIO = flags.DEFINE_float(
    'max_unpack_ratio',
    bson_files.MAX_UNPACK_RATIO,
    'Largest size of a .gz file once unpacked, in sizes of the file; below 268 MB there is no '
    'limit.',
)


def rules() -> Rules:
    """Returns which photos may be read, from the flags."""
    return Rules(
        allow_outside=_ALLOW_OUTSIDE.value,
        max_picture_mb=_MAX_PICTURE_MB.value,
        max_list_mb=_MAX_LIST_MB.value,
    )


def source_options() -> SourceOptions:
    """Returns how a command that predicts reads its products, from the flags.

    Raises:
      UserError: If --fields is invalid.
    """
    return SourceOptions(
        fields=parse_fields(FIELDS.value),
        rules=rules(),
        product_folders=PRODUCT_FOLDERS.value,
        folder_in_key=FOLDER_IN_KEY.value,
        max_unpack_ratio=MAX_UNPACK_RATIO.value,
    )
