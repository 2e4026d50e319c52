"""Targets: the announced bounds, and whether a result keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from benchmarks.results import OURS, OURS_NORMAL, SEQUENTIAL, THREADED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.results import Result, Section, Spread

SQLITE = "bare sqlite3"
RAW_WRITE = "raw write"
DEPENDENCIES = "imports alone"
HUNDRED_RUNS = "ours, 100 runs"
ONE_BY_ONE = "one by one"
COLUMNS = "columns"
ONE_PROCESS = "one process"
SMALLER_TREE = "import of 500"
COLLECTOR = "collector"

LEGACY = (SEQUENTIAL, THREADED)
PYTHON = "python alone"

BESIDE = (SQLITE, RAW_WRITE, DEPENDENCIES, COLUMNS, ONE_PROCESS, COLLECTOR, PYTHON)
"""Sides that are shown beside ours though no target names them: floors, and what the same
takes without the help of other processes."""

NORMAL = ", NORMAL"


class Bound(Enum):
    """How a target's number is meant."""

    FASTER = "× faster"
    TIMES = "× at most"
    LIMIT = "at most"


@dataclass(frozen=True, slots=True)
class Target:
    """One announced bound.

    Attributes:
        section: Key of the section that it is about.
        bound: What `number` means.
        number: Least ratio of the better opponent to ours, most ratio of ours to the
            floor, or most of the section's unit.
        against: Sides that ours is divided by, or that are divided by ours.
    """

    section: str
    bound: Bound
    number: float
    against: tuple[str, ...] = ()


def _faster(section: str, number: float, *against: str) -> Target:
    return Target(section, Bound.FASTER, number, against or LEGACY)


def _times(section: str, number: float, floor: str) -> Target:
    return Target(section, Bound.TIMES, number, (floor,))


def _limit(section: str, number: float) -> Target:
    return Target(section, Bound.LIMIT, number)


TARGETS = (
    _faster("record", 1.5),
    _times("live", 1.2, COLLECTOR),
    _faster("save.1000", 4),
    _faster("save.10000", 15),
    _faster("save.100000", 25),
    _times("save.100000", 5, RAW_WRITE),
    _limit("get.cached", 10e-6),
    _limit("get.dict", 30e-6),
    _faster("get.cold", 1.5),
    _times("get.cold", 6, SQLITE),
    _faster("get.whole", 1.5),
    *(_faster(f"facade.{satellites}", 1.5) for satellites in (1, 5, 20)),
    _faster("compare.types", 2),
    _times("compare.types", 5, SQLITE),
    _times("compare.satellites", 5, SQLITE),
    _faster("compare.again", 10),
    _faster("recent", 500),
    _times("recent", 5, SQLITE),
    *(_times(f"{one}.flat", 1.5, HUNDRED_RUNS) for one in ("get", "compare", "save", "recent")),
    _faster("scan", 2, SEQUENTIAL),
    _faster("scan", 5, THREADED),
    _limit("import", 5.0),
    _times("import.memory", 1.25, SMALLER_TREE),
    _limit("size", 6_000),
    _limit("analyst.join", 100e-3),
    _limit("analyst.percentiles", 2.0),
    _limit("analyst.percentiles_by_run", 5.0),
    _limit("analyst.prune_dry", 1.0),
    _limit("prune", 0.5e-3),
    *(_limit(f"command_line.{command}", 0.3) for command in ("help", "recent", "show")),
    _times("cold_start", 1.5, DEPENDENCIES),
    _times("cold_start.new", 1.5, DEPENDENCIES),
    _times("memory", 3, COLUMNS),
    _faster("batch", 3, ONE_BY_ONE),
)


ANNOUNCED = {"get.cached": 54e-6, "get.dict": 54e-6}
"""Seconds that the sequential variant took for the like of a section where the targets were
announced: an absolute limit is read in proportion to it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a section's medians say about a target.

    Attributes:
        target: The target.
        section: The section that it is about.
        ratio: What the target's number bounds, of medians; for `Bound.LIMIT` our median.
        of_minima: The same of minima, to be read beside it: on a shared machine one of the two
            alone can be luck.
        opponent: Side that the ratio was taken with, or None.
        met: The bound is kept; None where the section is reduced, and not judged.
    """

    target: Target
    section: Section
    ratio: float
    of_minima: float
    opponent: str | None
    met: bool | None


def judge(result: Result) -> list[Verdict]:
    """Return a verdict on each target whose section was measured, in the table's order."""
    verdicts = []
    for target in TARGETS:
        section = result.section(target.section)
        if section is not None:
            verdicts.append(judge_section(target, section))
    return verdicts


def judge_section(target: Target, section: Section) -> Verdict:
    """Return whether *section* keeps *target*.

    Our side with commits FULL is judged; where only NORMAL was measured, that one.
    The better of several opponents counts: the one with the lower median.

    Raises:
        KeyError: No side of ours, or no opponent, was measured.
    """
    sides = section.sides
    name = OURS if OURS in sides else OURS_NORMAL
    ours, opponent = sides[name], None
    ratio, of_minima = ours.median, ours.minimum
    if target.bound is not Bound.LIMIT:
        opponent = _better(target.against, sides, NORMAL if name == OURS_NORMAL else "")
        theirs = sides[opponent]
        above, below = (theirs, ours) if target.bound is Bound.FASTER else (ours, theirs)
        ratio, of_minima = above.median / below.median, above.minimum / below.minimum
    kept = ratio >= target.number if target.bound is Bound.FASTER else ratio <= target.number
    met = None if section.reduced else kept
    return Verdict(target, section, ratio, of_minima, opponent, met)


def _better(names: tuple[str, ...], sides: Mapping[str, Spread], suffix: str) -> str:
    """Return the side of lower median; one measured with our durability goes first."""
    candidates = [name + suffix if name + suffix in sides else name for name in names]
    measured = [name for name in candidates if name in sides]
    if not measured:
        raise KeyError(f"none of the sides {', '.join(names)} was measured")
    return min(measured, key=lambda name: sides[name].median)
