"""What a stranger is told: of names that aren't there, of empty files, of too wide intervals."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import assert_one_line, run
from recordings import recorded

from astraguard_store import LatencyCollector, RunRepository
from astraguard_store.presentation import verdict_texts
from astraguard_store.verdict.values import CellVerdict


@pytest.fixture
def store(results: Path) -> Path:
    """Give a store of two runs, one of them tagged."""
    with RunRepository.open(results) as repository:
        repository.save("old", recorded(60), tags={"nightly": "1"})
        repository.save("new", recorded(60, scale=1.5))
    return results


@pytest.mark.parametrize("more", [[], ["--fields", "run,p95"], ["--above", "nosuch.p95_ms=1"]])
def test_a_list_of_a_metric_type_that_no_run_has_is_a_no(store: Path, more: list[str]) -> None:
    result = run("recent", "--metric", "fault_detecton", *more, "--results", store)

    assert result.exit_code == 1
    assert_one_line(result, "no run has the metric type 'fault_detecton'", "'fault_detection'?")


def test_a_metric_type_that_only_older_runs_have_is_listed(store: Path) -> None:
    with RunRepository.open(store) as repository:
        other = LatencyCollector()
        other.record("other", "SAT001", 0.0, 1.0)
        repository.save("newest", other)

    result = run("recent", "-n", "1", "--metric", "fault_detection", "--results", store)

    assert result.exit_code == 0
    assert "newest" in result.stdout


@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        (("show", "@nosuch"), 1, "none has the tag 'nosuch'"),
        (("show", "@nightly=2"), 1, "none has the tag 'nightly' with '2'"),
        (("show", "latest~9"), 1, "there are not so many runs as for 'latest~9'"),
        (("percentiles", "fault_detection", "--by", "planet"), 2, "--by 'planet': one of run"),
        (("report", "new", "--to", "/nonexistent/a.html"), 2, "there is no such folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_wrong_is_one_line(
    store: Path, words: tuple[str, ...], exit_code: int, said: str
) -> None:
    result = run(*words, "--results", store)

    assert result.exit_code == exit_code
    assert_one_line(result, said)


def test_a_file_with_names_alone_says_so(tmp_path: Path) -> None:
    file = tmp_path / "names.csv"
    file.write_text("timestamp,metric_type,satellite_id,duration_ms,scenario_time_s\n")

    result = run("save", "run", file, "--results", tmp_path / "results")

    assert result.exit_code == 2
    assert_one_line(result, f"No measurements in {file}: there are names of columns, but no rows")


def test_a_list_of_runs_is_a_list_and_a_table(store: Path) -> None:
    with RunRepository.open(store, read_only=True) as repository:
        found = repository.recent(10)

    assert isinstance(found, list)
    assert [header.run_id for header in found] == ["new", "old"]
    assert found._repr_html_().count("<tr>") == 3
    assert found.to_polars()["run_id"].to_list() == ["new", "old"]
    assert [one["run_id"] for one in found.to_dict()["runs"]] == ["new", "old"]


def test_what_a_run_does_not_have_is_blank(store: Path) -> None:
    with RunRepository.open(store, read_only=True) as repository:
        header = repository.recent(1)[0]
        answer = repository.query("SELECT NULL AS empty")

    assert "NULL" not in header._repr_html_()
    # What SQL calls NULL isn't an empty text.
    assert "NULL" in answer._repr_html_()


def test_so_wide_an_interval_says_nothing() -> None:
    wide = CellVerdict(
        *("fault_detection", None, "p95", "inconclusive", 1.0, 2.0, 1.0, -0.9, 6.7e11),
        *(0.05, False, 0.2, "assumed", 4.0),
    )

    assert verdict_texts.interval_text(wide) == "-90 % to over +1000×"


def test_the_change_says_of_which_percentile_it_is(store: Path) -> None:
    with RunRepository.open(store) as repository:
        collector = LatencyCollector()
        for tick in range(100):
            collector.record_fault_detection("SAT001", tick / 10, 9.0 if tick < 94 else 90.0)
        repository.save("tail", collector)

    shown = run("compare", "old", "tail", "--results", store).stdout

    assert " p95  " in shown or " p99  " in shown
