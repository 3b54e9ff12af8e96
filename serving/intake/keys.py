"""API keys: a file of names and keys, read again when it changes, and the check of a request."""

import hashlib
import hmac
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass

from catalog import storage
from catalog.errors import UserError

MIN_CHARACTERS = 16
_HASH_PREFIX = 'sha256:'
_HASH = re.compile(r'[0-9a-f]{64}')


@dataclass(frozen=True)
class ApiKeys:
    """The keys of a file.

    Attributes:
      digests: SHA-256 of each key, by the name of its owner.
    """

    digests: dict[str, bytes]

    def owner(self, key: str) -> str | None:
        """Returns the name of a key's owner, or None; takes as long for every key of a length."""
        digest = hashlib.sha256(key.encode('utf-8', 'surrogatepass')).digest()
        owners = [
            name for name, known in self.digests.items() if hmac.compare_digest(known, digest)
        ]
        return owners[0] if owners else None


class KeyFile:
    """The keys that a file has now. Any thread may ask while another one watches the file."""

    def __init__(self, path: str, *, report: Callable[[str], None]) -> None:
        """Reads the file. `report` receives a line for each change.

        Raises:
          UserError: If the file has no keys, or a wrong line.
        """
        self._path = path
        self._report = report
        self._failure = ''
        self._keys = read(path)

    def owner(self, key: str) -> str | None:
        """Returns the name of a key's owner, or None, as `ApiKeys`."""
        return self._keys.owner(key)

    def poll(self) -> None:
        """Reads the file again. If it cannot be used, that is reported, and the old keys stay."""
        try:
            found = read(self._path)
        except (UserError, OSError) as error:
            if str(error) != self._failure:
                self._failure = str(error)
                self._report(f'the API keys are not changed: {error}')
            return
        self._failure = ''
        if found != self._keys:
            self._keys = found
            self._report(f'the API keys have changed: {", ".join(found.digests)}')

    def watch(self, every_seconds: float, *, until: threading.Event) -> None:
        """Polls until the event is set."""
        while not until.wait(every_seconds):
            self.poll()


def read(path: str) -> ApiKeys:
    """Reads a file with a line `NAME KEY` or `NAME sha256:HEX` for each key; `#` begins a comment.

    Raises:
      UserError: If a line is neither, or if there is no key.
    """
    digests: dict[str, bytes] = {}
    try:
        text = storage.read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise UserError(f'{path}: must be UTF-8 text, got other bytes') from error
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith('#'):
            continue
        where = f'{path}, line {number}'
        name, _, key = line.strip().partition(' ')
        if name in digests:
            raise UserError(f'{where}: a name must be there once, got {name!r} again')
        digests[name] = _digest(key.strip(), where=where)
    if not digests:
        raise UserError(f'{path}: must have a line with a name and a key, got none')
    return ApiKeys(digests)


def _digest(key: str, *, where: str) -> bytes:
    """Returns the digest of a key. Messages never show the key."""
    if key.startswith(_HASH_PREFIX):
        digits = key.removeprefix(_HASH_PREFIX).lower()
        if not _HASH.fullmatch(digits):
            raise UserError(f'{where}: sha256: must be followed by 64 hexadecimal digits')
        return bytes.fromhex(digits)
    if len(key) < MIN_CHARACTERS or ' ' in key:
        raise UserError(
            f'{where}: must be a name and a key of at least {MIN_CHARACTERS} characters, got '
            f'{len(key)} characters'
        )
    return hashlib.sha256(key.encode()).digest()
