"""The instruments find what is wrong with bad savers, and nothing with a good one."""

from __future__ import annotations

import errno
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from . import toys
from .children import Children, finish, is_stopped, wait_until
from .ledger import Entry, Event, read_ledger
from .power_loss import Names, Survival, crash_states, in_fair_order
from .shim import Action, Fault
from .trace import read_trace

STEPS_OF_A_REPLACE = 5  # create, write, sync, rename, sync of the folder


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Give the folder that is watched."""
    folder = tmp_path / "disk"
    folder.mkdir()
    return folder


@pytest.fixture
def answer(tmp_path: Path) -> Path:
    """Name the file that a toy answers in, outside of the watched folder."""
    return tmp_path / "answer"


@pytest.mark.parametrize("toy", [toys.replace_synced, toys.replace_by_descriptor])
def test_every_step_of_a_save_is_counted(
    toy: toys.Toy, children: Children, disk: Path, answer: Path
) -> None:
    children.run(toys.run_toy, toy, disk, Fault(), answer)

    assert json.loads(answer.read_text()) == [STEPS_OF_A_REPLACE, 0]


def test_the_steps_of_sqlite_are_counted(children: Children, disk: Path, answer: Path) -> None:
    children.run(toys.run_toy, toys.insert_row, disk, Fault(kinds="s"), answer)

    syncs, _ = json.loads(answer.read_text())
    assert syncs >= 4  # journal, its folder and database, for the table; again for the row


@pytest.mark.parametrize("step", range(1, STEPS_OF_A_REPLACE + 1))
def test_a_kill_leaves_the_old_file_or_the_new(
    step: int, children: Children, disk: Path, answer: Path
) -> None:
    (disk / "toy").write_bytes(b"old")

    code = children.run(toys.run_toy, toys.replace_synced, disk, Fault(step, Action.KILL), answer)

    assert code == -signal.SIGKILL
    assert (disk / "toy").read_bytes() == (b"old" if step < 5 else toys.CONTENT)


def test_a_torn_write_leaves_half(children: Children, disk: Path, answer: Path) -> None:
    fault = Fault(1, Action.TORN, kinds="w")

    children.run(toys.run_toy, toys.write_in_place, disk, fault, answer)

    assert (disk / "toy").read_bytes() == toys.CONTENT[:50]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("for_good", [False, True])
def test_a_failed_step_raises_its_error_until_the_disk_is_well(
    number: int, for_good: bool, children: Children, disk: Path, answer: Path
) -> None:
    fault = Fault(3, Action.FAIL, number, for_good)

    code = children.run(toys.run_toy, toys.replace_synced, disk, fault, answer)

    assert code == 0
    assert json.loads(answer.read_text())[1] == number
    assert (disk / "toy").read_bytes() == toys.CONTENT


def test_a_short_write_is_what_a_naive_saver_takes_for_a_whole_one(
    children: Children, disk: Path, answer: Path
) -> None:
    fault = Fault(1, Action.SHORT, kinds="w")

    children.run(toys.run_toy, toys.replace_by_descriptor, disk, fault, answer)

    assert json.loads(answer.read_text()) == [1, 0]


def test_only_paths_with_the_given_part_count(
    children: Children, disk: Path, answer: Path
) -> None:
    fault = Fault(path_part=".tmp")

    children.run(toys.run_toy, toys.replace_synced, disk, fault, answer)

    assert json.loads(answer.read_text()) == [3, 0]  # create, write, sync


def test_a_stopped_saver_goes_on_when_told_to(
    children: Children, disk: Path, answer: Path
) -> None:
    fault = Fault(2, Action.STOP)

    child = children.start(toys.run_toy, toys.replace_synced, disk, fault, answer)
    assert child.pid is not None
    pid = child.pid
    wait_until(lambda: is_stopped(pid), "the child stops")
    os.kill(pid, signal.SIGCONT)

    assert finish(child) == 0


def test_syncs_are_delayed_and_the_clock_is_shifted(
    children: Children, disk: Path, answer: Path
) -> None:
    children.run(toys.time_toy, disk, 50.0, -86_400, answer)

    elapsed_ms, said = json.loads(answer.read_text())
    assert elapsed_ms >= 50
    assert abs(time.time() - 86_400 - said) < 60


def harms_in(disk: Path, trace: Path, rule: Names, place: Path) -> set[str]:
    """Build every state, and say what is wrong with the file in each."""
    found = set()
    for number, state in enumerate(crash_states(read_trace(trace, disk), rule)):
        folder = place / str(number)
        folder.mkdir(parents=True)
        state.layout().fill(folder)
        file = folder / "toy"
        content = file.read_bytes().decode() if file.exists() else None
        versions = [toys.CONTENT.decode(), toys.CONTENT.decode()[::-1]]
        if content not in [None, *versions]:
            found.add("torn")
        noted = state.notes[-1:]
        if noted and content not in versions[versions.index(noted[0]) :]:
            found.add("lost")
    return found


@pytest.mark.parametrize("rule", list(Names))
@pytest.mark.parametrize(
    "save", [toys.replace_synced, toys.replace_by_link, toys.replace_by_link_and_rename]
)
def test_nothing_is_found_after_a_synced_replace(
    save: Callable[[Path, bytes], None],
    rule: Names,
    children: Children,
    disk: Path,
    tmp_path: Path,
) -> None:
    children.run(toys.trace_toy, save, disk, tmp_path / "trace")

    harms = harms_in(disk, tmp_path / "trace", rule, tmp_path / "states")

    assert harms == set()


@pytest.mark.parametrize("rule", list(Names))
@pytest.mark.parametrize("save", [toys.replace_unsynced, toys.write_in_place])
def test_losses_are_found_where_syncs_are_missing(
    save: Callable[[Path, bytes], None],
    rule: Names,
    children: Children,
    disk: Path,
    tmp_path: Path,
) -> None:
    children.run(toys.trace_toy, save, disk, tmp_path / "trace")

    harms = harms_in(disk, tmp_path / "trace", rule, tmp_path / "states")

    assert harms == {"torn", "lost"}


@pytest.mark.parametrize("rule", list(Names))
def test_the_first_states_that_are_drawn_are_one_of_each_kind(
    rule: Names, children: Children, disk: Path, tmp_path: Path
) -> None:
    children.run(toys.trace_toy, toys.write_in_place, disk, tmp_path / "trace")
    states = list(crash_states(read_trace(tmp_path / "trace", disk), rule))

    drawn = list(in_fair_order(states, seed=1))

    kinds = {state.kind for state in states}
    assert {state.kind for state in drawn[: len(kinds)]} == kinds
    assert {survival for survival, _ in kinds} > {Survival.ALL, Survival.TORN}
    assert sorted(state.when for state in drawn) == sorted(state.when for state in states)
    assert drawn == list(in_fair_order(states, seed=1))


def test_states_that_leave_the_same_folder_are_known_by_their_digest(
    children: Children, disk: Path, tmp_path: Path
) -> None:
    children.run(toys.trace_toy, toys.replace_by_link, disk, tmp_path / "trace")
    by_digest: dict[bytes, object] = {}
    by_content: dict[object, bytes] = {}

    for number, state in enumerate(
        crash_states(read_trace(tmp_path / "trace", disk), Names.POSIX)
    ):
        layout = state.layout()
        place = tmp_path / str(number)
        place.mkdir()
        layout.fill(place)
        content = tuple(
            (file.name, file.read_bytes(), file.stat().st_nlink)
            for file in sorted(place.iterdir())
        )
        assert by_digest.setdefault(layout.digest(), content) == content
        assert by_content.setdefault(content, layout.digest()) == layout.digest()

    assert 1 < len(by_digest) < number


def test_a_ledger_with_torn_lines_tells_the_whole_ones(tmp_path: Path) -> None:
    entries = [Entry(event, "save", f"run-{event}", 7) for event in Event]
    first, second, third = (entry.line() for entry in entries)
    ledger = tmp_path / "ledger"
    ledger.write_text(f"{first}\n{first[:40]}{second}\n{third}\n{second[:65]}")

    told = read_ledger(ledger)

    assert told == entries
