"""What `check` mends: from rows that are sound, and never over a file that isn't kept."""

from __future__ import annotations

import hashlib
from functools import partial
from math import isclose

from astraguard_store.artifacts.files import sync_folder
from astraguard_store.artifacts.reader import read_columns
from astraguard_store.artifacts.restoring import keep_changed_summary, stage_summary
from astraguard_store.artifacts.verification import file_state
from astraguard_store.artifacts.writer import StagedRun
from astraguard_store.csv_format import plain_labels
from astraguard_store.database.integrity import FilesOfRun, files_of_run
from astraguard_store.database.queries import StoredRun
from astraguard_store.database.transaction import WriteOptions
from astraguard_store.exceptions import ArtifactReadError, ArtifactWriteError
from astraguard_store.model import Artifact, MetricSummary, RunSummary, epoch_us
from astraguard_store.repository.adoption import adopt_folders
from astraguard_store.repository.recovery import recover
from astraguard_store.repository.shared_store import SharedStore
from astraguard_store.statistics import RunStatistics, summarize
from astraguard_store.summary_format import render_document, summary_document

__all__ = ["Mender"]

_QUARTER_OF_AN_HOUR_S = 900
_ALL_ZONES = range(-12 * 3600, 14 * 3600 + 1, _QUARTER_OF_AN_HOUR_S)


class Mender:
    """Mends one store, one finding at a time; each call raises if it can't."""

    def __init__(self, store: SharedStore, options: WriteOptions) -> None:
        self._store = store
        self._options = options

    def recover(self) -> None:
        """Finish or undo what dead processes left; what it can't, it logs."""
        if not self._store.database.adopted():
            self.adopt()
        recover(self._store, self._options)

    def adopt(self) -> dict[str, str]:
        """Adopt the folders without rows; return {folder: reason} of those refused.

        Raises:
            StoreError: The database can't be written.
            OSError: The results folder can't be listed.
        """
        return dict(adopt_folders(self._store, self._options).refused)

    def restore_summary(self, run: FilesOfRun, noted: Artifact) -> str:
        """Write a run's summary file anew, byte for byte, and keep what lies in its place.

        Returns:
            What was done.

        Raises:
            StoreError: It can't be done; the message says why.
            OSError: A file can't be written.
        """
        root = self._store.root
        assert root is not None  # noqa: S101 - in memory there are no files
        stored = self._store.database.get(run.run_id)
        content = _rendered(stored, noted)
        staged = stage_summary(
            root,
            run.run_id,
            content,
            epoch_us(stored.summary.recorded_at),
            stored.summary.total_measurements,
            sync=self._options.durability == "full",
        )
        try:
            with self._store.ticket.held(
                f"mending run {run.run_id!r}", self._options.busy_timeout_s
            ):
                return self._publish(run, staged)
        except BaseException:
            staged.discard()
            raise

    def _publish(self, run: FilesOfRun, staged: StagedRun) -> str:
        root = self._store.root
        assert root is not None  # noqa: S101 - as above
        if self._store.database.read(partial(files_of_run, run_id=run.run_id)) != run:
            raise ArtifactWriteError(f"run {run.run_id!r} was saved again meanwhile")
        kept = keep_changed_summary(root, staged.run_id)
        staged.publish()
        if staged.close():
            sync_folder(root)
        beside = f"; the changed one is kept beside it as {kept}" if kept else ""
        return f"written anew from its row{beside}"

    def complete_csv(self, run: FilesOfRun, noted: Artifact) -> None:
        """Hash and count the CSV of an adopted run, and note what only it tells.

        That is each satellite's p99 and minimum, which old summaries lack.

        Raises:
            ArtifactReadError: It can't be read, or says something else than the summary.
            StoreError: The database can't be written.
            OSError: It can't be read.
        """
        assert self._store.root is not None  # noqa: S101 - as above
        summary = self._store.database.get(run.run_id).summary
        found = file_state(self._store.root, noted.path)
        columns = read_columns(self._store.root / noted.path)
        told = summarize(plain_labels(columns, summary.metrics, summary.satellites))
        difference = _changed_meanwhile(found.bytes, noted) or _disagreement(told, summary)
        if difference:
            raise ArtifactReadError(difference)
        csv = Artifact("raw_csv", noted.path, found.bytes, found.sha256, columns.rows)
        with (
            self._store.ticket.held(
                f"noting the CSV of run {run.run_id!r}", self._options.busy_timeout_s
            ),
            self._store.database.transaction(self._options) as transaction,
        ):
            transaction.note_csv(run.run_id, csv, told.satellites)


def _rendered(stored: StoredRun, noted: Artifact) -> bytes:
    """Return the bytes of a run's summary file as its save wrote them.

    Of an adopted run the time zone isn't known, so all are tried.
    """
    zones = _ALL_ZONES if stored.utc_offset_s is None else (stored.utc_offset_s,)
    for utc_offset_s in zones:
        content = render_document(summary_document(stored.summary, utc_offset_s))
        if hashlib.sha256(content).hexdigest() == noted.sha256:
            return content
    raise ArtifactWriteError(
        "its row has the numbers, but not the way they were written: another program made the file"
    )


def _changed_meanwhile(size: int, noted: Artifact) -> str | None:
    return None if size == noted.bytes else "it is being written"


def _disagreement(told: RunStatistics, summary: RunSummary) -> str | None:
    """Return where the measurements and the summary of a run differ."""
    if told.total_measurements != summary.total_measurements:
        return (
            f"it has {told.total_measurements} rows, "
            f"the summary speaks of {summary.total_measurements}"
        )
    if told.satellites.keys() != summary.satellites.keys():
        return "it has other satellites than the summary"
    pairs = [(told.metrics, summary.metrics, "")]
    pairs += [
        (metrics, summary.satellites[name], f" on {name!r}")
        for name, metrics in told.satellites.items()
    ]
    for in_csv, in_summary, where in pairs:
        if in_csv.keys() != in_summary.keys():
            return f"it has other metric types{where} than the summary"
        for metric_type, numbers in in_csv.items():
            if not _agree(numbers, in_summary[metric_type]):
                return f"its {metric_type!r}{where} is not what the summary says"
    return None


def _agree(a: MetricSummary, b: MetricSummary) -> bool:
    # Later Pythons sum floats in another way, so old means differ in the last bits.
    return a.count == b.count and all(
        isclose(getattr(a, name), getattr(b, name), rel_tol=1e-9)
        for name in ("mean_ms", "p50_ms", "p95_ms", "max_ms")
    )
