"""Checks that a folder has no files of someone else that an output would replace."""

import os
from collections.abc import Callable

from catalog import storage
from catalog.errors import UserError


def check_own(output: str, *, staging: str, replaces: Callable[[str], bool]) -> None:
    """Checks a folder without a finished output.

    Args:
      output: The folder.
      staging: Its folder of staged files. If there is one, a killed run has left the others.
      replaces: Returns whether an output replaces a file or folder of this name.

    Raises:
      UserError: Naming what would be replaced.
    """
    if os.path.isdir(staging) or storage.list_files(staging):
        return
    found = sorted(filter(replaces, storage.list_names(output)))
    if found:
        raise UserError(
            f'--output: {output} contains {", ".join(found[:3])}, which would be replaced; use '
            'another folder, or --overwrite if it may be'
        )
