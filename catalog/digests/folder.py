"""Writes the digests of a folder, and verifies a folder by them before it is used."""

import json
import os
from collections.abc import Mapping
from typing import Literal

from catalog import object_store, storage
from catalog.digests.keys import PrivateKey, PublicKey
from catalog.errors import UserError

FILE_NAME = 'digests.json'
SIGNATURE_NAME = 'digests.json.sig'  # 64 bytes: Ed25519 over the bytes of digests.json

Verified = Literal['signed', 'intact', 'unverified']


def compute(folder: str) -> dict[str, str]:
    """Returns the SHA-256, in hex, of each file of a folder, by relative path.

    Leaves out the digests and their signature.
    """
    names = sorted(set(list_files(folder)) - {FILE_NAME, SIGNATURE_NAME})
    return {name: storage.sha256(storage.join(folder, name)) for name in names}


def write(folder: str, *, key: PrivateKey | None = None) -> None:
    """Writes `digests.json`, and its signature if there is a key."""
    document = json.dumps({'sha256': compute(folder)}, indent=1) + '\n'
    storage.write_bytes(storage.join(folder, FILE_NAME), document.encode())
    if key:
        signature = key.sign(document.encode())
        storage.write_bytes(storage.join(folder, SIGNATURE_NAME), signature)


def verify(folder: str, *, key: PublicKey | None = None) -> Verified:
    """Checks a folder before it is loaded.

    Args:
      folder: A local folder or one on `gs://`.
      key: If given, the folder must have digests and their signature.

    Returns:
      `signed` if the signature and all files are as their publisher wrote them, `intact` if no key
      was given and the files match the digests, `unverified` if the folder has no digests.

    Raises:
      UserError: If a file is missing, was changed, or is not listed, or if the signature is
        missing or wrong.
    """
    path = storage.join(folder, FILE_NAME)
    try:
        document = storage.read_bytes(path)
    except FileNotFoundError as error:
        if key:
            raise UserError(f'{folder}: must have a {FILE_NAME} and its signature') from error
        return 'unverified'
    if key:
        _check_signature(folder, document, key=key)
    _compare(folder, expected=_parse(document, path))
    return 'signed' if key else 'intact'


def _check_signature(folder: str, document: bytes, *, key: PublicKey) -> None:
    path = storage.join(folder, SIGNATURE_NAME)
    try:
        signature = storage.read_bytes(path)
    except FileNotFoundError as error:
        raise UserError(f'{folder}: must be signed: it has no {SIGNATURE_NAME}') from error
    if not key.has_signed(document, signature):
        raise UserError(f'{path}: must be the signature of {FILE_NAME} by the owner of the key')


def _parse(document: bytes, path: str) -> dict[str, str]:
    try:
        expected = json.loads(document)['sha256']
        return {str(name): str(digest) for name, digest in expected.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f'{path}: must be JSON with the key sha256; copy the folder again') from (
            error
        )


def _compare(folder: str, *, expected: Mapping[str, str]) -> None:
    files = set(list_files(folder)) - {FILE_NAME, SIGNATURE_NAME}
    for name in sorted(files - set(expected)):  # such as a warm-up file, which would be run
        raise UserError(
            f'{storage.join(folder, name)}: must be listed in {FILE_NAME}; delete it, or copy the '
            'folder again'
        )
    for name in sorted(expected):
        path = storage.join(folder, name)
        if name not in files or storage.sha256(path) != expected[name]:
            raise UserError(f'{path}: must have the SHA-256 of {FILE_NAME}; copy the folder again')


def list_files(folder: str) -> list[str]:
    """Returns the relative path of each file, hidden ones and links included."""
    if storage.is_remote(folder):
        prefix = folder.rstrip('/') + '/'
        paths = object_store.glob(f'{prefix}**')
        return [path.removeprefix(prefix) for path in paths if not path.endswith('/')]
    return [
        os.path.relpath(os.path.join(parent, name), folder)
        for parent, folders, names in os.walk(folder)
        for name in [*names, *(name for name in folders if _is_link(parent, name))]
    ]


def _is_link(parent: str, name: str) -> bool:
    return os.path.islink(os.path.join(parent, name))
