"""Locks a folder, so that only one process writes to it at a time.

The lock is the file `.lock` in the folder; it is deleted when the owner ends. On a local disk the
kernel holds it (flock) and releases it when the owner ends in any way, also by kill -9: a `.lock`
that was left behind locks nothing. NFS passes flock to its server, which releases it when the
owner's machine is gone; a mount with `nolock` or `local_lock=flock` locks within one machine only.
On an object store, which has no locks, `.lock` is a lease (`object_lease`).
"""

import contextlib
import errno
import fcntl
import functools
import json
import os
import socket
import stat
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from catalog import storage, terminal
from catalog.errors import UserError
from catalog.process import object_lease

FILE_NAME = '.lock'

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_MOST_BYTES = 4096
_HELD_ERRORS = (errno.EWOULDBLOCK, errno.EACCES)
_NOT_A_FILE_ERRORS = (errno.ELOOP, errno.EISDIR, errno.ENXIO)  # link, folder, socket
_NO_LOCKS_ERRORS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)


@dataclass(frozen=True)
class Ownership:
    """The right to write to a folder. Small and picklable, so that workers can check it.

    Attributes:
      folder: The owned folder.
      text: The contents of the lock, different for each ownership.
    """

    folder: str
    text: bytes

    def require(self) -> None:
        """Checks that the folder is still owned.

        On a local disk it is, unless someone deleted the lock. On an object store, a lease expires
        if its owner was suspended or without network for longer than the lease lasts.

        Raises:
          UserError: If it is not.
        """
        try:
            path = storage.join(self.folder, FILE_NAME)
            found = object_lease.owner_text(storage.read_bytes(path))
        except FileNotFoundError:
            found = b''
        if found != self.text:
            by = f'by {_describe(found)}' if found else f'{FILE_NAME} was deleted'
            raise UserError(
                f'{self.folder}: must be owned by one process at a time, but was taken over while '
                f'this process ran: {by}; nothing more is written here by this process'
            )


@contextlib.contextmanager
def own_folder(
    path: str, *, owner: str, stays: Callable[[], bool] = lambda: False
) -> Iterator[Ownership]:
    """Owns a folder for the duration of the block.

    A folder that does not exist is created, and deleted again if it is empty at the end.

    If the folder is on an object store and has another owner, waits until that owner shows that it
    is alive, or until its lease expires: at most `object_lease.EXPIRY_SECONDS`.

    Args:
      path: Folder, local or on an object store.
      owner: Name of this program, for the message to others.
      stays: Returns at the end whether `.lock` stays, for workers on other machines that write
        after this process has ended. Then another process may take the folder over, after
        `object_lease.EXPIRY_SECONDS` on an object store; these workers notice it.

    Raises:
      UserError: If another process owns the folder; names that process. If something else than a
        lock has its name.
    """
    claim = {
        'owner': owner,
        'process': os.getpid(),
        'host': socket.gethostname(),
        'since': time.strftime('%Y-%m-%d %H:%M:%S %z'),
        'token': uuid.uuid4().hex,
    }
    text = json.dumps(claim).encode()
    lock = storage.join(path, FILE_NAME)
    if storage.is_remote(path):
        held = object_lease.hold(
            lock, text, on_held=lambda found: _held_error(path, found), stays=stays
        )
    else:
        held = _hold_file(lock, text, folder=path, stays=stays)
    with held:
        yield Ownership(path, text)


def _held_error(folder: str, found: bytes) -> UserError:
    return UserError(
        f'{folder}: only one process at a time may write here, but {_describe(found)} does; '
        'wait until it ends, or choose another folder'
    )


def _foreign_error(path: str) -> UserError:
    return UserError(
        f'{path}: must be a regular file that this program wrote, got a link, a folder or a '
        'device; delete it, or choose another folder'
    )


def _describe(found: bytes) -> str:
    """Describes the owner that wrote a lock."""
    try:
        claim = json.loads(found)
        place = f'process {claim["process"]} on {claim["host"]}, since {claim["since"]}'
        return f'{claim["owner"]} ({place})'
    except (ValueError, KeyError, TypeError, RecursionError):
        return 'another process'  # which has not written its name yet


@contextlib.contextmanager
def _hold_file(path: str, text: bytes, *, folder: str, stays: Callable[[], bool]) -> Iterator[None]:
    existed = os.path.isdir(folder)
    descriptor = _lock_file(path, folder=folder)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text, 0)
        yield
    finally:
        _close_in_children().discard(descriptor)
        # Deleted while it is locked: whoever locks a deleted file notices that and tries again.
        if not stays() and _is_at(descriptor, path):
            with contextlib.suppress(OSError):
                os.unlink(path)
                if not existed:
                    os.rmdir(folder)  # fails if it contains files
        os.close(descriptor)


def _lock_file(path: str, *, folder: str) -> int:
    """Returns the descriptor of the locked file."""
    while True:
        storage.make_folder(folder)
        try:
            descriptor = os.open(path, _FLAGS, 0o666)
        except FileNotFoundError:
            continue  # another process has just deleted the folder again
        except OSError as error:
            if error.errno in _NOT_A_FILE_ERRORS:
                raise _foreign_error(path) from error
            raise
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:  # it would be overwritten
            os.close(descriptor)
            raise _foreign_error(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NO_LOCKS_ERRORS:
                print(
                    f'warning: {terminal.escape(folder)}: this file system has no locks '
                    f'({error.strerror}); make sure that only one process at a time writes here',
                    file=sys.stderr,
                )
                return descriptor
            found = os.pread(descriptor, _MOST_BYTES, 0)
            os.close(descriptor)
            if error.errno in _HELD_ERRORS:
                raise _held_error(folder, found) from error
            raise OSError(error.errno, error.strerror, path) from error
        if _is_at(descriptor, path):
            _close_in_children().add(descriptor)
            return descriptor
        os.close(descriptor)  # its owner deleted it after it was opened here


def _is_at(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


@functools.cache
def _close_in_children() -> set[int]:
    """Returns the descriptors that a forked child closes. It would hold the lock otherwise."""
    descriptors: set[int] = set()

    def close() -> None:
        for descriptor in descriptors:
            os.close(descriptor)
        descriptors.clear()

    os.register_at_fork(after_in_child=close)
    return descriptors
