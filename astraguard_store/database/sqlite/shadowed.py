"""Closing a database over whose folder another disk was mounted while it was open.

The last connection that closes moves the log into the database and deletes it, by its name.
Before, SQLite looks whether the file of the database's name has the inode number that was opened
(`fileHasMoved` in os_unix.c), which on another disk comes again: then the log is another's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from astraguard_store.system.files import is_same_file, range_shared

# https://sqlite.org/src/file/src/os.h: whoever deletes the log has these bytes for itself.
_SHARED_FIRST: Final = 0x40000002
_SHARED_SIZE: Final = 510


@contextmanager
def logs_of_others_kept(path: Path, opened: os.stat_result) -> Iterator[None]:
    """Keep SQLite from deleting a log inside, if another file has taken the database's place.

    Args:
        path: The database.
        opened: What `os.stat` told of it when it was opened.
    """
    with ExitStack() as kept:
        # A database that is gone is SQLite's to notice, and its log stays.
        with suppress(OSError):
            if not is_same_file(os.stat(path), opened):
                kept.enter_context(range_shared(opened, _SHARED_FIRST, _SHARED_SIZE))
        yield
