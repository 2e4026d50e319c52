"""The id that a results folder and its database share, so that neither is taken for another's.

Rows don't say whose folder their files lie in. A database that is put beside another store's
folder would list runs whose files are other ones, and a recovery would act on them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from astraguard_store.exceptions import (
    ArtifactReadError,
    ArtifactWriteError,
    DatabaseError,
    StoreMismatchError,
)
from astraguard_store.options import DATABASE_NAME
from astraguard_store.store.store import FolderStore
from astraguard_store.system.file_limit import is_file_limit
from astraguard_store.system.files import read_file, sync, sync_folder, write_all

ID_NAME: Final = f"{DATABASE_NAME}.id"

_ID: Final = re.compile(r"[0-9a-f]{32}")
_LONGEST_BYTES: Final = 1_000


def check_store_id(store: FolderStore) -> None:
    """Do nothing if database and folder are one store's, or one of them has no id yet.

    Raises:
        StoreMismatchError: They are not.
        DatabaseError: The folder's can't be read.
    """
    _ids(store)


def settle_store_id(store: FolderStore) -> None:
    """Give database and folder the id that one of them has, or a new one.

    The folder first: a database that is rebuilt from the folders takes theirs.

    Raises:
        StoreMismatchError: They have different ones.
        ArtifactWriteError: It can't be written into the folder.
        DatabaseError: It can't be written into the database.
    """
    of_database, of_folder = _ids(store)
    if of_database and of_folder:
        return
    with store.turn("setting the store's id"):
        # Another process may have set it meanwhile.
        of_database, of_folder = _ids(store)
        store_id = of_folder or of_database or os.urandom(16).hex()
        if not of_folder:
            _write(store.root, store_id)
        if not of_database:
            with store.write("setting the store's id") as transaction:
                transaction.set_store_id(store_id)


def _ids(store: FolderStore) -> tuple[str | None, str | None]:
    of_database, of_folder = store.database.store_id(), _read(store.root)
    if of_database and of_folder and of_database != of_folder:
        raise StoreMismatchError(
            f"{store.root / DATABASE_NAME} is the database of another store ({of_database}) than "
            f"that of the folder {store.root} ({of_folder}): put the right one in its place. If "
            f"they do belong together, remove {store.root / ID_NAME}"
        )
    return of_database, of_folder


def _read(root: Path) -> str | None:
    try:
        content, _ = read_file(root, ID_NAME, _LONGEST_BYTES)
    except FileNotFoundError:
        return None
    except ArtifactReadError as error:
        if is_file_limit(error):
            raise
        # Not of a run's file: without it the database can't be used, and the drop-in asks
        # the folders.
        raise DatabaseError(str(error)) from error.__cause__ or error
    store_id = content.decode(errors="replace").strip()
    if not _ID.fullmatch(store_id):
        raise StoreMismatchError(
            f"{root / ID_NAME} holds no id of a store but {store_id[:40]!r}: remove it, and the "
            "next opening for writing makes it anew"
        )
    return store_id


def _write(root: Path, store_id: str) -> None:
    """Write the folder's id so that it is there whole or not at all; the ticket is held."""
    path, new = root / ID_NAME, root / f"{ID_NAME}-new"
    try:
        with new.open("wb", buffering=0) as file:
            write_all(file.fileno(), f"{store_id}\n".encode())
            sync(file.fileno())
        os.replace(new, path)
        sync_folder(root)
    except OSError as error:
        raise ArtifactWriteError(f"{path} can't be written: {error.strerror}") from error
