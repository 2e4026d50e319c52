"""The table `measurements`: a run's rows, written in batches and read back as columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from astraguard_store.columns import ROW_BYTES, Batch, Columns, Label
from astraguard_store.database.core import (
    OF_ALL_SATELLITES,
    bindparam,
    measurements,
    select,
    statistics,
)
from astraguard_store.database.sql import Connection, insert_many, kept
from astraguard_store.exceptions import DatabaseError
from astraguard_store.model import MetricSummary

_BATCH_ROWS = 65_536
# As tuples of Python they take 200 bytes each.
_READ_ROWS = 8_192
_WIDTH = 7  # columns of the table


def insert_measurements(
    connection: Connection,
    run_id: str,
    satellites: Mapping[str, Mapping[str, MetricSummary]],
    columns: Columns,
) -> None:
    """Write the measurements of a run that has none in the table; 100,000 in 0.15 s.

    Args:
        connection: In a write transaction.
        run_id: The run.
        satellites: Its statistics, in the order of their positions.
        columns: All names in them are in *satellites*.
    """
    for values in _batches(run_id, satellites, columns):
        insert_many(connection, "measurements", values)


def packed_measurements(
    satellites: Mapping[str, Mapping[str, MetricSummary]], columns: Columns
) -> tuple[list[Any], ...]:
    """Return the columns of the table but for the run's id; see `insert_measurements`."""
    packed: tuple[list[Any], ...] = tuple([] for _ in range(_WIDTH - 1))
    for values in _batches("", satellites, columns):
        for place, column in enumerate(packed, start=1):
            column += values[place::_WIDTH]
    return packed


def _batches(
    run_id: str, satellites: Mapping[str, Mapping[str, MetricSummary]], columns: Columns
) -> Iterator[list[Any]]:
    positions: dict[Label, int] = {}
    for satellite_id, metrics in satellites.items():
        for metric_type in metrics:
            positions[metric_type, satellite_id] = len(positions)
    # A label that no row has may be missing.
    of_code = [positions.get(label, -1) for label in columns.labels]
    missed = [int(code in columns.missed_codes) for code in range(len(of_code))]
    first = 0
    for batch in columns.batches(_BATCH_ROWS):
        yield _values(run_id, first, batch, of_code, missed)
        first += len(batch.codes)


def _values(
    run_id: str, first: int, batch: Batch, positions: list[int], missed: list[int]
) -> list[Any]:
    """Return the values of a batch, row after row, in the order of the table's columns.

    Sorted by its key: so SQLite fills page after page, in a third of the time.
    """
    import numpy as np

    rows = len(batch.codes)
    of_row = np.array(positions)[batch.codes]
    order = np.argsort(of_row, kind="stable")
    values: list[Any] = [run_id] * (_WIDTH * rows)
    values[1::_WIDTH] = of_row[order].tolist()
    values[2::_WIDTH] = (order + first).tolist()
    values[3::_WIDTH] = batch.timestamps[order].tolist()
    values[4::_WIDTH] = batch.durations_ms[order].tolist()
    values[5::_WIDTH] = batch.scenario_times_s[order].tolist()
    values[6::_WIDTH] = np.array(missed)[batch.codes[order]].tolist()
    return values


@kept()
def _labels_sql() -> Any:
    name = statistics.c
    columns = (name.position, name.metric_type, name.satellite_id)
    of_run = name.run_id == bindparam("run_id")
    on_one = name.satellite_id > OF_ALL_SATELLITES
    return select(*columns).where(of_run, on_one)


@kept()
def _rows_sql() -> Any:
    row = measurements.c
    columns = (row.position, row.missed, row.timestamp, row.duration_ms, row.scenario_time_s)
    return select(*columns).where(row.run_id == bindparam("run_id")).order_by(row.row)


def kept_measurements(connection: Connection, run_id: str) -> Columns | None:
    """Return a run's measurements from the table; None where none are kept.

    Args:
        connection: On one snapshot, so that rows and names are of one save.
        run_id: The run.

    Raises:
        DatabaseError: There are some of what has no statistics.
    """
    labels = {
        position: (metric_type, satellite_id)
        for position, metric_type, satellite_id in connection.execute(_labels_sql(), (run_id,))
    }
    codes: dict[tuple[int, int], int] = {}
    cursor = connection.execute(_rows_sql(), (run_id,))
    blocks = []
    while rows := cursor.fetchmany(_READ_ROWS):
        blocks.append(_packed(rows, codes))
    if not blocks:
        return None
    if any(position not in labels for position, _ in codes):
        raise DatabaseError(
            f"run {run_id!r}: the database keeps measurements that its statistics know nothing "
            "of; another program changed its rows, and `astraguard-store check` says what else"
        )
    return Columns(
        [(block, len(block)) for block in blocks],
        [labels[position] for position, _ in codes],
        [code for (_, missed), code in codes.items() if missed],
    )


def _packed(rows: list[tuple[Any, ...]], codes: dict[tuple[int, int], int]) -> bytes:
    """Return rows of `_rows_sql` as `Columns` has them; new labels get the next *codes*.

    A fifth of the time of one row after the other.
    """
    import numpy as np

    values = np.array(rows, np.float64)
    labels = values[:, 0] * 2 + values[:, 1]
    found, firsts, places = np.unique(labels, return_index=True, return_inverse=True)
    keys = [(int(label) // 2, int(label) % 2) for label in found]
    # In the order in which they were recorded first.
    for place in np.argsort(firsts).tolist():
        codes.setdefault(keys[place], len(codes))
    packed = np.empty((len(rows), ROW_BYTES // 8), np.float64)
    packed[:, :3] = values[:, 2:]
    packed.view(np.int64)[:, 3] = np.array([codes[key] for key in keys])[places]
    return packed.tobytes()
