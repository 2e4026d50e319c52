"""The trace of faultio.c as steps: what a saver did to its disk, in order."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

ROOT = 0
"""The inode number given to the watched folder, which was there before."""


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes written into a file."""

    file: int
    offset: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    """A file cut or extended to a length."""

    file: int
    length: int


@dataclass(frozen=True, slots=True)
class Times:
    """A file's modification time set."""

    file: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class NameChange:
    """Names set or removed, all or none.

    Attributes:
        entries: Folder, name, and what is named or None, each.
        new_folder: The folder that this made.
        needs_previous: The other half of a rename, which doesn't come to pass
            without the step before it.
    """

    entries: tuple[tuple[int, str, int | None], ...]
    new_folder: int | None = None
    needs_previous: bool = False

    @property
    def folders(self) -> frozenset[int]:
        """The folders that hold the names."""
        return frozenset(folder for folder, _, _ in self.entries)


@dataclass(frozen=True, slots=True)
class Sync:
    """An fsync of a file or folder."""

    file: int


@dataclass(frozen=True, slots=True)
class Note:
    """A line of the saver's own."""

    text: str


Step = Write | Truncate | Times | NameChange | Sync | Note
Content = Write | Truncate | Times
Change = Content | NameChange


@dataclass(slots=True)
class _Reader:
    """Turns lines into steps, following names and inodes as the program saw them.

    Inode numbers are used again after an unlink, so every creation makes a new
    file here, whatever number the kernel gave it.
    """

    root: str
    by_path: dict[str, int] = field(default_factory=dict)
    by_inode: dict[str, int] = field(default_factory=dict)
    files: int = 0

    def step(self, line: str) -> Step:
        """Read one line."""
        kind, *fields = line.split("\t")
        if kind == "note":
            return Note(fields[0])
        if kind in ("write", "truncate", "times", "sync"):
            return self._of_file(kind, fields)
        return self._of_name(kind, fields)

    def _of_file(self, kind: str, fields: list[str]) -> Step:
        if kind == "sync":
            return Sync(self.by_inode.get(fields[0], ROOT))
        file = self.by_inode[fields[0]]
        if kind == "write":
            return Write(file, int(fields[1]), bytes.fromhex(fields[2]))
        return (Truncate if kind == "truncate" else Times)(file, int(fields[1]))

    def _of_name(self, kind: str, fields: list[str]) -> Step:
        match kind:
            case "create" | "mkdir":
                return self._created(fields[0], fields[1], is_folder=kind == "mkdir")
            case "rename":
                return self._renamed(*fields)
            case "link":
                return self._linked(*fields)
            case "unlink":
                self.by_path.pop(fields[0])
                return NameChange(((*self._place(fields[0]), None),))
            case _:
                raise ValueError(f"a step of kind {kind!r}")

    def _place(self, path: str) -> tuple[int, str]:
        folder, name = os.path.split(path)
        return (ROOT if folder == self.root else self.by_path[folder]), name

    def _created(self, inode: str, path: str, is_folder: bool) -> Step:
        self.files += 1
        self.by_path[path] = self.by_inode[inode] = self.files
        entries = ((*self._place(path), self.files),)
        return NameChange(entries, self.files if is_folder else None)

    def _linked(self, old: str, new: str) -> Step:
        file = self.by_path[new] = self.by_path[old]
        return NameChange(((*self._place(new), file),))

    def _renamed(self, old: str, new: str) -> Step:
        file = self.by_path[old]
        if self.by_path.get(new) == file:
            # Two names of one file: POSIX has such a rename leave both.
            return NameChange(((*self._place(new), file),))
        entries = ((*self._place(old), None), (*self._place(new), file))
        for path in [p for p in self.by_path if p == old or p.startswith(old + "/")]:
            self.by_path[new + path[len(old) :]] = self.by_path.pop(path)
        return NameChange(entries)


def read_trace(trace: Path, root: Path) -> list[Step]:
    """Read the steps of *trace*, kept while *root* was watched, empty at its begin."""
    reader = _Reader(str(root.resolve()))
    return [reader.step(line) for line in trace.read_text().splitlines()]
