"""One row whose time another program put out of the calendar, beside sound ones."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from recordings import recorded

from astraguard_store import DatabaseError, MetricsStorage, RunRepository


@pytest.fixture
def store(results: Path) -> Path:
    """Give a store with two sound runs and one of the year 148,000."""
    with RunRepository.open(results) as repository:
        for run_id in ("first", "second", "third"):
            repository.save(run_id, recorded(1))
    with closing(sqlite3.connect(results / "astraguard.db")) as other, other:
        other.execute("UPDATE runs SET recorded_at_us = 1 << 62 WHERE run_id = 'second'")
    return results


LISTS: dict[str, Callable[[RunRepository], list[str]]] = {
    "recent": lambda r: [h.run_id for h in r.recent()],
    "filtered": lambda r: [h.run_id for h in r.recent(above=("fault_detection", "mean_ms", 0.1))],
}


@pytest.mark.parametrize("names", LISTS.values(), ids=LISTS.keys())
def test_a_list_has_the_others_and_the_log_names_the_row(
    store: Path, caplog: pytest.LogCaptureFixture, names: Callable[[RunRepository], list[str]]
) -> None:
    with RunRepository.open(store, read_only=True) as repository:
        found = names(repository)

    assert found == ["third", "first"]
    assert "'second'" in caplog.text


def test_the_drop_in_lists_the_others(store: Path) -> None:
    assert MetricsStorage.get_recent_runs(str(store)) == ["third", "first"]


def test_the_run_itself_is_an_error_that_names_it(store: Path) -> None:
    with (
        RunRepository.open(store, read_only=True) as repository,
        pytest.raises(DatabaseError, match=r"'second'.*check"),
    ):
        repository.get("second")


def test_check_names_it(store: Path) -> None:
    with RunRepository.open(store, read_only=True) as repository:
        report = repository.check()

    assert any("second" in str(finding) for finding in report.findings)


def test_others_are_exported_merged_and_summed(store: Path, tmp_path: Path) -> None:
    with RunRepository.open(store) as repository:
        exported = repository.export(["first", "third"], tmp_path / "others.zip")
        summed = repository.grouped_percentiles(["day"], [0.5], metric_type="fault_detection")
        with pytest.raises(DatabaseError, match=r"'second'.*check"):
            repository.export(["second"], tmp_path / "second.zip")
    with RunRepository.open(tmp_path / "here") as here:
        merged = here.merge(store)

    assert exported.runs == 2
    assert summed
    assert merged.merged == ("first", "third")
    assert [run_id for run_id, _ in merged.refused] == ["second"]


def test_others_are_pruned(store: Path) -> None:
    with RunRepository.open(store) as repository:
        repository.prune(keep=0, older_than=timedelta(0))

        assert repository.recent() == []
