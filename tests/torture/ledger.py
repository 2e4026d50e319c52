"""What savers began, and what the store promised them: the judge's side of a fault."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path


class Event(StrEnum):
    """What happened to an operation."""

    BEGUN = "begun"
    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a ledger.

    Attributes:
        event: What happened.
        operation: `save` or `delete`.
        run_id: The run it was done to.
        tag: A number that is in every row and line of a saved run, so that its
            row, JSON and CSV can be told from those of another save.
        revision: What the store called the saved run; 0 before it answered.
        seconds: How long the operation took; 0 before it ended.
        note: How it failed.
    """

    event: Event
    operation: str
    run_id: str
    tag: int = 0
    revision: int = 0
    seconds: float = 0.0
    note: str = ""

    def line(self) -> str:
        """Render the entry as one line of JSON."""
        return json.dumps(asdict(self))


def parse_entry(line: str) -> Entry:
    """Read an entry from its line."""
    fields = json.loads(line)
    return Entry(**{**fields, "event": Event(fields["event"])})


class Ledger:
    """A file of entries that several processes may append to and be killed beside."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def append(self, entry: Entry) -> None:
        """Write *entry* in one call, which an append never mixes with another's."""
        os.write(self._fd, (entry.line() + "\n").encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    @contextmanager
    def operation(self, operation: str, tags: Mapping[str, int]) -> Iterator[dict[str, int]]:
        """Note the begin of an operation, and at the end of the block how it ended.

        Args:
            operation: `save` or `delete`.
            tags: The runs that it is done to, with the tag of each.

        Yields:
            A dict for the revisions that the store answers.
        """
        for run_id, tag in tags.items():
            self.append(Entry(Event.BEGUN, operation, run_id, tag))
        revisions: dict[str, int] = {}
        begin = time.monotonic()
        event, note = Event.ACKNOWLEDGED, ""
        try:
            yield revisions
        except BaseException as error:
            event, note = Event.FAILED, f"{type(error).__name__}: {error}"
            raise
        finally:
            seconds = time.monotonic() - begin
            for run_id, tag in tags.items():
                revision = revisions.get(run_id, 0)
                self.append(Entry(event, operation, run_id, tag, revision, seconds, note))


def read_ledger(path: Path) -> list[Entry]:
    """Read the entries of *path*; none if nobody wrote any.

    A writer that is killed while the kernel takes its line over leaves the
    beginning of it, and the next writer's line right behind. What it began to
    write had not happened yet, or was not yet told to anybody, so it is left out.
    """
    if not path.exists():
        return []
    whole = "\n".join(_BEGINNING.split(path.read_text()))
    return [parse_entry(line) for line in whole.splitlines() if line.endswith("}")]


# Where an entry begins that doesn't begin a line.
_BEGINNING = re.compile(r'(?<=[^\n])(?=\{"event": )')


@dataclass(slots=True)
class Promise:
    """What must be true of one run, after whatever happened.

    Attributes:
        tags: The tag of every acknowledged revision.
        open_tags: Tags of saves that were begun and not acknowledged: their
            run may be there or not, but whole.
        may_be_gone: The run may not be there at all.
    """

    tags: dict[int, int] = field(default_factory=dict)
    open_tags: set[int] = field(default_factory=set)
    may_be_gone: bool = True
    deleting: bool = False

    def note(self, entry: Entry) -> None:
        """Add what *entry* says."""
        match entry.event, entry.operation:
            case Event.BEGUN, "save":
                self.open_tags.add(entry.tag)
            case Event.BEGUN, "delete":
                self.may_be_gone = self.deleting = True
            case Event.ACKNOWLEDGED, "save":
                if self.deleting:  # the deletion came to pass or not: count from here
                    self.tags.clear()
                self.tags[entry.revision] = entry.tag
                self.open_tags.discard(entry.tag)
                self.may_be_gone = self.deleting = False
            case Event.ACKNOWLEDGED, "delete":
                self.tags.clear()
                self.open_tags.clear()
                self.deleting = False


def promises(entries: list[Entry]) -> dict[str, Promise]:
    """Add up *entries* by run; a deletion must be among entries of one saver only."""
    found: dict[str, Promise] = {}
    for entry in entries:
        found.setdefault(entry.run_id, Promise()).note(entry)
    return found


def acknowledged_saves(entries: list[Entry]) -> list[Entry]:
    """Pick the saves that returned."""
    return [e for e in entries if e.event is Event.ACKNOWLEDGED and e.operation == "save"]


def failures(entries: list[Entry]) -> list[Entry]:
    """Pick what raised."""
    return [e for e in entries if e.event is Event.FAILED]
