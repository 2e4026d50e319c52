"""What must hold for an input of any bytes, one function a reader.

Each returns whether the input was accepted, and fails with an `AssertionError`,
or with whatever got out of the store, where a promise is broken.
"""

from __future__ import annotations

import csv
import io
import os
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

from astraguard_store.artifacts.reader import last_measured_us, read_run
from astraguard_store.checks import check_run_id
from astraguard_store.columns import Columns
from astraguard_store.database.run_database import RunDatabase
from astraguard_store.database.runs import StoredRun
from astraguard_store.database.whole_runs import rows_of
from astraguard_store.exceptions import ArtifactReadError, InvalidRunError
from astraguard_store.formats.csv import (
    FIELDS,
    FIELDS_WITH_MISSED,
    HEADER,
    parse_csv,
    plain_labels,
    render_csv,
    safe_labels,
)
from astraguard_store.formats.layout import RAW_NAME, SUMMARY_NAME
from astraguard_store.formats.summary import (
    AdoptedSummary,
    parse_document,
    parse_summary,
    parse_timestamp,
    render_document,
    summary_document,
)
from astraguard_store.model import MetricSummary, RunSummary, utc_from_epoch_us
from astraguard_store.options import StoreOptions

__all__ = ["MAX_INPUT_BYTES", "TARGET_NAMES", "Target", "Targets"]

Target = Callable[[bytes], bool]
"""An input → whether it was accepted."""

TARGET_NAMES = ("summary", "csv", "last_row", "run_id")
# Larger inputs are left alone: they would take more than some 10 ms each.
MAX_INPUT_BYTES = 2**20

_RUN_ID = "run"
# A staged file is named <run_id>~<16 hex>.json; a file system takes 255 bytes.
_STAGING_SUFFIX_BYTES = 22
_MOST_BYTES = 200
# Read at the end of a CSV to find its last row; in a shorter file all rows are seen.
_TAIL_BYTES = 4096
# The year 3000: a later time is no time of a run.
_TIMES_BELOW_S = 32_503_680_000


class Targets:
    """The targets, and what they try an input on.

    Attributes:
        root: A folder for the targets alone; each input leaves it as it was.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._run_folder = root / _RUN_ID
        self._run_folder.mkdir(exist_ok=True)
        # Names are tried in a folder of their own, in which nothing else may appear.
        self._names_folder = root / "names"
        self._names_folder.mkdir(exist_ok=True)
        self._database = RunDatabase.in_memory()

    def close(self) -> None:
        """Close the database; the folder is the caller's."""
        self._database.close()

    def named(self, name: str) -> Target:
        """Return the target *name*, one of `TARGET_NAMES`."""
        target: Target = getattr(self, name)
        return lambda content: len(content) <= MAX_INPUT_BYTES and target(content)

    def summary(self, content: bytes) -> bool:
        """Read `latency_summary.json`: refused, or adopted and the same in the database."""
        try:
            document = parse_document(content)
        except ArtifactReadError:
            return False
        parsed = _parsed(document)
        run = self._read_run(content)
        if run is None:
            assert parsed is None or document.get("run_id", _RUN_ID) != _RUN_ID
            return False
        assert parsed is not None
        assert (parsed.total_measurements, parsed.metrics, parsed.satellites) == (
            run.total_measurements,
            run.metrics,
            run.satellites,
        )
        self._check_stored(run)
        _check_rendered(run)
        return True

    def csv(self, content: bytes) -> bool:
        """Read `latency_raw.csv`: refused, or written anew with the same rows.

        What has no header gets one, or nearly every change of an input would be
        refused for the first line.
        """
        return _is_written_again(content) or _is_written_again(HEADER + content)

    def last_row(self, content: bytes) -> bool:
        """Find the time of the last row: none, or that of a run, and of the last one."""
        (self._run_folder / RAW_NAME).write_bytes(content)
        time_us = last_measured_us(self.root, _RUN_ID)
        (self._run_folder / RAW_NAME).unlink()
        assert time_us is None or 0 <= time_us <= _TIMES_BELOW_S * 1_000_000
        expected = _last_time_s(content)
        assert expected is None or time_us == round(expected * 1e6)
        return time_us is not None

    def run_id(self, content: bytes) -> bool:
        """Check a run id: refused, or one folder, inside, of that very name."""
        # Bytes that are no UTF-8 become the lone surrogates that `os.listdir` gives.
        text = content.decode(errors="surrogateescape")
        try:
            run_id = check_run_id(text)
        except InvalidRunError:
            return False
        assert run_id == text == unicodedata.normalize("NFC", text)
        assert run_id not in {"", ".", ".."}
        assert not set(run_id) & set('/\\\0\r\n\t<>:"|?*') - {":"}
        assert len(run_id.encode()) <= _MOST_BYTES <= 255 - _STAGING_SUFFIX_BYTES
        folder = self._names_folder / run_id
        assert folder.parent == self._names_folder
        folder.mkdir()
        assert os.listdir(self._names_folder) == [run_id]
        folder.rmdir()
        return True

    def _read_run(self, content: bytes) -> RunSummary | None:
        """Return the run as adoption reads it, None if it is refused."""
        path = self._run_folder / SUMMARY_NAME
        path.write_bytes(content)
        try:
            return read_run(self.root, _RUN_ID)
        except ArtifactReadError:
            return None
        finally:
            path.unlink()

    def _check_stored(self, run: RunSummary) -> None:
        options = StoreOptions()
        with self._database.transaction(options) as transaction:
            assert transaction.insert_new([rows_of(StoredRun(run, None, None))])
        stored = self._database.get(_RUN_ID).summary
        with self._database.transaction(options) as transaction:
            assert transaction.delete(_RUN_ID)
        assert stored == replace(run, revision=1)
        # Equal mappings may differ in their order, which the files keep.
        assert list(stored.metrics) == list(run.metrics)
        assert [(name, list(of_one)) for name, of_one in stored.satellites.items()] == [
            (name, list(of_one)) for name, of_one in run.satellites.items()
        ]


def _parsed(document: dict[str, Any]) -> AdoptedSummary | None:
    try:
        parsed = parse_summary(document)
    except ArtifactReadError:
        return None
    assert 0 <= parsed.total_measurements < 2**63
    for statistics in parsed.metrics.values():
        _check_statistics(statistics)
        assert (statistics.p99_ms is None) is (statistics.p99_above_ms is not None)
        assert statistics.min_ms is not None
    for of_one in parsed.satellites.values():
        for statistics in of_one.values():
            _check_statistics(statistics)
    if (written_us := parse_timestamp(parsed.timestamp)) is not None:
        utc_from_epoch_us(written_us)
    return parsed


def _check_statistics(statistics: MetricSummary) -> None:
    assert type(statistics.count) is type(statistics.missed) is int
    assert 1 <= statistics.count < 2**63
    assert 0 <= statistics.missed <= statistics.count
    assert (statistics.p50_ms is None) is (statistics.p50_above_ms is not None)
    assert (statistics.p95_ms is None) is (statistics.p95_above_ms is not None)
    assert statistics.mean_ms is not None
    assert statistics.max_ms is not None
    for value in (*statistics[1:7], *statistics[8:]):
        assert value is None or (type(value) is float and isfinite(value) and value >= 0)


def _check_rendered(run: RunSummary) -> None:
    """Check that the file the store would write of *run* says the same."""
    rendered = render_document(summary_document(run, 0))
    again = parse_summary(parse_document(rendered))
    assert again.total_measurements == run.total_measurements
    assert again.metrics == run.metrics
    assert again.satellites == {
        satellite: {
            # The file has five numbers of a satellite.
            name: statistics._replace(p99_ms=None, min_ms=None, p99_above_ms=None)
            for name, statistics in of_one.items()
        }
        for satellite, of_one in run.satellites.items()
    }


def _is_written_again(content: bytes) -> bool:
    try:
        columns = _parse(content)
    except ArtifactReadError:
        return False
    rows = list(columns.measurements())
    rendered = b"".join(render_csv(columns))
    assert rendered == _as_csv_writer_does(columns)
    assert list(_parse(rendered).measurements()) == rows
    metric_types = {row.metric_type for row in rows}
    satellites = {row.satellite_id for row in rows}
    safe = _parse(b"".join(render_csv(safe_labels(columns))))
    assert plain_labels(safe, metric_types, satellites).labels == columns.labels
    return True


def _parse(content: bytes) -> Columns:
    with _lines(content) as lines:
        return parse_csv(lines)


def _lines(content: bytes) -> io.TextIOWrapper:
    """Return what `read_columns` reads, from memory."""
    return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline="")


def _as_csv_writer_does(columns: Columns) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    missed = any(row.missed for row in columns.measurements())
    writer.writerow(FIELDS_WITH_MISSED if missed else FIELDS)
    writer.writerows(_values(columns, missed))
    return text.getvalue().encode()


def _values(columns: Columns, missed: bool) -> Iterator[tuple[float | str | int, ...]]:
    for row in columns.measurements():
        yield (
            row.timestamp,
            row.metric_type,
            row.satellite_id,
            row.duration_ms,
            row.scenario_time_s,
            *([int(row.missed)] if missed else []),
        )


def _last_time_s(content: bytes) -> float | None:
    """Return the time that the last row must give; None where nothing must be given.

    A torn file, one longer than what is read of it, one with line ends in its
    names or of another kind: there the reader may know less.
    """
    if len(content) > _TAIL_BYTES or not content.endswith(b"\n"):
        return None
    try:
        columns = _parse(content if content.startswith(HEADER) else HEADER + content)
    except ArtifactReadError:
        return None
    names = "".join(map("".join, columns.labels))
    if content.count(b"\r") != content.count(b"\r\n") or "\n" in names or not columns.rows:
        return None
    *_, last = columns.measurements(columns.rows - 1)
    return last.timestamp if 0 <= last.timestamp < _TIMES_BELOW_S else None
