"""The process that a long run was started in: says how far it is, and prints the table."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .journal import Journal
from .report import Table, Tally

SAID_EVERY_S = float(os.environ.get("ASTRAGUARD_TORTURE_SAYS_EVERY_S", "15"))
JOURNAL_NAME = "torture_journal"


class LongRun:
    """A plugin that follows the journal of all workers."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="astraguard-torture-")
        self.journal = Journal(Path(self._folder.name) / "journal")
        self._terminal = terminal
        self._begun = time.monotonic()
        self._over = threading.Event()
        self._teller = threading.Thread(target=self._tell, daemon=True)
        self._failed: set[str] = set()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of pytest-xdist where the journal is."""
        node.workerinput[JOURNAL_NAME] = str(self.journal.path)

    def pytest_sessionstart(self) -> None:
        """Begin to say how far it is."""
        self._teller.start()

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Print no dots between the lines that say how far it is."""
        return (report.outcome, "", "") if report.passed and report.when == "call" else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Say at once what failed."""
        if report.failed:
            self._failed.add(report.nodeid)
            self._terminal.write_line(f"FAILED {report.nodeid}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Stop saying how far it is."""
        self._over.set()
        self._teller.join()

    def pytest_terminal_summary(self) -> None:
        """Print the table, also after a failure or an interrupt; it has what was noted."""
        self._terminal.section("faults")
        for line in self.summary():
            self._terminal.line(line)
        self._folder.cleanup()

    def summary(self) -> Iterator[str]:
        """Render the table, and name the tests that it can't be relied on for."""
        notes = self.journal.read()
        yield from Table([tally for noted in notes.values() for tally in noted.tallies]).lines()
        for test, noted in notes.items():
            if not noted.ended:
                begun = "was interrupted" if noted.tallies else "DID NOT RUN"
                yield f"INCOMPLETE: {test} {begun}"
            elif test in self._failed:
                yield f"FAILED: {test}, see above"

    def _tell(self) -> None:
        while not self._over.wait(SAID_EVERY_S):
            self._terminal.write_line(self.line())
            # A pipe would get it in blocks, and a log nothing for minutes.
            self._terminal.flush()

    def line(self) -> str:
        """Say how long it runs, how many tests ended, and what is under way."""
        notes = self.journal.read()
        seconds = int(time.monotonic() - self._begun)
        ended = sum(noted.ended for noted in notes.values())
        tallies = [tally for noted in notes.values() for tally in noted.tallies]
        tries = sum(tally.tries for tally in tallies)
        found = sum(len(tally.findings) for tally in tallies)
        under_way = [
            _under_way(tally)
            for noted in notes.values()
            if not noted.ended
            for tally in noted.tallies[-1:]
        ]
        return (
            f"{seconds // 60:3}:{seconds % 60:02}  {ended} of {len(notes)} tests, "
            f"{tries:,} tries, {found} findings; now: {'; '.join(under_way)}"
        )


def _under_way(tally: Tally) -> str:
    if tally.states:
        return f"{tally.fault} ({tally.drawn:,} of {tally.states:,} states)"
    return f"{tally.fault} ({tally.tries:,})"
