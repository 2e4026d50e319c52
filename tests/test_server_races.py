"""What others do on a server between two statements of ours, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import postgres
import pytest
from judged_stores import with_both_sides
from recordings import recorded

from astraguard_store import Provenance, RunRepository, Unit

CANDIDATES = ["new_1", "new_4", "new_7"]


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    """Give what runs a step in another thread."""
    with ThreadPoolExecutor() as threads:
        yield threads


def worst_ms(repository: RunRepository) -> set[float]:
    """Give the greatest latencies of `run_1`, of all its metric types."""
    return {metric.max_ms for metric in repository.get("run_1").metrics.values()}


class TestRunWithoutDocument:
    """Somebody else has changed its rows, and so the triggers have dropped its document."""

    def test_each_change_is_read(
        self, there: RunRepository, server: postgres.Server, server_database: str
    ) -> None:
        there.save("run_1", recorded(5))

        seen = []
        for worst in (99.5, 77.5):
            server.execute(server_database, f"UPDATE statistics SET max_ms = {worst}")
            seen.append(worst_ms(there))

        assert seen == [{99.5}, {77.5}]

    def test_its_row_and_its_statistics_are_of_one_moment(
        self,
        there: RunRepository,
        aside: ThreadPoolExecutor,
        server: postgres.Server,
        server_database: str,
    ) -> None:
        there.save("run_1", recorded(5))
        server.execute(server_database, "UPDATE statistics SET max_ms = 99.5")

        with server.transaction(server_database) as saver:
            saver.execute("LOCK TABLE statistics")
            reading = aside.submit(there.get, "run_1")
            server.wait_for_waiting(server_database, 1)
            saver.execute("UPDATE runs SET revision = 2")
            saver.execute("UPDATE statistics SET max_ms = 77.5")
        run = reading.result(30)

        assert (run.revision, {m.max_ms for m in run.metrics.values()}) == (1, {99.5})

    def test_a_save_meanwhile_is_what_is_mended(
        self,
        there: RunRepository,
        aside: ThreadPoolExecutor,
        server: postgres.Server,
        server_database: str,
    ) -> None:
        there.save("run_1", recorded(5))
        server.execute(server_database, "DELETE FROM run_documents")

        with server.transaction(server_database) as saver:
            saver.execute("UPDATE runs SET revision = 2")
            saver.execute("LOCK TABLE run_documents IN EXCLUSIVE MODE")
            mending = aside.submit(there.check, fix=True)
            server.wait_for_waiting(server_database, 1)
            saver.execute("UPDATE statistics SET max_ms = 77.5")
        mending.result(30)

        assert worst_ms(there) == {77.5}
        assert there.check().is_sound


class TestPruning:
    """Runs that have changed since they were chosen; the progress is told before each run."""

    @pytest.fixture
    def there(self, server_url: str) -> Iterator[RunRepository]:
        with RunRepository.open(
            server_url, keep_measurements="database", busy_timeout_s=0.1
        ) as repository:
            for number in range(3):
                repository.save(f"run_{number}", recorded(3))
            yield repository

    @pytest.mark.parametrize("measurements_only", [False, True])
    def test_one_that_was_pinned_stays_and_is_named(
        self, there: RunRepository, measurements_only: bool
    ) -> None:
        def pin(done: int, total: int) -> None:  # noqa: ARG001
            there.set_tags("run_1", {"pinned": ""})

        report = there.prune(keep=0, measurements_only=measurements_only, progress=pin)

        assert report.deleted + report.purged == ("run_0", "run_2")
        assert report.pinned == ("run_1",)
        assert there.measurements("run_1").height == 9

    @pytest.mark.parametrize("measurements_only", [False, True])
    @pytest.mark.parametrize("state", ["running", "interrupted"])
    def test_one_that_is_recorded_again_stays(
        self,
        there: RunRepository,
        server: postgres.Server,
        server_database: str,
        state: str,
        measurements_only: bool,
    ) -> None:
        def record(done: int, total: int) -> None:  # noqa: ARG001
            server.execute(
                server_database, "UPDATE runs SET state = %s WHERE run_id = 'run_1'", state
            )

        report = there.prune(keep=0, measurements_only=measurements_only, progress=record)

        assert report.deleted + report.purged == ("run_0", "run_2")
        assert there.measurements("run_1").height == 9

    @pytest.mark.parametrize("measurements_only", [False, True])
    def test_one_that_is_saved_again_stays(
        self, there: RunRepository, measurements_only: bool
    ) -> None:
        def save(done: int, total: int) -> None:  # noqa: ARG001
            there.save("run_1", recorded(5))

        report = there.prune(keep=0, measurements_only=measurements_only, progress=save)

        assert report.deleted + report.purged == ("run_0", "run_2")
        assert there.measurements("run_1").height == 15

    def test_a_pinned_one_is_not_waited_for(
        self, there: RunRepository, server: postgres.Server, server_database: str
    ) -> None:
        there.set_tags("run_1", {"pinned": ""})

        with server.transaction(server_database) as other:
            other.execute("SELECT 1 FROM runs WHERE run_id = 'run_1' FOR UPDATE")
            report = there.prune(keep=0)

        assert (report.deleted, report.pinned) == (("run_0", "run_2"), ("run_1",))


class TestPushedRuns:
    """What came to the server since it was asked; the progress is told in between."""

    def test_a_running_run_that_another_push_has_brought_is_replaced(
        self, results: Path, there: RunRepository, server_url: str
    ) -> None:
        unit = Provenance(units={"SAT1": Unit(serial="A1")})
        with RunRepository.open(results) as rig, rig.run("run_1", provenance=unit) as live:

            def push(done: int, total: int) -> None:  # noqa: ARG001
                if not there.recent():
                    rig.push(server_url)

            live.record("fault_detection", "SAT1", 0.0, 1.0)
            rig.push(server_url, progress=push)

            assert there.get("run_1").provenance == rig.get("run_1").provenance
            assert there.check().is_sound

    def test_one_that_was_deleted_there_has_its_tags_again(
        self, results: Path, there: RunRepository, server_url: str
    ) -> None:
        def delete(done: int, total: int) -> None:  # noqa: ARG001
            if there.recent() and there.get("run_1").revision == 1:
                there.delete("run_1")

        with RunRepository.open(results) as rig:
            rig.save("run_1", recorded(3), tags={"a": "1"})
            rig.push(server_url)
            rig.save("run_1", recorded(4))
            rig.push(server_url, progress=delete)

            assert there.get("run_1") == rig.get("run_1")


class TestPushedJudgements:
    """Pushes that wait until it is their turn to write baselines and verdicts."""

    @pytest.fixture
    def rig(self, results: Path, server_url: str) -> Iterator[RunRepository]:
        """Give a store whose runs are pushed, and then judged."""
        with RunRepository.open(results) as repository:
            with_both_sides(repository)
            repository.delete_baseline("nightly")
            repository.push(server_url)
            repository.set_baseline("nightly", [f"old_{number}" for number in range(10)])
            repository.record_verdict(repository.gate(CANDIDATES, baseline="nightly"))
            yield repository

    def test_of_two_at_a_time_both_end(
        self,
        rig: RunRepository,
        there: RunRepository,
        aside: ThreadPoolExecutor,
        server: postgres.Server,
        server_database: str,
    ) -> None:
        url = server.url(server_database)

        with server.transaction(server_database) as other:
            other.execute("LOCK TABLE run_verdicts, baseline_runs IN SHARE ROW EXCLUSIVE MODE")
            pushes = [aside.submit(rig.push, url) for _ in range(2)]
            server.wait_for_waiting(server_database, 2)
        for push in pushes:
            push.result(30)

        assert there.baselines() == rig.baselines()
        assert judged_runs(there) == CANDIDATES

    def test_a_run_that_is_deleted_meanwhile_is_left_out(
        self,
        rig: RunRepository,
        there: RunRepository,
        aside: ThreadPoolExecutor,
        server: postgres.Server,
        server_database: str,
    ) -> None:
        with server.transaction(server_database) as other:
            other.execute("LOCK TABLE baseline_runs IN SHARE ROW EXCLUSIVE MODE")
            push = aside.submit(rig.push, server.url(server_database))
            server.wait_for_waiting(server_database, 1)
            other.execute("DELETE FROM runs WHERE run_id IN ('old_3', 'new_4')")
        push.result(30)

        assert "old_3" not in there.baseline("nightly").run_ids
        assert judged_runs(there) == ["new_1", "new_7"]
        rig.push(server.url(server_database))
        assert there.baselines() == rig.baselines()
        assert judged_runs(there) == CANDIDATES

    def test_a_run_that_somebody_is_deleting_is_left_out(
        self,
        rig: RunRepository,
        there: RunRepository,
        server: postgres.Server,
        server_database: str,
    ) -> None:
        with server.transaction(server_database) as other:
            other.execute("SELECT 1 FROM runs WHERE run_id = 'new_4' FOR UPDATE")
            rig.push(server.url(server_database))

            assert judged_runs(there) == ["new_1", "new_7"]

    def test_more_runs_than_are_asked_for_at_once(
        self,
        rig: RunRepository,
        there: RunRepository,
        server_url: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("astraguard_store.store.pushing_judgements._ASKED_AT_ONCE", 2)

        rig.push(server_url)

        assert there.baselines() == rig.baselines()
        assert judged_runs(there) == CANDIDATES


def judged_runs(repository: RunRepository) -> list[str]:
    """Give the ids of the runs of which a verdict is recorded."""
    return [
        run_id for (run_id,) in repository.query("SELECT run_id FROM v_verdicts ORDER BY 1").rows
    ]
