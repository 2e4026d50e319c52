"""Another process that uses stores, told what to do line by line.

Starting one takes a second, so that one serves a whole test module.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from recordings import recorded

from astraguard_store import RunRepository


class OtherProcess:
    """A child that opens, saves, deletes and closes on command, and answers when done."""

    def __init__(self) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-W", "error", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def open(self, results: Path) -> None:
        """Open *results* for writing."""
        self._ask("open", str(results))

    def save(self, run_id: str, steps: int) -> int:
        """Save `recorded(steps)`; return the revision."""
        revision = self._ask("save", run_id, steps)
        assert isinstance(revision, int)
        return revision

    def delete(self, run_id: str) -> None:
        """Delete a run."""
        self._ask("delete", run_id)

    def close(self) -> None:
        """Close the store."""
        self._ask("close")

    def hold_ticket(self, results: Path, seconds: float) -> None:
        """Take the write ticket of *results* and give it back *seconds* later, unasked."""
        self._ask("hold_ticket", str(results), seconds)

    def _ask(self, *command: object) -> object:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        print(json.dumps(command), file=self._child.stdin, flush=True)
        line = self._child.stdout.readline()
        assert line, f"the other process died at {command}"
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.stdout.close()
        try:
            self._child.wait(20)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait(20)


def _hold_ticket(results: str, seconds: float) -> None:
    import threading

    from astraguard_store.system.ticket import WriteTicket

    path = Path(results, "astraguard.db")
    has_it = threading.Event()

    def hold() -> None:
        with WriteTicket(path.with_name("astraguard.db.lock"), path).held("a long nap", 5.0):
            has_it.set()
            threading.Event().wait(seconds)

    threading.Thread(target=hold, daemon=True).start()
    assert has_it.wait(5.0)


def _obey() -> None:
    repository: Any = None
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        answer: object = None
        if name == "open":
            repository = RunRepository.open(arguments[0])
        elif name == "save":
            answer = repository.save(arguments[0], recorded(arguments[1])).revision
        elif name == "hold_ticket":
            _hold_ticket(*arguments)
        else:
            getattr(repository, name)(*arguments)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _obey()
