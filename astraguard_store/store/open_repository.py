"""What every part of a repository stands on: the open store, or the folders."""

from __future__ import annotations

import weakref
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from astraguard_store.database.transaction import WriteOptions
from astraguard_store.exceptions import ClosedStoreError, ReadOnlyStoreError, StoreNotFoundError
from astraguard_store.options import StoreOptions
from astraguard_store.store.folder_runs import FolderRuns
from astraguard_store.store.store import DATABASE_NAME, SharedStore

__all__ = ["OpenRepository"]


class OpenRepository:
    """An open repository, without what it is for."""

    def __init__(
        self,
        store: SharedStore | None,
        folders: FolderRuns | None,
        results_dir: Path | None,
        options: WriteOptions,
        *,
        read_only: bool,
        save_options: StoreOptions | None = None,
    ) -> None:
        """Use `RunRepository.open` or `RunRepository.in_memory`."""
        self.results_dir = results_dir
        self.answers_from: Literal["database", "folders"] = "database" if store else "folders"
        self._opened = store
        self._folders = folders
        self._options = options
        self._read_only = read_only
        self._save_options = save_options or StoreOptions()
        self._closed = False
        self._finalizer = weakref.finalize(self, store.release) if store else None

    @property
    def database_path(self) -> Path | None:
        """Where the database is, or would be; None in memory."""
        return None if self.results_dir is None else self.results_dir / DATABASE_NAME

    def is_in_place(self) -> bool:
        """Return whether the database that was opened is still the one in the folder."""
        return self._opened is not None and self._opened.is_in_place()

    def close(self) -> None:
        """Let go of the store; its connections close with its last repository."""
        self._closed = True
        if self._finalizer:
            self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        where = self.results_dir or "in memory"
        state = ", closed" if self._closed else ", read only" if self._read_only else ""
        return f"<RunRepository {where}, answers from {self.answers_from}{state}>"

    def _store(self) -> SharedStore:
        if self._closed or self._opened is None:
            self._check_open()
        assert self._opened is not None  # noqa: S101 - the folders would have answered
        return self._opened

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedStoreError(f"the repository of {self.results_dir} is closed; open another")

    def _writable_store(self) -> SharedStore:
        if self._read_only:
            raise ReadOnlyStoreError(
                f"{self.results_dir} was opened with read_only=True; open it without to write"
            )
        return self._store()

    def _needs_database(self, what: str) -> StoreNotFoundError:
        """Return the error that run folders can't answer *what*."""
        return StoreNotFoundError(
            f"{what} needs a database, and there is no usable one in {self.results_dir}; "
            "`astraguard-store import` makes it from the run folders"
        )
