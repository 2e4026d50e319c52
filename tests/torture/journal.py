"""What the tests of a long run noted so far: one file that all its processes append to.

A process that is killed or interrupted can't hand over what it counted, and while
it works nobody would hear of it. So each notes its tallies as it goes.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .report import Finding, Harm, Tally

NOTED_EVERY_S = 1.0


@dataclass(slots=True)
class Noted:
    """What one test noted last.

    Attributes:
        tallies: Its rows.
        ended: It came to its end, in whichever way.
    """

    tallies: list[Tally] = field(default_factory=list)
    ended: bool = False


@dataclass(slots=True)
class Journal:
    """The file, and what this process noted last."""

    path: Path
    _noted_at: float = 0.0

    def collected(self, tests: Iterable[str]) -> None:
        """Note which tests there are."""
        self._append({"collected": list(tests)})

    def note(self, test: str, tallies: Iterable[Tally], *, ended: bool) -> None:
        """Note the tallies of *test* as they are."""
        self._noted_at = 0.0 if ended else time.monotonic()
        rows = [_fields(tally) for tally in tallies]
        self._append({"test": test, "rows": rows, "ended": ended})

    def note_now_and_then(self, test: str, tallies: Iterable[Tally]) -> None:
        """Note the tallies of *test* under way, unless that was done a moment ago."""
        if time.monotonic() > self._noted_at + NOTED_EVERY_S:
            self.note(test, tallies, ended=False)

    def read(self) -> dict[str, Noted]:
        """Return what all processes noted, by test; one that has not begun noted nothing."""
        if not self.path.exists():
            return {}
        notes: dict[str, Noted] = {}
        for line in self.path.read_text().splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                # The beginning of a line, by a process that was killed; or no line.
                continue
            for test in entry.get("collected", []):
                notes.setdefault(test, Noted())
            if "test" in entry:
                tallies = [_tally(row) for row in entry["rows"]]
                notes[entry["test"]] = Noted(tallies, entry["ended"])
        return notes

    def _append(self, entry: dict[str, object]) -> None:
        # In one call, which an append never mixes with another's; and on a new line,
        # whatever a process that was killed left of its own.
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, f"\n{json.dumps(entry)}\n".encode())
        finally:
            os.close(descriptor)


def _fields(tally: Tally) -> dict[str, object]:
    return {
        "fault": tally.fault,
        "tries": tally.tries,
        "findings": [(found.harm.value, found.seen) for found in tally.findings],
        "done": tally.done,
        "states": tally.states,
        "drawn": tally.drawn,
    }


def _tally(fields: dict[str, object]) -> Tally:
    found = fields.pop("findings")
    assert isinstance(found, list)
    tally = Tally(**fields)  # type: ignore[arg-type]
    tally.findings = [Finding(Harm(harm), seen) for harm, seen in found]
    return tally
