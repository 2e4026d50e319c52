"""An import by several processes: the same result, and an end whatever happens to them."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import select
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
import reference

from astraguard_store import ArtifactReadError, ImportReport, InvalidRunError, RunRepository
from astraguard_store.store import adoption

# Five batches of 500, the last one not full: two processes are asked twice at least.
RUNS = 2_203


def write_tree(results: Path) -> None:
    """Write runs of the old class, and between them what isn't one."""
    rows = reference.make_rows(4)
    text = json.dumps(reference.document("RUN", "2026-01-02T03:04:05.678", rows))
    for i in range(RUNS):
        folder = results / f"run{i:04d}"
        folder.mkdir(parents=True)
        (folder / reference.SUMMARY).write_text(text.replace("RUN", folder.name))
        os.utime(folder / reference.SUMMARY, ns=(10**18 + i * 10**9,) * 2)
    for i in (0, 600, 2_100):
        (results / f"run{i:04d}-plots").mkdir()
        (results / f"run{i:04d}-torn").mkdir()
        (results / f"run{i:04d}-torn" / reference.SUMMARY).write_text("{")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a tree of old runs."""
    results = tmp_path_factory.mktemp("jobs") / "results"
    write_tree(results)
    return results


@pytest.fixture
def fresh(tree: Path) -> Path:
    """Give the tree without the database of the test before."""
    for left in tree.glob("astraguard.db*"):
        left.unlink()
    return tree


def imported(results: Path, jobs: int) -> tuple[ImportReport, list[Any], list[tuple[int, int]]]:
    """Import; return what was reported, what is stored, and the progress."""
    for left in results.glob("astraguard.db*"):
        left.unlink()
    steps: list[tuple[int, int]] = []
    with RunRepository.open(results, adopt=False) as repository:
        report = repository.import_legacy(lambda *step: steps.append(step), jobs=jobs)
        stored = [repository.get(header.run_id) for header in repository.recent(10_000)]
    return report, stored, steps


@pytest.mark.parametrize("jobs", [2, 5])
def test_the_result_is_that_of_one_process(tree: Path, jobs: int) -> None:
    alone = imported(tree, 1)

    together = imported(tree, jobs)

    assert together == alone
    assert together[0].adopted == RUNS
    assert len(together[0].refused) == together[0].ignored == 3


def test_a_second_time_all_are_skipped(fresh: Path) -> None:
    with RunRepository.open(fresh, adopt=False) as repository:
        first = repository.import_legacy(jobs=2)

        second = repository.import_legacy(jobs=2)

    assert second == ImportReport(0, first.adopted, first.refused, first.ignored)


def test_no_process_is_left(fresh: Path) -> None:
    with RunRepository.open(fresh, adopt=False) as repository:
        repository.import_legacy(jobs=3)

    assert multiprocessing.active_children() == []


def test_a_small_tree_starts_no_process(results: Path) -> None:
    reference.write_old_run(results, "old")
    started: list[int] = []

    with RunRepository.open(results, adopt=False) as repository:
        repository.import_legacy(
            lambda *_: started.append(len(multiprocessing.active_children())), jobs=4
        )

    assert started == [0]


@pytest.mark.parametrize(
    ("many", "processors", "jobs"), [(2_000, 2, 2), (2_000, 64, 4), (9_999, 2, 0)]
)
def test_as_many_jobs_as_pay(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, many: int, processors: int, jobs: int
) -> None:
    monkeypatch.setattr(adoption, "_MANY_FOLDERS", many)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processors)))
    started: list[int] = []

    with RunRepository.open(fresh, adopt=False) as repository:
        report = repository.import_legacy(
            lambda *_: started.append(len(multiprocessing.active_children())), jobs=None
        )

    assert max(started) == jobs
    assert report.adopted > 2_000


@pytest.mark.parametrize("jobs", [0, -1])
def test_less_than_one_job_is_refused(results: Path, jobs: int) -> None:
    with RunRepository.open(results) as repository, pytest.raises(InvalidRunError, match="jobs"):
        repository.import_legacy(jobs=jobs)


class TestDeath:
    """A process that reads dies."""

    def test_it_is_said_and_what_was_adopted_stays(self, fresh: Path) -> None:
        def kill(*_: int) -> None:
            for child in multiprocessing.active_children():
                child.kill()
                child.join()

        with RunRepository.open(fresh, adopt=False) as repository:
            with pytest.raises(ArtifactReadError, match="died"):
                repository.import_legacy(kill, jobs=2)
            stored = len(repository.recent(10_000))

            report = repository.import_legacy()

        assert 0 < stored < RUNS
        assert (report.adopted, report.skipped) == (RUNS - stored, stored)

    def test_an_answer_goes_through_the_pipe_in_one_piece(
        self, fresh: Path, tmp_path: Path
    ) -> None:
        names = [f"run{i:04d}" for i in range(500)]

        told = adoption._read_into(tmp_path / "0", fresh, names)

        # With what the executor adds; longer writes may be cut by a kill, and the rest waited for.
        assert len(pickle.dumps(told)) < select.PIPE_BUF // 2
        assert len(adoption._answer(told).runs) == 500
        assert not (tmp_path / "0").exists()

    def test_without_a_folder_for_answers_the_error_says_what_to_do(
        self, fresh: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(fresh / "missing"))

        with (
            RunRepository.open(fresh, adopt=False) as repository,
            pytest.raises(ArtifactReadError, match=r"TMPDIR, or import with jobs=1"),
        ):
            repository.import_legacy(jobs=2)

    def test_no_process_is_left(self, fresh: Path) -> None:
        def kill_one(*_: int) -> None:
            for child in multiprocessing.active_children():
                child.kill()

        with (
            RunRepository.open(fresh, adopt=False) as repository,
            pytest.raises(ArtifactReadError),
        ):
            repository.import_legacy(kill_one, jobs=2)

        assert multiprocessing.active_children() == []


class TestStopping:
    """The importing process is stopped: the others end with it."""

    PROGRAM = textwrap.dedent("""
        import multiprocessing, sys
        from astraguard_store import RunRepository

        def wait(done, total):
            pids = [child.pid for child in multiprocessing.active_children()]
            print(*pids, flush=True)
            sys.stdin.read()

        if __name__ == "__main__":
            with RunRepository.open(sys.argv[1], adopt=False) as repository:
                repository.import_legacy(wait, jobs=2)
    """)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
    def test_by_a_signal(self, fresh: Path, tmp_path: Path, number: int) -> None:
        script = tmp_path / "script.py"
        script.write_text(self.PROGRAM)
        importer = subprocess.Popen(
            [sys.executable, script, fresh],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert importer.stdout
        pids = importer.stdout.readline().split()

        # As Ctrl-C: the whole group of the terminal is told.
        stop = os.killpg if number == signal.SIGINT else os.kill
        stop(importer.pid, number)
        _, complaint = importer.communicate(timeout=30)

        assert len(pids) == 2
        assert complaint.count("Traceback") == (number == signal.SIGINT)
        deadline = time.monotonic() + 10
        while any(is_alive(int(pid)) for pid in pids):
            assert time.monotonic() < deadline, "a reading process outlived the import"
            time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_without_a_guard_in_the_script_the_error_says_what_is_missing(
    fresh: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from astraguard_store import RunRepository\n"
        "with RunRepository.open(sys.argv[1], adopt=False) as repository:\n"
        "    repository.import_legacy(jobs=2)\n"
    )

    done = subprocess.run(
        [sys.executable, script, fresh], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 1
    assert "ArtifactReadError" in done.stderr
    assert "__name__ == '__main__'" in done.stderr
