"""A run that is in the store while it is recorded, and what is left if its recorder dies."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from recordings import recorded
from stepping import right_before

from astraguard_store import (
    ArtifactReadError,
    ArtifactWriteError,
    AsyncRunRepository,
    ClosedStoreError,
    InvalidRunError,
    LatencyCollector,
    Provenance,
    ReadOnlyStoreError,
    RunIsRunningError,
    RunRepository,
    RunSummary,
    StoreNotFoundError,
    Unit,
)
from astraguard_store.cli import main

KILLED = -signal.SIGKILL


@pytest.fixture
def repository(tmp_path: Path) -> Any:
    """Give an open store."""
    with RunRepository.open(tmp_path / "results", durability="normal") as repository:
        yield repository


def fill(run: LatencyCollector, measurements: int = 10) -> None:
    for number in range(measurements):
        run.record("thermal_recovery", f"SAT{number % 3}", number / 10, 1.0 + number % 7)


def staged(repository: RunRepository) -> list[str]:
    assert repository.results_dir is not None
    return sorted(os.listdir(repository.results_dir / ".staging"))


def wait_for(is_so: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < ends_at
        time.sleep(0.005)


def run_child(results: Path, body: str, first: str = "") -> int:
    """Run *body* in a process that has opened *results* as `repository`; *first* before that."""
    code = (
        f"{first}\nimport os, signal, sys, time\n"
        "from pathlib import Path\n"
        "from astraguard_store import RunRepository, Provenance, Unit\n"
        "repository = RunRepository.open(sys.argv[1])\n" + textwrap.dedent(body)
    )
    return subprocess.run([sys.executable, "-c", code, str(results)], timeout=60).returncode


DIES = """
    run = repository.run(
        "run", tags={"rig": "7"}, provenance=Provenance(units={"S": Unit(serial="x")}),
        satellite_buckets=True, flush_every_s=0.05,
    ).__enter__()
    for number in range(10_000):
        run.record("fault_detection", f"SAT{number % 3}", number / 10, 1.0 + number % 7)
    Path(sys.argv[1], "console.log").write_text("hello")
    run.attach(Path(sys.argv[1], "console.log"))
    (journal,) = Path(sys.argv[1], ".staging").glob("*.journal")
    while journal.stat().st_size < 10_000 * 32:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
"""


class TestRunning:
    """What everybody sees of a run that is being recorded."""

    def test_it_is_visible_at_once(self, repository: RunRepository) -> None:
        with repository.run("run", tags={"rig": "7"}) as run:
            fill(run)
            found = repository.get("run")

            assert (found.state, found.tags, found.metrics) == ("running", {"rig": "7"}, {})
            assert found.last_written_at is not None

    def test_lists_tell_its_state(self, repository: RunRepository) -> None:
        repository.save("old", recorded(5))

        with repository.run("run"):
            states = {header.run_id: header.state for header in repository.recent()}
            running = [header.run_id for header in repository.recent(state="running")]

        assert states == {"old": "finished", "run": "running"}
        assert running == ["run"]

    def test_the_view_tells_its_state(self, repository: RunRepository) -> None:
        sql = "SELECT state, error, last_written_at IS NOT NULL FROM v_runs"

        with repository.run("run"):
            running = repository.query(sql).rows

        assert running == [("running", None, 1)]

    def test_a_reader_sees_it_too(self, repository: RunRepository) -> None:
        assert repository.results_dir is not None

        with (
            repository.run("run"),
            RunRepository.open(repository.results_dir, read_only=True) as reader,
        ):
            assert reader.get("run").state == "running"
            assert [header.state for header in reader.recent()] == ["running"]

    def test_another_opening_leaves_it_alone(self, repository: RunRepository) -> None:
        assert repository.results_dir is not None

        with repository.run("run", flush_every_s=0.05) as run:
            fill(run)
            assert run_child(repository.results_dir, "repository.close()") == 0
            fill(run)

        assert repository.get("run").total_measurements == 20
        assert repository.get("run").state == "finished"

    @pytest.mark.parametrize(
        "change",
        [
            lambda repository: repository.save("run", recorded(5)),
            lambda repository: repository.save_many([("run", recorded(5))]),
            lambda repository: repository.delete("run"),
            lambda repository: repository.run("run").__enter__(),
        ],
        ids=["save", "save_many", "delete", "run"],
    )
    def test_nobody_else_may_change_it(
        self, change: Callable[[RunRepository], object], repository: RunRepository
    ) -> None:
        with repository.run("run") as run:
            fill(run)
            with pytest.raises(RunIsRunningError, match="'run' is being recorded"):
                change(repository)

        assert repository.get("run").total_measurements == 10
        assert staged(repository) == []

    def test_tags_that_are_changed_meanwhile_stay(self, repository: RunRepository) -> None:
        with repository.run("run", tags={"a": "1"}) as run:
            fill(run)
            repository.set_tags("run", {"a": None, "pinned": ""})

        assert repository.get("run").tags == {"pinned": ""}

    def test_what_was_saved_before_stays_until_the_end(self, repository: RunRepository) -> None:
        before = repository.save("run", recorded(5))

        with repository.run("run") as run:
            fill(run)
            meanwhile = repository.get("run")

        assert meanwhile.metrics == before.metrics
        assert set(repository.get("run").metrics) == {"thermal_recovery"}
        assert repository.get("run").revision == 2

    def test_check_finds_nothing_wrong_with_it(self, repository: RunRepository) -> None:
        with repository.run("run") as run:
            fill(run)
            report = repository.check(deep=True)

        assert report.is_sound, report.findings


class TestEnd:
    """What the end of the block saves."""

    def test_it_is_saved_as_finished(self, repository: RunRepository) -> None:
        with repository.run("run", provenance=Provenance(rig="r7")) as run:
            fill(run)

        found = repository.get("run")
        assert (found.state, found.error, found.revision) == ("finished", None, 1)
        assert found.provenance.rig == "r7"
        assert run.saved == found
        assert staged(repository) == []

    def test_it_is_what_a_save_of_the_same_gives(self, repository: RunRepository) -> None:
        collector = LatencyCollector()
        fill(collector)
        saved = repository.save("saved", collector)

        with repository.run("run") as run:
            fill(run)

        found = repository.get("run")
        assert (found.metrics, found.satellites) == (saved.metrics, saved.satellites)
        assert (
            repository.measurements("run")
            .drop("timestamp")
            .equals(repository.measurements("saved").drop("timestamp"))
        )

    def test_an_exception_leaves_it_failed(self, repository: RunRepository) -> None:
        def fly() -> None:
            with repository.run("run") as run:
                fill(run)
                raise ZeroDivisionError("by nought")

        with pytest.raises(ZeroDivisionError):
            fly()

        found = repository.get("run")
        assert (found.state, found.error) == ("failed", "ZeroDivisionError: by nought")
        assert found.total_measurements == 10
        assert [header.run_id for header in repository.recent(state="failed")] == ["run"]

    def test_a_run_without_measurements_is_kept_too(self, repository: RunRepository) -> None:
        with pytest.raises(OSError, match="no rig"), repository.run("failed"):
            raise OSError("no rig")
        with repository.run("finished"):
            pass

        assert repository.get("failed").error == "OSError: no rig"
        assert repository.get("finished").state == "finished"
        assert repository.check().is_sound

    def test_nothing_recorded_leaves_what_was_saved_before(
        self, repository: RunRepository
    ) -> None:
        before = repository.save("run", recorded(5))

        with pytest.raises(OSError, match="no rig"), repository.run("run"):
            raise OSError("no rig")

        assert repository.get("run").metrics == before.metrics
        assert repository.get("run").state == "finished"
        assert repository.check(deep=True).is_sound

    def test_nothing_can_be_recorded_after_it(self, repository: RunRepository) -> None:
        with repository.run("run") as run:
            fill(run)

        with pytest.raises(ClosedStoreError, match="is over"):
            run.record("thermal_recovery", "SAT0", 0.0, 1.0)
        with pytest.raises(ClosedStoreError, match="is over"):
            run.record_fault_detection("SAT0", 0.0, 1.0)
        with pytest.raises(ClosedStoreError, match="not being recorded"):
            run.attach(__file__)
        assert len(run) == 10

    def test_a_closed_repository_is_said_and_loses_nothing(self, tmp_path: Path) -> None:
        repository = RunRepository.open(tmp_path)
        run = repository.run("run").__enter__()
        fill(run)
        os.rename(tmp_path / "astraguard.db", tmp_path / "away.db")

        with pytest.raises(Exception, match="adopts") as failed:
            run.__exit__(None, None, None)

        assert failed.value.kept[0].name.endswith(".journal")  # type: ignore[attr-defined]
        repository.close()
        os.rename(tmp_path / "away.db", tmp_path / "astraguard.db")
        with RunRepository.open(tmp_path) as again:
            assert again.get("run").total_measurements == 10
            # Its last frame tells how it ended.
            assert again.get("run").state == "finished"

    def test_the_exception_of_the_block_counts_also_where_the_save_fails(
        self, tmp_path: Path
    ) -> None:
        def fly() -> None:
            with RunRepository.open(tmp_path) as repository, repository.run("run") as run:
                fill(run)
                os.rename(tmp_path / "astraguard.db", tmp_path / "away.db")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError) as raised:
            fly()

        assert any("could not be saved" in note for note in raised.value.__notes__)


class TestRecording:
    """What a run takes beside what a collector does."""

    def test_time_records_how_long_a_block_took(self, repository: RunRepository) -> None:
        with repository.run("run") as run:
            with run.time("agent_decision", "SAT0", 1.5):
                pass
            (measured,) = run.measurements

        assert (measured.metric_type, measured.satellite_id) == ("agent_decision", "SAT0")
        assert (measured.scenario_time_s, measured.missed) == (1.5, False)
        assert measured.duration_ms >= 0

    def test_time_records_an_exception_as_missed(self, repository: RunRepository) -> None:
        with repository.run("run") as run:
            with pytest.raises(ValueError, match="no"), run.time("agent_decision", "SAT0", 1.5):
                raise ValueError("no")
            (measured,) = run.measurements

        assert measured.missed
        assert repository.get("run").metrics["agent_decision"].missed == 1

    def test_missed_records_an_event_that_never_came(self, repository: RunRepository) -> None:
        with repository.run("run") as run:
            run.missed("fault_detection", "SAT0", 1.0, 500.0)

        assert repository.get("run").metrics["fault_detection"].missed == 1

    def test_what_is_reset_is_not_in_it(self, repository: RunRepository) -> None:
        with repository.run("run", flush_every_s=0.01) as run:
            fill(run)
            run.reset()
            fill(run, 3)

        assert repository.get("run").total_measurements == 3

    @pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "1"])
    def test_a_flush_interval_that_is_none_is_refused(
        self, value: Any, repository: RunRepository
    ) -> None:
        with pytest.raises(InvalidRunError, match="flush_every_s"):
            repository.run("run", flush_every_s=value)

    def test_it_can_not_be_pickled(self, repository: RunRepository) -> None:
        import pickle

        with pytest.raises(TypeError, match="can't be pickled"):
            pickle.dumps(repository.run("run"))

    def test_threads_may_record_meanwhile(self, repository: RunRepository) -> None:
        with repository.run("run", flush_every_s=0.001) as run:
            threads = [threading.Thread(target=fill, args=(run, 5_000)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        assert repository.get("run").total_measurements == 20_000


class TestAttachments:
    """Any file that belongs to a run."""

    def test_it_is_copied_and_hashed(self, repository: RunRepository, tmp_path: Path) -> None:
        log = tmp_path / "console.log"
        log.write_bytes(b"hello")

        with repository.run("run") as run:
            fill(run)
            attached = run.attach(log)
            log.write_bytes(b"changed later")

        assert repository.results_dir is not None
        copied = repository.results_dir / "run" / "attachments" / "console.log"
        assert copied.read_bytes() == b"hello"
        assert repository.get("run").attachments == (attached,)
        assert attached.bytes == 5
        assert repository.query("SELECT name, path FROM v_attachments").rows == [
            ("console.log", "run/attachments/console.log")
        ]
        assert repository.check().is_sound

    def test_nothing_is_copied_through_a_link_in_the_place_of_their_folder(
        self, repository: RunRepository, tmp_path: Path
    ) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "log").write_bytes(b"somebody's")
        (tmp_path / "log").write_bytes(b"ours")
        assert repository.results_dir is not None
        (repository.results_dir / "run").mkdir()
        (repository.results_dir / "run" / "attachments").symlink_to(elsewhere)

        with repository.run("run") as run:
            fill(run)
            with pytest.raises(ArtifactWriteError, match="nothing was attached"):
                run.attach(tmp_path / "log")

        assert [path.read_bytes() for path in elsewhere.iterdir()] == [b"somebody's"]
        assert repository.get("run").state == "finished"

    def test_one_of_the_same_name_is_replaced(
        self, repository: RunRepository, tmp_path: Path
    ) -> None:
        (tmp_path / "a").write_bytes(b"one")
        (tmp_path / "b").write_bytes(b"other")

        with repository.run("run") as run:
            run.attach(tmp_path / "a", name="log")
            run.attach(tmp_path / "b", name="log")

        assert [attached.bytes for attached in repository.get("run").attachments] == [5]

    def test_check_finds_one_that_was_changed(
        self, repository: RunRepository, tmp_path: Path
    ) -> None:
        (tmp_path / "log").write_bytes(b"hello")
        with repository.run("run") as run:
            fill(run)
            run.attach(tmp_path / "log")
        assert repository.results_dir is not None
        copied = repository.results_dir / "run" / "attachments" / "log"

        copied.write_bytes(b"HELLO")
        changed = repository.check()
        copied.unlink()
        missing = repository.check()

        # A note on the version of SQLite may follow.
        assert [f.kind for f in changed.findings if f.severity == "fault"] == ["changed_file"]
        assert [f.kind for f in missing.findings if f.severity == "fault"] == ["missing_file"]

    def test_they_go_with_the_run(self, repository: RunRepository, tmp_path: Path) -> None:
        (tmp_path / "log").write_bytes(b"hello")
        with repository.run("run") as run:
            fill(run)
            run.attach(tmp_path / "log")

        repository.delete("run")

        assert repository.results_dir is not None
        assert not (repository.results_dir / "run").exists()

    def test_they_go_when_the_run_is_saved_again(
        self, repository: RunRepository, tmp_path: Path
    ) -> None:
        (tmp_path / "log").write_bytes(b"hello")
        with repository.run("run") as run:
            fill(run)
            run.attach(tmp_path / "log")

        repository.save("run", recorded(5))

        assert repository.results_dir is not None
        assert repository.get("run").attachments == ()
        assert not (repository.results_dir / "run" / "attachments").exists()

    @pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "", "x" * 300])
    def test_a_name_that_leads_elsewhere_is_refused(
        self, name: str, repository: RunRepository
    ) -> None:
        with (
            repository.run("run") as run,
            pytest.raises(InvalidRunError, match="name of an attachment"),
        ):
            run.attach(__file__, name=name)

    def test_what_is_no_file_is_refused(self, repository: RunRepository, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")

        with repository.run("run") as run:
            for path in (tmp_path / "none", tmp_path, tmp_path / "pipe"):
                with pytest.raises(ArtifactReadError, match="attached"):
                    run.attach(path)


class TestDeadRecorder:
    """What is left of a recorder that died."""

    def check_interrupted(self, found: RunSummary) -> None:
        assert found.state == "interrupted"
        assert found.total_measurements == 10_000
        assert found.tags == {"rig": "7"}
        assert found.provenance.units == {"S": Unit(serial="x")}
        assert [attached.name for attached in found.attachments] == ["console.log"]

    def test_the_next_opening_finds_it_interrupted(self, tmp_path: Path) -> None:
        assert run_child(tmp_path, DIES) == KILLED

        with RunRepository.open(tmp_path) as repository:
            self.check_interrupted(repository.get("run"))
            assert repository.measurements("run").height == 10_000
            assert staged(repository) == []
            assert repository.check(deep=True).is_sound

    def test_buckets_of_satellites_are_kept_if_asked_for(self, tmp_path: Path) -> None:
        assert run_child(tmp_path, DIES) == KILLED

        with RunRepository.open(tmp_path) as repository:
            found = repository.percentiles(
                [0.5], metric_type="fault_detection", runs=["run"], satellite_id="SAT0"
            )

        assert found.count == 3_334

    def test_an_open_store_finds_it_when_asked(self, tmp_path: Path) -> None:
        with RunRepository.open(tmp_path) as repository:
            assert run_child(tmp_path, DIES) == KILLED

            self.check_interrupted(repository.get("run"))

    def test_an_open_store_finds_it_in_a_list(self, tmp_path: Path) -> None:
        with RunRepository.open(tmp_path) as repository:
            assert run_child(tmp_path, DIES) == KILLED

            (header,) = repository.recent(state="interrupted")

            assert header.total_measurements == 10_000
            assert repository.recent(state="running") == []

    def test_a_reader_says_so_and_writes_nothing(self, tmp_path: Path) -> None:
        assert run_child(tmp_path, DIES) == KILLED
        before = sorted(os.listdir(tmp_path / ".staging"))

        with RunRepository.open(tmp_path, read_only=True) as reader:
            seen = reader.get("run")
            (header,) = reader.recent()
            assert len(reader.recent(state="interrupted")) == 1
            assert reader.recent(state="running") == []

        assert (seen.state, seen.total_measurements) == ("interrupted", 10_000)
        assert (header.state, header.total_measurements) == ("interrupted", 10_000)
        assert sorted(os.listdir(tmp_path / ".staging")) == before

    def test_a_reader_is_told_what_an_adoption_then_saves(self, tmp_path: Path) -> None:
        assert run_child(tmp_path, DIES) == KILLED

        with RunRepository.open(tmp_path, read_only=True) as reader:
            seen = reader.get("run")
            compared = reader.compare("run", "run")
        with RunRepository.open(tmp_path) as repository:
            saved = repository.get("run")

        assert {change.metric_type for change in compared.changes} == saved.metrics.keys()
        same = ("state", "metrics", "satellites", "tags", "attachments", "noise")
        assert [getattr(seen, name) for name in same] == [getattr(saved, name) for name in same]
        assert saved.noise is not None

    @pytest.mark.parametrize(
        "change",
        [
            lambda repository: repository.save("run", recorded(5)),
            lambda repository: repository.run("run").__enter__().__exit__(None, None, None),
            lambda repository: repository.delete("run"),
        ],
        ids=["save", "run", "delete"],
    )
    def test_it_is_in_nobodys_way(
        self, change: Callable[[RunRepository], object], tmp_path: Path
    ) -> None:
        with RunRepository.open(tmp_path) as repository:
            assert run_child(tmp_path, DIES) == KILLED

            change(repository)

            assert staged(repository) == []
            assert repository.check().is_sound

    def test_it_is_adopted_once_however_many_look(self, tmp_path: Path) -> None:
        RunRepository.open(tmp_path).close()
        assert run_child(tmp_path, DIES) == KILLED
        code = (
            "import sys\nfrom astraguard_store import RunRepository\n"
            "with RunRepository.open(sys.argv[1]) as r: print(r.get('run').revision)"
        )

        lookers = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
            )
            for _ in range(4)
        ]
        revisions = [looker.communicate(timeout=60)[0].strip() for looker in lookers]

        with RunRepository.open(tmp_path) as repository:
            self.check_interrupted(repository.get("run"))
            assert repository.get("run").revision == 1
        assert set(revisions) == {"1"}

    def test_a_journal_that_was_removed_leaves_an_interrupted_run(self, tmp_path: Path) -> None:
        assert run_child(tmp_path, DIES) == KILLED
        for journal in (tmp_path / ".staging").iterdir():
            journal.unlink()

        with RunRepository.open(tmp_path) as repository:
            assert repository.get("run").state == "interrupted"
            repository.save("run", recorded(5))

    def test_a_lost_database_loses_nothing_of_it(self, tmp_path: Path) -> None:
        assert run_child(tmp_path, DIES) == KILLED
        for name in os.listdir(tmp_path):
            if name.startswith("astraguard.db"):
                (tmp_path / name).unlink()

        with RunRepository.open(tmp_path) as repository:
            self.check_interrupted(repository.get("run"))

    @pytest.mark.parametrize("left", [0, 5, 100, 5_000, 200_000])
    def test_a_torn_journal_is_adopted_as_far_as_it_is_whole(
        self, left: int, tmp_path: Path
    ) -> None:
        assert run_child(tmp_path, DIES) == KILLED
        (journal,) = (tmp_path / ".staging").iterdir()
        os.truncate(journal, left)

        with RunRepository.open(tmp_path) as repository:
            found = repository.get("run")

            assert found.state == "interrupted"
            assert found.total_measurements < 10_000
            assert (found.total_measurements > 0) == (left == 200_000)
            # Without its whole head nobody knows whose it was: `check` names it.
            faults = [f.kind for f in repository.check().findings if f.severity == "fault"]
            assert faults == (["staging_left_over"] if left <= 100 else [])


class TestFork:
    """A forked child neither writes the journal nor keeps it alive."""

    def test_the_run_stays_the_parents(self, tmp_path: Path) -> None:
        body = """
            with repository.run("run", flush_every_s=0.05) as run:
                run.record("x", "S", 0.0, 1.0)
                child = os.fork()
                if not child:
                    run.record("x", "S", 0.0, 1.0)
                    raise SystemExit(0)
                assert os.waitpid(child, 0)[1] == 0
                run.record("x", "S", 0.0, 1.0)
        """

        assert run_child(tmp_path, body) == 0

        with RunRepository.open(tmp_path) as repository:
            assert repository.get("run").total_measurements == 2
            assert repository.get("run").state == "finished"

    @pytest.mark.parametrize(
        "first",
        [
            "",
            # Registered first it is called last: when no thread keeps the run, nor the program.
            "import gc, os; os.register_at_fork(before=gc.collect)",
        ],
    )
    def test_a_parent_that_forks_all_the_time_keeps_what_it_recorded(
        self, first: str, tmp_path: Path
    ) -> None:
        body = """
            repository.run("run", flush_every_s=0.5).__enter__().record("x", "S", 0.0, 1.0)
            (journal,) = Path(sys.argv[1], ".staging").glob("*.journal")
            size, ends_at = journal.stat().st_size, time.monotonic() + 30
            while journal.stat().st_size == size and time.monotonic() < ends_at:
                child = os.fork()
                if not child:
                    os._exit(0)
                os.waitpid(child, 0)
            os.kill(os.getpid(), signal.SIGKILL)
        """

        assert run_child(tmp_path, body, first) == KILLED

        with RunRepository.open(tmp_path) as repository:
            assert repository.get("run").total_measurements == 1

    def test_a_child_that_lives_on_does_not_keep_the_journal(self, tmp_path: Path) -> None:
        body = """
            run = repository.run("run", flush_every_s=0.05).__enter__()
            run.record("x", "S", 0.0, 1.0)
            if not (child := os.fork()):
                time.sleep(60)
            Path(sys.argv[1], "child").write_text(str(child))
            (journal,) = Path(sys.argv[1], ".staging").glob("*.journal")
            before = journal.stat().st_size
            run.record("x", "S", 0.0, 1.0)
            while journal.stat().st_size <= before + 32:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        """
        assert run_child(tmp_path, body) == KILLED

        try:
            with RunRepository.open(tmp_path) as repository:
                assert repository.get("run").state == "interrupted"
                assert repository.get("run").total_measurements == 2
        finally:
            with suppress(ProcessLookupError):
                os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


class TestNeverEntered:
    """A run that has begun, and whose block is never entered."""

    def test_ctrl_c_while_it_begins_leaves_it_interrupted(self, repository: RunRepository) -> None:
        def strike() -> None:
            signal.raise_signal(signal.SIGINT)

        with (
            right_before("_start_thread", strike),
            pytest.raises(KeyboardInterrupt),
            repository.run("run"),
        ):
            pytest.fail("the block was entered")

        assert repository.get("run").state == "interrupted"
        assert staged(repository) == []
        assert repository.save("run", recorded(5)).state == "finished"

    @pytest.mark.parametrize("is_recorded", [False, True])
    def test_a_task_that_is_cancelled_while_it_begins_leaves_it_interrupted(
        self, repository: RunRepository, *, is_recorded: bool
    ) -> None:
        assert repository.results_dir is not None
        lock = repository.results_dir / "astraguard.db.lock"

        def has_begun() -> bool:
            if not is_recorded:
                return any(lock.parent.glob(".staging/*.journal"))
            # The loop, which is blocked meanwhile, hears of it after the cancellation.
            return any(thread.name.endswith("-recorder") for thread in threading.enumerate())

        async def record() -> None:
            async with repository.run("run"):
                pytest.fail("the block was entered")

        async def cancelled() -> None:
            with lock.open("r+b") as held:
                if not is_recorded:
                    fcntl.flock(held, fcntl.LOCK_EX)
                recording = asyncio.create_task(record())
                await asyncio.sleep(0)
                wait_for(has_begun)
                recording.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await recording

        asyncio.run(cancelled())

        wait_for(lambda: staged(repository) == [])
        assert repository.get("run").state == "interrupted"
        assert repository.save("run", recorded(5)).state == "finished"


class TestOtherStores:
    """Stores that are no folder opened for writing."""

    def test_in_memory_it_is_visible_and_saved(self) -> None:
        with RunRepository.in_memory() as repository:
            with repository.run("run") as run:
                fill(run)
                assert repository.get("run").state == "running"
                with pytest.raises(StoreNotFoundError, match="in memory"):
                    run.attach(__file__)

            assert repository.get("run").state == "finished"
            assert repository.get("run").total_measurements == 10

    def test_a_reader_refuses(self, tmp_path: Path) -> None:
        RunRepository.open(tmp_path).close()

        with (
            RunRepository.open(tmp_path, read_only=True) as reader,
            pytest.raises(ReadOnlyStoreError),
        ):
            reader.run("run")

    def test_async_with_works_too(self, tmp_path: Path) -> None:
        async def record() -> RunSummary:
            async with AsyncRunRepository.open(tmp_path) as repository:
                async with repository.run("run", tags={"a": "b"}) as run:
                    fill(run)
                    assert (await repository.get("run")).state == "running"
                return await repository.get("run")

        found = asyncio.run(record())

        assert (found.state, found.total_measurements) == ("finished", 10)


class TestUnfinishedRuns:
    """What questions about many runs do with runs that aren't finished."""

    @pytest.fixture
    def mixed(self, repository: RunRepository) -> RunRepository:
        """Give a store with a finished and a failed run of 10 measurements each."""
        with repository.run("finished") as run:
            fill(run)
        with suppress(ZeroDivisionError), repository.run("failed") as run:
            fill(run)
            raise ZeroDivisionError
        return repository

    def test_percentiles_leave_them_out_and_say_so(self, mixed: RunRepository) -> None:
        found = mixed.percentiles([0.5], metric_type="thermal_recovery")

        assert (found.count, found.runs, found.unfinished) == (10, 1, ("failed",))

    def test_percentiles_take_them_where_they_are_named(self, mixed: RunRepository) -> None:
        found = mixed.percentiles(
            [0.5], metric_type="thermal_recovery", runs=["finished", "failed"]
        )

        assert (found.count, found.unfinished) == (20, ())

    def test_a_comparison_warns(self, mixed: RunRepository) -> None:
        compared = mixed.compare("finished", "failed")

        assert (compared.baseline_state, compared.candidate_state) == ("finished", "failed")
        # The first: the machine that runs the tests may be busy, which is warned of too.
        assert compared.warnings[0] == (
            "the candidate is not finished: 'failed' ended with an error"
        )

    def test_a_comparison_with_a_running_run_warns(self, mixed: RunRepository) -> None:
        with mixed.run("running"):
            warnings = mixed.compare("running", "finished").warnings

        assert warnings[0] == "the baseline is not finished: 'running' is still being recorded"

    def test_a_history_leaves_them_out_and_says_so(self, mixed: RunRepository) -> None:
        found = mixed.history("thermal_recovery")
        where = ["thermal_recovery", "--results", str(mixed.results_dir)]

        done = CliRunner().invoke(main, ["history", *where])
        told = CliRunner().invoke(main, ["history", *where, "--json"])

        assert [point.run_id for point in found.points] == ["finished"]
        assert found.unfinished == ("failed",)
        assert "left out, for not being finished: failed" in done.stderr
        assert json.loads(told.stdout)["unfinished"] == ["failed"]

    def test_change_points_leave_them_out(self, repository: RunRepository) -> None:
        for number in range(12):
            with suppress(ZeroDivisionError), repository.run(f"run{number:02}") as run:
                run.record("m", "S", 0.0, 1.0 if number < 6 else 2.0)
                if number >= 6:
                    raise ZeroDivisionError

        assert repository.change_points("m") == ()

    def test_prune_leaves_them_and_says_so(self, mixed: RunRepository) -> None:
        expected = mixed.prune(keep=0, dry_run=True)
        report = mixed.prune(keep=0)

        assert (report.deleted, report.unfinished) == (("finished",), ("failed",))
        assert (expected.deleted, expected.unfinished) == (("finished",), ("failed",))

    def test_prune_takes_them_if_asked_to_but_never_a_running_one(
        self, mixed: RunRepository
    ) -> None:
        with mixed.run("running"):
            report = mixed.prune(keep=0, unfinished=True)

        assert sorted(report.deleted) == ["failed", "finished"]
        assert report.unfinished == ("running",)


def test_the_command_line_tells_states(repository: RunRepository) -> None:

    repository.save("old", recorded(5))
    where = ["--results", str(repository.results_dir)]
    with repository.run("run"):
        listed = CliRunner().invoke(main, ["recent", *where])
        shown = CliRunner().invoke(main, ["show", "run", *where])
        found = CliRunner().invoke(main, ["recent", "--state", "running", "--json", *where])

    assert "running" in listed.stdout
    assert "s ago" in listed.stdout
    assert "running" in shown.stdout
    (header,) = json.loads(found.stdout)["runs"]
    assert (header["run_id"], header["state"]) == ("run", "running")
    assert header["last_written_at"]
