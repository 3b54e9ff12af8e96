"""A lease on an object store, for `folder_lock`: an object that its owner writes again and again.

The store writes an object only if it has the expected generation, so one process at a time can
create or replace it. Whoever finds it watches it: a new generation shows that the owner is alive;
none for `EXPIRY_SECONDS` shows that it was killed, and the lease is taken over. No clocks are
compared. Every write has another stamp after the text, because in some stores the generation of an
object is a digest of its bytes.
"""

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator

from catalog import object_store

HEARTBEAT_SECONDS = 10.0
EXPIRY_SECONDS = 60.0


@contextlib.contextmanager
def hold(
    path: str,
    text: bytes,
    *,
    on_held: Callable[[bytes], Exception],
    stays: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """Holds a lease for the duration of the block.

    Args:
      path: The object.
      text: Its contents before the stamp, one line, different for each owner.
      on_held: Returns the exception to raise if another owner, who wrote this text, is alive.
      stays: Returns at the end whether the object stays, without further renewal.
    """
    lease = _Lease(path, text, _acquire(path, text, on_held=on_held))
    beat = threading.Thread(target=lease.renew, name='lease', daemon=True)
    beat.start()
    try:
        yield
    finally:
        lease.ended.set()
        beat.join()
        if not stays():
            with contextlib.suppress(OSError):  # without network, it expires
                _release(path, text)


def owner_text(found: bytes) -> bytes:
    """Returns the contents of a lease without the stamp."""
    return found.partition(b'\n')[0]


def _stamped(text: bytes) -> bytes:
    return text + b'\n' + uuid.uuid4().hex.encode()


def _acquire(path: str, text: bytes, *, on_held: Callable[[bytes], Exception]) -> str:
    """Returns the generation of the object after this owner wrote it."""
    expected: str | None = None
    expiry = time.monotonic() + EXPIRY_SECONDS
    while True:
        if not expected or time.monotonic() > expiry:
            written = object_store.write_generation(
                path, _stamped(text), replaced=expected, seconds=EXPIRY_SECONDS
            )
            if written is not None:
                return written
        try:
            found, generation = object_store.read_generation(path)
        except FileNotFoundError:
            expected = None  # its owner has just ended
            continue
        if expected and generation != expected:
            raise on_held(owner_text(found))
        if not expected:
            expected, expiry = generation, time.monotonic() + EXPIRY_SECONDS
        time.sleep(HEARTBEAT_SECONDS / 10)


def _release(path: str, text: bytes) -> None:
    """Deletes the object unless another process has taken it over."""
    found, generation = object_store.read_generation(path)
    if owner_text(found) == text:
        object_store.delete_generation(path, generation)


class _Lease:
    """A lease that this process holds.

    Attributes:
      ended: Set to end `renew`.
    """

    def __init__(self, path: str, text: bytes, generation: str) -> None:
        self._path = path
        self._text = text
        self._generation: str | None = generation  # None if another process took over
        self.ended = threading.Event()

    def renew(self) -> None:
        """Writes the object until the lease ends or another process takes it over."""
        while self._generation is not None and not self.ended.wait(HEARTBEAT_SECONDS):
            # The network may be back at the next beat. `Ownership.require` notices if it is not.
            with contextlib.suppress(OSError):
                self._generation = object_store.write_generation(
                    self._path,
                    _stamped(self._text),
                    replaced=self._generation,
                    seconds=EXPIRY_SECONDS / 2,
                )
