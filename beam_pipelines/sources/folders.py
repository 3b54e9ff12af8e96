"""What lies in a folder, local or `gs://`. Hidden files and folders are passed over."""

import os

from catalog import storage


def files_below(folder: str) -> list[str]:
    """The relative paths of all files in a folder and in its folders, sorted."""
    if storage.is_remote(folder):
        prefix = folder.rstrip('/') + '/'
        found = [path.removeprefix(prefix) for path in storage.glob(prefix + '**')]
        return sorted(name for name in found if not name.endswith('/') and not _hidden(name))
    found = []
    for at, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not _hidden(name)]
        below = os.path.relpath(at, folder)
        found += [os.path.normpath(os.path.join(below, name)) for name in names]
    return sorted(name for name in found if not _hidden(name))


def files_in(folder: str) -> list[str]:
    """The names of the files directly in a folder, sorted."""
    return [name for name in storage.list_files(folder) if name and not _hidden(name)]


def folders_in(folder: str) -> list[str]:
    """The names of the folders directly in a folder, sorted."""
    if storage.is_remote(folder):
        return sorted({n.partition('/')[0] for n in files_below(folder) if '/' in n})
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not _hidden(e.name))


def _hidden(name: str) -> bool:
    return any(part.startswith('.') for part in name.split('/'))
