"""The views that analysts ask: what they show is what Python says, and their columns stay."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recordings import recorded
from schema_texts import sql_in_description

from astraguard_store import AtLeast, LatencyMeasurement, MetricSummary, RunRepository
from astraguard_store.buckets import (
    LAST_BUCKET,
    ZERO_BUCKET,
    BucketColumns,
    added_up,
    bucket_value,
    quantiles,
    text_of,
)
from astraguard_store.comparison import ValueChange
from astraguard_store.model import epoch_us

NAME = "astraguard.db"

# Whoever wrote a query against them relies on these: a later schema may add to the end.
COLUMNS = {
    "v_runs": (
        "run_id revision recorded_at recorded_at_us total_measurements missed_events adopted "
        "scenario seed software_version git_commit git_branch git_dirty host platform "
        "python rig firmware started_at finished_at percentile_definition tags "
        "state error last_written_at save_id"
    ),
    "v_tags": "run_id tag value",
    "v_verdicts": "run_id judged_at judged_at_us verdict baseline noise_source report",
    "v_effective_events": (
        "run_id satellite_id metric_type n effective_n p50_is_enough p95_is_enough p99_is_enough"
    ),
    "v_latency": (
        "run_id satellite_id metric_type n missed mean_ms p50_ms p95_ms p99_ms min_ms max_ms "
        "p50_above_ms p95_above_ms p99_above_ms p50_at_least_ms p95_at_least_ms p99_at_least_ms"
    ),
    "v_changes": (
        "baseline candidate satellite_id metric_type baseline_n candidate_n baseline_missed "
        "candidate_missed baseline_mean_ms candidate_mean_ms mean_change_ms mean_change "
        "baseline_p50_ms candidate_p50_ms p50_change_ms p50_change "
        "baseline_p95_ms candidate_p95_ms p95_change_ms p95_change "
        "baseline_p99_ms candidate_p99_ms p99_change_ms p99_change "
        "baseline_max_ms candidate_max_ms "
        "p50_change_at_least_ms p50_change_at_least p95_change_at_least_ms p95_change_at_least "
        "p99_change_at_least_ms p99_change_at_least"
    ),
    "v_buckets": "run_id satellite_id metric_type bucket value_ms upper_ms count missed",
    "v_artifacts": "run_id kind path bytes sha256 rows",
    "v_measurements": (
        "run_id row timestamp metric_type satellite_id duration_ms scenario_time_s missed"
    ),
    "v_attachments": "run_id name path bytes sha256",
    "v_units": "run_id satellite_id serial hardware firmware",
    "v_save_ids": "run_id save_id sha256 revision",
    "v_machine_noise": (
        "run_id processors load_start load_end load_worst steal_start steal_end steal_worst "
        "pressure_start pressure_end pressure_worst frequency_mhz_start frequency_mhz_end "
        "frequency_mhz_worst"
    ),
}


@dataclass
class Recorded:
    """A collector that holds what it is given."""

    measurements: list[LatencyMeasurement]


MEASUREMENTS = st.builds(
    LatencyMeasurement,
    timestamp=st.just(1.79e9),
    metric_type=st.sampled_from(["fault_detection", "agent_decision"]),
    satellite_id=st.sampled_from(["SAT001", "SAT002"]),
    duration_ms=st.sampled_from([0.0, 0.1, 7.0]) | st.floats(0, 1e6),
    scenario_time_s=st.just(0.0),
    missed=st.booleans(),
)
COLLECTORS = st.builds(Recorded, st.lists(MEASUREMENTS, min_size=1, max_size=60))
BUCKET_ROWS = st.dictionaries(
    st.integers(ZERO_BUCKET, LAST_BUCKET) | st.integers(-50, 50),
    st.tuples(st.integers(0, 40), st.integers(0, 5)),
    min_size=1,
    max_size=12,
)

# The store is shared by the examples: each saves its runs in place of the last one's.
same_store = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunRepository]:
    """Give a store that doesn't sync."""
    folder = tmp_path_factory.mktemp("results")
    with RunRepository.open(folder, durability="normal") as repository:
        yield repository


@pytest.fixture(scope="module")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a new, closed database."""
    results = tmp_path_factory.mktemp("results")
    RunRepository.open(results).close()
    return results / NAME


@pytest.fixture
def tables(new_database: Path, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Give a plain connection to a new database, which has no run."""
    path = tmp_path / NAME
    shutil.copyfile(new_database, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA synchronous=OFF")
        yield connection


def asked(repository: RunRepository, sql: str, *parameters: str) -> list[dict[str, Any]]:
    """Give the rows of an answer as dicts."""
    answer = repository.query(sql, parameters)
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]


def insert_run(
    connection: sqlite3.Connection, run_id: str = "run", recorded_at_us: int = 0
) -> None:
    connection.execute(
        "INSERT INTO runs (run_id, revision, recorded_at_us, total_measurements) "
        "VALUES (?, 1, ?, 1)",
        (run_id, recorded_at_us),
    )


def columns_of(rows: dict[int, tuple[int, int]]) -> BucketColumns:
    """Give the buckets of {bucket: its counts, measured and missed}, in their order."""
    ordered = sorted(rows.items())
    return BucketColumns(
        [bucket for bucket, _ in ordered],
        [counts[0] for _, counts in ordered],
        [counts[1] for _, counts in ordered],
    )


def insert_buckets(
    connection: sqlite3.Connection, run_id: str, rows: dict[int, tuple[int, int]]
) -> None:
    """Insert a run whose only metric type, `fault_detection`, has these buckets."""
    insert_run(connection, run_id)
    connection.execute(
        "INSERT INTO buckets VALUES (?, '', 'fault_detection', ?)",
        (run_id, text_of(columns_of(rows))),
    )


class TestColumns:
    """The same on every schema version."""

    @pytest.mark.parametrize("view", COLUMNS)
    def test_a_view_has_the_columns_that_it_always_had(
        self, tables: sqlite3.Connection, view: str
    ) -> None:
        columns = COLUMNS[view].split()

        described = tables.execute(f"SELECT * FROM {view}").description

        assert [column[0] for column in described][: len(columns)] == columns

    def test_these_are_all_views(self, tables: sqlite3.Connection) -> None:
        query = "SELECT name FROM sqlite_schema WHERE type = 'view'"

        assert {row[0] for row in tables.execute(query)} == set(COLUMNS)


class TestTimes:
    """ISO 8601 in UTC, to the microsecond, whatever the sign."""

    @same_store
    @given(time=st.datetimes(timezones=st.just(UTC)))
    def test_a_time_is_the_one_that_python_writes(
        self, tables: sqlite3.Connection, time: datetime
    ) -> None:
        tables.execute("DELETE FROM runs")
        insert_run(tables, recorded_at_us=epoch_us(time))
        tables.execute(
            "UPDATE runs SET started_at_us = recorded_at_us, finished_at_us = recorded_at_us"
        )

        (row,) = tables.execute("SELECT recorded_at, started_at, finished_at FROM v_runs")

        expected = time.isoformat(timespec="microseconds").replace("+00:00", "Z")
        assert tuple(row) == (expected,) * 3

    @pytest.mark.parametrize(
        ("us", "text"),
        [
            (-1, "1969-12-31T23:59:59.999999Z"),
            (-1_000_000, "1969-12-31T23:59:59.000000Z"),
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_790_000_000_999_999, "2026-09-21T14:13:20.999999Z"),
        ],
    )
    def test_a_microsecond_is_not_rounded(
        self, tables: sqlite3.Connection, us: int, text: str
    ) -> None:
        insert_run(tables, recorded_at_us=us)

        (row,) = tables.execute("SELECT recorded_at, recorded_at_us FROM v_runs")

        assert tuple(row) == (text, us)

    def test_times_sort_as_texts(self, tables: sqlite3.Connection) -> None:
        for i, us in enumerate([-2_500_000, -1, 0, 999_999, 1_000_000, 10**15]):
            insert_run(tables, f"run{i}", us)

        by_text = tables.execute("SELECT run_id FROM v_runs ORDER BY recorded_at").fetchall()

        assert [row[0] for row in by_text] == [f"run{i}" for i in range(6)]

    def test_a_time_that_is_not_known_is_null(self, tables: sqlite3.Connection) -> None:
        insert_run(tables)

        (row,) = tables.execute("SELECT started_at, finished_at FROM v_runs")

        assert tuple(row) == (None, None)


class TestRuns:
    """`v_runs` and `v_tags`."""

    def test_tags_are_one_object_and_also_rows(self, repository: RunRepository) -> None:
        repository.save("tagged", recorded(4), tags={"week": "47", "it's": '"quoted"'})

        (run,) = asked(repository, "SELECT tags FROM v_runs WHERE run_id = 'tagged'")
        tags = asked(repository, "SELECT tag, value FROM v_tags WHERE run_id = 'tagged'")

        assert json.loads(run["tags"]) == {"week": "47", "it's": '"quoted"'}
        assert {row["tag"]: row["value"] for row in tags} == json.loads(run["tags"])

    def test_without_tags_it_is_an_empty_object(self, repository: RunRepository) -> None:
        repository.save("untagged", recorded(4))

        (run,) = asked(repository, "SELECT tags FROM v_runs WHERE run_id = 'untagged'")

        assert run["tags"] == "{}"

    def test_a_run_knows_how_many_events_it_missed(self, repository: RunRepository) -> None:
        collector = recorded(4)
        collector.record_missed("fault_detection", "SAT001", 1.0, 50.0)
        collector.record_missed("recovery_action", "SAT002", 2.0, 60.0)
        repository.save("missed", collector)

        query = "SELECT missed_events, total_measurements FROM v_runs WHERE run_id = 'missed'"

        assert asked(repository, query) == [{"missed_events": 2, "total_measurements": 14}]

    def test_only_a_run_that_was_adopted_is_called_so(
        self, repository: RunRepository, results: Path
    ) -> None:
        repository.save("own", recorded(4))
        assert repository.results_dir is not None
        shutil.copytree(repository.results_dir / "own", results / "own")

        with RunRepository.open(results) as other:
            other.save("new", recorded(4))
            rows = asked(other, "SELECT run_id, adopted FROM v_runs")

        assert {row["run_id"]: row["adopted"] for row in rows} == {"own": 1, "new": 0}

    def test_what_a_run_was_is_what_python_says(self, repository: RunRepository) -> None:
        run = repository.save("known", recorded(4))

        (row,) = asked(repository, "SELECT * FROM v_runs WHERE run_id = 'known'")

        for name, value in run.provenance.known():
            if isinstance(value, datetime):
                assert datetime.fromisoformat(row[name]) == value
            else:
                assert row[name] == value


def latency_of(summary: MetricSummary) -> dict[str, Any]:
    """Give the row of `v_latency` without its names."""
    return {
        "n": summary.count,
        **{name: value for name, value in summary._asdict().items() if name != "count"},
        **{
            f"{p}_at_least_ms": getattr(summary, f"{p}_above_ms")
            if getattr(summary, f"{p}_ms") is None
            else getattr(summary, f"{p}_ms")
            for p in ("p50", "p95", "p99")
        },
    }


class TestLatency:
    """`v_latency` beside `RunSummary`."""

    @same_store
    @given(collector=COLLECTORS)
    def test_statistics_are_those_of_the_summary(
        self, repository: RunRepository, collector: Recorded
    ) -> None:
        run = repository.save("run", collector)

        rows = asked(repository, "SELECT * FROM v_latency WHERE run_id = 'run'")

        found = {(row.pop("satellite_id"), row.pop("metric_type")): row for row in rows}
        expected = {(None, name): latency_of(metric) for name, metric in run.metrics.items()} | {
            (satellite, name): latency_of(metric)
            for satellite, metrics in run.satellites.items()
            for name, metric in metrics.items()
        }
        assert found == {names: {"run_id": "run", **row} for names, row in expected.items()}

    @pytest.mark.parametrize(("name", "q"), [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)])
    @same_store
    @given(count=st.integers(1, 10**6), part=st.floats(0, 1))
    def test_a_percentile_is_a_number_or_a_bound(
        self, tables: sqlite3.Connection, name: str, q: float, count: int, part: float
    ) -> None:
        missed = int(count * part)
        tables.execute("DELETE FROM runs")
        insert_run(tables)
        tables.execute(
            "INSERT INTO statistics VALUES ('run', '', 'a', 0, ?, 4, 4, 4, 4, 4, 4, ?)",
            (count, missed),
        )

        query = f"SELECT {name}_ms, {name}_above_ms, {name}_at_least_ms FROM v_latency"
        (row,) = tables.execute(query)

        is_number = int(count * q) < count - missed
        assert tuple(row) == ((4, None, 4) if is_number else (None, 4, 4))

    def test_a_statistic_that_an_old_file_lacks_is_null(self, tables: sqlite3.Connection) -> None:
        insert_run(tables)
        tables.execute(
            "INSERT INTO statistics VALUES ('run', 'SAT001', 'a', 0, 3, 1, 1, 1, NULL, NULL, 1, 0)"
        )

        query = "SELECT p99_ms, p99_above_ms, p99_at_least_ms, min_ms FROM v_latency"
        (row,) = tables.execute(query)

        assert tuple(row) == (None,) * 4


def split(value: float | None) -> tuple[float | None, float | None]:
    """Give the number, and the lower bound; at least one of them is None."""
    return (None, float(value)) if isinstance(value, AtLeast) else (value, None)


def value_columns(name: str, change: ValueChange) -> dict[str, Any]:
    """Give what `v_changes` shows of one statistic; its columns of numbers have no bounds."""
    sides = {
        f"baseline_{name}": split(change.baseline)[0],
        f"candidate_{name}": split(change.candidate)[0],
    }
    if not name.endswith("_ms") or name == "max_ms":
        return sides
    statistic = name.removesuffix("_ms")
    return {
        **sides,
        f"{statistic}_change_ms": split(change.difference)[0],
        f"{statistic}_change": split(change.relative_change)[0],
    }


def without_bounds(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if "at_least" not in name}


class TestChanges:
    """`v_changes` beside `RunRepository.compare`."""

    @pytest.mark.parametrize("by_satellite", [False, True])
    @given(before=COLLECTORS, after=COLLECTORS)
    @same_store
    def test_changes_are_those_of_the_comparison(
        self, repository: RunRepository, by_satellite: bool, before: Recorded, after: Recorded
    ) -> None:
        repository.save_many([("before", before), ("after", after), ("other", before)])
        comparison = repository.compare("before", "after", by_satellite=by_satellite)

        rows = asked(
            repository,
            "SELECT * FROM v_changes WHERE baseline = ? AND candidate = ? "
            f"AND satellite_id IS {'NOT' if by_satellite else ''} NULL",
            "before",
            "after",
        )

        rows.sort(key=lambda row: (row["satellite_id"] or "", row["metric_type"]))
        assert [without_bounds(row) for row in rows] == [
            {
                "baseline": "before",
                "candidate": "after",
                "satellite_id": change.satellite_id,
                "metric_type": change.metric_type,
                **value_columns("n", change.count),
                **value_columns("missed", change.missed),
                **value_columns("mean_ms", change.mean_ms),
                **value_columns("p50_ms", change.p50_ms),
                **value_columns("p95_ms", change.p95_ms),
                **value_columns("p99_ms", change.p99_ms),
                **value_columns("max_ms", change.max_ms),
            }
            for change in comparison.changes
        ]

    def test_a_run_is_not_listed_against_itself(self, repository: RunRepository) -> None:
        repository.save("same", recorded(10))

        query = "SELECT p95_change_ms FROM v_changes WHERE baseline = ? AND candidate = ?"

        assert asked(repository, query, "same", "same") == []

    @pytest.mark.parametrize("statistic", ["p50", "p95", "p99"])
    @pytest.mark.parametrize(
        ("before_missed", "after_missed", "at_least"),
        [
            # Numbers on both sides: the change itself.
            (0, 0, (30.0, 3.0)),
            # The candidate's percentile is a lower bound, and so is the change.
            (0, 100, (30.0, 3.0)),
            # Nothing is known of a change from a bound.
            (100, 0, (None, None)),
            (100, 100, (None, None)),
        ],
    )
    def test_a_change_to_a_lower_bound_is_one(
        self,
        tables: sqlite3.Connection,
        statistic: str,
        before_missed: int,
        after_missed: int,
        at_least: tuple[float | None, float | None],
    ) -> None:
        for run_id, value, missed in [("before", 10, before_missed), ("after", 40, after_missed)]:
            insert_run(tables, run_id)
            values = (run_id, *[value] * 6, missed)
            tables.execute(
                "INSERT INTO statistics VALUES (?, '', 'link', 0, 100, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )

        row = tables.execute(
            f"SELECT {statistic}_change_at_least_ms, {statistic}_change_at_least, "
            f"{statistic}_change_ms FROM v_changes WHERE baseline = 'before' AND "
            "candidate = 'after'"
        ).fetchone()

        assert tuple(row)[:2] == at_least
        both_are_numbers = (before_missed, after_missed) == (0, 0)
        assert row[2] == (30.0 if both_are_numbers else None)

    def test_a_change_from_nothing_has_no_ratio(self, tables: sqlite3.Connection) -> None:
        for run_id, value in [("before", 0), ("after", 40)]:
            insert_run(tables, run_id)
            tables.execute(
                "INSERT INTO statistics VALUES (?, '', 'link', 0, 1, ?, ?, ?, ?, ?, ?, 0)",
                (run_id, *[value] * 6),
            )

        query = "SELECT p99_change_at_least_ms, p99_change_at_least FROM v_changes"
        rows = [tuple(row) for row in tables.execute(f"{query} WHERE baseline = 'before'")]

        assert rows == [(40.0, None)]

    def test_a_run_that_is_not_there_has_no_changes(self, repository: RunRepository) -> None:
        repository.save("there", recorded(10))

        query = "SELECT * FROM v_changes WHERE baseline = ? AND candidate = ?"

        assert asked(repository, query, "there", "nowhere") == []
        assert asked(repository, query, "nowhere", "there") == []


def near(value: float | None) -> Any:
    """Give what equals *value*, or a product that SQLite rounded on another way."""
    return None if value is None else pytest.approx(value, rel=1e-12, abs=0)


class TestBuckets:
    """`v_buckets` beside `buckets`, and the rule to add them up."""

    def test_each_bucket_has_its_value_and_its_end(self, tables: sqlite3.Connection) -> None:
        numbers = range(ZERO_BUCKET, LAST_BUCKET + 1)
        insert_buckets(tables, "run", dict.fromkeys(numbers, (1, 0)))

        query = "SELECT value_ms, upper_ms FROM v_buckets ORDER BY bucket"
        rows = tables.execute(query).fetchall()

        gamma = 1.01 / 0.99
        values = [bucket_value(bucket) for bucket in numbers]
        assert [row[0] for row in rows] == pytest.approx(values, rel=1e-12, abs=0)
        ends = [gamma**bucket for bucket in numbers]
        assert [row[1] for row in rows] == pytest.approx(ends, rel=1e-12, abs=0)

    @same_store
    @given(
        runs=st.lists(BUCKET_ROWS, min_size=1, max_size=3),
        q=st.sampled_from([0.0, 0.5, 0.9, 0.95, 0.99, 0.999]),
    )
    def test_percentiles_merged_in_sql_are_those_merged_in_python(
        self, tables: sqlite3.Connection, runs: list[dict[int, tuple[int, int]]], q: float
    ) -> None:
        tables.execute("DELETE FROM runs")
        for number, rows in enumerate(runs):
            insert_buckets(tables, f"run{number}", rows)
        (sql,) = sql_in_description(tables, "v_buckets")
        assert sql.count("0.95") == 1

        (row,) = tables.execute(sql.replace("0.95", str(q)))

        (expected,) = quantiles(added_up(text_of(columns_of(rows)) for rows in runs), [q])
        known, bound = split(expected)
        assert row["p95_ms"] == near(known)
        assert row["p95_above_ms"] == near(bound)

    def test_all_of_a_run_and_each_of_its_satellites_are_counted(
        self, repository: RunRepository
    ) -> None:
        collector = recorded(30)
        collector.record_missed("fault_detection", "SAT001", 1.0, 50.0)
        run = repository.save("bucketed", collector, satellite_buckets=True)

        rows = asked(
            repository,
            "SELECT satellite_id, metric_type, SUM(count + missed) AS n, SUM(missed) AS missed "
            "FROM v_buckets WHERE run_id = 'bucketed' GROUP BY 1, 2",
        )

        assert {
            (row["satellite_id"], row["metric_type"]): (row["n"], row["missed"]) for row in rows
        } == {
            (None, name): (metric.count, metric.missed) for name, metric in run.metrics.items()
        } | {
            (satellite, name): (metric.count, metric.missed)
            for satellite, metrics in run.satellites.items()
            for name, metric in metrics.items()
        }


class TestMeasurements:
    """`v_measurements` and `v_artifacts`."""

    def test_a_measurement_has_the_names_of_its_position(self, tables: sqlite3.Connection) -> None:
        insert_run(tables)
        statistics = "3, 1, 1, 1, 1, 1, 1, 0"
        tables.execute(
            f"INSERT INTO statistics VALUES ('run', 'SAT002', 'a', 0, {statistics}), "
            f"('run', 'SAT001', 'b', 1, {statistics})"
        )
        tables.execute(
            "INSERT INTO measurements VALUES ('run', 1, 0, 1.5, 2.5, 3.5, 0), "
            "('run', 0, 1, 4.5, 5.5, 6.5, 1)"
        )

        rows = tables.execute("SELECT * FROM v_measurements ORDER BY row").fetchall()

        assert [tuple(row) for row in rows] == [
            ("run", 0, 1.5, "b", "SAT001", 2.5, 3.5, 0),
            ("run", 1, 4.5, "a", "SAT002", 5.5, 6.5, 1),
        ]

    def test_kept_measurements_are_those_of_the_collector(self) -> None:
        collector = recorded(20)
        collector.record_missed("fault_detection", "SAT002", 1.0, 50.0)
        query = (
            "SELECT timestamp, metric_type, satellite_id, duration_ms, scenario_time_s, missed "
            "FROM v_measurements WHERE run_id = 'kept' ORDER BY row"
        )

        with RunRepository.in_memory(keep_measurements="database") as repository:
            repository.save("kept", collector)
            rows = repository.query(query).rows

        assert [LatencyMeasurement(*row) for row in rows] == list(collector.measurements)

    def test_artifacts_are_those_of_the_run(self, repository: RunRepository) -> None:
        run = repository.save("filed", recorded(4))

        rows = repository.query("SELECT * FROM v_artifacts WHERE run_id = 'filed'").rows

        assert sorted(row[1:] for row in rows) == sorted(tuple(a) for a in run.artifacts)


def test_a_week_is_a_short_question(tables: sqlite3.Connection) -> None:
    monday = datetime(2026, 9, 21, tzinfo=UTC)
    for day in (-1, 0, 6, 7):
        insert_run(tables, f"day{day}", epoch_us(monday + timedelta(days=day)))

    query = "SELECT run_id FROM v_runs WHERE recorded_at >= ? AND recorded_at < ? ORDER BY 1"
    rows: Sequence[Any] = tables.execute(query, ("2026-09-21", "2026-09-28")).fetchall()

    assert [row[0] for row in rows] == ["day0", "day6"]
