"""What keeps a store in order.

What a runner that only saves never calls is imported where it is called: with all
of it, importing the package takes a quarter longer.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from astraguard_store.exceptions import StoreNotFoundError
from astraguard_store.reports import CheckReport, ExportReport, ImportReport, MergeReport
from astraguard_store.store.adoption import Progress, adopt_folders
from astraguard_store.store.questions import Questions
from astraguard_store.store.recovery import recover
from astraguard_store.system.interrupts import interrupts_held_back

__all__ = ["Upkeep"]


class Upkeep(Questions):
    """The part of `RunRepository` that imports, exports, merges, checks and copies."""

    def import_legacy(
        self, progress: Progress | None = None, jobs: int | None = 1
    ) -> ImportReport:
        """Adopt the runs that lie in the folder but not in the database.

        Their summary files are read, not their CSVs; no file is changed. Run
        again, it adopts only what is new.

        Args:
            progress: Called with (folders done, folders in all).
            jobs: How many processes read the summaries, from 1 on; with 1 this one
                does. None: one up to 5,000 folders, then one a processor, four at
                most. The result is the same. With more than one, a script needs
                ``if __name__ == "__main__":`` around its work.

        Raises:
            InvalidRunError: *jobs* is below 1.
            ReadOnlyStoreError: The repository was opened for reading.
            ArtifactReadError: A process that read summaries died; what was adopted
                before stays.
            DatabaseError: The database couldn't be written.
        """
        report = adopt_folders(self._writable_store(), self._options, progress, jobs)
        self.recover()
        return report

    def export(
        self,
        run_ids: Iterable[str],
        target: str | os.PathLike[str],
        progress: Progress | None = None,
    ) -> ExportReport:
        """Copy runs out of the store: all that are named, or nothing.

        The target says what is made. ``….zip``: a zip with a folder for each run;
        the same runs always make the same file. ``….parquet``: one file with the
        measurements of all runs, each with its ``run_id``, one run in memory at a
        time. Anything else: a folder of run folders, which the old readers and
        `import_legacy` take. Each file is held against what was noted of it, so
        a run that is saved meanwhile ends the export.

        Args:
            run_ids: The runs; in the target they are in the order of their ids.
            target: What is to be made; nothing may be there yet.
            progress: Called with (runs done, runs in all).

        Raises:
            InvalidRunError: No run is named, or an id is not allowed.
            RunNotFoundError: There is no such run.
            ArtifactReadError: A file is missing or damaged; the message names it.
            ArtifactWriteError: The target is there already, or can't be written.
        """
        if self.results_dir is None:
            raise StoreNotFoundError("a store in memory has no files, so none can be exported")
        path = Path(target)
        from astraguard_store.store.exporting import (
            export_files,
            export_measurements,
            is_parquet,
        )

        if is_parquet(path):
            return export_measurements(self.measurements, run_ids, path, progress)
        return export_files(self.results_dir, self.get, run_ids, path, progress)

    def merge(
        self, other: str | os.PathLike[str], *, progress: Progress | None = None
    ) -> MergeReport:
        """Take over the runs of another store; it is only read, and nothing here is replaced.

        A run comes over as a whole: its rows with revision, time, provenance,
        tags, buckets and kept measurements, and its files, each held against what
        was noted of it. A run of which there is another save here is a conflict,
        and stays as it is on both sides; so do the tags of a run that is here
        already. Interrupted and called again, it goes on.

        Args:
            other: A results folder, or a database. A run whose files aren't beside
                it comes over with its rows, and with a summary file made of them.
            progress: Called with (runs looked at, runs in all).

        Raises:
            ReadOnlyStoreError: This repository was opened for reading.
            StoreNotFoundError: There is no database.
            InvalidRunError: *other* is this store itself.
            SchemaVersionError: Its database has another schema; the message says
                what to run.
            ArtifactWriteError: A file couldn't be written; the batch of runs that it
                is in is not here.
            DatabaseError: A database couldn't be read or written; the same.
        """
        store = self._writable_store()
        if store.unsettled:
            self.recover()
        from astraguard_store.store.merging import merge_store

        return merge_store(store, self._options, Path(other), progress)

    def recover(self) -> None:
        """Finish or undo what dead processes left behind; `open` does so too."""
        store = self._writable_store()
        with interrupts_held_back():
            recover(store, self._options)

    def check(self, *, fix: bool = False, progress: Progress | None = None) -> CheckReport:
        """Hold database, rows and files against each other; writes nothing without *fix*.

        Every file is read once, 1 MB at a time; other processes may go on saving.
        Queries of this process wait while the database itself is checked.

        Args:
            fix: Finish or undo what dead processes left, adopt folders without
                rows, write missing or changed summary files anew (a changed one
                is kept beside it), hash the CSVs of adopted runs, and compute
                from them the buckets that runs lack. A damaged database is left
                as it is; the report says what to do.
            progress: Called with (runs checked, runs in all).

        Raises:
            ReadOnlyStoreError: With *fix*, the repository was opened for reading.
            DatabaseError: The database can't be read, and not because of damage.
        """
        from astraguard_store.store.checking import check_folder, check_store

        if fix:
            return check_store(self._writable_store(), self._options, fix=True, progress=progress)
        if self._folders and self.results_dir:
            return check_folder(self.results_dir, progress=progress, options=self._options)
        return check_store(self._store(), self._options, progress=progress)

    def back_up(self, target: str | os.PathLike[str]) -> None:
        """Copy the database to the new file *target*, and check the copy.

        Writers go on meanwhile; the copy is of one moment. The run folders are
        not copied. Other queries of this process wait.

        Raises:
            StoreNotFoundError: Run folders answer, so there is nothing to copy.
            DatabaseError: The target is there already, or can't be written.
            DatabaseDamagedError: The copy isn't sound, so the original isn't either.
        """
        if self._folders:
            raise StoreNotFoundError(
                f"there is no usable database in {self.results_dir}; "
                "`astraguard-store check` says what is wrong with it"
            )
        self._store().database.back_up(Path(target))
