"""A server as a source: the same questions, asked of the runs that were pushed to it."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Any, TypeVar

from astraguard_store.artifacts.raw_places import read_raw, remove_raw
from astraguard_store.database.documents import document_state
from astraguard_store.database.lists import Prunable, prunable_now
from astraguard_store.database.lists import run_ids as all_run_ids
from astraguard_store.database.measurements import kept_measurements
from astraguard_store.database.percentiles import Group
from astraguard_store.database.postgres.database import DeletedRun, ServerDatabase
from astraguard_store.database.postgres.pushed import Origin
from astraguard_store.database.postgres.raw_files import CataloguedFile
from astraguard_store.database.run_database import RunDatabase
from astraguard_store.database.server_url import ServerUrl
from astraguard_store.database.transaction import Transaction
from astraguard_store.database.whole_runs import load_rows
from astraguard_store.exceptions import (
    ArtifactReadError,
    RunNotFoundError,
    StoreNotFoundError,
)
from astraguard_store.filters import RunFilters
from astraguard_store.formats.journal import JournalHead
from astraguard_store.formats.parquet import frame_of, parse_parquet
from astraguard_store.model import RunHeader, RunSummary
from astraguard_store.options import StoreOptions
from astraguard_store.reports import (
    CheckReport,
    MergeReport,
    Percentiles,
    Progress,
    PruneReport,
    PushReport,
)
from astraguard_store.store.checking import Tally
from astraguard_store.store.new_runs import NewRun
from astraguard_store.store.percentiles import PercentilesQuestion
from astraguard_store.store.pruning import Pruning, report_of
from astraguard_store.store.pushing import Raw, push
from astraguard_store.store.recording import Recording
from astraguard_store.store.row_rules import why_not_written
from astraguard_store.store.saving import rows_to_save
from astraguard_store.store.sources import RowsSource, refusing

if TYPE_CHECKING:
    import polars as pl


logger = logging.getLogger("astraguard_store")

T = TypeVar("T")


def push_to(
    url: str,
    source: RunDatabase,
    origin: tuple[str, Path | None],
    options: StoreOptions,
    progress: Progress | None,
    raw: Raw | None,
) -> PushReport:
    """Push the runs of a store, of its id and results folder; raises as `RunRepository.push`."""
    store_id, folder = origin
    # Durable whatever the rig's own store is: what a push was told is there must outlive the
    # server's restart, as raw files are removed that it replaces. A commit is of 100 runs.
    target = ServerDatabase.open(ServerUrl.parse(url), replace(options, durability="full"))
    try:
        where = Origin(store_id, None if folder is None else str(folder), gethostname())
        return push(source, target, where, progress, raw)
    finally:
        target.close()


def _no_folders(source: ServerSource) -> StoreNotFoundError:
    return StoreNotFoundError(
        f"{source.where} has no run folders; import them into a folder, and push that"
    )


class ServerSource(RowsSource):
    """The runs of a server. Its files lie on the machines that the runs came from."""

    database: ServerDatabase

    adopt = bring_in = refusing(_no_folders)
    export = refusing(
        lambda self: StoreNotFoundError(
            f"{self.where} has no files; export the runs on the machine that they came from"
        )
    )
    push = refusing(
        lambda self: StoreNotFoundError(
            f"{self.where} is a server itself; to copy it, use pg_dump or a replica"
        )
    )
    back_up = refusing(
        lambda self: StoreNotFoundError(
            f"{self.where} is backed up by the server's own tools: pg_dump, or pg_basebackup with "
            "its log"
        )
    )

    def __init__(self, database: ServerDatabase, options: StoreOptions) -> None:
        super().__init__(database, database.name)
        self._options = options

    @classmethod
    def open(cls, url: str, options: StoreOptions) -> ServerSource:
        """Open the store on a server; raises as `RunRepository.open`."""
        for name in ("compression", "safe_csv"):
            if getattr(options, name):
                raise ValueError(f"{name} is of files, and a server writes none")
        if options.keep_measurements == "parquet":
            raise ValueError(
                "keep_measurements is 'csv' (not at all) or 'database' on a server, "
                f"not {options.keep_measurements!r}"
            )
        return cls(ServerDatabase.open(ServerUrl.parse(url), options), options)

    def get_all(self, run_ids: Sequence[str]) -> dict[str, RunSummary]:
        """Return those of the runs that are there; one round trip for 256 of them."""
        return {run_id: run.summary for run_id, run in self.database.get_all(run_ids).items()}

    def recent(self, limit: int, filters: RunFilters | None = None) -> list[RunHeader]:
        """Return the newest *limit* runs that pass the filters, newest first."""
        return self.database.recent(limit, filters)

    def percentiles(self, question: PercentilesQuestion) -> dict[Group, Percentiles]:
        """Return percentiles over many runs, by group."""
        answers = question.answer(self.database)
        # The server sorts by its own language, and what isn't known last.
        return dict(
            sorted(answers.items(), key=lambda item: [(v is not None, v or "") for v in item[0]])
        )

    def measurements(self, run_id: str) -> pl.DataFrame:
        """Return the measurements that the table keeps of a run."""
        total = self.get(run_id).total_measurements
        kept = self.database.read(partial(kept_measurements, run_id=run_id))
        if kept and kept.rows == total:
            return frame_of(kept)
        file = self.database.raw_file(run_id)
        if file is not None:
            return self._catalogued(file)
        origin = self.database.origin_of(run_id)
        where = "the machine that it came from"
        if origin:
            where = f"{origin.host}, in {origin.results_dir}"
        raise ArtifactReadError(
            f"the server keeps no measurements of run {run_id!r}; they are on {where}"
        )

    def _catalogued(self, file: CataloguedFile) -> pl.DataFrame:
        """Return the measurements of a catalogued file, if it is what was written."""
        try:
            content = read_raw(file.location)
        except ArtifactReadError:
            # The run may have been pushed again meanwhile, and this file removed.
            now = self.database.raw_file(file.run_id)
            if now is None or now.location == file.location:
                raise
            file, content = now, read_raw(now.location)
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise ArtifactReadError(f"{file.location} is not what was pushed; push --raw again")
        try:
            return parse_parquet(content, file.rows, of_dataset=True)
        except ArtifactReadError as error:
            raise ArtifactReadError(f"{file.location}: {error}") from error

    def check(
        self,
        progress: Progress | None,
        *,
        deep: bool,  # noqa: ARG002
        fix: bool,
        satellite_buckets: bool,
    ) -> CheckReport:
        """Hold the rows of each run against what every save keeps, and its document too.

        A document that is missing or wrong is written anew where it mends.
        """
        if satellite_buckets:
            raise StoreNotFoundError(
                f"{self.where} has no CSVs to compute buckets from; compute them where the runs "
                "came from"
            )
        tally = Tally()
        names = self.database.read(all_run_ids)
        for run_id in names:
            self._check_run(run_id, tally, fix=fix)
            tally.runs += 1
            if progress:
                progress(tally.runs, len(names))
        return tally.report()

    def estimate_pruning(self, pruning: Pruning) -> PruneReport:
        """Return what a pruning would delete."""
        chosen = pruning.chosen(self.database)
        going = [run.run_id for run in chosen.going]
        files = {} if pruning.measurements_only else self.database.raw_files(going)
        return report_of(
            pruning,
            going,
            chosen.pinned,
            chosen.unfinished,
            file_bytes=sum(file.bytes for file in files.values()),
            dry_run=True,
        )

    def is_in_place(self) -> bool:
        """Return True: a server is found again by its URL."""
        return True

    def close(self, *, wait: bool = True) -> None:  # noqa: ARG002
        """Close the connections."""
        self.database.close()

    def save(self, runs: Mapping[str, NewRun], *, satellite_buckets: bool) -> list[RunSummary]:
        """Save runs, all or none."""
        if not runs:
            return []
        already = self.saved_already(runs)
        if already is not None:
            return already
        options = replace(self._options, satellite_buckets=satellite_buckets)
        new = rows_to_save(runs, options, secrets.token_hex(8))
        # By id, as everybody does: so two savers never wait for each other's.
        saved = self.database.save(sorted((rows for _, rows in new), key=lambda r: r.run_id))
        if len(saved) < len(runs):
            # By somebody else, since it was looked for.
            return self.saved_already(runs) or self.save(runs, satellite_buckets=satellite_buckets)
        return [
            replace(summary, revision=saved[summary.run_id][0], tags=saved[summary.run_id][1])
            for summary, _ in new
        ]

    def change(self, purpose: str, step: Callable[[Transaction], T]) -> T:  # noqa: ARG002
        """Return the result of *step*; all that it writes is kept, or nothing."""
        return self.database.change_judgements(step)

    def set_tags(self, run_id: str, tags: Mapping[str, str | None]) -> None:
        """Set and, where None, remove tags of a stored run."""
        self.database.set_tags(run_id, tags)

    def purge_measurements(self, run_id: str) -> int:
        """Delete a run's measurements from the table; return how many there were."""
        self.database.get(run_id)
        return self.database.purge_measurements(run_id)

    def delete(self, run_id: str) -> None:
        """Delete a run, and then the file of its raw measurements if that can be."""
        gone = self.database.delete(run_id)
        if gone is None:
            raise RunNotFoundError(run_id, self.where)
        _remove_file(gone)

    def prune(self, pruning: Pruning, progress: Progress | None) -> PruneReport:
        """Delete old runs, each by itself; the server's autovacuum reuses their room."""
        chosen, unfinished, _ = pruning.chosen(self.database)
        gone: list[str] = []
        pinned: list[str] = []
        file_bytes = 0
        for done, run in enumerate(chosen):
            if progress:
                progress(done, len(chosen))
            if run.is_pinned:
                pinned.append(run.run_id)
            else:
                freed_bytes = self._prune_run(run, pruning, pinned)
                if freed_bytes is not None:
                    gone.append(run.run_id)
                    file_bytes += freed_bytes
        if progress:
            progress(len(chosen), len(chosen))
        return report_of(pruning, gone, pinned, unfinished, file_bytes=file_bytes)

    def _prune_run(self, run: Prunable, pruning: Pruning, pinned: list[str]) -> int | None:
        """Delete a run or its measurements if it is as it was chosen; None if it wasn't deleted.

        One that was pinned since is added to *pinned*.

        Returns:
            What the file that went with it held, bytes.
        """
        if not pruning.measurements_only:
            gone = self.database.delete(
                run.run_id, if_recorded_at_us=run.recorded_at_us, if_state=run.state
            )
            if gone is not None:
                return _remove_file(gone)
        look = partial(prunable_now, run_ids=[run.run_id])
        now = self.database.read(look, one_statement=True).get(run.run_id)
        if now is not None and now.is_pinned:
            pinned.append(run.run_id)
        if not pruning.measurements_only or now is None or not pruning.may_go(run, now):
            return None
        self.database.purge_measurements(run.run_id)
        return 0

    def record(self, run_id: str, head: JournalHead) -> Recording:  # noqa: ARG002
        """Refuse: a test loop must not wait for a network."""
        raise StoreNotFoundError(
            f"run {run_id!r} can't be recorded into {self.where}, which has no journal: record it "
            "into a results folder, and push that"
        )

    def merge(self, other: Path, progress: Progress | None) -> MergeReport:  # noqa: ARG002
        """Refuse: a store is pushed."""
        raise StoreNotFoundError(f"{self.where} takes what is pushed: push {other} to it")

    def _check_run(self, run_id: str, tally: Tally, *, fix: bool) -> None:
        def look(connection: Any) -> tuple[Any, str]:
            rows = load_rows(connection, run_id)
            return rows, document_state(connection, run_id)

        rows, state = self.database.read(look)
        if rows is None:
            return  # deleted meanwhile
        fault = why_not_written(rows)
        if fault:
            tally.fault("rows_disagree", run_id, fault, "push or save the run again")
        elif state != "right" and fix:
            self.database.renew_document(run_id)
            tally.mended("wrong_document", run_id, f"its document is {state}", "written anew")
        elif state != "right":
            what = f"its document is {state}"
            tally.fault("wrong_document", run_id, what, "`check --fix` writes it anew")


def _remove_file(gone: DeletedRun) -> int:
    """Remove the file of a run that is deleted, or say where it is; return its bytes."""
    if gone.file is None:
        return 0
    why = remove_raw(gone.file.location, gone.file.run_id)
    if why is None:
        return gone.file.bytes
    logger.warning(
        "run %r is deleted, but not its file %s: %s", gone.file.run_id, gone.file.location, why
    )
    return 0
