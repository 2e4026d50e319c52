"""The rule: two sides of runs → a report, with a verdict on the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from astraguard_store.exceptions import GateError
from astraguard_store.verdict.cells import Cell, judge
from astraguard_store.verdict.deadlines import Violations, judge_deadline
from astraguard_store.verdict.limits import CellLimits, Limits
from astraguard_store.verdict.missed import judge_missed
from astraguard_store.verdict.noise import (
    ASSUMED,
    Noise,
    as_of_a_single_run,
    autocorrelation,
    noise_of,
)
from astraguard_store.verdict.settling import settling_of_all
from astraguard_store.verdict.sides import CellKey, Sides
from astraguard_store.verdict.values import (
    CellVerdict,
    GateReport,
    NoiseSource,
    NotJudged,
    SlowEvents,
    Verdict,
)

_WEAKEST_FIRST: Final[tuple[NoiseSource, ...]] = ("assumed", "history", "measured")
_WORST_FIRST: Final[tuple[Verdict, ...]] = (
    "regressed",
    "inconclusive",
    "improved",
    "equivalent",
)
_NOISY: Final = 0.3

LateEvents = Mapping[CellKey, Sequence[Violations]]


def deadlines_of(sides: Sides, limits: Limits) -> dict[CellKey, CellLimits]:
    """Return which cells have a deadline, with their limits."""
    return {
        key: of_cell
        for key in sides.keys
        if (of_cell := limits.of(*key)).deadline_ms is not None
        and any(key in run.cells for run in sides.candidate)
    }


def judge_sides(
    sides: Sides,
    limits: Limits,
    *,
    late: LateEvents | None = None,
    slow_events: Sequence[SlowEvents] = (),
    baseline_name: str | None = None,
) -> GateReport:
    """Return the report on two sides.

    Args:
        sides: The runs.
        limits: Which changes count.
        late: {cell: of each candidate run, which events were too late}, of the
            cells of `deadlines_of`.
        slow_events: What is to be reported beside.
        baseline_name: The baseline's name, if it has one.

    Raises:
        GateError: The sides can't be compared, have nothing in common, or a limit
            is for something that they don't have.
    """
    sides.check_comparable()
    limits.check_matches(sides.keys)
    cells, not_judged = judged_cells(sides, limits)
    for key, runs in (late or {}).items():
        at_most = limits.of(*key).at_most
        if at_most is not None:
            cells.append(judge_deadline(*key, runs, at_most=at_most))
    lost = sides.lost()
    if not cells and not lost:
        raise GateError(
            "nothing can be judged: "
            + (not_judged[0].reason if not_judged else "the baseline measured nothing")
        )
    sources = {cell.noise_source for cell in cells}
    whole = _whole(cells, lost)
    return GateReport(
        verdict=whole,
        baseline_name=baseline_name,
        baseline=tuple(run.run_id for run in sides.baseline),
        candidates=tuple(run.run_id for run in sides.candidate),
        by_satellite=sides.by_satellite,
        alpha=limits.alpha,
        cells=tuple(sorted(cells, key=_badness)),
        not_judged=tuple(not_judged),
        noise_source=next((s for s in _WEAKEST_FIRST if s in sources), "measured"),
        history=sum(map(len, sides.history)),
        interleaved=sides.interleaved,
        reference_change=sides.reference_change()
        if any(cell.reference_slope is not None for cell in cells)
        else None,
        slow_events=tuple(slow_events),
        provenance_changes=sides.provenance_changes(),
        warnings=tuple(_warnings(sides, cells, lost)),
        settling=settling_of_all(cells) if whole == "inconclusive" and not lost else None,
    )


def judged_cells(sides: Sides, limits: Limits) -> tuple[list[CellVerdict], list[NotJudged]]:
    """Return the verdicts on percentiles and missed events, and what can't be judged."""
    found, not_judged = sides.percentiles(limits)
    judged: list[tuple[Cell, Noise]] = []
    for cell in found:
        noise = _noise(cell)
        if noise is None:
            reason = "one run against one tells of medians only, unless older runs show the noise"
            not_judged.append(
                NotJudged(cell.metric_type, cell.satellite_id, cell.statistic, reason)
            )
        else:
            judged.append((cell, noise))
    missed = sides.missed()
    tail = limits.alpha / (2 * max(1, len(judged) + len(missed)))
    interleaved = sides.interleaved
    cells = [
        judge(
            cell,
            limits.of(cell.metric_type, cell.satellite_id),
            noise,
            tail=tail,
            rho=0.0
            if interleaved
            else autocorrelation([cell.baseline, *cell.history], noise.slope),
        )
        for cell, noise in judged
    ]
    cells += [judge_missed(*one, allowed=limits.of(*one[:2]).missed, tail=tail) for one in missed]
    return cells, not_judged


def _noise(cell: Cell) -> Noise | None:
    """Return what a cell is held against; None where that isn't even assumed."""
    measured = noise_of(
        [cell.baseline, cell.candidate], cell.history, reference=bool(cell.baseline.x)
    )
    if measured is None and cell.statistic == "p50":
        return ASSUMED
    is_single = min(len(cell.baseline.y), len(cell.candidate.y)) == 1
    return as_of_a_single_run(measured, cell.statistic) if measured and is_single else measured


def _whole(cells: Sequence[CellVerdict], lost: Sequence[CellKey]) -> Verdict:
    verdicts = {cell.verdict for cell in cells}
    if "regressed" in verdicts:
        return "regressed"
    if lost or not all(cell.excludes_regression for cell in cells):
        return "inconclusive"
    return "improved" if "improved" in verdicts else "equivalent"


def _badness(cell: CellVerdict) -> tuple[int, bool, float, str, str, str]:
    """Return the place in the order of the cells: by verdict, then by what is proven."""
    by_verdict = _WORST_FIRST.index(cell.verdict)
    size = cell.low if cell.verdict == "regressed" else cell.change
    return (
        by_verdict,
        cell.verdict == "inconclusive" and cell.excludes_regression,
        -(size if size is not None else 0.0),
        cell.metric_type,
        cell.satellite_id or "",
        cell.statistic,
    )


def _warnings(sides: Sides, cells: Sequence[CellVerdict], lost: Sequence[CellKey]) -> list[str]:
    found = [
        f"{metric_type}{f' on {satellite}' if satellite else ''} was measured by no candidate run"
        for metric_type, satellite in lost
    ]
    found += sides.warnings()
    noise = sides.reference_noise()
    what = "the reference, which is always the same work,"
    if noise is None:
        of_medians = [c.noise for c in cells if c.statistic == "p50" and c.noise is not None]
        measured = [c for c in cells if c.noise_source != "assumed"]
        noise = max(of_medians, default=None) if measured else None
        what = "a median"
    if noise is not None and noise > _NOISY:
        found.append(
            f"the machine is noisy: {what} varies by {noise * 100:.0f} % from run to run; "
            "free it from other work, or take more runs"
        )
    if any(cell.noise_source == "assumed" for cell in cells):
        found.append(
            "too few runs to measure the noise: it is assumed, and only a median that "
            "doubles is called regressed; 3 runs or more on each side find far less"
        )
    return found
