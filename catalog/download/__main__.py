r"""Downloads the files of Kaggle's Cdiscount competition and checks their SHA-256.

The files are train.bson (58 GB), test.bson (14.5 GB), category_names.csv and train_example.bson
(0.6 MB). Kaggle asks for an account, an API token (KAGGLE_API_TOKEN, or another form that Kaggle's
tools take) and that you accept the rules of the competition once. An interrupted download resumes
where it ended when the same command is given again.

Examples:
  python -m catalog.download --output=kaggle
  python -m catalog.download --output=kaggle --files=train_example.bson,category_names.csv
  python -m catalog.download --output=kaggle --files=train_example.bson \
    --to=mongodb://127.0.0.1/shop.products
"""

from pathlib import Path

from absl import flags

from catalog import command_line, storage
from catalog.download import collection, files, kaggle, transfer
from catalog.errors import UserError, suggestion
from catalog.sources import mongo_read

_OUTPUT = flags.DEFINE(
    command_line.LOCAL_PATH, 'output', None, 'Folder for the files.', required=True
)
_FILES = flags.DEFINE_list('files', list(files.SHA256), 'The files to download, comma-separated.')
_TO = flags.DEFINE(
    command_line.PathParser(schemes=mongo_read.SCHEMES),
    'to',
    None,
    'MongoDB collection to load the BSON file of --files into: mongodb://HOST/DATABASE.COLLECTION, '
    'or mongodb+env://NAME, a variable that holds the address.',
)


def main(argv: list[str]) -> None:
    r"""Downloads the files and loads one of them."""
    del argv
    address, loaded = None, None
    for name in _FILES.value:
        if name not in files.SHA256:
            near = suggestion(name, files.SHA256)
            raise UserError(f'--files must be among {", ".join(files.SHA256)}, got {name!r}{near}')
    if _TO.value:
        address, loaded = mongo_read.parse_address(_TO.value, flag='to'), _bson_file()
    storage.make_folder(_OUTPUT.value)
    for name in _FILES.value:
        done = transfer.fetch(
            name,
            Path(_OUTPUT.value),
            sha256=files.SHA256[name],
            find_url=lambda name=name: kaggle.find_url(files.COMPETITION, name),  # type: ignore[misc]
        )
        size = storage.size(storage.join(_OUTPUT.value, name))
        print(f'{done:10} {name}, {size:,} bytes, SHA-256 {files.SHA256[name]}')
    if address and loaded:
        documents = collection.load(Path(_OUTPUT.value, loaded), address)
        print(f'loaded     {documents:,} documents of {loaded} into {address.name}')


def _bson_file() -> str:
    found = [name for name in _FILES.value if name.endswith('.bson')]
    if len(found) != 1:
        raise UserError(
            f'--to loads one BSON file, got {len(found)}; name it, for example --files=train.bson'
        )
    return found[0]


if __name__ == '__main__':
    command_line.run(main)
