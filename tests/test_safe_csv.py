"""`safe_csv`: names that a spreadsheet would take for a formula."""

import csv
import io
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from recordings import own, rows_of

from astraguard_store import DatabaseBusyError, LatencyCollector, RunRepository
from astraguard_store.columns import Columns
from astraguard_store.formats.csv import parse_csv, plain_labels, render_csv, safe_labels

FORMULAS = ["=cmd()", "+1", "-1", "@SUM(A1)", "\tx", "\rx"]
NAMES = [*FORMULAS, "'=cmd()", "''=x", "'plain", "SAT001", "a=b", "größe"]


def named(*names: str) -> LatencyCollector:
    collector = LatencyCollector()
    for number, name in enumerate(names):
        collector.record_fault_detection(name, float(number), 1.0 + number)
    return collector


def satellites_in(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8") as file:
        return [row[2] for row in csv.reader(file)][1:]


def test_by_default_names_are_written_as_the_old_class_did(results: Path) -> None:
    collector = named(*NAMES)

    with RunRepository.open(results) as repository:
        repository.save("run", collector)

    expected = reference.csv_bytes(rows_of(collector))
    assert (results / "run" / reference.RAW).read_bytes() == expected


def test_no_name_begins_like_a_formula(results: Path) -> None:
    with RunRepository.open(results, safe_csv=True) as repository:
        repository.save("run", named(*NAMES))

    written = satellites_in(results / "run" / reference.RAW)
    assert written[: len(FORMULAS)] == [f"'{name}" for name in FORMULAS]
    assert written[-4:] == NAMES[-4:]


def test_a_metric_type_is_guarded_too(results: Path) -> None:
    rows = [(1.0, "=metric", "SAT001", 1.0, 0.0)]
    with RunRepository.open(results, safe_csv=True) as repository:
        repository.save("run", own(rows))

    assert b",'=metric,SAT001," in (results / "run" / reference.RAW).read_bytes()


def test_rows_and_summary_keep_the_names(results: Path) -> None:
    with RunRepository.open(results, safe_csv=True) as repository:
        run = repository.save("run", named(*NAMES))
        report = repository.check()

    document = reference.read_document(results / "run" / reference.SUMMARY)
    assert list(run.satellites) == list(document["stats_by_satellite"]) == NAMES
    assert report.is_sound


def test_a_large_run_is_guarded_too(results: Path) -> None:
    with RunRepository.open(results, safe_csv=True) as repository:
        repository.save("run", named(*["=x", "SAT001"] * 3000))

    assert satellites_in(results / "run" / reference.RAW) == ["'=x", "SAT001"] * 3000


@pytest.mark.parametrize("safe_csv", [False, True])
def test_a_save_that_was_kept_comes_back_with_its_names(results: Path, safe_csv: bool) -> None:
    names = ["=x", "'=x", "SAT001"]
    with RunRepository.open(results, safe_csv=safe_csv, busy_timeout_s=0.1) as repository:
        with closing(sqlite3.connect(results / "astraguard.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DatabaseBusyError):
                repository.save("run", named(*names))
            other.execute("ROLLBACK")

        repository.recover()

        assert list(repository.get("run").satellites) == names


guarded = st.text("'=+-@\t\rax", min_size=1, max_size=5)


@given(st.lists(st.tuples(guarded, guarded), min_size=1, max_size=8, unique=True))
def test_plain_labels_undo_safe_labels(labels: list[tuple[str, str]]) -> None:
    rows = [(1.0, metric, satellite, 1.0, 0.0) for metric, satellite in labels]
    columns = Columns.of(own(rows).measurements)

    for written in (columns, safe_labels(columns)):
        text = b"".join(render_csv(written)).decode()
        read = parse_csv(io.StringIO(text, newline=""))
        plain = plain_labels(read, {m for m, _ in labels}, {s for _, s in labels})

        assert list(plain.labels) == labels
