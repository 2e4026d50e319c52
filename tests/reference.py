"""The old definitions, written plainly, to hold the store against.

Nothing here imports `astraguard_store`: a fault of the store must not be able
to hide in the numbers that it is compared with.
"""

import csv
import hashlib
import io
import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent
STORED_RUNS = TESTS / "data"

SUMMARY = "latency_summary.json"
RAW = "latency_raw.csv"
HEADER = ("timestamp", "metric_type", "satellite_id", "duration_ms", "scenario_time_s")

STATISTIC_KEYS = ["count", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms", "min_ms"]
SATELLITE_KEYS = ["count", "mean_ms", "p50_ms", "p95_ms", "max_ms"]

Row = tuple[float, str, str, float, float]
Document = dict[str, Any]


def mean(values: list[float]) -> float:
    """Sum in recording order over the count.

    A loop, because `sum` of floats compensates from Python 3.12 on and gives
    other last bits than the old files have.
    """
    total = 0.0
    for value in values:
        total += value
    return total / len(values)


def statistics_of(values: list[float]) -> Document:
    ordered = sorted(values)
    n = len(ordered)
    return {
        "count": n,
        "mean_ms": mean(values),
        "p50_ms": ordered[n // 2],
        "p95_ms": ordered[int(n * 0.95)],
        "p99_ms": ordered[int(n * 0.99)],
        "max_ms": ordered[-1],
        "min_ms": ordered[0],
    }


def durations_by_type(rows: list[Row]) -> dict[str, list[float]]:
    groups: dict[str, list[float]] = {}
    for row in rows:
        groups.setdefault(row[1], []).append(row[3])
    return groups


def rows_by_satellite(rows: list[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[2], []).append(row)
    return groups


def stats(rows: list[Row]) -> Document:
    return {name: statistics_of(values) for name, values in durations_by_type(rows).items()}


def full_stats_by_satellite(rows: list[Row]) -> Document:
    return {satellite: stats(group) for satellite, group in rows_by_satellite(rows).items()}


def stats_by_satellite(rows: list[Row]) -> Document:
    return {
        satellite: {
            name: {key: numbers[key] for key in SATELLITE_KEYS} for name, numbers in types.items()
        }
        for satellite, types in full_stats_by_satellite(rows).items()
    }


def measurement_types(rows: list[Row]) -> dict[str, int]:
    return {name: len(values) for name, values in durations_by_type(rows).items()}


def summary(rows: list[Row]) -> Document:
    return {
        "total_measurements": len(rows),
        "measurement_types": measurement_types(rows),
        "stats": stats(rows),
        "stats_by_satellite": stats_by_satellite(rows),
    }


def document(run_id: str, timestamp: str, rows: list[Row]) -> Document:
    return {"run_id": run_id, "timestamp": timestamp, **summary(rows)}


def csv_bytes(rows: list[Row]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(HEADER)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")


def read_rows(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        next(lines)
        return [(float(t), name, sat, float(d), float(s)) for t, name, sat, d, s in lines]


def read_document(path: Path) -> Document:
    document = json.loads(path.read_bytes())
    assert isinstance(document, dict)
    return document


def ordered_pairs(value: object) -> object:
    """Turn every mapping into a list of pairs, so that == sees the key order too."""
    if isinstance(value, dict):
        return [(key, ordered_pairs(item)) for key, item in value.items()]
    return value


def make_rows(
    count: int = 40,
    *,
    start: float = 1_790_000_000.25,
    satellites: tuple[str, ...] = ("SAT001", "SAT002"),
    types: tuple[str, ...] = ("fault_detection", "agent_decision"),
    scale: float = 1.0,
) -> list[Row]:
    """Give *count* rows that differ from each other, 0.5 s apart, durations > 1e-4 ms."""
    return [
        (
            start + 0.5 * i,
            types[i % len(types)],
            satellites[(i // len(types)) % len(satellites)],
            scale * (0.1 + ((i * 7919) % 1009) / 7.0),
            float(i // 4),
        )
        for i in range(count)
    ]


def write_old_run(
    results: Path,
    run_id: str,
    rows: list[Row] | None = None,
    *,
    modified: float | None = None,
    with_csv: bool = True,
) -> Path:
    """Write a run as the old class did; both files get the time *modified* (epoch s)."""
    rows = make_rows() if rows is None else rows
    folder = results / run_id
    folder.mkdir(parents=True)
    modified = rows[-1][0] if modified is None else modified
    # The old class wrote the local time without a zone.
    local = datetime.fromtimestamp(modified, UTC).astimezone().replace(tzinfo=None)
    text = json.dumps(document(run_id, local.isoformat(), rows), indent=2)
    (folder / SUMMARY).write_text(text, encoding="utf-8")
    if with_csv:
        (folder / RAW).write_bytes(csv_bytes(rows))
    set_modified(folder, modified)
    return folder


def set_modified(run_folder: Path, modified: float) -> None:
    """Give a run's files and folder one modification time, in whole microseconds."""
    nanoseconds = round(modified * 1_000_000) * 1_000
    for path in [*run_folder.iterdir(), run_folder]:
        os.utime(path, ns=(nanoseconds, nanoseconds))


def listing(folder: Path) -> dict[str, tuple[str, int, int, str]]:
    """Describe everything under *folder*: kind, size, modification time (ns), SHA-256.

    The database files are described without being opened: closing such a file
    in a process that has the database open would drop SQLite's locks.
    """
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        status = path.lstat()
        name = str(path.relative_to(folder))
        kind = stat.filemode(status.st_mode)
        digest = ""
        if stat.S_ISREG(status.st_mode) and not path.name.startswith("astraguard.db"):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        size = 0 if path.is_dir() else status.st_size
        found[name] = (kind, size, status.st_mtime_ns, digest)
    return found
