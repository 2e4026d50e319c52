"""Results of the benchmarks as a run leaves them, of figures that a test chooses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness import section
from benchmarks.machine import describe_machine
from benchmarks.questions import QUESTIONS
from benchmarks.results import OURS, OURS_NORMAL, Result
from benchmarks.targets import RAW_WRITE

if TYPE_CHECKING:
    from benchmarks.results import Section

ROOT = Path(__file__).parents[1]
FULL_RUN = {
    "quick": False,
    "durability": "both",
    "questions": list(QUESTIONS),
    "complete": True,
    "seconds": 600,
}


def timed(key: str, **medians: float) -> Section:
    """Return a section of one sample a side."""
    names = {"ours": OURS, "normal": OURS_NORMAL, "raw_write": RAW_WRITE}
    return section(key, key, {names.get(side, side): [s] for side, s in medians.items()})


def a_result(*sections: Section, **settings: object) -> Result:
    """Return a result of this machine, of a full run but for what *settings* say else."""
    return Result(describe_machine(ROOT), {**FULL_RUN, **settings}, sections)
