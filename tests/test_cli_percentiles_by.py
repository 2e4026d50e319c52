"""`astraguard-store percentiles --by`: one row a group."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from command_line import assert_one_line, run, run_json

from astraguard_store import LatencyCollector, Provenance, RunRepository

METRIC = "fault_detection"
# Thursday, the last day of 2026: in week 53.
NOON_US = 1_798_718_400_000_000
WEEK_US = 7 * 86_400_000_000


@pytest.fixture
def store(results: Path) -> Path:
    """Return four runs: two weeks of a scenario, the second with misses, and two of none."""
    with RunRepository.open(results) as repository:
        for number, scenario in enumerate(["swarm", "swarm", None, None]):
            measured = LatencyCollector()
            for second in range(10):
                measured.record_fault_detection("SAT001", float(second), 10.0)
            if number == 1:
                measured.record_missed(METRIC, "SAT001", 11.0, 500.0)
            repository.save(
                f"r{number}",
                measured,
                provenance=Provenance(scenario=scenario),
                satellite_buckets=number > 1,
            )
    execute(results, f"UPDATE runs SET started_at_us = {NOON_US} + {WEEK_US} * (run_id = 'r1')")
    return results


def execute(results: Path, sql: str) -> None:
    with closing(sqlite3.connect(results / "astraguard.db")) as database, database:
        database.execute(sql)


def rows(text: str) -> list[list[str]]:
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines()]


def test_it_is_one_table_of_the_groups(store: Path) -> None:
    result = run(
        *("percentiles", METRIC, "--by", "scenario,week", "-q", "0.5", "-q", "0.999"),
        *("--results", store),
    )

    assert (result.exit_code, result.stderr) == (0, "")
    assert rows(result.stdout) == [
        ["scenario", "week", "runs", "events", "missed", "p50 ms", "p99.9 ms"],
        ["-", "2026-W53", "2", "20", "0", "≈ 10.1", "≈ 10.1"],
        ["swarm", "2026-W53", "1", "10", "0", "10.0", "≈ 10.1"],
        ["swarm", "2027-W01", "1", "11", "1", "10.0", "above 498"],
    ]


def test_markdown_is_a_table(store: Path) -> None:
    result = run(
        *("percentiles", METRIC, "--by", "software_version , week", "-q", "0.07", "r1"),
        *("--markdown", "--results", store),
    )

    assert result.stdout.splitlines() == [
        "| software version | week | runs | events | missed | p7 ms |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
        "| - | 2027-W01 | 1 | 11 | 1 | ≈ 10.1 |",
    ]


def test_json_holds_the_groups_in_the_shape_of_one(store: Path) -> None:
    ungrouped = run_json("percentiles", METRIC, "r1", "--results", store)

    shape = run_json(
        "percentiles", METRIC, "--by", "scenario,week", "--scenario", "swarm", "--results", store
    )

    assert set(shape) == {"results_dir", "answers_from", "groups"}
    first, second = shape["groups"]
    assert first["group"] == {"scenario": "swarm", "week": "2026-W53"}
    assert second.pop("group") == {"scenario": "swarm", "week": "2027-W01"}
    assert second == {key: ungrouped[key] for key in second}
    assert set(ungrouped) - set(second) == {"results_dir", "answers_from"}


def test_json_of_what_is_not_known_is_null(store: Path) -> None:
    shape = run_json("percentiles", METRIC, "--by", "scenario", "--results", store)

    assert [group["group"] for group in shape["groups"]] == [
        {"scenario": None},
        {"scenario": "swarm"},
    ]


def test_runs_without_buckets_are_one_warning(store: Path) -> None:
    execute(store, "DELETE FROM buckets WHERE run_id IN ('r0', 'r2') AND satellite_id = ''")

    result = run("percentiles", METRIC, "--by", "run", "-q", "0.5", "--results", store)

    assert result.exit_code == 0
    assert rows(result.stdout)[1] == ["r0", "0", "0", "0", "-"]
    assert result.stderr == (
        "astraguard-store: warning: 2 runs without buckets can't be in it: r0, r2; "
        "`astraguard-store check --fix` counts them from the CSVs\n"
    )


def test_one_satellite_may_be_grouped(store: Path) -> None:
    result = run(
        *("percentiles", METRIC, "r2", "r3", "--by", "run", "--satellite", "SAT001"),
        *("-q", "1", "--results", store),
    )

    assert rows(result.stdout) == [
        ["run", "runs", "events", "missed", "p100 ms"],
        ["r2", "1", "10", "0", "≈ 10.1"],
        ["r3", "1", "10", "0", "≈ 10.1"],
    ]


def test_what_nobody_measured_is_a_no(store: Path) -> None:
    result = run("percentiles", "fault_detektion", "--by", "week", "--results", store)

    assert result.exit_code == 1
    assert_one_line(result, "fault_detektion")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [(["--by", "wek"], "'wek': one of run, satellite"), (["--by", ""], "by ''"),
     (["--by", "week,week"], "twice"),
     (["--by", "satellite", "--satellite", "SAT001"], "--by satellite"),
     (["--by", "satellite", "r0"], "satellite_buckets")],
)  # fmt: skip
def test_a_wrong_question_is_an_error(store: Path, wrong: list[str], named: str) -> None:
    result = run("percentiles", METRIC, *wrong, "--results", store)

    assert result.exit_code == 2
    assert_one_line(result, named)
