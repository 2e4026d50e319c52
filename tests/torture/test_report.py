"""The table of a long run: right when workers are added up, and there when it is cut short."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .journal import Journal
from .report import Finding, Harm, Table, Tally

ROOT = Path(__file__).parents[2]


def table_of(journal: Journal) -> Table:
    return Table([tally for noted in journal.read().values() for tally in noted.tallies])


def test_the_table_counts_findings_by_harm() -> None:
    table = Table()
    tally = table.row("kill")
    tally.add([], "step 1")
    tally.add(
        [Finding(Harm.TORN, "a"), Finding(Harm.TORN, "b"), Finding(Harm.LOST, "c")], "step 2"
    )
    with pytest.raises(AssertionError, match="3 findings in 2 tries\n  torn: step 2: a"):
        tally.check()

    other = table.row("kill")
    other.add([])
    other.check()

    assert table.lines()[-1].split() == ["kill", "3", "1", "2", "0"]


def test_a_row_is_incomplete_until_every_test_of_it_is_done() -> None:
    table = Table([Tally("kill", 3, done=True), Tally("kill", 2), Tally("cut", 1, done=True)])

    kill, cut = table.lines()[2:]

    assert kill.split() == ["kill", "(INCOMPLETE)", "5", "0", "0", "0"]
    assert cut.split() == ["cut", "1", "0", "0", "0"]


def test_a_row_says_when_not_all_states_were_drawn() -> None:
    table = Table([Tally("cut", 40, done=True, states=1_000, drawn=70)])

    assert table.lines()[-1] == (
        "cut: 70 of 1,000 states, of each kind in turn, "
        "leave 40 different folders, which were opened"
    )


def test_the_tallies_of_several_workers_are_added_up(tmp_path: Path) -> None:
    one, other = Journal(tmp_path / "journal"), Journal(tmp_path / "journal")
    lost = Finding(Harm.LOST, "a run")
    one.collected(["test_a", "test_b", "test_c"])
    other.collected(["test_a", "test_b", "test_c"])

    one.note("test_a", [Tally("kill", 1)], ended=False)
    other.note("test_b", [Tally("kill", 5, [lost], done=True)], ended=True)
    one.note("test_a", [Tally("kill", 3, done=True), Tally("cut", 2, done=True)], ended=True)

    assert table_of(one).sums() == [
        Tally("kill", 8, [lost], done=True),
        Tally("cut", 2, done=True),
    ]
    assert {test: noted.ended for test, noted in one.read().items()} == {
        "test_a": True,
        "test_b": True,
        "test_c": False,
    }


def test_what_a_killed_worker_left_of_a_line_hides_no_other(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.note("test_a", [Tally("kill", 1)], ended=False)
    content = journal.path.read_bytes()
    journal.path.write_bytes(content + content[: len(content) // 2])

    journal.note("test_b", [Tally("kill", 2)], ended=False)

    assert table_of(journal).sums()[0].tries == 3


def test_a_long_run_that_is_interrupted_says_what_it_found_and_what_it_did_not_try() -> None:
    # A hundred tries, which take half a minute if they are let.
    command = [sys.executable, "-m", "tests.torture", "-n", "2", "-k", "exit_in_mid_save"]
    environment = os.environ | {"ASTRAGUARD_TORTURE_SAYS_EVERY_S": "0.2"}
    run = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert run.stdout is not None
    said = []
    for line in run.stdout:
        said.append(line)
        if re.search(r"interpreter exit in a save \([1-9]", line):
            break
    time.sleep(0.3)
    os.killpg(run.pid, signal.SIGINT)

    rest, _ = run.communicate(timeout=60)

    assert run.returncode != 0
    assert "0 of 1 tests" in said[-1]
    row = next(line for line in rest.splitlines() if line.startswith("interpreter exit"))
    tries = row.removeprefix("interpreter exit in a save (INCOMPLETE)").split()
    assert int(tries[0]) > 0
    assert tries[1:] == ["0", "0", "0"]
    assert "test_an_exit_in_mid_save_loses_nothing[full] was interrupted" in rest
