"""What a power cut could leave of a trace of faultio.c.

What is certain to be there after a power cut at some step:

- the bytes, length and times of a file: what came before an fsync of that file;
- a name (created, renamed, unlinked): under `Names.JOURNAL`, what came before
  any fsync, since a journal commits all changes of names in their order (ext4,
  XFS); under `Names.POSIX`, what came before an fsync of the folder that holds
  the name. A rename between two folders may leave both names there, since each
  folder is synced by itself, but never neither of them.

Everything else may be there or not, and a write may be there by half.

Sets of steps are integers, a bit a step: a saver without syncs has half a million
states of a thousand steps, which as sets were more than the memory holds.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from .layout import Layout
from .trace import Change, Content, NameChange, Note, Step, Sync, Times, Truncate, Write


class Names(Enum):
    """When a name is certain to survive."""

    JOURNAL = "journal"
    POSIX = "posix"


class Survival(Enum):
    """Which of the uncertain steps survive."""

    NOTHING = "nothing uncertain survives"
    ALL = "all survives"
    CONTENT = "content survives without names"
    NAMES = "names survive without content"
    WITHOUT_CONTENT = "content step {} dropped"
    ONLY_CONTENT = "of content only step {} survives"
    TORN = "write {} torn"
    NAMES_UP_TO = "names survive up to step {}"
    WITHOUT_NAME = "name step {} dropped"
    ONLY_NAME = "of names only step {} survives"


@dataclass(frozen=True, slots=True)
class CrashState:
    """One thing that a power cut could leave.

    Attributes:
        steps: All steps of the trace.
        cut: How many of them came before the cut.
        survival: What survived of the uncertain ones.
        step: The one that this is about, if it is about one.
        survivors: Those that reached the disk, a bit each.
    """

    steps: Sequence[Step]
    cut: int
    survival: Survival
    step: int | None
    survivors: int

    @property
    def when(self) -> str:
        """The last step before the cut, and what survived."""
        what = self.survival.value.format((self.step or 0) + 1)
        return f"cut after step {self.cut} ({type(self.steps[self.cut - 1]).__name__}), {what}"

    @property
    def kind(self) -> tuple[Survival, int]:
        """What the states have in common of which one at least is to be tried."""
        return self.survival, self.cut if self.step is None else self.step

    @property
    def torn(self) -> int | None:
        """The write of which only the first half reached the disk."""
        return self.step if self.survival is Survival.TORN else None

    @property
    def notes(self) -> list[str]:
        """What the saver had noted before the cut."""
        return [step.text for step in self.steps[: self.cut] if isinstance(step, Note)]

    def layout(self) -> Layout:
        """Lay out what reached the disk."""
        made = (s.new_folder for s in self.steps[: self.cut] if isinstance(s, NameChange))
        layout = Layout(folders={folder for folder in made if folder is not None})
        for number in range(self.cut):
            if self.survivors >> number & 1:
                layout.add(self.steps[number], half=number == self.torn)
        return layout


def in_fair_order(states: Iterable[CrashState], seed: int) -> Iterator[CrashState]:
    """Yield *states* so that any number of the first ones is a fair sample.

    One of each kind comes first (each cut, each step dropped, torn, alone), then
    another one of each kind that has more; which, is the same with the same *seed*.
    """
    by_kind: dict[tuple[Survival, int], list[CrashState]] = {}
    for state in states:
        by_kind.setdefault(state.kind, []).append(state)
    generator = random.Random(seed)
    piles = list(by_kind.values())
    for pile in piles:
        generator.shuffle(pile)
    while piles:
        generator.shuffle(piles)
        yield from (pile.pop() for pile in piles)
        piles = [pile for pile in piles if pile]


def crash_states(steps: Sequence[Step], rule: Names, first_cut: int = 1) -> Iterator[CrashState]:
    """Yield each state that a power cut at any step of *steps* could leave, once.

    Args:
        steps: A trace.
        rule: When names are certain.
        first_cut: How many steps come before the earliest cut.
    """
    if rule is Names.POSIX:
        first_cut += sum(len(_halves(step)) - 1 for step in steps[:first_cut])
        steps = [half for step in steps for half in _halves(step)]
    seen: set[tuple[int, int | None, int]] = set()
    for cut in range(first_cut, len(steps) + 1):
        if isinstance(steps[cut - 1], Sync):  # the same as the step before it, or better
            continue
        noted = sum(isinstance(step, Note) for step in steps[:cut])
        for state in _states_at(steps, cut, rule):
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


def _states_at(steps: Sequence[Step], cut: int, rule: Names) -> Iterator[CrashState]:
    before = steps[:cut]
    certain = _certain(before, rule)
    uncertain = [i for i, s in enumerate(before) if not certain >> i & 1 and isinstance(s, Change)]
    content = [i for i in uncertain if isinstance(before[i], Content)]
    names = [i for i in uncertain if isinstance(before[i], NameChange)]
    needs = _needs(before)
    all_content, all_names = certain | _bits(content), certain | _bits(names)
    everything = all_content | all_names

    def state(survival: Survival, survivors: int, step: int | None = None) -> CrashState:
        for number, needed in needs.items():
            if survivors & needed != needed:
                survivors &= ~(1 << number)
        return CrashState(steps, cut, survival, step, survivors)

    yield state(Survival.NOTHING, certain)
    yield state(Survival.ALL, everything)
    yield state(Survival.CONTENT, all_content)
    yield state(Survival.NAMES, all_names)
    for i in content:
        yield state(Survival.WITHOUT_CONTENT, everything & ~(1 << i), i)
        yield state(Survival.ONLY_CONTENT, all_names | 1 << i, i)
        if isinstance(before[i], Write):
            yield state(Survival.TORN, everything, i)
    for n, i in enumerate(names):
        yield state(Survival.NAMES_UP_TO, all_content | _bits(names[: n + 1]), i)
        if rule is Names.POSIX:
            yield state(Survival.WITHOUT_NAME, everything & ~(1 << i), i)
            yield state(Survival.ONLY_NAME, all_content | 1 << i, i)


def _bits(numbers: Iterable[int]) -> int:
    bits = 0
    for number in numbers:
        bits |= 1 << number
    return bits


def _certain(before: Sequence[Step], rule: Names) -> int:
    """Tell the steps that no power cut after *before* can undo."""
    synced: set[int] = set()
    certain = 0
    for i in reversed(range(len(before))):
        match before[i]:
            case Sync(file):
                synced.add(file)
            case Write() | Truncate() | Times() as step if step.file in synced:
                certain |= 1 << i
            case NameChange() if synced and rule is Names.JOURNAL:
                certain |= 1 << i
            case NameChange() as step if step.folders <= synced or _is_bound(before, i, certain):
                certain |= 1 << i
    return certain


def _is_bound(before: Sequence[Step], number: int, certain: int) -> bool:
    """Tell whether the new name of a rename is certain since the end of the old one is."""
    after = before[number + 1] if number + 1 < len(before) else None
    return (
        isinstance(after, NameChange)
        and after.needs_previous
        and bool(certain >> (number + 1) & 1)
    )


def _needs(before: Sequence[Step]) -> dict[int, int]:
    """Tell of each end of an old name what it doesn't survive without: the new name.

    And its folder, without which the new name isn't there.
    """
    made = {
        step.new_folder: number
        for number, step in enumerate(before)
        if isinstance(step, NameChange) and step.new_folder is not None
    }
    needs: dict[int, int] = {}
    for number, step in enumerate(before):
        if isinstance(step, NameChange) and step.needs_previous:
            new = before[number - 1]
            assert isinstance(new, NameChange)
            folders = (made[folder] for folder in new.folders if folder in made)
            needs[number] = _bits([number - 1, *folders])
    return needs
