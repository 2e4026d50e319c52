"""Percentiles by group, held against those of the same runs named one by one."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from astraguard_store import LatencyCollector, Provenance, RunRepository
from astraguard_store.database.percentiles import GROUPINGS, expression_of
from astraguard_store.exceptions import InvalidRunError, RunNotFoundError, StoreNotFoundError
from astraguard_store.model import epoch_us

FAULTS = "fault_detection"
SATELLITES = ("SAT001", "SAT002")
EVENTS = st.lists(
    st.tuples(st.sampled_from(SATELLITES), st.floats(0.0, 1e4), st.booleans()),
    min_size=1,
    max_size=20,
)
# What a save doesn't fill in by itself, so that it may be unknown.
RUNS = st.lists(
    st.tuples(st.sampled_from([None, "é", "solo"]), st.sampled_from([None, "rig"]), EVENTS),
    min_size=1,
    max_size=5,
)
BY = st.permutations(["run", "scenario", "rig", "satellite"]).flatmap(
    lambda names: st.integers(0, len(names)).map(lambda number: names[:number])
)

Event = tuple[str, float, bool]
Key = tuple[str | None, ...]


def of_events(events: Sequence[Event]) -> LatencyCollector:
    """Record (satellite, duration or wait, missed) events."""
    collector = LatencyCollector()
    for second, (satellite, duration_ms, missed) in enumerate(events):
        if missed:
            collector.record_missed(FAULTS, satellite, float(second), duration_ms)
        else:
            collector.record_fault_detection(satellite, float(second), duration_ms)
    return collector


def none_first(key: Key) -> list[tuple[bool, str]]:
    return [(value is not None, value or "") for value in key]


@given(
    runs=RUNS,
    by=BY,
    quantiles=st.lists(st.sampled_from([0.0, 0.5, 0.99, 1.0]), max_size=3),
    only=st.none() | st.sets(st.integers(0, 4)),
)
def test_each_group_is_as_its_runs_together(
    runs: list[tuple[str | None, str | None, list[Event]]],
    by: list[str],
    quantiles: list[float],
    only: set[int] | None,
) -> None:
    chosen = [f"run{i}" for i in range(len(runs)) if only is None or i in only]
    members: dict[Key, list[str]] = {} if by else {(): []}
    with RunRepository.in_memory() as repository:
        for i, (scenario, rig, events) in enumerate(runs):
            was = Provenance(scenario=scenario, rig=rig)
            repository.save(f"run{i}", of_events(events), provenance=was, satellite_buckets=True)
            values = {"run": f"run{i}", "scenario": scenario, "rig": rig}
            groups = {
                tuple(values.get(name, satellite) for name in by) for satellite, _, _ in events
            }
            for group in groups if f"run{i}" in chosen else ():
                members.setdefault(group, []).append(f"run{i}")

        answer = repository.grouped_percentiles(
            by, quantiles, metric_type=FAULTS, runs=None if only is None else chosen
        )

        assert list(answer) == sorted(members, key=none_first)
        for group, percentiles in answer.items():
            satellite_id = group[by.index("satellite")] if "satellite" in by else None
            assert percentiles == repository.percentiles(
                quantiles, metric_type=FAULTS, runs=members[group], satellite_id=satellite_id
            )


def on_times(name: str, times: Sequence[datetime]) -> list[str]:
    """Return what SQLite says is the *name* of each time."""
    expression = expression_of(name)
    sql = expression.compile(dialect=sqlite.dialect(paramstyle="named"))
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE runs (recorded_at_us, started_at_us)")
        database.executemany(
            "INSERT INTO runs (recorded_at_us) VALUES (?)", [(epoch_us(time),) for time in times]
        )
        return [row[0] for row in database.execute(f"SELECT {sql} FROM runs ORDER BY rowid")]


def iso_week(day: date) -> str:
    year, week, _ = day.isocalendar()
    return f"{year:04}-W{week:02}"


class TestTimes:
    """Days, ISO weeks and months, in UTC, as Python's calendar has them."""

    @given(time=st.datetimes(timezones=st.just(UTC)))
    @example(time=datetime.min.replace(tzinfo=UTC))
    @example(time=datetime.max.replace(tzinfo=UTC))
    @example(time=datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC))
    @example(time=datetime(1969, 12, 29, tzinfo=UTC))
    @example(time=datetime(1970, 1, 1, tzinfo=UTC))
    def test_any_time_has_its_day_week_and_month(self, time: datetime) -> None:
        found = [on_times(name, [time])[0] for name in ("day", "week", "month")]

        day = time.date()
        assert found == [day.isoformat(), iso_week(day), day.isoformat()[:7]]

    def test_weeks_at_the_turn_of_each_year_are_those_of_iso_8601(self) -> None:
        # 52, 53 or 01, of either year; the last microsecond before midnight is the old day.
        turns = [datetime(year, 12, 29, tzinfo=UTC) for year in range(1, 9999)]
        times = [turn + timedelta(days=n) for turn in turns for n in range(7)]
        times += [time - timedelta(microseconds=1) for time in times]

        weeks = on_times("week", times)

        assert weeks == [iso_week(time.date()) for time in times]
        assert {week[-2:] for week in weeks} == {"52", "53", "01"}


@pytest.fixture
def store(results: Path) -> Iterator[RunRepository]:
    """Give four runs of two scenarios in 2026-W53 and 2027-W01; in the last, half missed."""
    runs = [
        ("a", "swarm", datetime(2026, 12, 31, 12, tzinfo=UTC), [1.0, 1.0]),
        ("b", "swarm", datetime(2027, 1, 3, 23, 59, tzinfo=UTC), [4.0]),
        ("c", "solo", datetime(2027, 1, 4, tzinfo=UTC), [9.0]),
        ("d", "swarm", datetime(2027, 1, 10, tzinfo=UTC), [2.0]),
    ]
    with RunRepository.open(results) as repository:
        for run_id, scenario, time, durations_ms in runs:
            events = [("SAT001", duration_ms, False) for duration_ms in durations_ms]
            if run_id == "d":
                events.append(("SAT002", 500.0, True))
            repository.save(
                run_id,
                of_events(events),
                provenance=Provenance(scenario=scenario),
                satellite_buckets=run_id in "cd",
            )
            changed(repository, "UPDATE runs SET started_at_us = ? WHERE run_id = ?",
                    epoch_us(time), run_id)  # fmt: skip
        yield repository


def changed(repository: RunRepository, sql: str, *parameters: object) -> None:
    with closing(sqlite3.connect(str(repository.database_path))) as database, database:
        database.execute(sql, parameters)


class TestGroups:
    """Which groups there are, and what is in them."""

    def test_by_scenario_and_week(self, store: RunRepository) -> None:
        answer = store.grouped_percentiles(["scenario", "week"], [0.5], metric_type=FAULTS)

        assert [(group, p.runs, p.count) for group, p in answer.items()] == [
            (("solo", "2027-W01"), 1, 1),
            (("swarm", "2026-W53"), 2, 3),
            (("swarm", "2027-W01"), 1, 2),
        ]

    def test_by_month_of_some_runs(self, store: RunRepository) -> None:
        names = (run_id for run_id in ("a", "b", "a"))

        answer = store.grouped_percentiles(iter(["month"]), [0.5], metric_type=FAULTS, runs=names)

        assert {group: p.count for group, p in answer.items()} == {
            ("2026-12",): 2,
            ("2027-01",): 1,
        }

    def test_a_percentile_among_the_missed_is_above_something(self, store: RunRepository) -> None:
        answer = store.grouped_percentiles(["week", "scenario"], [0.0, 0.99], metric_type=FAULTS)

        half_missed = answer["2027-W01", "swarm"]
        assert half_missed.missed == 1
        assert [value.value_ms for value in half_missed.values] == [pytest.approx(2, 0.01), None]
        assert [value.above_ms for value in half_missed.values] == [None, pytest.approx(500, 0.01)]

    def test_runs_without_buckets_are_named_in_their_group(self, store: RunRepository) -> None:
        changed(store, "DELETE FROM buckets WHERE run_id IN ('b', 'c') AND satellite_id = ''")

        answer = store.grouped_percentiles(["scenario"], [0.5], metric_type=FAULTS)

        assert answer["swarm",].runs_without_buckets == ("b",)
        assert (answer["swarm",].runs, answer["swarm",].count) == (2, 4)
        assert answer["solo",].runs_without_buckets == ("c",)
        assert (answer["solo",].runs, answer["solo",].values) == (0, ((0.5, None, None),))

    def test_by_satellite_says_which_runs_keep_no_buckets_of_it(
        self, store: RunRepository
    ) -> None:
        answer = store.grouped_percentiles(["satellite"], [0.5], metric_type=FAULTS)

        assert list(answer) == [("SAT001",), ("SAT002",)]
        first, second = answer.values()
        assert (first.satellite_id, first.runs, first.count) == ("SAT001", 2, 2)
        assert first.runs_without_buckets == ("a", "b")
        assert (second.satellite_id, second.missed, second.runs_without_buckets) == (
            *("SAT002", 1),
            (),
        )

    def test_one_satellite_by_week(self, store: RunRepository) -> None:
        answer = store.grouped_percentiles(
            ["week"], [0.5], metric_type=FAULTS, satellite_id="SAT001"
        )

        assert [
            (*group, p.runs, p.count, p.runs_without_buckets) for group, p in answer.items()
        ] == [
            ("2026-W53", 0, 0, ("a", "b")),
            ("2027-W01", 2, 2, ()),
        ]
        assert {p.satellite_id for p in answer.values()} == {"SAT001"}

    def test_what_nobody_measured_has_no_groups(self, store: RunRepository) -> None:
        assert store.grouped_percentiles(["week"], [0.5], metric_type="recovery_action") == {}

    def test_no_names_make_one_group_of_all(self, store: RunRepository) -> None:
        answer = store.grouped_percentiles([], [0.5], metric_type=FAULTS)

        assert answer == {(): store.percentiles([0.5], metric_type=FAULTS)}

    @pytest.mark.parametrize("name", GROUPINGS)
    def test_each_name_groups(self, store: RunRepository, name: str) -> None:
        answer = store.grouped_percentiles([name], [0.5], metric_type=FAULTS, runs=["d", "c"])

        assert sum(percentiles.count for percentiles in answer.values()) == 3


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "unknown name": ({"by": ["week", "wek"]}, "by 'wek': one of run, satellite, scenario"),
    "no name": ({"by": [3]}, "by 3: one of run"),
    "one name as names": ({"by": "week"}, "by 'week': several"),
    "a name twice": ({"by": ["week", "host", "week"]}, "by 'week': it is there twice"),
    "quantile above 1": ({"quantiles": [1.5]}, "1.5"),
    "empty metric type": ({"metric_type": ""}, "metric_type: must be non-empty string, not ''"),
    "one id as runs": ({"runs": "a"}, "runs 'a'"),
    "no buckets of satellites": ({"by": ["satellite"], "runs": ["a"]}, "satellite_buckets=True"),
}


class TestWrongQuestions:
    """What can't be is refused, by its value."""

    @pytest.mark.parametrize("wrong", WRONG)
    def test_the_error_names_the_value(self, store: RunRepository, wrong: str) -> None:
        given, named = WRONG[wrong]
        asked: dict[str, Any] = {"by": ["week"], "quantiles": [0.5], "metric_type": FAULTS}

        with pytest.raises(InvalidRunError, match=re.escape(named)):
            store.grouped_percentiles(**{**asked, **given})

    def test_an_unknown_run_is_an_error(self, store: RunRepository) -> None:
        with pytest.raises(RunNotFoundError, match="missing"):
            store.grouped_percentiles(["week"], [0.5], metric_type=FAULTS, runs=["a", "missing"])

    def test_run_folders_have_no_buckets(self, old_tree: Path) -> None:
        with (
            RunRepository.open(old_tree, read_only=True) as repository,
            pytest.raises(StoreNotFoundError, match="astraguard-store import"),
        ):
            repository.grouped_percentiles(["week"], [0.5], metric_type=FAULTS)
