"""The plugin of pytest, in sessions of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from astraguard_store import RunRepository

TESTS = """
import pytest

@pytest.mark.parametrize("number", [1, 2])
def test_quick(latency_run, number):
    latency_run.record_fault_detection("SAT001", 0.0, 4.0 * number)

def test_fails(latency_run):
    latency_run.record_fault_detection("SAT001", 0.0, 9.0)
    assert False, "on purpose"

def test_records_nothing(latency_run):
    pass

def test_without():
    pass
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a folder with tests, two of which record what they measured."""
    (tmp_path / "test_rig.py").write_text(TESTS)
    return tmp_path


def session(folder: Path, *words: str) -> str:
    """Run pytest there with the plugin, installed or not; return what it printed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "astraguard_store.pytest_plugin", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


def saved(folder: Path) -> dict[str, str]:
    """Return {run id: outcome} of the saved runs."""
    with RunRepository.open(folder / "store", read_only=True) as repository:
        runs = [repository.get(header.run_id) for header in repository.recent(100)]
    return {run.run_id: run.tags["outcome"] for run in runs}


@pytest.mark.parametrize("more", [[], ["-n", "2"]], ids=["one process", "xdist"])
def test_each_test_becomes_a_run_also_if_it_fails(project: Path, more: list[str]) -> None:
    said = session(project, "--astraguard-store=store", *more)

    assert saved(project) == {
        "test_rig.py-test_quick-1": "passed",
        "test_rig.py-test_quick-2": "passed",
        "test_rig.py-test_fails": "failed",
    }
    assert "3 saved in " in said
    assert "1 failed, 4 passed" in said


def test_a_second_session_adds_a_number(project: Path) -> None:
    session(project, "--astraguard-store=store", "-k", "fails")
    session(project, "--astraguard-store=store", "-k", "fails")

    assert set(saved(project)) == {"test_rig.py-test_fails", "test_rig.py-test_fails-2"}


def test_the_run_knows_its_test(project: Path) -> None:
    session(project, "--astraguard-store=store", "-k", "fails")

    with RunRepository.open(project / "store", read_only=True) as repository:
        run = repository.get("test_rig.py-test_fails")
    assert run.tags["pytest"] == "test_rig.py::test_fails"
    assert run.provenance.host is not None


def test_the_run_knows_that_its_test_failed(project: Path) -> None:
    session(project, "--astraguard-store=store")

    with RunRepository.open(project / "store", read_only=True) as repository:
        failed = repository.get("test_rig.py-test_fails")
        passed = repository.get("test_rig.py-test_quick-1")
    assert (failed.state, passed.state) == ("failed", "finished")
    assert "on purpose" in (failed.error or "")
    assert failed.provenance.scenario == "test_rig.py::test_fails"


AGAIN = """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    runtestprotocol(item, nextitem=nextitem, log=False)
    item._initrequest()
    runtestprotocol(item, nextitem=nextitem)
    return True
"""
FAILS_ONCE = """
tries = []

def test_flaky(latency_run):
    latency_run.record_fault_detection("SAT001", 0.0, 9.0)
    tries.append(1)
    assert len(tries) > 1, "on purpose"
"""


def test_a_test_that_is_run_again_and_passes_is_finished(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(AGAIN)
    (tmp_path / "test_rig.py").write_text(FAILS_ONCE)

    session(tmp_path, "--astraguard-store=store")

    with RunRepository.open(tmp_path / "store", read_only=True) as repository:
        found = {header.run_id: header.state for header in repository.recent(10)}
    assert found == {
        "test_rig.py-test_flaky": "failed",
        "test_rig.py-test_flaky-2": "finished",
    }


class TestBaseline:
    """`--astraguard-baseline`."""

    JUDGED = """
import random

def test_fault(latency_run):
    factor = float(open("factor").read())
    draw = random.Random(open("seed").read())
    machine = draw.lognormvariate(0, 0.02)
    for tick in range(300):
        latency_ms = 2.0 * machine * factor * draw.lognormvariate(0, 0.2)
        latency_run.record_fault_detection("SAT001", tick / 10, latency_ms)

def test_other(latency_run):
    latency_run.record_agent_decision("SAT001", 0.0, 1.0)
"""

    @pytest.fixture(scope="class")
    @staticmethod
    def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Give a folder with a test whose latencies a file says, and a baseline of it."""
        folder = tmp_path_factory.mktemp("judged")
        (folder / "test_rig.py").write_text(TestBaseline.JUDGED)
        (folder / "factor").write_text("1.0")
        for number in range(6):
            (folder / "seed").write_text(f"old {number}")
            session(folder, "--astraguard-store=store", "-k", "fault")
        with RunRepository.open(folder / "store") as repository:
            runs = [header.run_id for header in repository.recent(6)]
            repository.set_baseline("nightly", runs)
        return folder

    @pytest.mark.parametrize("more", [[], ["-n", "2"]], ids=["one process", "xdist"])
    def test_what_regressed_fails_and_is_in_the_summary(
        self, judged: Path, more: list[str]
    ) -> None:
        (judged / "factor").write_text("2.0")

        said = session(judged, "--astraguard-store=store", "--astraguard-baseline=nightly", *more)

        assert re.search(r"test_rig.py-test_fault-\d+: REGRESSED: fault_detection p50 is", said)
        assert "not judged: the baseline has no run of this test" in said
        assert "2 passed, 1 error" in said

    def test_what_did_not_regress_passes_with_its_verdict(self, judged: Path) -> None:
        (judged / "factor").write_text("1.0")
        (judged / "pytest.ini").write_text(
            "[pytest]\nastraguard_store = store\nastraguard_baseline = nightly\n"
        )

        said = session(judged, "-k", "fault")

        (judged / "pytest.ini").unlink()
        assert re.search(r"test_fault-\d+: (EQUIVALENT|INCONCLUSIVE)", said)
        assert "1 passed" in said
        assert "error" not in said

    def test_limits_say_which_change_counts(self, judged: Path) -> None:
        (judged / "factor").write_text("1.5")
        (judged / "wide.toml").write_text("[metrics.fault_detection]\nrelative = 3.0\n")
        words = ("--astraguard-store=store", "--astraguard-baseline=nightly", "-k", "fault")

        without = session(judged, *words)
        wide = session(judged, *words, "--astraguard-limits=wide.toml")

        assert "REGRESSED: fault_detection" in without
        assert re.search(r"test_fault-\d+: EQUIVALENT: nothing got slower", wide)
        assert "1 passed" in wide
        assert "error" not in wide

    def test_a_limit_that_no_test_came_under_is_said(self, judged: Path) -> None:
        (judged / "factor").write_text("1.0")
        (judged / "typo.toml").write_text("[metrics.fault_detecton]\nrelative = 3.0\n")
        (judged / "pytest.ini").write_text("[pytest]\nastraguard_limits = typo.toml\n")

        said = session(
            judged, "--astraguard-store=store", "--astraguard-baseline=nightly", "-k", "fault"
        )

        (judged / "pytest.ini").unlink()
        assert "no test measured 'metrics.fault_detecton'" in said
        assert re.search(r"test_fault-\d+: (EQUIVALENT|INCONCLUSIVE)", said)

    def test_paths_of_the_ini_file_are_of_its_folder_and_a_run_may_be_gone(
        self, judged: Path
    ) -> None:
        (judged / "sub").mkdir()
        (judged / "sub" / "test_two.py").write_text(
            "def test_gone(latency_run):\n"
            "    latency_run.record_agent_decision('S', 0.0, 1.0)\n"
            "def test_after(latency_run, request):\n"
            "    from astraguard_store import RunRepository\n"
            f"    with RunRepository.open({str(judged / 'store')!r}) as repository:\n"
            "        for header in repository.recent(20):\n"
            "            if 'test_gone' in header.run_id:\n"
            "                repository.delete(header.run_id)\n"
        )
        (judged / "any.toml").write_text("[metrics.agent_decision]\nrelative = 3.0\n")
        (judged / "pytest.ini").write_text(
            "[pytest]\nastraguard_store = store\nastraguard_baseline = nightly\n"
            "astraguard_limits = any.toml\n"
        )

        said = session(judged / "sub", "-k", "gone or after")

        (judged / "pytest.ini").unlink()
        shutil.rmtree(judged / "sub")
        assert "2 passed" in said
        assert "no test measured 'metrics.agent_decision'" in said

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("relativ = 3.0", "relativ"),
            ("[satellites.SAT001]\nrelative = 1.0", "gate --by-satellite"),
            (None, "can't be read"),
        ],
    )
    def test_limits_that_can_not_hold_are_refused_at_once(
        self, judged: Path, text: str | None, said: str
    ) -> None:
        (judged / "bad.toml").unlink(missing_ok=True)
        if text is not None:
            (judged / "bad.toml").write_text(text)

        found = session(
            judged,
            *("--astraguard-store=store", "--astraguard-baseline=nightly"),
            "--astraguard-limits=bad.toml",
        )

        assert "--astraguard-limits: " in found
        assert said in found
        assert "passed" not in found

    def test_limits_without_a_baseline_are_refused(self, judged: Path) -> None:
        said = session(judged, "--astraguard-store=store", "--astraguard-limits=wide.toml")

        assert "--astraguard-limits needs --astraguard-baseline" in said

    def test_a_baseline_that_is_not_there_is_an_error(self, judged: Path) -> None:
        said = session(judged, "--astraguard-store=store", "--astraguard-baseline=nigtly")

        assert "--astraguard-baseline: no run 'nigtly'" in said
        assert "2 errors" in said

    def test_without_a_store_it_is_refused(self, judged: Path) -> None:
        said = session(judged, "--astraguard-baseline=nightly")

        assert "--astraguard-baseline needs --astraguard-store" in said


def test_without_the_option_nothing_is_saved(project: Path) -> None:
    said = session(project)

    assert "1 failed, 4 passed" in said
    assert not (project / "store").exists()


def test_the_configuration_file_may_say_it(project: Path) -> None:
    (project / "pytest.ini").write_text("[pytest]\nastraguard_store = store\n")

    session(project, "-k", "quick")

    assert len(saved(project)) == 2


def test_help_documents_it(project: Path) -> None:
    said = session(project, "--help")

    assert "--astraguard-store=DIR" in said
    assert "--astraguard-baseline=NAME" in said
    assert "--astraguard-limits=FILE" in said
    assert "changes from 5 % on" in " ".join(said.split())
    assert "latency_run" in session(project, "--fixtures")


def test_unused_it_imports_nothing_of_the_store() -> None:
    program = (
        "import sys, pytest; before = set(sys.modules); import astraguard_store.pytest_plugin; "
        "print(sorted(set(sys.modules) - before))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "['astraguard_store', 'astraguard_store.pytest_plugin']\n"
