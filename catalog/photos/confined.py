"""Reads photos that someone else named: only regular files below a root, up to a size.

Links are resolved. Afterwards every folder on the way and the file itself are opened without
following links, each relative to the one before, so that a link that is planted in between is not
followed. A FIFO or a device is opened without waiting, and is not read.
"""

import errno
import os
import stat
from dataclasses import dataclass

from catalog import storage
from catalog.formats.image_header import BadPicture

_READ_BYTES = 1 << 20
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# What opening a link without following it gives: as a file, and as a folder.
_LINK_ERRNOS = (errno.ELOOP, errno.ENOTDIR)


@dataclass(frozen=True)
class Rules:
    """What may be read. The names of the flags are part of error messages.

    Attributes:
      allow_outside: Whether photos may be outside of their root.
      max_picture_mb: Largest photo in MB (10^6 bytes).
      max_list_mb: Largest list in memory in MB, with 100 bytes for each row.
    """

    allow_outside: bool = False
    max_picture_mb: float = 64.0
    max_list_mb: float = 2000.0


def is_absolute(name: str) -> bool:
    """Returns whether a name in a list is a path of its own, not relative to the list's folder."""
    return name.startswith(('/', *storage.SCHEMES))


def is_inside(path: str, root: str) -> bool:
    """Returns whether a local path is below a root once links in both are resolved."""
    real, root = os.path.realpath(path), os.path.realpath(root)
    return os.path.commonpath([real, root]) == root


def read_photo(root: str, name: str, rules: Rules) -> bytes:
    """Reads a photo.

    Args:
      root: Folder that the photo must be in.
      name: Path of the photo, relative to the root or absolute.
      rules: What may be read.

    Raises:
      BadPicture: If the photo does not exist, is outside, is not a file, or is too large.
    """
    path = name if is_absolute(name) else storage.join(root, name)
    try:
        if storage.is_remote(root) or storage.is_remote(path):
            return _read_object(root, path, rules)
        if rules.allow_outside:
            return _read(os.open(path, _FILE), rules)
        return _read(_open_inside(root, name), rules)
    except FileNotFoundError:
        raise BadPicture('missing', 'the file does not exist') from None
    except BadPicture:
        raise
    except ValueError:
        raise BadPicture('missing', 'the path contains a zero byte') from None
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ENAMETOOLONG):
            raise BadPicture('missing', 'the file does not exist') from None
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.ENODEV):
            raise BadPicture('not_a_file', 'must be a file, got a link, socket or device') from None
        raise OSError(error.errno, error.strerror, path) from error


def _read_object(root: str, path: str, rules: Rules) -> bytes:
    """Reads an object, or a photo on the other side of a local and a remote root."""
    if not rules.allow_outside and not path.startswith(root.rstrip('/') + '/'):
        raise _outside_error(root)
    if not storage.is_remote(path):
        return _read(os.open(path, _FILE), rules)
    # One request: asking for the size would take a second one.
    limit = _max_bytes(rules)
    with storage.open_reader(path) as reader:
        data = reader.read_at(0, limit + 1)
    if len(data) > limit:
        raise _size_error(rules, f'more than {limit}')
    return data


def _open_inside(root: str, name: str) -> int:
    """Opens a local file below a root.

    Raises:
      BadPicture: If the file is outside.
    """
    parts = name.split('/')
    if not (name.startswith('/') or '..' in parts):
        try:
            return _open_without_links(root, parts)
        except OSError as error:
            if error.errno not in _LINK_ERRNOS:
                raise
    real_root = os.path.realpath(root)
    real = os.path.realpath(os.path.join(root, name))
    if not is_inside(real, real_root):
        raise _outside_error(root)
    return _open_without_links(real_root, os.path.relpath(real, real_root).split('/'))


def _open_without_links(root: str, parts: list[str]) -> int:
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            inner = os.open(part or '.', _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(parts[-1] or '.', _FILE | os.O_NOFOLLOW, dir_fd=folder)
    finally:
        os.close(folder)


def _read(file: int, rules: Rules) -> bytes:
    """Reads an open file and closes it."""
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise BadPicture('not_a_file', f'must be a file, got a {_kind(status.st_mode)}')
        limit = _max_bytes(rules)
        if status.st_size > limit:
            raise _size_error(rules, str(status.st_size))
        data = os.read(file, status.st_size)
        while len(data) < status.st_size and (more := os.read(file, _READ_BYTES)):
            data += more
        return data[: status.st_size]
    finally:
        os.close(file)


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: 'folder', stat.S_IFIFO: 'FIFO', stat.S_IFSOCK: 'socket'}
    return kinds.get(stat.S_IFMT(mode), 'device')


def _max_bytes(rules: Rules) -> int:
    return int(rules.max_picture_mb * 1e6)


def _outside_error(root: str) -> BadPicture:
    return BadPicture('outside', f'must be below {root}; --allow_outside permits others')


def _size_error(rules: Rules, got: str) -> BadPicture:
    return BadPicture(
        'too_many_bytes',
        f'must have at most {_max_bytes(rules)} bytes, got {got}; --max_picture_mb raises this',
    )
