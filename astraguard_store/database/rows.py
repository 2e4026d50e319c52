"""Values ⇄ rows of the tables below `runs`: statistics, files and buckets of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from astraguard_store.buckets import text_of
from astraguard_store.database.core import func, machine_noise, null, runs, whole
from astraguard_store.database.documents import NO_BOUNDS, RunParts, encode, write_document
from astraguard_store.database.sql import ALL_SATELLITES, Connection, insert_rows
from astraguard_store.model import (
    PERCENTILES,
    Artifact,
    MetricSummary,
    RunSummary,
    utc_from_epoch_us,
)
from astraguard_store.noise import NOISE_FIELDS
from astraguard_store.provenance import PROVENANCE_FIELDS

if TYPE_CHECKING:
    from astraguard_store.statistics import RunStatistics

STATISTICS_COLUMNS: Final = MetricSummary._fields[: -len(NO_BOUNDS)]
"""The columns of statistics, in the order of the fields of `MetricSummary`."""


PROVENANCE_COLUMNS: Final = tuple(
    f"{name}_us" if name in {"started_at", "finished_at"} else name for name in PROVENANCE_FIELDS
)
"""The columns of provenance, in the order of the fields of `Provenance`."""

MOMENTS: Final = tuple(map(PROVENANCE_COLUMNS.index, ("started_at_us", "finished_at_us")))
"""Which of them are times."""

# Which of them aren't stored as they are, and how they are made.
_VALUES: Final[list[tuple[int, Callable[[int], Any]]]] = [
    (PROVENANCE_COLUMNS.index("git_dirty"), bool),
    *((moment, utc_from_epoch_us) for moment in MOMENTS),
]


def what_it_was() -> list[Any]:
    """Return the columns of provenance, for a statement; NULL for the times.

    These differ between any two runs, so nothing is compared or judged by them.
    """
    names = enumerate(PROVENANCE_COLUMNS)
    return [null() if place in MOMENTS else runs.c[name] for place, name in names]


def provenance_values(row: Sequence[Any]) -> list[Any]:
    """Return the values of `Provenance` of a row that begins with its columns."""
    values = list(row[: len(PROVENANCE_COLUMNS)])
    for place, value_of in _VALUES:
        if values[place] is not None:
            values[place] = value_of(values[place])
    return values


def started_us() -> Any:
    """Return when a run was flown, or else when it was recorded, for a statement."""
    return func.coalesce(runs.c.started_at_us, runs.c.recorded_at_us)


def worst() -> tuple[Any, ...]:
    """Return the values of `Worst`, for a statement."""
    noise = machine_noise.c
    load = noise.load_worst / func.nullif(noise.processors, whole(0))
    return noise.steal_worst, noise.pressure_worst, load


def insert_surroundings(connection: Connection, summary: RunSummary) -> None:
    """Write a run's attachments, units and noise; mostly there are none."""
    for table, rows in surrounding_rows(summary).items():
        insert_rows(connection, table, rows)


def surrounding_rows(summary: RunSummary) -> dict[str, Sequence[tuple[Any, ...]]]:
    """Return {table: rows} of a run's attachments, units and noise, without empty tables."""
    run_id, noise = summary.run_id, summary.noise
    rows: dict[str, Sequence[tuple[Any, ...]]] = {}
    if summary.attachments:
        rows["attachments"] = [(run_id, *attached) for attached in summary.attachments]
    if summary.provenance.units:
        rows["units"] = [
            (run_id, satellite_id, *unit.values())
            for satellite_id, unit in summary.provenance.units.items()
        ]
    if noise:
        rows["machine_noise"] = [(run_id, *(getattr(noise, name) for name in NOISE_FIELDS))]
    return rows


def insert_files(connection: Connection, summary: RunSummary) -> None:
    """Write the rows of a run's files and, as all other rows are there, its document."""
    insert_rows(connection, "artifacts", file_rows(summary.run_id, summary.artifacts))
    parts = RunParts(summary.metrics, summary.satellites, summary.artifacts)
    write_document(connection, summary.run_id, encode(summary.run_id, parts))


def statistics_rows(summary: RunSummary) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a run's statistics, in the order of the columns."""
    run_id = summary.run_id
    for position, (metric_type, numbers) in enumerate(summary.metrics.items()):
        yield (run_id, ALL_SATELLITES, metric_type, position, *_stored(numbers))
    position = 0
    for satellite_id, metrics in summary.satellites.items():
        for metric_type, numbers in metrics.items():
            yield (run_id, satellite_id, metric_type, position, *_stored(numbers))
            position += 1


def file_rows(run_id: str, files: Iterable[Artifact]) -> list[tuple[Any, ...]]:
    """Return the rows of a run's files that lie in the folder beside the database."""
    return [(run_id, *file, None) for file in files]


def insert_buckets(connection: Connection, run_id: str, found: RunStatistics) -> None:
    """Write the buckets of a run that has none yet."""
    insert_rows(connection, "buckets", bucket_rows(run_id, found))


def bucket_rows(run_id: str, found: RunStatistics) -> list[tuple[str, ...]]:
    """Return the rows of a run's buckets: those of all satellites together come first."""
    by_satellite = {ALL_SATELLITES: found.metric_buckets, **found.satellite_buckets}
    return [
        (run_id, satellite_id, metric_type, text_of(columns))
        for satellite_id, of_one in by_satellite.items()
        for metric_type, columns in of_one.items()
    ]


def insert_satellite_buckets(connection: Connection, run_id: str, found: RunStatistics) -> None:
    """Write the buckets of the satellites of a run that has none of them yet."""
    rows = (row for row in bucket_rows(run_id, found) if row[1] != ALL_SATELLITES)
    insert_rows(connection, "buckets", rows)


def _stored(summary: MetricSummary) -> tuple[float | None, ...]:
    """Return the values of the columns of statistics: a percentile's number, or its bound."""
    stored = summary[: -len(PERCENTILES)]
    if not summary.missed:
        return stored
    first = MetricSummary._fields.index("p50_ms")
    end = first + len(PERCENTILES)
    pairs = zip(stored[first:end], summary[-len(PERCENTILES) :], strict=True)
    percentiles = (number if bound is None else bound for number, bound in pairs)
    return (*stored[:first], *percentiles, *stored[end:])
