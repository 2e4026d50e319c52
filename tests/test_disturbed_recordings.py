"""Recordings whose folder, process or disk is disturbed, and runs that measured nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from astraguard_store import ArtifactWriteError, RunRepository, RunSummary, StoreError

KILLED = -signal.SIGKILL


@pytest.fixture
def repository(tmp_path: Path) -> Any:
    """Give an open store."""
    with RunRepository.open(tmp_path / "results", durability="normal") as repository:
        yield repository


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Give a file to attach."""
    (tmp_path / "console.log").write_text("nominal")
    return tmp_path / "console.log"


def run_child(folder: Path, body: str) -> subprocess.CompletedProcess[str]:
    """Run *body* in a process, with *folder* as `folder`."""
    code = (
        "import os, signal, shutil, sys, time\n"
        "from pathlib import Path\n"
        "from astraguard_store import *\n"
        "folder = Path(sys.argv[1])\n" + textwrap.dedent(body)
    )
    return subprocess.run(
        [sys.executable, "-c", code, str(folder)], timeout=60, capture_output=True, text=True
    )


def as_told(run: RunSummary) -> tuple[Any, ...]:
    """Give what a run without measurements is."""
    return run.state, run.tags, run.attachments, run.recorded_at, run.revision, run.noise


@pytest.mark.usefixtures("log")
def test_a_forked_child_attaches_nothing(tmp_path: Path) -> None:
    body = """
        repository = RunRepository.open(folder / "results")
        with repository.run("run") as run:
            run.attach(folder / "console.log")
            if not (child := os.fork()):
                (folder / "console.log").write_text("another")
                try:
                    run.attach(folder / "console.log")
                except ClosedStoreError as error:
                    os._exit("began it" in str(error))
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    """

    done = run_child(tmp_path, body)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/run/attachments/console.log").read_text() == "nominal"


@pytest.mark.usefixtures("log")
def test_a_journal_that_was_removed_is_put_back(tmp_path: Path) -> None:
    body = """
        repository = RunRepository.open(folder / "results")
        with repository.run("run", flush_every_s=0.05) as run:
            run.record("recovery", "SAT1", 0.0, 1.5)
            (journal,) = (folder / "results/.staging").iterdir()
            before = journal.stat().st_size
            run.record("recovery", "SAT1", 1.0, 2.5)
            while journal.stat().st_size == before:
                time.sleep(0.01)
            shutil.rmtree(folder / "results/.staging", ignore_errors=True)
            run.attach(folder / "console.log")
            assert journal.exists()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    assert run_child(tmp_path, body).returncode == KILLED

    with RunRepository.open(tmp_path / "results") as repository:
        run = repository.get("run")

    assert run.state == "interrupted"
    assert run.metrics["recovery"].count >= 1
    assert [attached.name for attached in run.attachments] == ["console.log"]


def test_a_folder_that_was_moved_takes_the_recording_along(tmp_path: Path, log: Path) -> None:
    results, moved = tmp_path / "results", tmp_path / "moved"
    repository = RunRepository.open(results)

    run = repository.run("run").__enter__()
    run.attach(log)
    results.rename(moved)
    run.record("recovery", "SAT1", 0.0, 1.5)
    with pytest.raises(ArtifactWriteError, match="moved or removed; nothing was attached"):
        run.attach(log, name="second")
    with pytest.raises(StoreError, match="the next opening of the store adopts") as failed:
        run.__exit__(None, None, None)
    repository.close()

    assert [path.parent for path in failed.value.kept] == [moved / ".staging"]
    assert not results.exists()
    with RunRepository.open(moved) as found:
        assert found.get("run").metrics["recovery"].max_ms == 1.5
        assert [attached.name for attached in found.get("run").attachments] == ["console.log"]


def test_of_a_folder_that_was_removed_memory_has_the_run(tmp_path: Path) -> None:
    results = tmp_path / "results"
    repository = RunRepository.open(results)

    run = repository.run("run", flush_every_s=60).__enter__()
    run.record("recovery", "SAT1", 0.0, 1.5)
    shutil.rmtree(results)
    with pytest.raises(StoreError) as failed:
        run.__exit__(None, None, None)
    repository.close()

    assert failed.value.kept == ()
    assert ["another store" in note for note in failed.value.__notes__] == [True]
    with RunRepository.open(tmp_path / "other") as other:
        assert other.save("run", run).metrics["recovery"].max_ms == 1.5


def test_whoever_looks_while_it_is_adopted_sees_what_it_had(tmp_path: Path) -> None:
    body = """
        repository = RunRepository.open(folder)
        run = repository.run("run", flush_every_s=0.05).__enter__()
        for number in range(30_000):
            run.record("recovery", f"SAT{number % 5}", 0.0, float(number))
        (journal,) = (folder / ".staging").iterdir()
        while journal.stat().st_size < 30_000 * 32:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert run_child(tmp_path, body).returncode == KILLED
    look = (
        "import sys; from astraguard_store import RunRepository\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "with RunRepository.open(sys.argv[1], read_only=sys.argv[2] == 'r') as repository:\n"
        "    run = repository.get('run')\n"
        "    print(run.state, run.total_measurements)\n"
    )

    lookers = [
        subprocess.Popen(
            [sys.executable, "-c", look, str(tmp_path), how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for how in "wrww"
    ]
    for looker in lookers:
        assert looker.stdout is not None
        assert looker.stdout.readline() == "ready\n"
    for looker in lookers:
        assert looker.stdin is not None
        looker.stdin.write("\n")
        looker.stdin.flush()
    seen = [looker.communicate(timeout=120)[0].strip() for looker in lookers]

    assert seen == ["interrupted 30000"] * 4


def test_of_a_full_disk_the_error_says_that_the_journal_lacks_the_end(tmp_path: Path) -> None:
    body = """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
        repository = RunRepository.open(folder / "results")
        run = repository.run("run").__enter__()
        for number in range(100_000):
            run.record("recovery", "SAT1", 0.0, float(number))
        try:
            run.__exit__(None, None, None)
        except StoreError as error:
            print(error.kept, *error.__notes__)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        with RunRepository.open(folder / "other") as other:
            print(other.save("run", run).total_measurements)
    """

    done = run_child(tmp_path, body)

    kept, saved = done.stdout.splitlines()
    assert kept.startswith("() ")
    assert "could not be written to its end" in kept
    assert saved == "100000"


class TestRunsThatMeasuredNothing:
    """They are in nobody's way, and go where the others go."""

    @pytest.fixture
    def empty(self, repository: RunRepository, log: Path) -> RunRepository:
        """Give a store with a run that measured nothing, but has a log."""
        with repository.run("empty", tags={"rig": "7"}) as run:
            run.attach(log)
        with repository.run("full") as run:
            run.record("recovery", "SAT1", 0.0, 1.5)
        return repository

    def test_they_are_exported_and_imported(self, empty: RunRepository, tmp_path: Path) -> None:
        empty.export(["empty", "full"], tmp_path / "runs.zip")

        with RunRepository.open(tmp_path / "other") as other:
            report = other.import_runs([tmp_path / "runs.zip"])
            found = other.get("empty")

        assert (report.adopted, report.refused) == (2, ())
        assert as_told(found) == as_told(empty.get("empty"))
        assert (tmp_path / "other/empty/attachments/console.log").read_text() == "nominal"

    def test_they_are_merged(self, empty: RunRepository, tmp_path: Path) -> None:
        with RunRepository.open(tmp_path / "other") as other:
            report = other.merge(tmp_path / "results")
            found = other.get("empty")
            faults = [f for f in other.check().findings if f.severity == "fault"]

        assert (report.merged, report.without_files) == (("empty", "full"), ())
        assert (as_told(found), faults) == (as_told(empty.get("empty")), [])
        assert (tmp_path / "other/empty/attachments/console.log").read_text() == "nominal"

    def test_of_a_database_alone_they_come_without_their_files(
        self, empty: RunRepository, tmp_path: Path
    ) -> None:
        (tmp_path / "alone").mkdir()
        empty.back_up(tmp_path / "alone/astraguard.db")

        with RunRepository.open(tmp_path / "other") as other:
            report = other.merge(tmp_path / "alone")

            assert report.without_files == ("empty", "full")
            assert other.get("empty").attachments == ()

    def test_their_measurements_are_none(self, empty: RunRepository, tmp_path: Path) -> None:
        empty.export(["empty", "full"], tmp_path / "runs.parquet")

        assert empty.measurements("empty").columns == empty.measurements("full").columns
        assert empty.measurements("empty").height == 0

    def test_one_whose_files_an_export_lost_is_refused(
        self, empty: RunRepository, tmp_path: Path
    ) -> None:
        empty.export(["full"], tmp_path / "runs")
        for name in ("latency_raw.csv", "latency_summary.json"):
            os.unlink(tmp_path / "runs/full" / name)

        with RunRepository.open(tmp_path / "other") as other:
            report = other.import_runs([tmp_path / "runs"])

        assert [run_id for run_id, _ in report.refused] == ["full"]
