"""Lists the contents of folders, local or `gs://`.

Hidden files and folders are passed over, and so is what systems leave in folders of photos, such as
`Thumbs.db` and `__MACOSX`, and files whose suffix is not of a picture, such as `.txt`. A link to a
folder is followed if the folder is below the root and not one that the link is in, and if the link
is not itself in a linked folder: links cannot form a loop. Other links to folders, FIFOs and
devices are listed as files, so that they are rejected by name when they are read.
"""

import os
from collections.abc import Collection
from dataclasses import dataclass

from catalog import storage
from catalog.photos.confined import is_inside

_CLUTTER = frozenset(
    {
        'thumbs.db', 'ehthumbs.db', 'desktop.ini', 'icon\r', '__macosx', '@eadir', '$recycle.bin',
        'system volume information', 'lost+found',
    }
)  # fmt: skip


# Suffixes of files that accompany photos. A file with any other suffix is taken for a picture.
_OTHER_SUFFIXES = frozenset(
    {
        '.csv', '.db', '.doc', '.docx', '.htm', '.html', '.ini', '.json', '.jsonl', '.log', '.md',
        '.mov', '.mp4', '.ods', '.parquet', '.pdf', '.py', '.rtf', '.sha256', '.tsv', '.txt',
        '.url', '.xls', '.xlsx', '.xml', '.yaml', '.yml',
    }
)  # fmt: skip


# Files beside folders are taken for photos only with one of these.
_PICTURE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.gif', '.webp', '.bmp')


@dataclass(frozen=True)
class Contents:
    """The files of a folder.

    Attributes:
      files: Their names relative to the folder, sorted.
      passed_over: Number of files, and of hidden folders, that are not listed.
    """

    files: list[str]
    passed_over: int


def contents_below(
    folder: str,
    *,
    root: str = '',
    allow_outside: bool = False,
    without: Collection[str] = (),
) -> Contents:
    """Returns the files in a folder and its subfolders.

    Args:
      folder: The folder.
      root: Folder that linked folders must be in. By default `folder`.
      allow_outside: Whether linked folders may be anywhere.
      without: Names of folders directly in the folder that are left out.
    """
    if storage.is_remote(folder):
        prefix = folder.rstrip('/') + '/'
        paths = [path.removeprefix(prefix) for path in storage.glob_below(folder, '**')]
        return _filter_names(
            [n for n in paths if not n.endswith('/') and n.partition('/')[0] not in without]
        )
    found = []
    passed_over = 0
    pending = [('', False)]  # folder, and whether a link led there
    while pending:
        within, linked = pending.pop()
        with os.scandir(os.path.join(folder, within)) as entries:
            for entry in entries:
                name = os.path.join(within, entry.name)
                if _is_ignored(entry.name):
                    passed_over += 1
                elif not within and entry.name in without:
                    continue
                elif entry.is_dir(follow_symlinks=False):
                    pending.append((name, linked))
                elif (
                    not linked
                    and _is_folder(entry)
                    and not is_inside(os.path.dirname(entry.path), entry.path)
                    and (allow_outside or is_inside(entry.path, root or folder))
                ):
                    pending.append((name, True))
                elif _is_other(entry.name):
                    passed_over += 1
                else:
                    found.append(name)
    return Contents(sorted(found), passed_over)


def contents_of(folder: str) -> Contents:
    """Returns the files directly in a folder."""
    if storage.is_remote(folder):
        return _filter_names([name for name in storage.list_files(folder) if name])
    with os.scandir(folder) as entries:
        return _filter_names([e.name for e in entries if _is_ignored(e.name) or not _is_folder(e)])


def loose_photos(folder: str) -> Contents:
    """Returns the photos directly in a folder that has folders; other files are passed over."""
    found = contents_of(folder)
    photos = [name for name in found.files if name.lower().endswith(_PICTURE_SUFFIXES)]
    return Contents(photos, found.passed_over + len(found.files) - len(photos))


def folders_in(folder: str) -> list[str]:
    """Returns the names of the folders directly in a folder, sorted."""
    if storage.is_remote(folder):
        return sorted({n.partition('/')[0] for n in contents_below(folder).files if '/' in n})
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if _is_folder(e) and not _is_ignored(e.name))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Returns whether an entry is a folder or leads to one. A link to itself does not."""
    linked = entry.is_symlink() and os.path.isdir(entry.path)
    return linked or entry.is_dir(follow_symlinks=False)


def _filter_names(names: list[str]) -> Contents:
    files = sorted(name for name in names if not (_is_ignored(name) or _is_other(name)))
    return Contents(files, len(names) - len(files))


def _is_other(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in _OTHER_SUFFIXES


def _is_ignored(name: str) -> bool:
    parts = name.split('/')
    return any(part.startswith('.') or part.lower() in _CLUTTER for part in parts)
