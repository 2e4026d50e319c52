"""What else one could keep runs in, written as its manual says and as durable as ours.

Each keeps a run's statistics and its measurements, answers from disk, and takes what is
common to all ready-made: the statistics are computed by `statistics.summarize`, so that what
is compared is storing. Nobody but ours checks values, keeps a CSV, or notices what others
have changed.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from astraguard_store.formats.parquet import frame_of
from astraguard_store.formats.summary import statistics_document
from astraguard_store.statistics import summarize

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import polars as pl

    from astraguard_store import LatencyCollector

PLAIN_SQLITE = "sqlite3 + JSON"
PARQUET = "parquet + JSON"
DUCKDB = "DuckDB"
MLFLOW = "MLflow"


class Peer(Protocol):
    """A place for runs."""

    def save(self, run_id: str, collector: LatencyCollector) -> object:
        """Store a run: its statistics and its measurements."""

    def get(self, run_id: str) -> object:
        """Return a run's statistics."""

    def compare(self, baseline: str, candidate: str) -> object:
        """Return what both runs have of each metric type."""

    def recent(self, limit: int) -> object:
        """Return the newest runs' ids."""

    def close(self) -> None:
        """Let go of it."""


def _told(collector: LatencyCollector) -> tuple[dict[str, Any], pl.DataFrame]:
    columns = collector.snapshot()
    told = summarize(columns)
    document = statistics_document(told.total_measurements, told.metrics, told.satellites)
    return document, frame_of(columns)


def _changes(
    baseline: Mapping[str, Any], candidate: Mapping[str, Any]
) -> dict[str, dict[str, float]]:
    of_both = baseline["stats"].keys() & candidate["stats"].keys()
    return {
        name: {
            key: candidate["stats"][name][key] - value
            for key, value in baseline["stats"][name].items()
        }
        for name in of_both
    }


class PlainSqlite:
    """One table, with the statistics and the measurements as JSON; WAL, synchronous FULL."""

    def __init__(self, folder: Path) -> None:
        self._connection = sqlite3.connect(folder / "runs.db", isolation_level=None)
        for statement in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            (
                "CREATE TABLE runs (run_id TEXT PRIMARY KEY, recorded_at INTEGER NOT NULL, "
                "summary BLOB NOT NULL, measurements BLOB NOT NULL)"
            ),
            "CREATE INDEX by_time ON runs (recorded_at, run_id)",
        ):
            self._connection.execute(statement)

    def save(self, run_id: str, collector: LatencyCollector) -> None:
        """Store a run in one statement, which is a transaction."""
        document, frame = _told(collector)
        columns = {name: column.to_list() for name, column in frame.to_dict().items()}
        row = (run_id, time.time_ns(), orjson.dumps(document), orjson.dumps(columns))
        self._connection.execute("INSERT INTO runs VALUES (?, ?, ?, ?)", row)

    def get(self, run_id: str) -> dict[str, Any]:
        """Return a run's statistics."""
        sql = "SELECT summary FROM runs WHERE run_id = ?"
        document: dict[str, Any] = orjson.loads(
            self._connection.execute(sql, (run_id,)).fetchone()[0]
        )
        return document

    def compare(self, baseline: str, candidate: str) -> object:
        """Return the differences, counted in Python."""
        return _changes(self.get(baseline), self.get(candidate))

    def recent(self, limit: int) -> list[str]:
        """Return the newest runs' ids, from the index."""
        sql = "SELECT run_id FROM runs ORDER BY recorded_at DESC, run_id DESC LIMIT ?"
        return [run_id for (run_id,) in self._connection.execute(sql, (limit,))]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class ParquetFiles:
    """A folder a run with a parquet file and a JSON file, each synced, and the folders too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, run_id: str, collector: LatencyCollector) -> None:
        """Write both files; the summary last, under another name first."""
        document, frame = _told(collector)
        folder = self._folder / run_id
        folder.mkdir()
        frame.write_parquet(folder / "measurements.parquet")
        staged = folder / "summary.json.staged"
        staged.write_bytes(orjson.dumps(document))
        for path in (folder / "measurements.parquet", staged):
            _sync(path)
        staged.rename(folder / "summary.json")
        _sync(folder)
        _sync(self._folder)

    def get(self, run_id: str) -> dict[str, Any]:
        """Return a run's statistics."""
        content = (self._folder / run_id / "summary.json").read_bytes()
        document: dict[str, Any] = orjson.loads(content)
        return document

    def compare(self, baseline: str, candidate: str) -> object:
        """Return the differences, counted in Python."""
        return _changes(self.get(baseline), self.get(candidate))

    def recent(self, limit: int) -> list[str]:
        """Return the newest runs' ids, by the times of their summaries."""
        found = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(OSError):
                    found.append((os.stat(f"{entry.path}/summary.json").st_mtime_ns, entry.name))
        return [name for _, name in sorted(found, reverse=True)[:limit]]

    def close(self) -> None:
        """Do nothing: no file is open."""


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class DuckDb:
    """Three tables; a transaction a run, whose log DuckDB syncs at the commit."""

    def __init__(self, folder: Path) -> None:
        import duckdb

        self._connection = duckdb.connect(str(folder / "runs.duckdb"))
        for statement in (
            "CREATE TABLE runs (run_id TEXT PRIMARY KEY, recorded_at BIGINT, total BIGINT)",
            (
                "CREATE TABLE statistics (run_id TEXT, metric_type TEXT, satellite_id TEXT, "
                "count BIGINT, mean_ms DOUBLE, p50_ms DOUBLE, p95_ms DOUBLE, max_ms DOUBLE)"
            ),
            (
                "CREATE TABLE measurements (run_id TEXT, timestamp DOUBLE, metric_type TEXT, "
                "satellite_id TEXT, duration_ms DOUBLE, scenario_time_s DOUBLE, missed BOOLEAN)"
            ),
        ):
            self._connection.execute(statement)

    def save(self, run_id: str, collector: LatencyCollector) -> None:
        """Insert all rows of a run in one transaction; the measurements as a frame."""
        document, frame = _told(collector)
        by_satellite = {"": document["stats"], **document["stats_by_satellite"]}
        keys = ("count", "mean_ms", "p50_ms", "p95_ms", "max_ms")
        rows = [
            (run_id, name, satellite, *(numbers[key] for key in keys))
            for satellite, metrics in by_satellite.items()
            for name, numbers in metrics.items()
        ]
        connection = self._connection
        connection.execute("BEGIN")
        total = document["total_measurements"]
        connection.execute("INSERT INTO runs VALUES (?, ?, ?)", (run_id, time.time_ns(), total))
        places = ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?)"] * len(rows))
        values = [value for row in rows for value in row]
        connection.execute(f"INSERT INTO statistics VALUES {places}", values)
        connection.register("frame", frame.to_arrow())
        connection.execute("INSERT INTO measurements SELECT ?, * FROM frame", (run_id,))
        connection.unregister("frame")
        connection.execute("COMMIT")

    def get(self, run_id: str) -> object:
        """Return a run's statistics."""
        sql = "SELECT * FROM statistics WHERE run_id = ?"
        return self._connection.execute(sql, (run_id,)).fetchall()

    def compare(self, baseline: str, candidate: str) -> object:
        """Return the joined statistics of both runs by metric type."""
        sql = (
            "SELECT a.metric_type, b.mean_ms - a.mean_ms, b.p95_ms - a.p95_ms "
            "FROM statistics a JOIN statistics b USING (metric_type, satellite_id) "
            "WHERE a.run_id = ? AND b.run_id = ? AND satellite_id = ''"
        )
        return self._connection.execute(sql, (baseline, candidate)).fetchall()

    def recent(self, limit: int) -> object:
        """Return the newest runs' ids."""
        sql = "SELECT run_id FROM runs ORDER BY recorded_at DESC LIMIT ?"
        return self._connection.execute(sql, (limit,)).fetchall()

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


class MlFlow:
    """Its SQLite store: the numbers as metrics, the measurements as a parquet artifact."""

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        self._folder = folder
        self._client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
        self._experiment = self._client.create_experiment("runs", f"file://{folder}/artifacts")
        self._ids: dict[str, str] = {}

    def save(self, run_id: str, collector: LatencyCollector) -> None:
        """Log a run's numbers in one batch, and its measurements as a file."""
        from mlflow.entities import Metric

        document, frame = _told(collector)
        now_ms = time.time_ns() // 1_000_000
        run = self._client.create_run(self._experiment, run_name=run_id)
        by_satellite = {"": document["stats"], **document["stats_by_satellite"]}
        metrics = [
            Metric(f"{name}/{satellite or 'all'}/{key}", value, now_ms, 0)
            for satellite, of_one in by_satellite.items()
            for name, numbers in of_one.items()
            for key, value in numbers.items()
        ]
        self._client.log_batch(run.info.run_id, metrics=metrics)
        path = self._folder / "measurements.parquet"
        frame.write_parquet(path)
        self._client.log_artifact(run.info.run_id, str(path))
        self._client.set_terminated(run.info.run_id)
        self._ids[run_id] = run.info.run_id

    def get(self, run_id: str) -> Mapping[str, float]:
        """Return a run's metrics."""
        metrics: Mapping[str, float] = self._client.get_run(self._ids[run_id]).data.metrics
        return metrics

    def compare(self, baseline: str, candidate: str) -> object:
        """Return the differences, counted in Python."""
        before, after = self.get(baseline), self.get(candidate)
        return {name: after[name] - value for name, value in before.items() if name in after}

    def recent(self, limit: int) -> object:
        """Return the newest runs' ids."""
        order = ["attributes.start_time DESC"]
        return self._client.search_runs([self._experiment], max_results=limit, order_by=order)

    def close(self) -> None:
        """Do nothing: its connections are its own."""


_MAKERS: dict[str, tuple[str | None, Callable[[Path], Peer]]] = {
    PLAIN_SQLITE: (None, PlainSqlite),
    PARQUET: (None, ParquetFiles),
    DUCKDB: ("duckdb", DuckDb),
    MLFLOW: ("mlflow", MlFlow),
}
"""{name: (the module that it needs beside ours, what makes it in an empty folder)}."""

PEERS = tuple(_MAKERS)


def installed_peers(folder: Path) -> dict[str, Peer]:
    """Return those that are installed, each in a new folder below *folder*."""
    peers = {}
    for number, (name, (module, make)) in enumerate(_MAKERS.items()):
        if module is None or find_spec(module) is not None:
            own = folder / f"peer-{number}"
            own.mkdir(parents=True)
            peers[name] = make(own)
    return peers
