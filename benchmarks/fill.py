"""Makes stores and trees of many runs in seconds, without the engine saving each.

The rows are made by SQL in the store's own tables, so that the engine reads them
as if it had saved them. Such runs have no files.
"""

from __future__ import annotations

import json
import os
import sqlite3
from datetime import UTC, datetime
from itertools import product
from typing import TYPE_CHECKING

from astraguard_store.database.documents import encode, parts_of, write_document
from benchmarks.floors import ARTIFACTS, RUNS, STATISTICS, RunRows
from benchmarks.legacy import LatencyCollector
from benchmarks.legacy.summaries import SUMMARY_NAME, summary_document
from benchmarks.workloads import METRIC_TYPES, SATELLITES, latencies, record, run_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FIRST_RECORDED_US = 1_700_000_000_000_000
"""Time of run 0 (2023-11-14, UTC); the others follow a second apart."""

WRITING_NS = 123_457
"""How much later than the time in it an old summary file was written."""

MEASUREMENTS = 1_000
BUCKETS = 100
"""Of each metric type: as many as a run of usual latencies fills."""

CSV_BYTES = 66_000
SUMMARY_BYTES = 3_500

SQL_ID = "printf('run_%07d', i)"
SQL_DURATION = "(10.0 + (i * 7919 % 1000) / 37.0)"
SQL_STATISTICS = "100, " + ", ".join(
    [*(f"{SQL_DURATION} * {factor}" for factor in (1.0, 0.9, 1.6, 1.9, 0.2, 2.0)), "0"]
)
SQL_SHA256 = "lower(hex(randomblob(32)))"


def fill_database(database: Path, first: int, last: int) -> None:
    """Store the runs *first* to *last* - 1 with all their statistics and artifacts.

    The journal is off meanwhile: after a crash nothing here is worth keeping, and a
    million runs (about 5 GB) are written once instead of twice.
    """
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -200000")
    connection.execute("BEGIN")
    # They would look for documents to drop before there are any.
    triggers = dict(
        connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    )
    for name in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    for table, columns, values, source in _parts():
        connection.execute(
            f"INSERT INTO {table} ({columns}) WITH RECURSIVE n(i) AS "
            f"(SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {last}) "
            f"SELECT {values} FROM {source}"
        )
    for sql in triggers.values():
        connection.execute(sql)
    _write_documents(connection, first, last)
    connection.execute("COMMIT")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


def _write_documents(connection: sqlite3.Connection, first: int, last: int) -> None:
    """Write what the engine's saves write beside the rows."""
    # The rows of a run are side by side.
    cursors = {
        table: connection.execute(
            f"SELECT * FROM {table} WHERE run_id BETWEEN ? AND ? ORDER BY run_id",
            (run_id(first), run_id(last - 1)),
        )
        for table in ("statistics", "artifacts")
    }
    sizes = {"statistics": len(METRIC_TYPES) * (1 + len(SATELLITES)), "artifacts": 2}
    for number in range(first, last):
        rows = [cursor.fetchmany(sizes[table]) for table, cursor in cursors.items()]
        name = run_id(number)
        write_document(connection, name, encode(name, parts_of(*rows)))


def _parts() -> list[tuple[str, str, str, str]]:
    """Return table, columns, values and source of each INSERT."""
    types = f"(SELECT column1 AS m, column2 AS mp FROM (VALUES {_numbered(METRIC_TYPES)}))"
    # All satellites first: so their rows have the positions of the metric types alone.
    satellites = (
        "(SELECT column1 AS s, max(column2 - 1, 0) AS sp "
        f"FROM (VALUES {_numbered(['', *SATELLITES])}))"
    )
    counts = ",".join(["3"] * BUCKETS)
    files = (
        "(SELECT column1 AS kind, column2 AS name, column3 AS size, column4 AS measured "
        f"FROM (VALUES ('raw_csv', 'latency_raw.csv', {CSV_BYTES}, {MEASUREMENTS}), "
        f"('summary_json', 'latency_summary.json', {SUMMARY_BYTES}, NULL)))"
    )
    return [
        ("runs", RUNS, f"{SQL_ID}, 1, {FIRST_RECORDED_US} + i * 1000000, {MEASUREMENTS}", "n"),
        (
            "statistics",
            f"run_id, satellite_id, metric_type, position, {STATISTICS}, missed",
            f"{SQL_ID}, s, m, sp * {len(METRIC_TYPES)} + mp, {SQL_STATISTICS}",
            f"n CROSS JOIN {satellites} CROSS JOIN {types}",
        ),
        (
            "artifacts",
            ARTIFACTS,
            f"{SQL_ID}, kind, {SQL_ID} || '/' || name, size, {SQL_SHA256}, measured",
            f"n CROSS JOIN {files}",
        ),
        (
            "buckets",
            "run_id, satellite_id, metric_type, counts",
            f"{SQL_ID}, '', m, printf('[[%d,0,%s]]', 100 + i % 7, '{counts}')",
            f"n CROSS JOIN {types}",
        ),
    ]


def _numbered(names: Sequence[str]) -> str:
    return ", ".join(f"('{name}', {position})" for position, name in enumerate(names))


def run_rows(run: str, recorded_at_us: int) -> RunRows:
    """Return the rows of one run, for `BareStore.save`."""
    numbers = (100, 21.5, 20.25, 44.75, 61.125, 3.5, 70.0625)
    return RunRows(
        run=(run, 1, recorded_at_us, MEASUREMENTS),
        statistics=[
            (run, satellite, metric_type, position, *numbers)
            for position, (satellite, metric_type) in enumerate(
                product(["", *SATELLITES], METRIC_TYPES)
            )
        ],
        artifacts=[
            (run, "raw_csv", f"{run}/latency_raw.csv", CSV_BYTES, "0" * 64, MEASUREMENTS),
            (run, "summary_json", f"{run}/latency_summary.json", SUMMARY_BYTES, "0" * 64, None),
        ],
    )


def write_tree(results: Path, first: int, last: int) -> None:
    """Write the runs *first* to *last* - 1 as the old class left them: summaries only.

    The file times are those of the runs, as in a tree that was never copied.
    """
    collector = LatencyCollector()
    record(collector, latencies(MEASUREMENTS))
    document = summary_document("<run>", collector) | {"timestamp": "<time>"}
    # Rendered once: with an indent `json` takes 0.3 ms for it.
    rendered = json.dumps(document, indent=2)
    results.mkdir(parents=True, exist_ok=True)
    for number in range(first, last):
        run = run_id(number)
        recorded = datetime.fromtimestamp(FIRST_RECORDED_US / 1_000_000 + number, UTC)
        time = recorded.replace(tzinfo=None).isoformat()
        folder = results / run
        folder.mkdir()
        summary = folder / SUMMARY_NAME
        text = rendered.replace("<run>", run).replace("<time>", time)
        summary.write_text(text, encoding="utf-8")
        written_ns = FIRST_RECORDED_US * 1_000 + number * 1_000_000_000 + WRITING_NS
        os.utime(summary, ns=(written_ns, written_ns))
