"""Forks, signals, exits, a failed commit, a saver that hangs, a clock set back."""

from __future__ import annotations

import json
import os
import pickle
import signal
from pathlib import Path

import pytest

from astraguard_store import MetricsStorage, RunNotFoundError, RunRepository

from .accidents import (
    BrokenCollector,
    exit_in_mid_save,
    fail_commit,
    forget_without_closing,
    fork_in_mid_save,
    save_and_interrupt,
    save_with_clock_set_back,
    stop_in_commit,
    wait_for_ticket,
)
from .audit import tags
from .cases import Case, new_case
from .children import Children, finish, is_stopped, wait_until
from .ledger import acknowledged_saves
from .report import Finding, Harm, Table
from .savers import KEPT, NEW, OPERATIONS, prepare, recording

full = pytest.mark.torture
HOUR_S = 3_600


@pytest.fixture
def case(tmp_path: Path, children: Children) -> Case:
    """Give a store with three runs."""
    prepared = new_case(tmp_path / "store")
    assert children.run(prepare, prepared) == 0
    return prepared


def truth(case: Case) -> dict[str, tuple[int, set[int]]]:
    """Read revision and tags of every run."""
    with RunRepository.open(case.results) as repository:
        runs = [repository.get(header.run_id) for header in repository.recent(1000)]
    return {run.run_id: (run.revision, tags(run)) for run in runs}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("go_on", [False, True], ids=["dies", "goes on"])
def test_a_commit_that_cannot_be_synced_is_unknown_and_settled_later(
    operation: str, go_on: bool, case: Case, children: Children, table: Table
) -> None:
    tally = table.row(
        f"commit's fsync fails in {operation}, saver {'goes on' if go_on else 'dies'}"
    )

    code = children.run(fail_commit, case, operation, go_on)
    tally.add(case.audit())
    settled = truth(case)
    tally.add(case.audit())

    assert code == (0 if go_on else -signal.SIGKILL)
    assert case.answer.read_text() == "unknown"
    assert truth(case) == settled
    tally.check()


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "forks", [pytest.param(3, id="bounded"), pytest.param(40, id="full", marks=full)]
)
def test_a_forked_child_and_its_parent_save_on(
    forks: int, tmp_path: Path, children: Children, table: Table
) -> None:
    case = new_case(tmp_path / "store")
    tally = table.row("fork with warm connections and a save under way")

    code = children.run(fork_in_mid_save, case, forks, fresh=True, timeout_s=300)

    tally.add(case.audit())
    tally.tries = forks
    assert code == 0
    tally.check()


def test_a_spawned_child_takes_a_summary_along(case: Case) -> None:
    with RunRepository.open(case.results) as repository:
        summary = repository.get(KEPT)

    assert pickle.loads(pickle.dumps(summary)) == summary


@pytest.mark.timeout(600)
@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize(
    "times", [pytest.param(40, id="bounded"), pytest.param(1500, id="full", marks=full)]
)
def test_an_interrupted_save_leaves_no_lock_and_no_files(
    stop: type[BaseException], times: int, case: Case, children: Children, table: Table
) -> None:
    tally = table.row(f"{stop.__name__} in a save")

    code = children.run(save_and_interrupt, case, stop, times, timeout_s=300)

    assert code == 0
    tally.tries, left = json.loads(case.answer.read_text())
    tally.findings += [Finding(Harm.LEFT_OVER, name) for name in left]
    tally.findings += case.audit()
    tally.check()
    # How many the clock hits depends on how fast the machine is.
    assert tally.tries > times // 20


@pytest.mark.parametrize("error", [RuntimeError("of the collector"), KeyboardInterrupt()])
def test_an_error_of_the_collector_reaches_the_caller_and_saves_nothing(
    error: BaseException, case: Case
) -> None:
    with RunRepository.open(case.results) as repository:
        with pytest.raises(type(error)):
            repository.save(NEW, BrokenCollector(error))

        with pytest.raises(RunNotFoundError):
            repository.get(NEW)
    assert case.audit() == []


@pytest.mark.parametrize(
    "times", [pytest.param(4, id="bounded"), pytest.param(100, id="full", marks=full)]
)
def test_an_exit_in_mid_save_loses_nothing(
    times: int, case: Case, children: Children, table: Table
) -> None:
    tally = table.row("interpreter exit in a save")

    for _ in range(times):
        code = children.run(exit_in_mid_save, case)
        tally.add(case.audit(), f"exit code {code}")

    tally.check()


def test_repositories_that_are_forgotten_hold_no_lock_and_no_file(
    case: Case, children: Children
) -> None:
    code = children.run(forget_without_closing, case)

    assert code == 0
    assert json.loads(case.answer.read_text()) == []
    assert case.audit() == []


def test_a_saver_that_hangs_is_named_to_those_who_wait(case: Case, children: Children) -> None:
    saver = children.start(stop_in_commit, case)
    assert saver.pid is not None
    pid = saver.pid
    wait_until(lambda: is_stopped(pid), "the saver stops")

    code = children.run(wait_for_ticket, case, 1.0)

    opened_s, waited_s, message = json.loads(case.answer.read_text())
    assert code == 0
    assert 0 <= opened_s < 1
    assert 1 <= waited_s < 4
    assert str(pid) in message
    os.kill(pid, signal.SIGCONT)
    assert finish(saver) == 0
    assert case.audit() == []
    assert NEW in {entry.run_id for entry in acknowledged_saves(case.entries())}


def test_saves_go_on_when_the_clock_is_set_back(tmp_path: Path, children: Children) -> None:
    case = new_case(tmp_path / "store")

    code = children.run(save_with_clock_set_back, case, -HOUR_S)

    assert code == 0
    orders = json.loads(case.answer.read_text())
    for order in orders:
        assert order == sorted(order, key=lambda run: (run[1], run[0]), reverse=True)
    assert [run_id for run_id, _ in orders[-1]] == ["third", "first", "second"]
    assert MetricsStorage.get_recent_runs(str(case.results)) == ["third", "first", "second"]
    (case.results / "astraguard.db").unlink()
    assert MetricsStorage.get_recent_runs(str(case.results)) == ["third", "first", "second"]


def test_a_recording_is_what_the_audit_takes_it_for() -> None:
    collector = recording(7, 3)

    assert len(collector) == 18
    assert {m["max_ms"] for m in collector.get_stats().values()} == {7}
