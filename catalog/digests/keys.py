"""Ed25519 keys in PEM files, as `openssl genpkey -algorithm ed25519` writes them."""

from dataclasses import dataclass
from typing import Any

from catalog import storage
from catalog.errors import UserError


@dataclass(frozen=True)
class PrivateKey:
    """The key of the publisher of models."""

    _key: Any

    def sign(self, document: bytes) -> bytes:
        """Returns the signature, 64 bytes."""
        return bytes(self._key.sign(document))


@dataclass(frozen=True)
class PublicKey:
    """The key by which a reader recognises the publisher's signatures."""

    _key: Any

    def has_signed(self, document: bytes, signature: bytes) -> bool:
        """Returns whether the owner of the private key signed the document."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, document)
        except InvalidSignature:
            return False
        return True


def read_private_key(path: str) -> PrivateKey:
    """Reads a private key without a password.

    Raises:
      UserError: If the file is not such a key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _read(path)
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _wrong(path, 'private') from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _wrong(path, 'private')
    return PrivateKey(key)


def read_public_key(path: str) -> PublicKey:
    """Reads a public key.

    Raises:
      UserError: If the file is not such a key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    data = _read(path)
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _wrong(path, 'public') from error
    if not isinstance(key, Ed25519PublicKey):
        raise _wrong(path, 'public')
    return PublicKey(key)


def _read(path: str) -> bytes:
    try:
        return storage.read_bytes(path)
    except FileNotFoundError as error:
        raise UserError(f'{path}: must be a PEM file of an Ed25519 key, got no file') from error


def _wrong(path: str, kind: str) -> UserError:
    return UserError(f'{path}: must be a PEM file of an Ed25519 {kind} key without a password')
