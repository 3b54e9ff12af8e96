"""Lists the contents of folders, local or `gs://`.

Hidden files and folders are ignored, and so is what systems leave in folders of photos, such as
`Thumbs.db` and `__MACOSX`. A link to a folder is followed if the folder is below the root, and if
the link is not itself in a linked folder: links cannot form a loop. Other links to folders, FIFOs
and devices are listed as files, so that they are rejected by name when they are read.
"""

import os

from catalog import storage
from catalog.photos.confined import is_inside

_CLUTTER = frozenset(
    {
        'thumbs.db', 'ehthumbs.db', 'desktop.ini', 'icon\r', '__macosx', '@eadir', '$recycle.bin',
        'system volume information', 'lost+found',
    }
)  # fmt: skip


def files_below(folder: str, *, root: str = '', allow_outside: bool = False) -> list[str]:
    """Returns the relative paths of all files in a folder and its subfolders, sorted.

    Args:
      folder: The folder.
      root: Folder that linked folders must be in. By default `folder`.
      allow_outside: Whether linked folders may be anywhere.
    """
    if storage.is_remote(folder):
        prefix = folder.rstrip('/') + '/'
        found = [path.removeprefix(prefix) for path in storage.glob_below(folder, '**')]
        return sorted(name for name in found if not name.endswith('/') and not _is_ignored(name))
    found = []
    pending = [('', False)]  # folder, and whether a link led there
    while pending:
        within, linked = pending.pop()
        with os.scandir(os.path.join(folder, within)) as entries:
            for entry in entries:
                name = os.path.join(within, entry.name)
                if _is_ignored(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    pending.append((name, linked))
                elif (
                    not linked
                    and entry.is_symlink()
                    and entry.is_dir()
                    and (allow_outside or is_inside(entry.path, root or folder))
                ):
                    pending.append((name, True))
                else:
                    found.append(name)
    return sorted(found)


def files_in(folder: str) -> list[str]:
    """Returns the names of the files directly in a folder, sorted."""
    if storage.is_remote(folder):
        return [name for name in storage.list_files(folder) if name and not _is_ignored(name)]
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if not e.is_dir() and not _is_ignored(e.name))


def folders_in(folder: str) -> list[str]:
    """Returns the names of the folders directly in a folder, sorted."""
    if storage.is_remote(folder):
        return sorted({n.partition('/')[0] for n in files_below(folder) if '/' in n})
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not _is_ignored(e.name))


def _is_ignored(name: str) -> bool:
    parts = name.split('/')
    return any(part.startswith('.') or part.lower() in _CLUTTER for part in parts)
