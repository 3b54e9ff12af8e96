"""Lists the contents of folders, local or `gs://`. Hidden files and folders are ignored."""

import os

from catalog import storage


def files_below(folder: str) -> list[str]:
    """Returns the relative paths of all files in a folder and its subfolders, sorted."""
    if storage.is_remote(folder):
        prefix = folder.rstrip('/') + '/'
        found = [path.removeprefix(prefix) for path in storage.glob(prefix + '**')]
        return sorted(name for name in found if not name.endswith('/') and not _is_hidden(name))
    found = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        below = os.path.relpath(parent, folder)
        found += [os.path.normpath(os.path.join(below, name)) for name in names]
    return sorted(name for name in found if not _is_hidden(name))


def files_in(folder: str) -> list[str]:
    """Returns the names of the files directly in a folder, sorted."""
    return [name for name in storage.list_files(folder) if name and not _is_hidden(name)]


def folders_in(folder: str) -> list[str]:
    """Returns the names of the folders directly in a folder, sorted."""
    if storage.is_remote(folder):
        return sorted({n.partition('/')[0] for n in files_below(folder) if '/' in n})
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not _is_hidden(e.name))


def _is_hidden(name: str) -> bool:
    return any(part.startswith('.') for part in name.split('/'))
