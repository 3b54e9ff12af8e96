"""Ed25519 keys, made by openssl as the documentation says."""

import subprocess
from pathlib import Path

from catalog.digests.keys import PrivateKey, read_private_key


def openssl(*arguments: object) -> None:
    """Runs openssl."""
    subprocess.run(['openssl', *map(str, arguments)], check=True, capture_output=True)


def key_pair(folder: Path, name: str = 'key') -> tuple[PrivateKey, Path]:
    """Makes a private key, NAME.pem, and returns it with the path of its public key."""
    private, public = folder / f'{name}.pem', folder / f'{name}-public.pem'
    openssl('genpkey', '-algorithm', 'ed25519', '-out', private)
    openssl('pkey', '-in', private, '-pubout', '-out', public)
    return read_private_key(str(private)), public
