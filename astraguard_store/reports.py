"""What work on a store did or found; frozen values like those of `model`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple

from astraguard_store.model import AtLeast
from astraguard_store.shown import Shown, Tabular, dict_of, html_of, printable

Progress = Callable[[int, int], None]
"""Called with the number of runs or folders done and their total."""

FindingKind = Literal[
    "changed_file",
    "csv_disagrees",
    "damaged_database",
    "foreign_key",
    "missing_buckets",
    "missing_database",
    "missing_file",
    "missing_row",
    "network_file_system",
    "rows_disagree",
    "schema_version",
    "sqlite_version",
    "staging_left_over",
    "unhashed_csv",
    "wrong_document",
]


# A repr is one line in a notebook: names beyond these are only counted.
_SHOWN = 5


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


class CacheInfo(NamedTuple):
    """How the identity map did, since the store was opened in this process.

    Attributes:
        hits: Answers given from the map.
        misses: Answers read from the database.
        current_size: Runs and comparisons held.
        limit: Most that are held.
    """

    hits: int
    misses: int
    current_size: int
    limit: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, for JSON; nothing is rounded."""
        return dict_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)


@dataclass(frozen=True, slots=True)
class ImportReport(Shown):
    """What an import of run folders did.

    Attributes:
        adopted: Runs that are now in the database.
        skipped: Runs that were in it already.
        refused: (folder name, reason) of what could not be read; left as it was.
        ignored: Folders without a summary file, which are no runs.
        rebuilt: Runs of `adopted` whose summary was missing or damaged, and was made anew
            from the CSV.
    """

    adopted: int
    skipped: int
    refused: tuple[tuple[str, str], ...]
    ignored: int = 0
    rebuilt: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExportReport(Shown):
    """What an export made.

    Attributes:
        target: The new folder or file.
        runs: Runs in it.
        files: Files of theirs in it; 1 for a parquet file.
        bytes: What the folder's files hold together, or the size of the one file.
    """

    target: Path
    runs: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True, repr=False)
class MergeReport(Shown):
    """What a merge of another store did.

    Attributes:
        merged: Ids of the runs that are now here too.
        skipped: Ids of the runs that were here already: the same save of the run.
        conflicts: (run id, reason) of runs that are here with another content;
            neither store's is changed.
        refused: (run id, reason) of runs that can't be taken, such as one with a
            damaged file.
        without_files: Ids of the merged runs whose measurements weren't to be had:
            their rows are here, and a summary file written from them.
    """

    merged: tuple[str, ...]
    skipped: tuple[str, ...]
    conflicts: tuple[tuple[str, str], ...]
    refused: tuple[tuple[str, str], ...]
    without_files: tuple[str, ...]

    def __repr__(self) -> str:
        return (
            f"<MergeReport {len(self.merged)} merged, {len(self.skipped)} skipped, "
            f"{len(self.conflicts)} in conflict, {len(self.refused)} refused>"
        )


@dataclass(frozen=True, slots=True, repr=False)
class PushReport(Shown):
    """What a push to a server did.

    Attributes:
        pushed: Ids of the runs that are now on the server too.
        replaced: Ids of the runs of which an older save of this store was there.
        tagged: Ids of the runs of which only tags had changed.
        known: How many runs were there already, and as they are here.
        conflicts: (run id, reason) of runs that are there with another content, such as
            from another store; neither side's is changed.
        refused: (run id, reason) of runs that can't be pushed, or whose measurements can't.
        raw: Ids of the runs whose raw measurements were written.
    """

    pushed: tuple[str, ...]
    replaced: tuple[str, ...]
    tagged: tuple[str, ...]
    known: int
    conflicts: tuple[tuple[str, str], ...]
    refused: tuple[tuple[str, str], ...]
    raw: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return (
            f"<PushReport {len(self.pushed)} pushed, {len(self.replaced)} replaced, "
            f"{len(self.tagged)} tagged, {self.known} known, "
            f"{len(self.conflicts)} in conflict, {len(self.refused)} refused>"
        )


@dataclass(frozen=True, slots=True)
class Finding(Shown):
    """Something that a check found, or mended.

    Attributes:
        kind: What it is, for programs.
        severity: ``fault`` for what is not as the store promises; ``note`` for
            what is worth knowing and harms nothing by itself.
        where: The file, relative to the results folder, or the database.
        what: What is wrong with it.
        advice: What to do about it; of a mended one, what was done.
    """

    kind: FindingKind
    severity: Literal["fault", "note"]
    where: str
    what: str
    advice: str


@dataclass(frozen=True, slots=True, repr=False)
class CheckReport(Tabular):
    """What a check of a store found.

    Attributes:
        runs: Runs that were checked.
        files: Files of theirs that were read.
        bytes: What these hold together.
        findings: What is left to mend, or to know.
        mended: What ``fix`` has mended.
    """

    runs: int
    files: int
    bytes: int
    findings: tuple[Finding, ...]
    mended: tuple[Finding, ...]

    def __repr__(self) -> str:
        faults = [finding.kind for finding in self.findings if finding.severity == "fault"]
        state = f"faults: {', '.join(faults[:_SHOWN])}" if faults else "sound"
        more = ", …" if len(faults) > _SHOWN else ""
        return (
            f"<CheckReport {_counted(self.runs, 'run')}, {_counted(self.files, 'file')}: "
            f"{state}{more}; {_counted(len(self.findings) - len(faults), 'note')}, "
            f"{len(self.mended)} mended>"
        )

    @property
    def is_sound(self) -> bool:
        """Whether no fault is left; notes may be."""
        return all(finding.severity == "note" for finding in self.findings)


class DescribedColumn(NamedTuple):
    """A column of a table or view.

    Attributes:
        name: The column's name.
        unit: Unit of its values, such as ``ms``; None where they have none.
        description: What it means, in one paragraph.
    """

    name: str
    unit: str | None
    description: str


class DescribedObject(NamedTuple):
    """A table or a view.

    Attributes:
        name: Its name.
        kind: ``table`` or ``view``.
        description: What a row is; paragraphs, and SQL indented by four spaces.
        columns: In the order in which ``SELECT *`` gives them.
    """

    name: str
    kind: str
    description: str
    columns: tuple[DescribedColumn, ...]

    @classmethod
    def of_rows(cls, rows: Iterable[tuple[Any, ...]]) -> tuple[DescribedObject, ...]:
        """Return the objects of rows (object, kind, column, unit, description), in their order.

        The row about an object has an empty column, and comes before those of its columns.
        """
        described = []
        for _, group in groupby(rows, itemgetter(0)):
            (name, kind, _, _, description), *columns = group
            of_columns = tuple(DescribedColumn(*row[2:]) for row in columns)
            described.append(cls(name, kind, description, of_columns))
        return tuple(described)


@dataclass(frozen=True, slots=True, repr=False)
class QueryResult(Tabular):
    """The answer to somebody's own SQL.

    Attributes:
        columns: The names as SQLite gives them; two may be the same.
        rows: One tuple a row, with None, int, float, str or bytes in it.
        truncated: Whether there were more rows than the limit.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    truncated: bool

    def __repr__(self) -> str:
        shown = ", ".join(self.columns[:_SHOWN]) + (", …" if len(self.columns) > _SHOWN else "")
        more = ", and there are more" if self.truncated else ""
        return f"<QueryResult {_counted(len(self.rows), 'row')} of ({shown}){more}>"


class Percentile(NamedTuple):
    """One percentile of what many runs measured.

    Attributes:
        quantile: Which one, from 0 to 1.
        value_ms: Within 1 % of the order statistic; None if that falls among the
            missed events, or if there are no events.
        above_ms: Its lower bound where it falls among the missed, within 1 %; else None.
    """

    quantile: float
    value_ms: float | None
    above_ms: float | None

    @classmethod
    def of(cls, quantile: float, value: float | AtLeast | None) -> Percentile:
        """Return the percentile of this value, ms, or of this bound."""
        if isinstance(value, AtLeast):
            return cls(quantile, None, float(value))
        return cls(quantile, value, None)

    @property
    def value(self) -> float | AtLeast | None:
        """The percentile, ms, or its lower bound; None if there are no events."""
        return self.value_ms if self.above_ms is None else AtLeast(self.above_ms)

    def __str__(self) -> str:
        value = self.value
        if value is None:
            return f"{self.quantile:g}: none"
        return f"{self.quantile:g}: {'above ' * isinstance(value, AtLeast)}{value:.4g} ms"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, for JSON; nothing is rounded."""
        return dict_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)


@dataclass(frozen=True, slots=True, repr=False)
class Percentiles(Tabular):
    """What many runs measured of one metric type, all together.

    Attributes:
        metric_type: What was measured.
        satellite_id: On which satellite; None for all.
        values: One for each quantile, in the order in which they were asked for.
        count: Events in the runs' buckets, the missed ones among them.
        missed: How many of them were missed.
        runs: How many runs they come from.
        runs_without_buckets: Ids of the runs that measured it too, but keep no
            buckets of it, so that nothing of them is in the values: they were
            adopted from old files, or saved before there were buckets.
        unfinished: Ids of the runs that measured it too and are left out for being
            interrupted or failed; empty where runs were named.
    """

    metric_type: str
    satellite_id: str | None
    values: tuple[Percentile, ...]
    count: int
    missed: int
    runs: int
    runs_without_buckets: tuple[str, ...]
    unfinished: tuple[str, ...] = ()

    def __repr__(self) -> str:
        where = f" on {self.satellite_id}" if self.satellite_id else ""
        missed = f", {self.missed} missed" if self.missed else ""
        without = len(self.runs_without_buckets)
        return printable(
            f"<Percentiles {self.metric_type}{where}: {', '.join(map(str, self.values))}; "
            f"{_counted(self.count, 'event')} of {_counted(self.runs, 'run')}{missed}"
            f"{f'; {without} without buckets' if without else ''}>"
        )


@dataclass(frozen=True, slots=True, repr=False)
class PruneReport(Shown):
    """What a pruning deleted, or, in a dry run, would delete.

    Attributes:
        deleted: Ids of the runs, oldest first; empty if only measurements went.
        purged: Ids of the runs whose measurements went from the database, and
            that are still there, oldest first.
        pinned: Ids of the runs that stayed because they have the tag ``pinned``, or
            because a baseline has them.
        file_bytes: What the deleted files held together.
        database_bytes: By how much the database and its log are smaller now; in
            a dry run an estimate.
        not_compacted: Why the database was not made smaller although it was
            worth it; None otherwise. The next pruning tries again.
        dry_run: Whether nothing was changed.
        unfinished: Ids of the runs that stayed for being running, failed or interrupted.
    """

    deleted: tuple[str, ...]
    purged: tuple[str, ...]
    pinned: tuple[str, ...]
    file_bytes: int
    database_bytes: int
    not_compacted: str | None
    dry_run: bool
    unfinished: tuple[str, ...] = ()

    def __repr__(self) -> str:
        verb = "would delete" if self.dry_run else "deleted"
        return (
            f"<PruneReport {verb} {_counted(len(self.deleted), 'run')}, purged "
            f"{len(self.purged)}, {len(self.pinned)} pinned; {self.freed_bytes} bytes>"
        )

    @property
    def freed_bytes(self) -> int:
        """What was freed in all, or would be."""
        return self.file_bytes + self.database_bytes
