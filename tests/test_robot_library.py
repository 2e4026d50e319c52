"""The library of Robot Framework, in a suite of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from astraguard_store import RunRepository

pytest.importorskip("robot", reason="Robot Framework isn't installed")

SUITE = """
*** Settings ***
Library    astraguard_store.robot_library.Latencies    store

*** Test Cases ***
Faults are found
    Record Latency    fault_detection    SAT001    0.5    4.2
    Record Missed    fault_detection    SAT001    1.5    5000
    Attach To Run    console.log

Nothing is recorded
    Log    nothing

The rig breaks
    Record Latency    agent_decision    SAT001    0.5    1.0
    Fail    no power
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the store of a suite of three tests, one of which records nothing."""
    folder = tmp_path_factory.mktemp("robot")
    (folder / "rig.robot").write_text(SUITE)
    (folder / "console.log").write_text("ready")
    words = [sys.executable, "-m", "robot", "--output", "NONE", "rig.robot"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return folder / "store"


def test_each_test_that_records_becomes_a_run(store: Path) -> None:
    with RunRepository.open(store, read_only=True) as repository:
        found = {header.run_id: header.state for header in repository.recent(10)}

    assert found == {"Rig.Faults-are-found": "finished", "Rig.The-rig-breaks": "failed"}


def test_the_run_has_what_was_recorded(store: Path) -> None:
    with RunRepository.open(store, read_only=True) as repository:
        run = repository.get("Rig.Faults-are-found")

    assert run.metrics["fault_detection"].count == 2
    assert run.metrics["fault_detection"].missed == 1
    assert [attached.name for attached in run.attachments] == ["console.log"]
    assert run.tags == {"robot": "Rig.Faults are found", "outcome": "passed"}


def test_a_failure_is_told(store: Path) -> None:
    with RunRepository.open(store, read_only=True) as repository:
        run = repository.get("Rig.The-rig-breaks")

    assert run.error == "AssertionError: no power"
    assert run.provenance.scenario == "Rig.The rig breaks"


SETUP_AND_TEARDOWN = """
*** Settings ***
Library    astraguard_store.robot_library.Latencies    store
Suite Setup    Run Keyword And Ignore Error    Record Latency    x    SAT001    0    9
Suite Teardown    Record Latency    agent_decision    SAT001    0.5    9

*** Test Cases ***
Faults are found
    Record Latency    fault_detection    SAT001    0.5    4.2
"""


def test_a_suites_setup_and_teardown_have_no_run(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.robot").write_text(SETUP_AND_TEARDOWN)

    words = [sys.executable, "-m", "robot", "--output", "NONE", "one.robot", "two.robot"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert "record within a test" in done.stdout
    with RunRepository.open(tmp_path / "store", read_only=True) as repository:
        runs = [repository.get(header.run_id) for header in repository.recent(10)]
    names = {"One & Two.One.Faults are found", "One & Two.Two.Faults are found"}
    assert {run.tags["robot"] for run in runs} == names
    assert [run.total_measurements for run in runs] == [1, 1]
