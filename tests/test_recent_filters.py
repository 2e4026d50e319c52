"""The list of recent runs, filtered: what passes, in which order, and by which index."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import recorded
from seen_sql import seen_sql

from astraguard_store import LatencyCollector, Provenance, RunHeader, RunRepository
from astraguard_store.database import lists
from astraguard_store.database.lists import filtered_headers
from astraguard_store.exceptions import InvalidRunError, StoreNotFoundError
from astraguard_store.filters import RunFilters

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def ids(headers: list[RunHeader]) -> list[str]:
    return [header.run_id for header in headers]


def new_database(folder: Path) -> sqlite3.Connection:
    RunRepository.open(folder).close()
    return sqlite3.connect(folder / "astraguard.db", isolation_level=None)


def insert_run(
    database: sqlite3.Connection,
    run_id: str,
    recorded_at_us: int,
    scenario: str | None = None,
    **tags: str,
) -> None:
    database.execute(
        "INSERT INTO runs (run_id, revision, recorded_at_us, total_measurements, scenario) "
        "VALUES (?, 1, ?, 5, ?)",
        (run_id, recorded_at_us, scenario),
    )
    database.executemany(
        "INSERT INTO run_tags VALUES (?, ?, ?)", [(run_id, *tag) for tag in tags.items()]
    )


def insert_statistics(
    database: sqlite3.Connection, run_id: str, p95_ms: float, missed: int = 0
) -> None:
    database.execute(
        "INSERT INTO statistics VALUES (?, '', 'detect', 0, 5, 1, 1, ?, 9, 1, 9, ?)",
        (run_id, p95_ms, missed),
    )


@pytest.fixture
def store(results: Path) -> Iterator[RunRepository]:
    """Give six runs, an hour apart, r0 the oldest; scenarios alternate."""
    with closing(new_database(results)) as database:
        for number in range(6):
            when = int((START + number * HOUR).timestamp() * 1e6)
            tags = {"nightly": "green" if number % 3 else "red"} if number != 2 else {}
            insert_run(database, f"r{number}", when, "swarm" if number % 2 else None, **tags)
            insert_statistics(database, f"r{number}", 10.0 * number)
    with RunRepository.open(results) as repository:
        yield repository


class TestWhatPasses:
    """Each filter by itself, and all together."""

    def test_a_scenario_lists_its_own_runs(self, store: RunRepository) -> None:
        assert ids(store.recent(scenario="swarm")) == ["r5", "r3", "r1"]

    def test_an_empty_scenario_is_one_of_its_own(self, store: RunRepository) -> None:
        store.save("unnamed", recorded(3), provenance=Provenance(scenario=""))

        assert ids(store.recent(scenario="")) == ["unnamed"]

    def test_a_tag_lists_runs_that_have_it(self, store: RunRepository) -> None:
        assert ids(store.recent(tag="nightly")) == ["r5", "r4", "r3", "r1", "r0"]

    def test_a_tag_with_a_value_lists_runs_of_that_value(self, store: RunRepository) -> None:
        assert ids(store.recent(tag=("nightly", "red"))) == ["r3", "r0"]

    def test_since_includes_the_moment_itself(self, store: RunRepository) -> None:
        assert ids(store.recent(since=START + 4 * HOUR)) == ["r5", "r4"]

    def test_since_counts_by_the_moment_and_not_by_its_zone(self, store: RunRepository) -> None:
        berlin = (START + 4 * HOUR).astimezone(timezone(HOUR))

        assert ids(store.recent(since=berlin)) == ["r5", "r4"]

    def test_above_lists_runs_over_the_limit_and_not_those_at_it(
        self, store: RunRepository
    ) -> None:
        assert ids(store.recent(above=("detect", "p95_ms", 30.0))) == ["r5", "r4"]

    def test_above_of_a_metric_type_that_nobody_measured_lists_nothing(
        self, store: RunRepository
    ) -> None:
        assert store.recent(above=("recover", "p95_ms", 0.0)) == []

    def test_above_counts_a_percentile_among_the_missed_by_its_bound(self, results: Path) -> None:
        collector = LatencyCollector()
        collector.record_fault_detection("SAT001", 0.0, 1.0)
        for second in range(9):
            collector.record_missed("fault_detection", "SAT001", float(second), 500.0)
        with RunRepository.open(results) as repository:
            saved = repository.save("missed", collector)

            listed = repository.recent(above=("fault_detection", "p95_ms", 499.0))

        assert saved.metrics["fault_detection"].p95_ms is None
        assert ids(listed) == ["missed"]

    def test_before_lists_what_is_older(self, store: RunRepository) -> None:
        assert ids(store.recent(before=store.get("r2").header)) == ["r1", "r0"]

    def test_all_filters_must_pass(self, store: RunRepository) -> None:
        listed = store.recent(
            scenario="swarm",
            tag=("nightly", "green"),
            since=START + HOUR,
            above=("detect", "p95_ms", 5.0),
            before=store.get("r5").header,
        )

        assert ids(listed) == ["r1"]

    @pytest.mark.parametrize(("limit", "listed"), [(0, []), (-1, []), (2, ["r5", "r3"])])
    def test_the_limit_counts_what_passes(
        self, store: RunRepository, limit: int, listed: list[str]
    ) -> None:
        assert ids(store.recent(limit, scenario="swarm")) == listed

    def test_a_repository_in_memory_filters_too(self) -> None:
        with RunRepository.in_memory() as repository:
            repository.save("a", recorded(3), tags={"pinned": ""})
            repository.save("b", recorded(3))

            assert ids(repository.recent(tag=("pinned", ""))) == ["a"]


@given(
    runs=st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from([None, "a", "b"]), st.booleans()), max_size=25
    ),
    scenario=st.sampled_from([None, "a"]),
    tag=st.sampled_from([None, "t", ("t", "v"), ("t", "other")]),
    since=st.none() | st.integers(0, 5),
    page=st.integers(1, 4),
    few=st.sampled_from([1, 1_000]),
)
def test_pages_hold_all_that_passes_once_and_in_order(
    runs: list[tuple[int, str | None, bool]],
    scenario: str | None,
    tag: Any,
    since: int | None,
    page: int,
    few: int,
) -> None:
    expected = [
        (when, f"run{number}")
        for number, (when, its_scenario, tagged) in enumerate(runs)
        if scenario in (None, its_scenario)
        and (tag is None or (tagged and tag != ("t", "other")))
        and when >= (since or 0)
    ]
    pages: list[str] = []
    with pytest.MonkeyPatch.context() as patch, RunRepository.in_memory() as repository:
        # Both ways to find tagged runs: from the tags, or by walking past the others.
        patch.setattr(lists, "_FEW", few)
        database = repository._source().database  # type: ignore[union-attr]

        def fill(connection: sqlite3.Connection) -> None:
            for number, (when, its_scenario, tagged) in enumerate(runs):
                insert_run(
                    connection,
                    f"run{number}",
                    when,
                    its_scenario,
                    **({"t": "v"} if tagged else {}),
                )

        database.read(fill)
        before = None
        while True:
            found = repository.recent(
                page,
                scenario=scenario,
                tag=tag,
                since=None if since is None else datetime.fromtimestamp(since / 1e6, UTC),
                before=before,
            )
            pages += ids(found)
            if len(found) < page:
                break
            before = found[-1]

    assert pages == [run_id for _, run_id in sorted(expected, reverse=True)]


TAGGED: list[Any] = ["", "name", "value"]
SHAPES = [
    lists._Shape(scenario, tag, False, since, statistic, before, recorded_since=recorded_since)
    for scenario, tag, since, statistic, before, recorded_since in product(
        [False, True], TAGGED, [False, True], [None, "p95_ms"], [False, True], [False, True]
    )
]
ROWS = {"empty": 0, "2,000 runs": 2_000, "2,000 runs, analyzed": 2_000}


@pytest.fixture(scope="module", params=ROWS)
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[sqlite3.Connection]:
    """Give a database as it may be when a statement is planned."""
    with closing(new_database(tmp_path_factory.mktemp("results"))) as connection:
        connection.execute("BEGIN")
        for number in range(ROWS[request.param]):
            rare = {"rare": ""} if number % 500 == 0 else {}
            insert_run(connection, f"run{number}", number, f"s{number % 20}", common="", **rare)
            insert_statistics(connection, f"run{number}", 1.0)
        connection.execute("COMMIT")
        if request.param.endswith("analyzed"):
            connection.execute("ANALYZE")
        yield connection


def plan(connection: sqlite3.Connection, shape: lists._Shape) -> list[str]:
    sql = lists.filtered_sql(shape=shape)
    bound = dict.fromkeys(re.findall(r":(\w+)", sql))
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", bound)]


class TestPlans:
    """Which index each shape of filters walks, whatever is stored."""

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_nothing_is_sorted(self, database: sqlite3.Connection, shape: lists._Shape) -> None:
        assert not [step for step in plan(database, shape) if "TEMP B-TREE" in step]

    @pytest.mark.parametrize("shape", [s for s in SHAPES if s.scenario], ids=str)
    def test_a_scenario_walks_its_own_index(
        self, database: sqlite3.Connection, shape: lists._Shape
    ) -> None:
        step = plan(database, shape)[0]

        assert "USING INDEX ix_runs_scenario_recorded_at_us_run_id (scenario=?" in step

    @pytest.mark.parametrize("shape", [s for s in SHAPES if not s.scenario], ids=str)
    def test_times_alone_walk_the_covering_index(
        self, database: sqlite3.Connection, shape: lists._Shape
    ) -> None:
        step = plan(database, shape)[0]

        assert "runs USING COVERING INDEX ix_runs_recorded_at_us_run_id" in step
        # When a run was flown is in the index too, and asked of each of its entries.
        assert ("recorded_at_us>?" in step) == shape.recorded_since
        assert ("(recorded_at_us,run_id)<(?,?)" in step) == shape.before

    @pytest.mark.parametrize("tagged", ["name", "value"])
    def test_few_tagged_runs_are_found_by_the_index_on_tags(
        self, database: sqlite3.Connection, tagged: Any
    ) -> None:
        steps = plan(database, lists._Shape(False, tagged, True, False, None, False))

        assert "SEARCH runs USING PRIMARY KEY (run_id=?)" in steps
        assert any("COVERING INDEX ix_run_tags_tag_value_run_id (tag=?" in s for s in steps)

    @pytest.mark.parametrize(
        "filters",
        [
            RunFilters(scenario="s3"),
            RunFilters(tag="rare"),
            RunFilters(tag="common"),
            RunFilters(since=datetime(1970, 1, 1, tzinfo=UTC)),
            RunFilters(before=RunHeader("run500", 1, datetime(1970, 1, 1, 0, 0, 0, 500, UTC), 5)),
            RunFilters(above=("detect", "p95_ms", 0.5)),
        ],
        ids=str,
    )
    def test_the_walk_stops_at_the_limit(
        self, database: sqlite3.Connection, filters: RunFilters
    ) -> None:
        steps: list[int] = []
        database.set_progress_handler(lambda: steps.append(1), 1)

        filtered_headers(database, 10, filters)

        database.set_progress_handler(None, 0)
        # Walking past 2,000 runs takes 20,000 of the virtual machine's steps or more;
        # counting up to 1,000 tags takes 9,000.
        assert len(steps) < 10_000


class TestStatements:
    """What is asked of SQLite."""

    def test_a_shape_is_compiled_once(self, store: RunRepository) -> None:
        store.recent(scenario="swarm", since=START)
        compiled = lists.filtered_sql.cache_info().misses  # type: ignore[attr-defined]

        store.recent(scenario="other", since=START + HOUR)

        assert lists.filtered_sql.cache_info().misses == compiled  # type: ignore[attr-defined]

    def test_a_filter_on_scenarios_is_one_select(self, results: Path) -> None:
        with seen_sql() as seen, RunRepository.open(results) as repository:
            repository.recent()

            asked = seen.during(lambda: repository.recent(scenario="swarm"))

        assert [s.split()[0] for s in asked] == ["BEGIN", "SELECT", "ROLLBACK"]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "naive since": ({"since": datetime(2026, 3, 1)}, "2026, 3, 1"),  # noqa: DTZ001
    "text since": ({"since": "yesterday"}, "yesterday"),
    "unknown statistic": ({"above": ("detect", "p90_ms", 3.0)}, "p90_ms"),
    "unhashable statistic": ({"above": ("detect", ["p95_ms"], 3.0)}, "p95_ms"),
    "limit that is no number": ({"above": ("detect", "p95_ms", "3")}, "'3'"),
    "limit that is not finite": ({"above": ("detect", "p95_ms", float("nan"))}, "nan"),
    "two of three": ({"above": ("detect", "p95_ms")}, "p95_ms"),
    "empty tag": ({"tag": ""}, "tag: must be non-empty string, not ''"),
    "tag of three": ({"tag": ("a", "b", "c")}, "'c'"),
    "tag with a NUL": ({"tag": ("a", "\0")}, "x00"),
    "scenario with a surrogate": ({"scenario": "\ud800"}, "ud800"),
    "scenario that is no text": ({"scenario": 7}, "7"),
    "before that is an id": ({"before": "run_001"}, "run_001"),
    "before with a naive time": (
        {"before": RunHeader("a", 1, datetime(2026, 3, 1), 5)},  # noqa: DTZ001
        "2026, 3, 1",
    ),
}


class TestWrongFilters:
    """What can't be is refused, by its value."""

    @pytest.mark.parametrize("wrong", WRONG)
    def test_the_error_names_the_value(self, store: RunRepository, wrong: str) -> None:
        filters, named = WRONG[wrong]

        with pytest.raises(InvalidRunError, match=re.escape(named)):
            store.recent(**filters)


class TestFolders:
    """Run folders know times, and nothing of the rest."""

    def test_since_and_before_are_answered(self, old_tree: Path) -> None:
        with RunRepository.open(old_tree, read_only=True) as repository:
            newest, oldest = repository.recent()

            assert repository.recent(since=newest.recorded_at) == [newest]
            assert repository.recent(before=newest) == [oldest]
            assert repository.recent(1, before=newest, since=oldest.recorded_at) == [oldest]
            assert repository.recent(before=oldest) == []

    @pytest.mark.parametrize(
        "filters",
        [{"scenario": "a"}, {"tag": "a"}, {"above": ("fault_detection", "p95_ms", 1.0)}],
        ids=str,
    )
    def test_the_other_filters_need_a_database(
        self, old_tree: Path, filters: dict[str, Any]
    ) -> None:
        with (
            RunRepository.open(old_tree, read_only=True) as repository,
            pytest.raises(StoreNotFoundError, match="astraguard-store import"),
        ):
            repository.recent(**filters)
