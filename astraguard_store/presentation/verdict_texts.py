"""Verdicts in words: for who has to decide, without statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import isinf
from typing import TYPE_CHECKING

from astraguard_store.presentation import numbers
from astraguard_store.presentation.text import counted, few_names, provenance_text

if TYPE_CHECKING:
    from astraguard_store.verdict.values import (
        CellVerdict,
        GateReport,
        NotJudged,
        Settling,
        SlowEvents,
        Verdict,
    )

COLOURS: Mapping[str, str] = {"regressed": "red", "improved": "green", "inconclusive": "yellow"}
"""How a terminal shows a verdict; the words alone say it too."""

SHORT: Mapping[str, str] = {
    "regressed": "worse",
    "improved": "better",
    "equivalent": "same",
    "inconclusive": "unclear",
}
"""A verdict in a column of a table that has to fit 80 columns."""

SIGNS: Mapping[str, str] = {
    "regressed": "✗",
    "improved": "✓",
    "equivalent": "=",
    "inconclusive": "?",
}
"""A verdict where there is no room for a column; a line above says what each is."""

_SHARES = frozenset({"missed", "deadline"})
_MOST_SHOWN = 8
_FEW_SHOWN = 3
_SAME_SPEED = 0.01
_FACTOR_FROM = 10.0
# So wide an interval says no more than that too little was measured.
_TOO_WIDE = 1000.0
_LEAST_SLOW_EVENTS = 5
_WORST_FIRST: tuple[Verdict, ...] = ("regressed", "inconclusive", "improved", "equivalent")
_OF = {
    "measured": "measured of these runs",
    "history": "measured of these and older runs",
    "assumed": "assumed",
}


def percent(share: float, *, sign: bool = False) -> str:
    """Return ``21 %``, with a digit more below 10; with *sign* ``+21 %``, or ``+2100×``."""
    if sign and share >= _FACTOR_FROM:
        return numbers.change_text(share)
    digits = 0 if abs(share) >= 0.0995 else 1 if abs(share) >= 0.00995 or not share else 2
    return f"{share * 100:{'+' if sign else ''},.{digits}f} %"


def name_of(cell: CellVerdict | NotJudged) -> str:
    """Return ``fault_detection p50``, with the satellite if it is of one."""
    of_satellite = f" {cell.satellite_id}" if cell.satellite_id else ""
    return f"{cell.metric_type} {cell.statistic}{of_satellite}"


def value_text(cell: CellVerdict, side: str) -> str:
    """Return what a side measured: ms, or a share of events."""
    value = getattr(cell, side)
    if value is None:
        return "-"
    return percent(value) if cell.statistic in _SHARES else numbers.duration_text(value)


def change_text(cell: CellVerdict) -> str:
    """Return the change; ``-`` where nothing is known of it."""
    if cell.change is None:
        return "-"
    return percent(cell.change, sign=cell.statistic != "deadline")


def interval_text(cell: CellVerdict) -> str:
    """Return between which changes the true one lies."""
    if cell.low is None or cell.high is None:
        return "-"
    low = percent(cell.low, sign=cell.statistic != "deadline")
    if isinf(cell.high):
        return f"{low} or more"
    if cell.high > _TOO_WIDE:
        return f"{low} to over {numbers.change_text(_TOO_WIDE)}"
    high = percent(cell.high, sign=cell.statistic != "deadline")
    return f"{low.removesuffix(' %') if high.endswith('%') else low} to {high}"


def headline(report: GateReport) -> str:
    """Return the verdict in one line."""
    blocking = [cell for cell in report.cells if not cell.excludes_regression]
    match report.verdict:
        case "regressed":
            more = len(report.regressed) - 1
            text = f"REGRESSED: {_got(report.regressed[0])}" + (
                f"; and {more} more" if more else ""
            )
        case "improved":
            best = next(cell for cell in report.cells if cell.verdict == "improved")
            text = f"IMPROVED: {_got(best)}, and nothing got worse"
        case "inconclusive" if blocking:
            text = f"INCONCLUSIVE: {_may(blocking[0])}"
        case "inconclusive":
            text = f"INCONCLUSIVE: {report.warnings[0]}"
        case _:
            limit = max((c.limit for c in report.cells if c.statistic not in _SHARES), default=0)
            text = f"EQUIVALENT: nothing got slower or faster by {percent(limit)} or more"
            if any(cell.verdict != "equivalent" for cell in report.cells):
                text = f"EQUIVALENT: nothing got slower by {percent(limit)} or more"
    return f"{text} (on assumed noise)" if report.rests_on_assumed_noise else text


def _got(cell: CellVerdict) -> str:
    if cell.statistic in _SHARES:
        was = {
            "missed": f"are missed, {value_text(cell, 'baseline')} before",
            "deadline": f"are too late, {percent(cell.limit)} may be",
        }
        return f"{value_text(cell, 'candidate')} of {where(cell)} {was[cell.statistic]}"
    change = cell.change or 0.0
    least = cell.low if change > 0 else cell.high
    bound = "" if least is None or isinf(least) else f", by {_size(least)} at least"
    return f"{name_of(cell)} is {_slower(change)}{bound}"


def _may(cell: CellVerdict) -> str:
    if cell.high is None or isinf(cell.high):
        return f"{name_of(cell)} falls among missed events"
    if cell.statistic == "deadline":
        return f"up to {percent(cell.high)} of {where(cell)} may be too late"
    if cell.statistic == "missed":
        return f"up to {percent(cell.high)} more of {where(cell)} may be missed"
    if cell.high > _TOO_WIDE:
        return f"{name_of(cell)} has been measured too little to say anything"
    return f"{name_of(cell)} may be up to {_slower(cell.high)}"


def where(cell: CellVerdict) -> str:
    """Return the metric type, with the satellite if it is of one."""
    return cell.metric_type + (f" on {cell.satellite_id}" if cell.satellite_id else "")


def _slower(change: float) -> str:
    return f"{_size(change)} {'slower' if change > 0 else 'faster'}"


def _size(change: float) -> str:
    """Return a change without its sign, as the tables write it: ``21 %``, ``91×``."""
    return percent(abs(change), sign=abs(change) >= _FACTOR_FROM).removeprefix("+")


def settling_text(settling: Settling) -> str:
    """Return what would settle a cell: ``12 more runs, or 3 if all runs had a reference``."""
    if settling.candidate_runs is not None:
        text = counted(settling.candidate_runs, "more run")
    elif settling.runs_of_both is not None:
        text = f"{counted(settling.runs_of_both, 'more run')} of each side"
    else:
        text = "more than 200 runs"
    with_reference = settling.with_reference
    if with_reference is not None and with_reference != settling.candidate_runs:
        text += f", or {with_reference} if all runs had a reference"
    return text


def noise_text(report: GateReport) -> str:
    """Return by how much runs differ without a change, and how that is known.

    Of what the headline is about; else of the median that differs most.
    """
    cells = [cell for cell in (*report.regressed[:1], *report.cells) if cell.noise is not None]
    if not cells:
        return "of missed events alone"
    medians = [cell for cell in cells if cell.statistic == "p50"] or cells
    of = cells[0] if report.regressed else max(medians, key=lambda cell: cell.noise or 0.0)
    source = _OF[report.noise_source]
    return f"{percent(of.noise or 0.0)} of {of.statistic} from run to run, {source}"


def machine_text(change: float) -> str:
    """Return what the reference says of the machine."""
    if abs(change) < _SAME_SPEED:
        return "as fast for both sides, by the reference"
    pace = "slower" if change > 0 else "faster"
    return f"{percent(abs(change))} {pace} for the candidate, by the reference: taken off"


def why(report: GateReport) -> str:
    """Return why the verdict is what it is, in a sentence or two."""
    if report.verdict == "regressed":
        return _why_regressed(report.regressed[0], percent(1 - report.alpha))
    if report.verdict == "inconclusive":
        return "runs differ too much, or are too few, to tell a change from none"
    return "a change that counts would have shown beyond what runs differ anyway"


def _why_regressed(cell: CellVerdict, sure: str) -> str:
    """Return what the worst cell's interval says, and how sure that is by the rule."""
    low, change = cell.low or 0.0, cell.change or 0.0
    if cell.statistic == "deadline":
        return f"{percent(low)} of the events at least are too late, with 95 % confidence"
    if cell.statistic == "missed":
        return f"of all events at least {percent(low)} more are missed, with {sure} confidence"
    by_noise = (1 + change) / (1 + low) - 1
    return (
        f"noise explains up to {_size(by_noise)} ({sure} confidence), "
        f"and this is {percent(change, sign=True)}"
    )


def facts(report: GateReport) -> list[tuple[str, str]]:
    """Return (name, value) of what a verdict was made of, and why it is what it is."""
    baseline = few_names(report.baseline, 3)
    if report.baseline_name:
        baseline = f"{report.baseline_name} ({counted(len(report.baseline), 'run')})"
    found = [
        ("candidate", few_names(report.candidates, 3)),
        ("baseline", baseline),
        ("noise", noise_text(report)),
    ]
    if report.reference_change is not None:
        found.append(("machine", machine_text(report.reference_change)))
    found.append(("why", why(report)))
    if report.settling:
        found.append(("to settle", settling_text(report.settling)))
    return found + [
        (
            change.name.replace("_", " "),
            f"{provenance_text(change.baseline)} -> {provenance_text(change.candidate)}",
        )
        for change in report.provenance_changes
    ]


def notes(report: GateReport) -> list[str]:
    """Return what weakens a verdict, and stalls beside it, a sentence each."""
    return [f"warning: {warning}" for warning in report.warnings] + [
        f"note: {numbers.count_text(slow.candidate)} of "
        f"{numbers.count_text(slow.candidate_events)} {slow.metric_type} took longer than "
        f"{numbers.duration_text(slow.above_ms)}, {numbers.count_text(slow.baseline)} of "
        f"{numbers.count_text(slow.baseline_events)} before: stalls?"
        for slow in report.slow_events
        if _stalls(slow)
    ]


def _stalls(slow: SlowEvents) -> bool:
    """Return whether there are so many slow events that a person should look."""
    expected = slow.candidate_events * slow.baseline / slow.baseline_events
    return slow.candidate >= _LEAST_SLOW_EVENTS and slow.candidate > 3 * expected


def settled(cell: CellVerdict) -> Verdict:
    """Return the verdict; of a cell that may be better or the same, but no worse, the same."""
    is_no_worse = cell.verdict == "inconclusive" and cell.excludes_regression
    return "equivalent" if is_no_worse else cell.verdict


def by_type(report: GateReport) -> Mapping[tuple[str, str | None], Verdict]:
    """Return {(metric type, satellite or None): the worst verdict on any of its statistics}."""
    found: dict[tuple[str, str | None], Verdict] = {}
    for cell in report.cells:
        verdict = settled(cell)
        key = cell.metric_type, cell.satellite_id
        found[key] = min(found.get(key, verdict), verdict, key=_WORST_FIRST.index)
    return found


def worst(report: GateReport) -> tuple[CellVerdict, ...]:
    """Return the cells that decide: those that regressed, or else the first few."""
    if report.regressed:
        return report.regressed[:_MOST_SHOWN]
    if report.verdict == "inconclusive":
        return tuple(cell for cell in report.cells if not cell.excludes_regression)[:_FEW_SHOWN]
    return report.cells[:_FEW_SHOWN]


def rest_text(report: GateReport, shown: int) -> str | None:
    """Return what the folded cells are; None if there are none."""
    rest = Counter(cell.verdict for cell in report.cells)
    rest.subtract(Counter(cell.verdict for cell in worst(report)[:shown]))
    parts = [f"{number} {verdict}" for verdict, number in rest.items() if number]
    if report.not_judged:
        names = sorted({f"{one.metric_type}" for one in report.not_judged})
        parts.append(f"{len(report.not_judged)} not judged ({few_names(names)})")
    return f"and {', '.join(parts)}" if parts else None
