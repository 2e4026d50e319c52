"""`keep_measurements` and `measurements`: the same frame from wherever the rows are kept."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from observing import flip_a_byte
from recordings import recorded
from stepping import right_before

from astraguard_store import (
    ArtifactReadError,
    ArtifactWriteError,
    DatabaseBusyError,
    LatencyCollector,
    LatencyMeasurement,
    Provenance,
    RunNotFoundError,
    RunRepository,
)
from astraguard_store.columns import Columns
from astraguard_store.formats.csv import render_csv
from astraguard_store.formats.parquet import (
    frame_of,
    frame_of_csv,
    parse_parquet,
    render_parquet,
)
from astraguard_store.store.checking import check_folder

PARQUET = "latency_raw.parquet"
FORMS: dict[str, dict[str, Any]] = {
    "csv": {},
    "gzip": {"compression": "gzip"},
    "zstd": {"compression": "zstd"},
    "safe csv": {"safe_csv": True},
    "database": {"keep_measurements": "database"},
    "parquet": {"keep_measurements": "parquet"},
    "parquet beside gzip": {"keep_measurements": "parquet", "compression": "gzip"},
}
PROVENANCE = Provenance(
    scenario="eclipse", seed=7, git_dirty=True, started_at=datetime(2026, 1, 2, tzinfo=UTC)
)


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Give the options of one form after the other."""
    return FORMS[request.param]


@pytest.fixture
def mixed() -> LatencyCollector:
    """Give a collector with names that a CSV has to quote or guard, and missed events."""
    collector = LatencyCollector()
    for step in range(50):
        collector.record_fault_detection("=SAT", float(step), 0.1 * step)
        collector.record_recovery_action('S,"3', step / 7, 1e-7 * step)
        collector.record_missed("fault_detection", "=SAT", step + 0.5, 3000.0)
        collector.record_missed("never_seen", "é\n", step + 0.5, 10.0)
    return collector


def expected(collector: LatencyCollector) -> pl.DataFrame:
    rows = [
        (m.timestamp, m.metric_type, m.satellite_id, m.duration_ms, m.scenario_time_s, m.missed)
        for m in collector.measurements
    ]
    names = ["timestamp", "metric_type", "satellite_id", "duration_ms", "scenario_time_s"]
    return pl.DataFrame(rows, schema=[*names, "missed"], orient="row")


def sql(results: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(results / "astraguard.db")) as tool, tool:
        return tool.execute(statement).fetchall()


@contextmanager
def locked_by_a_tool(results: Path) -> Iterator[None]:
    with closing(sqlite3.connect(results / "astraguard.db", isolation_level=None)) as tool:
        tool.execute("BEGIN IMMEDIATE")
        yield
        tool.execute("ROLLBACK")


class TestFrame:
    """What `measurements` gives."""

    def test_every_form_gives_the_same(
        self, results: Path, form: dict[str, Any], mixed: LatencyCollector
    ) -> None:
        with RunRepository.open(results, **form) as repository:
            repository.save("run", mixed)

            frame = repository.measurements("run")

        assert frame.equals(expected(mixed))
        assert frame.schema == expected(mixed).schema

    def test_it_is_in_the_order_of_recording_beyond_a_batch(
        self, results: Path, form: dict[str, Any]
    ) -> None:
        collector = recorded(12_000)
        with RunRepository.open(results, **form) as repository:
            repository.save("run", collector)

            frame = repository.measurements("run")

        assert frame.equals(expected(collector))

    def test_names_of_many_rows_are_as_recorded(self, results: Path, form: dict[str, Any]) -> None:
        many = LatencyCollector()
        for step in range(5_000):
            many.record_fault_detection(("=SAT", "'=SAT", 'é,"\n')[step % 3], 0.5, 1.0 * step)
        with RunRepository.open(results, **form) as repository:
            repository.save("run", many)

            frame = repository.measurements("run")

        assert frame.equals(expected(many))

    def test_the_newest_save_counts(self, results: Path, form: dict[str, Any]) -> None:
        with RunRepository.open(results, **form) as repository:
            repository.save("run", recorded(9))
            repository.save("run", recorded(4))

            frame = repository.measurements("run")

        assert frame.height == 12

    def test_another_process_may_save_meanwhile(self, results: Path, form: dict[str, Any]) -> None:
        with (
            RunRepository.open(results, **form) as repository,
            RunRepository.open(results, **form) as other,
        ):
            repository.save("run", recorded(9))

            with right_before("_frame", lambda: other.save("run", recorded(4))):
                frame = repository.measurements("run")

        assert frame.height in {12, 27}

    def test_an_unknown_run_is_not_found(self, results: Path) -> None:
        with RunRepository.open(results) as repository, pytest.raises(RunNotFoundError):
            repository.measurements("run")

    def test_a_run_folder_without_a_database_has_them_too(
        self, results: Path, mixed: LatencyCollector
    ) -> None:
        with RunRepository.open(results, safe_csv=True, compression="gzip") as repository:
            repository.save("run", mixed)
        for path in results.glob("astraguard.db*"):
            path.unlink()

        with RunRepository.open(results, read_only=True) as repository:
            assert repository.measurements("run").equals(expected(mixed))

    def test_an_adopted_run_has_them_too(self, old_tree: Path) -> None:
        with RunRepository.open(old_tree) as repository:
            frame = repository.measurements("wc-s2-60s")

            assert frame.height == repository.get("wc-s2-60s").total_measurements
        assert not frame["missed"].any()

    @given(
        st.lists(
            st.builds(
                LatencyMeasurement,
                st.floats(-1e300, 1e300),
                st.sampled_from(["a", "=é", "'"]),
                st.text("aé,\"\n'", min_size=1, max_size=3),
                st.floats(0, 1e300),
                st.floats(0, 1e300),
                st.booleans(),
            ),
            min_size=1,
            max_size=40,
        )
    )
    def test_files_keep_every_bit(self, measurements: list[LatencyMeasurement]) -> None:
        columns = Columns.of(measurements)
        frame = frame_of(columns)

        assert parse_parquet(render_parquet(columns), columns.rows).equals(frame)
        assert frame_of_csv(render_csv(columns)).equals(frame)
        content = b"".join(render_csv(columns))
        pieces = [content[start : start + 7] for start in range(0, len(content), 7)]
        assert frame_of_csv(pieces).equals(frame)
        assert frame.rows() == [
            (
                m.timestamp,
                m.metric_type,
                m.satellite_id,
                m.duration_ms,
                m.scenario_time_s,
                m.missed,
            )
            for m in measurements
        ]


class TestHash:
    """A file that isn't the one that was saved is an error."""

    @pytest.mark.parametrize("name", [*(n for n in FORMS if n != "database")])
    def test_a_changed_file_is_named_with_both_hashes(self, results: Path, name: str) -> None:
        with RunRepository.open(results, **FORMS[name]) as repository:
            saved = repository.save("run", recorded(30))
            kind = "raw_parquet" if "parquet" in name else "raw_csv"
            noted = next(artifact for artifact in saved.artifacts if artifact.kind == kind)
            flip_a_byte(results / noted.path)

            with pytest.raises(ArtifactReadError) as caught:
                repository.measurements("run")

        assert noted.path in str(caught.value)
        assert str(noted.sha256) in str(caught.value)
        assert "found is" in str(caught.value)

    def test_a_missing_file_is_named(self, results: Path) -> None:
        with RunRepository.open(results) as repository:
            repository.save("run", recorded(3))
            (results / "run" / reference.RAW).unlink()

            with pytest.raises(ArtifactReadError, match=r"latency_raw\.csv is missing"):
                repository.measurements("run")

    def test_rows_somebody_took_from_the_table_are_read_from_the_csv(self, results: Path) -> None:
        with RunRepository.open(results, keep_measurements="database") as repository:
            repository.save("run", recorded(30))
            sql(results, "DELETE FROM measurements WHERE row > 10")

            assert repository.measurements("run").height == 90


class TestTable:
    """`keep_measurements="database"`."""

    def test_the_view_has_the_rows(self, results: Path, mixed: LatencyCollector) -> None:
        with RunRepository.open(results, keep_measurements="database") as repository:
            repository.save("run", mixed)

            answer = repository.query(
                "SELECT metric_type, count(*), sum(missed) FROM v_measurements "
                "WHERE run_id = 'run' GROUP BY 1 ORDER BY 1"
            )

        assert answer.rows == [
            ("fault_detection", 100, 50),
            ("never_seen", 50, 50),
            ("recovery_action", 50, 0),
        ]

    def test_purged_they_come_from_the_csv(self, results: Path) -> None:
        with RunRepository.open(results, keep_measurements="database") as repository:
            repository.save("run", recorded(10))

            assert repository.purge_measurements("run") == 30
            assert repository.measurements("run").height == 30

    def test_a_save_without_it_takes_the_old_rows_out(self, results: Path) -> None:
        with RunRepository.open(results, keep_measurements="database") as repository:
            repository.save("run", recorded(10))
        with RunRepository.open(results) as repository:
            repository.save("run", recorded(10))

        assert sql(results, "SELECT count(*) FROM measurements") == [(0,)]

    def test_in_memory_they_are_kept_if_asked_for(self, mixed: LatencyCollector) -> None:
        with RunRepository.in_memory(keep_measurements="database") as repository:
            repository.save("run", mixed)

            assert repository.measurements("run").equals(expected(mixed))

    def test_in_memory_the_error_says_how(self) -> None:
        with RunRepository.in_memory() as repository:
            repository.save("run", recorded(1))

            with pytest.raises(ArtifactReadError, match=r"keep_measurements='database'"):
                repository.measurements("run")


class TestParquet:
    """`keep_measurements="parquet"`."""

    def test_it_is_a_file_of_the_run(self, results: Path) -> None:
        with RunRepository.open(results, keep_measurements="parquet") as repository:
            saved = repository.save("run", recorded(10))

        assert [artifact.kind for artifact in saved.artifacts] == [
            "raw_csv",
            "raw_parquet",
            "summary_json",
        ]
        assert saved.artifacts[1].path == f"run/{PARQUET}"
        assert saved.artifacts[1].rows == 30
        assert check_folder(results).files == 3
        assert check_folder(results).is_sound

    def test_any_tool_reads_it(self, results: Path, mixed: LatencyCollector) -> None:
        with RunRepository.open(results, keep_measurements="parquet") as repository:
            repository.save("run", mixed)

        frame = pl.read_parquet(results / "run" / PARQUET)

        assert frame.equals(expected(mixed))

    def test_a_save_without_it_removes_it(self, results: Path) -> None:
        with RunRepository.open(results, keep_measurements="parquet") as repository:
            repository.save("run", recorded(10))
        with RunRepository.open(results) as repository:
            repository.save("run", recorded(10))

        assert not (results / "run" / PARQUET).exists()
        assert check_folder(results).is_sound

    def test_delete_removes_it(self, results: Path) -> None:
        with RunRepository.open(results, keep_measurements="parquet") as repository:
            repository.save("run", recorded(10))
            repository.delete("run")

        assert not (results / "run").exists()

    def test_check_finds_it_missing(self, results: Path) -> None:
        with RunRepository.open(results, keep_measurements="parquet") as repository:
            repository.save("run", recorded(10))
        (results / "run" / PARQUET).unlink()

        report = check_folder(results, fix=True)

        assert [(f.kind, f.where) for f in report.findings if f.severity == "fault"] == [
            ("missing_file", f"run/{PARQUET}")
        ]

    def test_a_lost_database_learns_of_it_again(self, results: Path) -> None:
        with RunRepository.open(results, keep_measurements="parquet") as repository:
            before = repository.save("run", recorded(10)).artifacts
        for path in results.glob("astraguard.db*"):
            path.unlink()

        check_folder(results, fix=True)

        with RunRepository.open(results) as repository:
            assert repository.get("run").artifacts == before

    def test_one_that_never_was_the_runs_is_not_believed(self, results: Path) -> None:
        with RunRepository.open(results, keep_measurements="parquet") as repository:
            repository.save("run", recorded(10))
        for path in results.glob("astraguard.db*"):
            path.unlink()
        strange = Columns.of(recorded(9).measurements)
        (results / "run" / PARQUET).write_bytes(render_parquet(strange))

        report = check_folder(results, fix=True)

        assert [f.kind for f in report.findings if f.severity == "fault"] == ["csv_disagrees"]
        with RunRepository.open(results) as repository:
            assert repository.measurements("run").height == 30

    def test_recovery_publishes_it(self, results: Path) -> None:
        with RunRepository.open(results, keep_measurements="parquet") as repository:
            repository.save("run", recorded(10))
        ((token,),) = sql(results, "SELECT staging_token FROM runs")
        for path in (results / "run").iterdir():
            path.rename(results / ".staging" / f"run~{token}{path.suffix}")

        RunRepository.open(results).close()

        assert check_folder(results).is_sound
        assert (results / "run" / PARQUET).is_file()

    def test_a_child_forked_beside_polars_says_why_it_cannot(self, results: Path) -> None:
        pl.Series([1]).sum()
        context = multiprocessing.get_context("fork")
        answers: Any = context.SimpleQueue()
        child = context.Process(target=_save_in_child, args=(results, answers))

        child.start()
        child.join(60)

        assert "forked" in answers.get()
        assert os.listdir(results / ".staging") == []


def _save_in_child(results: Path, answers: Any) -> None:
    try:
        with RunRepository.open(results, keep_measurements="parquet") as repository:
            repository.save("run", recorded(3))
        answers.put("saved")
    except ArtifactWriteError as error:
        # The staging folder is made by a save that writes something.
        (results / ".staging").mkdir(exist_ok=True)
        answers.put(str(error))


class TestKeptSaves:
    """A save that found the database busy keeps what it knew."""

    def save_in_vain(self, results: Path, **options: Any) -> DatabaseBusyError:
        RunRepository.open(results).close()
        with (
            RunRepository.open(results, busy_timeout_s=0.3, **options) as repository,
            locked_by_a_tool(results),
            pytest.raises(DatabaseBusyError) as caught,
        ):
            repository.save(
                "run",
                recorded(10),
                provenance=PROVENANCE,
                tags={"campaign": "ü", "empty": ""},
                satellite_buckets=True,
            )
        return caught.value

    def test_the_next_opening_adopts_all_of_it(self, results: Path, form: dict[str, Any]) -> None:
        self.save_in_vain(results, **form)
        with RunRepository.in_memory() as memory:
            same = memory.save("run", recorded(10), provenance=PROVENANCE)

        with RunRepository.open(results) as repository:
            run = repository.get("run")

            assert repository.measurements("run").height == 30
        assert run.metrics == same.metrics
        assert run.tags == {"campaign": "ü", "empty": ""}
        assert run.provenance.scenario == "eclipse"
        assert run.provenance.started_at == PROVENANCE.started_at
        assert run.provenance.host == same.provenance.host
        assert os.listdir(results / ".staging") == []
        assert check_folder(results).is_sound

    def test_it_has_its_buckets(self, results: Path) -> None:
        self.save_in_vain(results)

        RunRepository.open(results).close()

        counts = "SELECT satellite_id IS NULL, sum(count) FROM v_buckets GROUP BY 1 ORDER BY 1"
        assert sql(results, counts) == [(0, 30), (1, 30)]

    def test_its_rows_go_into_the_table(self, results: Path) -> None:
        self.save_in_vain(results, keep_measurements="database")

        RunRepository.open(results).close()

        assert sql(results, "SELECT count(*) FROM measurements") == [(30,)]

    @pytest.mark.parametrize(
        "notes",
        [
            b"",
            b"{}",
            b"[1]",
            b'{"provenance": {"rig": 5}, "tags": {}, "satellite_buckets": 1, "in_database": 1}',
            b'{"provenance": {"who": "?"}, "tags": {}, "satellite_buckets": 1, "in_database": 1}',
            b'{"provenance": {}, "tags": 7, "satellite_buckets": 1, "in_database": 1}',
        ],
    )
    def test_torn_notes_cost_only_what_they_held(
        self, results: Path, notes: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.save_in_vain(results)
        (path,) = (results / ".staging").glob("*.kept.run")
        path.write_bytes(notes)

        with RunRepository.open(results) as repository:
            run = repository.get("run")

        assert run.total_measurements == 30
        assert run.tags == {}
        assert "adopted without its provenance and tags" in caplog.text
        assert os.listdir(results / ".staging") == []

    def test_tags_that_were_set_before_stay(self, results: Path) -> None:
        with RunRepository.open(results) as repository:
            repository.save("run", recorded(2), tags={"mine": "1", "campaign": "old"})
        self.save_in_vain(results)

        with RunRepository.open(results) as repository:
            run = repository.get("run")

        assert run.tags == {"campaign": "ü", "empty": "", "mine": "1"}
        assert run.revision == 2


class TestOptions:
    """What can't be asked for is refused when the store is opened."""

    def test_an_unknown_one_is_refused(self, results: Path) -> None:
        with pytest.raises(ValueError, match="not 'xml'"):
            RunRepository.open(results, keep_measurements="xml")  # type: ignore[arg-type]

    def test_files_are_refused_in_memory(self) -> None:
        with pytest.raises(ValueError, match="not 'parquet'"):
            RunRepository.in_memory(keep_measurements="parquet")  # type: ignore[arg-type]


def test_a_csv_of_other_line_ends_is_refused_at_its_first_part() -> None:
    yielded: list[bytes] = []

    def parts() -> Iterator[bytes]:
        for _ in range(100):
            yielded.append(b"timestamp,metric_type\n" * 100)
            yield yielded[-1]

    with pytest.raises(ArtifactReadError, match="CR LF"):
        frame_of_csv(parts())
    assert len(yielded) == 1
