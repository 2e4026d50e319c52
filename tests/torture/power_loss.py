"""Replay a trace of faultio.c into the folders that a power cut could leave behind.

What is certain to be there after a power cut at some step:

- the bytes, length and times of a file: what came before an fsync of that file;
- a name (created, renamed, unlinked): under `Names.JOURNAL`, what came before
  any fsync, since a journal commits all changes of names in their order (ext4,
  XFS); under `Names.POSIX`, what came before an fsync of the folder that holds
  the name. A rename between two folders may leave both names there, since each
  folder is synced by itself, but never neither of them.

Everything else may be there or not, and a write may be there by half.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from .trace import ROOT, Change, Content, NameChange, Note, Step, Sync, Times, Truncate, Write


class Names(Enum):
    """When a name is certain to survive."""

    JOURNAL = "journal"
    POSIX = "posix"


@dataclass(frozen=True, slots=True)
class CrashState:
    """One thing that a power cut could leave.

    Attributes:
        when: The last step before the cut, and what survived of the uncertain ones.
        steps: The steps before the cut.
        survivors: Which of them reached the disk.
        torn: The write of which only the first half did.
    """

    when: str
    steps: Sequence[Step]
    survivors: frozenset[int]
    torn: int | None = None

    @property
    def notes(self) -> list[str]:
        """What the saver had noted before the cut."""
        return [step.text for step in self.steps if isinstance(step, Note)]

    def build(self, folder: Path) -> None:
        """Lay this state out in *folder*, which exists and is empty."""
        names: dict[int, dict[str, int]] = {}
        content: dict[int, bytearray] = {}
        times: dict[int, int] = {}
        for number, step in enumerate(self.steps):
            if number not in self.survivors:
                continue
            match step:
                case Write():
                    half = number == self.torn
                    _write(content.setdefault(step.file, bytearray()), step, half)
                case Truncate(file, length):
                    kept = content.setdefault(file, bytearray())
                    kept[:] = kept[:length].ljust(length, b"\0")
                case Times(file, modified_ns):
                    times[file] = modified_ns
                case NameChange(entries):
                    for parent, name, file_or_none in entries:
                        _rename(names.setdefault(parent, {}), name, file_or_none)
        folders = {step.new_folder for step in self.steps if isinstance(step, NameChange)}
        _Layout(names, folders, content, times).fill(folder, ROOT)


def _write(kept: bytearray, step: Write, half: bool) -> None:
    written = step.content[: len(step.content) // 2] if half else step.content
    kept.extend(b"\0" * (step.offset - len(kept)))
    kept[step.offset : step.offset + len(written)] = written


def _rename(names: dict[str, int], name: str, file: int | None) -> None:
    if file is None:
        names.pop(name, None)
    else:
        names[name] = file


@dataclass(slots=True)
class _Layout:
    """Files and folders as they are to be, by the numbers of the steps."""

    names: dict[int, dict[str, int]]
    folders: set[int | None]
    content: dict[int, bytearray]
    times: dict[int, int]
    laid: dict[int, Path] = field(default_factory=dict)

    def fill(self, place: Path, folder: int) -> None:
        """Make the files of *folder* in *place*; a file with two names is one file."""
        for name, file in self.names.get(folder, {}).items():
            path = place / name
            if file in self.folders:
                path.mkdir()
                self.fill(path, file)
            elif file in self.laid:
                path.hardlink_to(self.laid[file])
            else:
                self.laid[file] = path
                path.write_bytes(self.content.get(file, b""))
                if file in self.times:
                    os.utime(path, ns=(self.times[file], self.times[file]))


def crash_states(steps: Sequence[Step], rule: Names) -> Iterator[CrashState]:
    """Yield each state that a power cut at any step of *steps* could leave, once."""
    if rule is Names.POSIX:
        steps = [half for step in steps for half in _halves(step)]
    seen: set[tuple[frozenset[int], int | None, int]] = set()
    for cut in range(1, len(steps) + 1):
        if isinstance(steps[cut - 1], Sync):  # the same as the step before it, or better
            continue
        before = steps[:cut]
        noted = sum(isinstance(step, Note) for step in before)
        for state in _states_at(before, rule):
            key = (state.survivors, state.torn, noted)
            if key not in seen:
                seen.add(key)
                yield state


def _halves(step: Step) -> list[Step]:
    """Divide a rename between two folders into the new name, and the end of the old."""
    if not isinstance(step, NameChange) or len(step.folders) == 1:
        return [step]
    old, new = step.entries
    return [NameChange((new,)), NameChange((old,), needs_previous=True)]


def _states_at(before: Sequence[Step], rule: Names) -> Iterator[CrashState]:
    certain = _certain(before, rule)
    uncertain = [i for i, s in enumerate(before) if i not in certain and isinstance(s, Change)]
    content = [i for i in uncertain if isinstance(before[i], Content)]
    names = [i for i in uncertain if isinstance(before[i], NameChange)]
    everything = certain.union(uncertain)

    def state(what: str, survivors: set[int], torn: int | None = None) -> CrashState:
        when = f"cut after step {len(before)} ({type(before[-1]).__name__}), {what}"
        return CrashState(when, before, _without_orphans(before, survivors), torn)

    yield state("nothing uncertain survives", certain)
    yield state("all survives", everything)
    yield state("content survives without names", certain.union(content))
    yield state("names survive without content", certain.union(names))
    for i in content:
        yield state(f"content step {i + 1} dropped", everything - {i})
        yield state(f"of content only step {i + 1} survives", certain.union(names, [i]))
        if isinstance(before[i], Write):
            yield state(f"write {i + 1} torn", everything, i)
    for n, i in enumerate(names):
        yield state(f"names survive up to step {i + 1}", certain.union(content, names[: n + 1]))
        if rule is Names.POSIX:
            yield state(f"name step {i + 1} dropped", everything - {i})
            yield state(f"of names only step {i + 1} survives", certain.union(content, [i]))


def _certain(before: Sequence[Step], rule: Names) -> set[int]:
    """Number the steps that no power cut after *before* can undo."""
    synced: set[int] = set()
    certain: set[int] = set()
    for i in reversed(range(len(before))):
        match before[i]:
            case Sync(file):
                synced.add(file)
            case Write() | Truncate() | Times() as step if step.file in synced:
                certain.add(i)
            case NameChange() if synced and rule is Names.JOURNAL:
                certain.add(i)
            case NameChange() as step if step.folders <= synced or _is_bound(before, i, certain):
                certain.add(i)
    return certain


def _is_bound(before: Sequence[Step], number: int, certain: set[int]) -> bool:
    """Tell whether the new name of a rename is certain since the end of the old one is."""
    after = before[number + 1] if number + 1 < len(before) else None
    return isinstance(after, NameChange) and after.needs_previous and number + 1 in certain


def _without_orphans(before: Sequence[Step], survivors: set[int]) -> frozenset[int]:
    """Leave out the ends of old names whose new names didn't survive, or not their folder."""
    made = {s.new_folder for s in before if isinstance(s, NameChange)}
    kept = {s.new_folder for n in survivors if isinstance(s := before[n], NameChange)}

    def is_orphan(number: int) -> bool:
        step = before[number]
        if not isinstance(step, NameChange) or not step.needs_previous:
            return False
        new = before[number - 1]
        assert isinstance(new, NameChange)
        return number - 1 not in survivors or not new.folders.isdisjoint(made - kept)

    return frozenset(number for number in survivors if not is_orphan(number))
