"""RunRepository: the class that callers use."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Literal, get_args

from astraguard_store.artifacts.scanner import has_folders
from astraguard_store.database.backend import Durability
from astraguard_store.database.transaction import WriteOptions
from astraguard_store.exceptions import DatabaseError, StoreNotFoundError
from astraguard_store.formats.compression import check_compression
from astraguard_store.formats.layout import Compression
from astraguard_store.store.changes import Changes
from astraguard_store.store.folder_runs import FolderRuns
from astraguard_store.store.saving import KeptMeasurements, SaveOptions
from astraguard_store.store.store import SharedStore, acquire, existing_root
from astraguard_store.store.upkeep import Upkeep
from astraguard_store.system.machine import begin_asking

__all__ = ["DEFAULT_RESULTS_DIR", "RunRepository"]

logger = logging.getLogger("astraguard_store")

DEFAULT_RESULTS_DIR = "astraguard/hil/results"


class RunRepository(Changes, Upkeep):
    """The runs of a results folder: saved, listed, compared.

    Open one with `open` or `in_memory`, and close it, or use it in a ``with``.
    Any number of threads and processes may work on one folder at a time, and
    all repositories of a folder in one process share its connections and its
    cache. A repository may be used from all threads; after a fork the child
    opens connections of its own.

    What it guarantees: a save that returned is in the database and in both
    files, after a crash and, with ``durability="full"``, after a power cut. A
    reader never sees half of a run, nor an old one after the new one was saved.

    Attributes:
        results_dir: The folder; None in memory.
        answers_from: ``"database"``, or ``"folders"`` where a folder was opened
            for reading that has no database, or none that can be read.
    """

    @classmethod
    def open(
        cls,
        results_dir: str | os.PathLike[str] = DEFAULT_RESULTS_DIR,
        *,
        read_only: bool = False,
        durability: Durability = "full",
        busy_timeout_s: float = 30.0,
        adopt: bool = True,
        safe_csv: bool = False,
        keep_measurements: KeptMeasurements = "csv",
        compression: Compression | None = None,
    ) -> RunRepository:
        """Open the store in the folder *results_dir*.

        Where there is none, the folder and its database are made, and runs that
        lie in the folder already are adopted. What a dead process left behind
        is finished or undone.

        Args:
            results_dir: The results folder.
            read_only: Create, write and migrate nothing. A folder of runs
                without a usable database is then answered from the run folders,
                which the log says.
            durability: ``"full"``: a save that returned survives a power cut.
                ``"normal"``: no file, folder or commit of a save is synced; after
                a power cut the latest saves may be missing or their files
                incomplete. A crash of the process harms neither.
            busy_timeout_s: How long a save waits for other writers, seconds.
            adopt: False leaves runs that were there before the database to
                `import_legacy`, which reports and shows progress.
            safe_csv: In the CSVs of runs that are saved through this repository,
                put an apostrophe before names that a spreadsheet would take for
                a formula: those that begin with ``= + - @``, a tab or a carriage
                return. Rows and summaries keep the names as they are.
            keep_measurements: Where the measurements of runs that are saved through
                this repository are kept: ``"csv"`` in the CSV alone;
                ``"database"`` in the table `measurements` too, for SQL (60 bytes
                a row; `purge_measurements` removes them); ``"parquet"`` in
                ``latency_raw.parquet`` too.
            compression: ``"gzip"`` or ``"zstd"`` writes ``latency_raw.csv.gz`` and
                ``latency_summary.json.gz`` (``.zst``) instead of the plain files,
                a quarter of their size; a run that is saved again changes over.
                It doesn't change how the runs that are there are read.

        Raises:
            ValueError: An option isn't one of those named.
            StoreNotFoundError: With `read_only`, there is no such folder, or
                neither a database nor a run in it.
            SchemaVersionError: The database is older or newer than this code.
            DatabaseDamagedError: The database is damaged; it is left as it is.
            DatabaseBusyError: Others held the database for too long.
            ArtifactWriteError: The folder can't be made; or ``"zstd"`` needs the
                package zstandard, which ``pip install 'astraguard-store[zstd]'``
                installs.
        """
        check_compression(compression)
        if keep_measurements not in get_args(KeptMeasurements):
            raise ValueError(
                f"keep_measurements is 'csv', 'database' or 'parquet', not {keep_measurements!r}"
            )
        if durability not in {"full", "normal"}:
            raise ValueError(f"durability is 'full' or 'normal', not {durability!r}")
        options = WriteOptions(durability, busy_timeout_s)
        root = existing_root(results_dir, create=not read_only)
        if read_only:
            return cls._open_for_reading(root, options)
        begin_asking()
        store = acquire(root, options, create=True)
        save_options = SaveOptions(
            safe_csv=safe_csv, compression=compression, keep_measurements=keep_measurements
        )
        repository = cls(store, None, root, options, read_only=False, save_options=save_options)
        try:
            if adopt and not store.database.adopted():
                repository._adopt_at_first_opening()
            repository.recover()
        except BaseException:
            repository.close()
            raise
        return repository

    @classmethod
    def in_memory(cls, *, keep_measurements: Literal["database"] | None = None) -> RunRepository:
        """Return a new, empty repository that lives in memory and writes no files.

        Args:
            keep_measurements: ``"database"`` keeps the measurements in the table
                `measurements`; None keeps only what is computed from them.

        Raises:
            ValueError: An option isn't one of those named.
        """
        if keep_measurements not in {None, "database"}:
            raise ValueError(
                f"keep_measurements is None or 'database' in memory, not {keep_measurements!r}"
            )
        begin_asking()
        return cls(
            SharedStore.in_memory(),
            None,
            None,
            WriteOptions(),
            read_only=False,
            save_options=SaveOptions(keep_measurements=keep_measurements or "csv"),
        )

    @classmethod
    def _open_for_reading(cls, root: Path, options: WriteOptions) -> RunRepository:
        try:
            store = acquire(root, options, create=False)
        except (FileNotFoundError, DatabaseError) as error:
            missing = isinstance(error, FileNotFoundError)
            if not has_folders(root):
                if not missing:
                    raise
                raise StoreNotFoundError(
                    f"{root} holds neither a database nor a run; check the folder's name"
                ) from None
            reason = "there is no database" if missing else str(error)
            logger.warning("%s: answering from the run folders: %s", root, reason)
            return cls(None, FolderRuns(root), root, options, read_only=True)
        return cls(store, None, root, options, read_only=True)

    def _adopt_at_first_opening(self) -> None:
        report = self.import_legacy()
        if report.adopted:
            logger.info("%s: adopted %d runs", self.results_dir, report.adopted)
        for name, reason in report.refused:
            logger.warning("%s: folder %r was not adopted: %s", self.results_dir, name, reason)
