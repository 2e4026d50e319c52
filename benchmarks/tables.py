"""Renders a result: spreads of every side, growth, and the table of targets."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from benchmarks.results import OURS, OURS_NORMAL, SEQUENTIAL, THREADED
from benchmarks.targets import ANNOUNCED, BESIDE, LEGACY, Bound, judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.results import Result, Section
    from benchmarks.targets import Verdict

SCALES = {
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")),
    "bytes": ((1e6, "MB"), (1e3, "kB"), (1.0, "bytes")),
}

TARGET_COLUMNS = (
    "operation", "ours", "NORMAL", "sequential", "threaded", "beside",
    "ratio", "of minima", "target", "met",
)  # fmt: skip

VERDICTS = {True: "met", False: "MISSED", None: "not judged"}


def render_quantity(value: float, unit: str) -> str:
    """Return *value* in the unit's handiest scale, three digits: `12.3 ms`, `4.20 kB`."""
    scales = SCALES.get(unit, ((1.0, unit),))
    factor, name = next((scale for scale in scales if value >= scale[0]), scales[-1])
    scaled = value / factor
    return f"{_three_digits(scaled)} {name}"


def render_sides(section: Section) -> str:
    """Return the spread of each side of a section, under its title."""
    rows: list[tuple[str, ...]] = [("side", "min", "median", "mean", "max", "stdev", "samples")]
    for name, spread in section.sides.items():
        figures = (spread.minimum, spread.median, spread.mean, spread.maximum, spread.stdev)
        quantities = [render_quantity(figure, section.unit) for figure in figures]
        rows.append((name, *quantities, str(spread.samples)))
    return f"{section.title}\n{render_columns(rows)}"


def target_rows(result: Result) -> list[tuple[str, ...]]:
    """Return the cells of the targets' table, a row a verdict, without the heading.

    The cells that two targets of one section share stand in its first row only.
    """
    rows = []
    last = ""
    for verdict in judge(result):
        section = verdict.section
        shared = _shared_cells(section) if section.key != last else ("",) * 5
        beside = _beside(verdict, is_first=section.key != last)
        rows.append(
            (*shared, _side(section, beside), *_ratio_cells(verdict), VERDICTS[verdict.met])
        )
        last = section.key
    return rows


def proportions(result: Result) -> list[str]:
    """Return a line for each missed limit whose like was timed on the machine of the targets."""
    lines = []
    for verdict in judge(result):
        section, limit = verdict.section, verdict.target.bound is Bound.LIMIT
        if limit and verdict.met is False and section.key in ANNOUNCED:
            there = render_quantity(ANNOUNCED[section.key], section.unit)
            lines.append(
                f"{section.title}: {render_quantity(verdict.ratio, section.unit)}; the sequential "
                f"variant takes {_median(section, SEQUENTIAL)} here, {there} on the machine of "
                "the targets"
            )
    return lines


def render_targets(result: Result) -> str:
    """Return the table of targets for a terminal, with the remarks that belong to it."""
    lines = [render_columns([TARGET_COLUMNS, *target_rows(result)]), *proportions(result)]
    count = Counter(verdict.met for verdict in judge(result))
    not_judged = f", {count[None]} not judged" if count[None] else ""
    lines.append(f"{count[True]} targets met, {count[False]} missed{not_judged}")
    if result.settings.get("quick"):
        lines.append("--quick: few rounds and smaller sizes; only a full run is evidence")
    return "\n".join(lines)


def render_machine(result: Result) -> str:
    """Return the machine's description, a line a label."""
    width = max(len(label) for label in result.machine)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in result.machine.items())


def render_columns(rows: Sequence[Sequence[str]]) -> str:
    """Return *rows* in columns: the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        first = f"  {row[0]:<{widths[0]}}"
        others = [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([first, *others]).rstrip())
    return "\n".join(lines)


def replace_between(page: str, begin: str, end: str, content: str) -> str:
    """Return *page* with *content* between its markers *begin* and *end*.

    Raises:
        ValueError: A marker is missing, or stands more than once.
    """
    for marker in (begin, end):
        if page.count(marker) != 1:
            raise ValueError(f"{marker} stands {page.count(marker)} times, not once")
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{content}\n{end}{after}"


def _shared_cells(section: Section) -> tuple[str, ...]:
    names = (OURS, OURS_NORMAL, SEQUENTIAL, THREADED)
    return (section.title, *(_median(section, name) for name in names))


def _median(section: Section, name: str) -> str:
    spread = section.sides.get(name)
    return render_quantity(spread.median, section.unit) if spread else ""


def _beside(verdict: Verdict, *, is_first: bool) -> str | None:
    """Return what ours is compared with, where that has no column; else, once, a known side."""
    if verdict.opponent and verdict.opponent not in LEGACY:
        return verdict.opponent
    known = (name for name in BESIDE if name in verdict.section.sides)
    return next(known, None) if is_first else None


def _side(section: Section, name: str | None) -> str:
    return f"{_median(section, name)} ({name})" if name else ""


def _ratio_cells(verdict: Verdict) -> tuple[str, str, str]:
    target = verdict.target
    if target.bound is Bound.LIMIT:
        return "", "", f"≤ {render_quantity(target.number, verdict.section.unit)}"
    sign, kind = ("≥", " faster") if target.bound is Bound.FASTER else ("≤", "")
    ratio, of_minima = (f"{_three_digits(one)}×" for one in (verdict.ratio, verdict.of_minima))
    return f"{ratio}{kind}", of_minima, f"{sign} {target.number:g}×"


def _three_digits(number: float) -> str:
    digits = 0 if number >= 100 else 1 if number >= 10 else 2
    return f"{number:,.{digits}f}"
