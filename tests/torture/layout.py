"""The files and folders that the surviving steps of a trace leave."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .trace import ROOT, NameChange, Step, Times, Truncate, Write


@dataclass(slots=True)
class Layout:
    """Files and folders by the numbers that a trace gives them.

    Attributes:
        folders: Which numbers are folders.
        names: Of each folder, the names in it and what they name.
        content: Of each file, its bytes.
        times: Of each file whose time was set, nanoseconds since 1970.
    """

    folders: set[int]
    names: dict[int, dict[str, int]] = field(default_factory=dict)
    content: dict[int, bytearray] = field(default_factory=dict)
    times: dict[int, int] = field(default_factory=dict)

    def add(self, step: Step, *, half: bool = False) -> None:
        """Add what *step* does; with *half*, only the first half of the bytes it writes."""
        match step:
            case Write():
                _write(self.content.setdefault(step.file, bytearray()), step, half)
            case Truncate(file, length):
                kept = self.content.setdefault(file, bytearray())
                kept[:] = kept[:length].ljust(length, b"\0")
            case Times(file, modified_ns):
                self.times[file] = modified_ns
            case NameChange(entries):
                for parent, name, file_or_none in entries:
                    _rename(self.names.setdefault(parent, {}), name, file_or_none)

    def digest(self) -> bytes:
        """Return a hash that two layouts share if they are the same to whoever looks."""
        seen = hashlib.blake2b()
        laid: dict[int, str] = {}
        for path, file in self._walk("", ROOT):
            seen.update(repr((path, laid.get(file), file in self.folders)).encode())
            if file not in self.folders and file not in laid:
                laid[file] = path
                content = self.content.get(file, b"")
                seen.update(repr((len(content), self.times.get(file))).encode())
                seen.update(content)
        return seen.digest()

    def fill(self, place: Path) -> None:
        """Make the files and folders in *place*; a file with two names is one file."""
        laid: dict[int, Path] = {}
        for name, file in self._walk("", ROOT):
            path = place / name
            if file in self.folders:
                path.mkdir()
            elif file in laid:
                path.hardlink_to(laid[file])
            else:
                laid[file] = path
                path.write_bytes(self.content.get(file, b""))
                if file in self.times:
                    os.utime(path, ns=(self.times[file], self.times[file]))

    def _walk(self, above: str, folder: int) -> Iterator[tuple[str, int]]:
        for name, file in sorted(self.names.get(folder, {}).items()):
            yield above + name, file
            if file in self.folders:
                yield from self._walk(f"{above}{name}/", file)


def _write(kept: bytearray, step: Write, half: bool) -> None:
    written = step.content[: len(step.content) // 2] if half else step.content
    kept.extend(b"\0" * (step.offset - len(kept)))
    kept[step.offset : step.offset + len(written)] = written


def _rename(names: dict[str, int], name: str, file: int | None) -> None:
    if file is None:
        names.pop(name, None)
    else:
        names[name] = file
