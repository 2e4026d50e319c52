"""What a repository is told to keep, change and delete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

from astraguard_store.checks import check_name, check_run_id
from astraguard_store.exceptions import InvalidRunError
from astraguard_store.model import RunSummary
from astraguard_store.provenance import Provenance, check_tags
from astraguard_store.reports import PruneReport
from astraguard_store.store.adoption import Progress
from astraguard_store.store.new_runs import Collector, NewRun, new_run
from astraguard_store.store.questions import Questions
from astraguard_store.store.recovery import recover
from astraguard_store.store.saving import (
    delete_run,
    purge_measurements,
    save_runs,
    set_tags,
)
from astraguard_store.system.interrupts import interrupts_held_back

__all__ = ["Changes"]


class Changes(Questions):
    """The part of `RunRepository` that writes runs."""

    def save(
        self,
        run_id: str,
        collector: Collector,
        *,
        provenance: Provenance | None = None,
        tags: Mapping[str, str] | None = None,
        satellite_buckets: bool = False,
    ) -> RunSummary:
        """Save a run; it is on disk when this returns.

        A second save of a run replaces the first, as a whole, and its revision
        counts up. Only its tags stay, but for those that are set anew.

        Args:
            run_id: Its name; see `check_run_id` for what is allowed.
            collector: What was measured; it may go on recording meanwhile.
            provenance: What the run was. What is None in it and can be learned by
                this process, is: see `Provenance`.
            tags: {tag: value} to set; `set_tags` changes them later.
            satellite_buckets: Keep the buckets of each satellite too, so that
                `percentiles` can be asked for one: some 100 rows for each metric
                type on each satellite.

        Returns:
            The run as `get` gives it.

        Raises:
            InvalidRunError: The id is not allowed, there are no measurements, or
                a value can't be stored.
            ArtifactWriteError: A file couldn't be written; nothing was saved.
            DatabaseError: The database couldn't be written; the files are kept
                and the next opening adopts them.
            CommitOutcomeUnknownError: The commit failed; open again to learn.
        """
        return self.save_many(
            [(run_id, collector)],
            provenance=provenance,
            tags=tags,
            satellite_buckets=satellite_buckets,
        )[0]

    def save_many(
        self,
        runs: Iterable[tuple[str, Collector]],
        *,
        provenance: Provenance | None = None,
        tags: Mapping[str, str] | None = None,
        satellite_buckets: bool = False,
    ) -> list[RunSummary]:
        """Save several runs in one transaction: all of them, or none.

        Args:
            runs: (run id, collector) pairs.
            provenance: What each of them was; the rest as in `save`.
            tags: To set on each of them.
            satellite_buckets: As in `save`.

        Raises:
            InvalidRunError: As `save`, or an id is named twice.
        """
        store = self._writable_store()
        new: dict[str, NewRun] = {}
        for name, collector in runs:
            run_id = check_run_id(name)
            if run_id in new:
                raise InvalidRunError(f"Invalid run_id {run_id!r}: it is named twice")
            new[run_id] = new_run(run_id, collector, provenance, tags)
        options = replace(self._save_options, satellite_buckets=satellite_buckets)
        with interrupts_held_back():
            if store.unsettled:
                recover(store, self._options)
            return save_runs(store, self._options, new, options)

    def set_tags(self, run_id: str, tags: Mapping[str, str | None]) -> RunSummary:
        """Set tags of a stored run; None removes one. Others stay, and so does the revision.

        Returns:
            The run with its new tags.

        Raises:
            InvalidRunError: The id is not allowed, or a tag can't be stored.
            RunNotFoundError: There is no such run.
            DatabaseError: The database couldn't be written; no tag is changed.
        """
        store = self._writable_store()
        removed = [check_name(tag, "tag") for tag, value in tags.items() if value is None]
        given = check_tags({tag: value for tag, value in tags.items() if value is not None})
        with interrupts_held_back():
            set_tags(store, self._options, check_run_id(run_id), given | dict.fromkeys(removed))
        return self.get(run_id)

    def purge_measurements(self, run_id: str) -> int:
        """Delete the measurements that ``keep_measurements="database"`` put into the table.

        The run, its statistics and its files stay.

        Returns:
            How many rows were deleted.

        Raises:
            InvalidRunError: The id is not allowed.
            RunNotFoundError: There is no such run.
            DatabaseError: The database couldn't be written; nothing is deleted.
        """
        store = self._writable_store()
        with interrupts_held_back():
            return purge_measurements(store, self._options, check_run_id(run_id))

    def delete(self, run_id: str) -> None:
        """Delete a run: its rows and its files; the folder too if nothing else is in it.

        A save of it that was kept because the database failed is not deleted with
        it: the next opening adopts it.

        Raises:
            InvalidRunError: The id is not allowed.
            RunNotFoundError: There is no such run.
            ArtifactWriteError: The deletion couldn't be noted; nothing is deleted.
            DatabaseError: The database couldn't be written; nothing is deleted.
        """
        store = self._writable_store()
        with interrupts_held_back():
            delete_run(store, self._options, check_run_id(run_id))

    def prune(
        self,
        keep: int | None = None,
        older_than: timedelta | None = None,
        *,
        measurements_only: bool = False,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> PruneReport:
        """Delete old runs and give their bytes back to the disk; pinned runs stay.

        A run goes that is not among the newest *keep* and was recorded longer
        than *older_than* ago; with one of the two, by that alone. Runs with the
        tag ``pinned`` stay, whatever its value. Runs go oldest first and each as
        by `delete`, so that what was not reached is as it was.

        At the end the database file is written anew without what is free in it,
        if that is more than 1 MB or a tenth. Savers wait meanwhile, some 10 s
        for each GB that stays, and as much free disk is needed twice over. If
        that fails, the runs are deleted all the same, and the report says why.

        Args:
            keep: How many of the newest runs stay, pinned ones among them.
            older_than: How old a run must be to go.
            measurements_only: Leave the runs, and only delete the measurements
                that ``keep_measurements="database"`` put into the table.
            dry_run: Change nothing, and report what would be.
            progress: Called with (runs done, runs in all).

        Returns:
            What went, what stayed for being pinned, and how many bytes are free.

        Raises:
            InvalidRunError: Neither *keep* nor *older_than* is given, or one can't be.
            StoreNotFoundError: Run folders answer; only a database can be pruned.
            ArtifactWriteError: A deletion couldn't be noted; the rest stays.
            DatabaseError: The database couldn't be written; the rest stays.
        """
        # Imported where it is called, as in `upkeep`.
        from astraguard_store.store.pruning import Pruning, estimate, prune

        pruning = Pruning(keep, older_than, measurements_only)
        if self._folders:
            self._check_open()
            raise self._needs_database("pruning")
        if dry_run:
            return estimate(self._store(), pruning)
        return prune(self._writable_store(), self._options, pruning, progress)
