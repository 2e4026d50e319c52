"""Two sides of runs → the cells to judge, what can't be judged, and whether they compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import expm1, log
from statistics import median
from typing import Final, NamedTuple

from astraguard_store.exceptions import GateError
from astraguard_store.model import AtLeast, MetricSummary
from astraguard_store.provenance import ProvenanceChange, provenance_changes
from astraguard_store.verdict.cells import Cell
from astraguard_store.verdict.limits import REFERENCE, Limits
from astraguard_store.verdict.missed import Counts
from astraguard_store.verdict.noise import Group
from astraguard_store.verdict.order_statistics import LEAST_EVENTS, effective_events
from astraguard_store.verdict.values import JudgedRun, NotJudged

EXCLUDED: Final = "gate:exclude"
"""The tag of runs that the noise isn't measured by."""

_LEAST_MS: Final = 1e-6  # a nanosecond; a logarithm needs more than 0
_UNFINISHED: Final = 0.5
_COMPARED: Final = ("git_commit", "software_version", "firmware", "python", "platform")

CellKey = tuple[str, str | None]


class MissedCell(NamedTuple):
    """The missed events of a metric type on both sides."""

    metric_type: str
    satellite_id: str | None
    baseline: tuple[Counts, ...]
    candidate: tuple[Counts, ...]


def by_start(runs: Iterable[JudgedRun]) -> tuple[JudgedRun, ...]:
    """Return the runs by their start, ties by id."""
    return tuple(sorted(runs, key=lambda run: (run.started_us, run.run_id)))


def set_up(run: JudgedRun) -> tuple[str, str] | None:
    """Return what runs of one set-up share: scenario and rig, or host; None if not known."""
    was = run.provenance
    machine = was.rig or was.host
    return (was.scenario, machine) if was.scenario and machine else None


def history_groups(
    runs: Iterable[JudgedRun], sides: Iterable[JudgedRun]
) -> list[tuple[JudgedRun, ...]]:
    """Return those of *runs* that show the noise of *sides*, in groups of one commit.

    Older runs of the same scenario, rig or host, and firmware, whose commit is known and
    clean. What isn't known is no evidence that it was the same.
    """
    sides = tuple(sides)
    known = {key for run in sides if (key := set_up(run))}
    if len(known) != 1 or any(set_up(run) is None for run in sides):
        return []
    firmware = {run.provenance.firmware for run in sides}
    used = {run.run_id for run in sides}
    newest_us = max(run.started_us for run in sides)
    groups: dict[tuple[str, str | None], list[JudgedRun]] = {}
    for run in by_start(runs):
        was = run.provenance
        state = was.git_commit or was.software_version
        if (
            run.run_id not in used
            and set_up(run) in known
            and was.firmware in firmware
            and state
            and not was.git_dirty
            and EXCLUDED not in run.tags
            and run.started_us <= newest_us
        ):
            groups.setdefault((state, was.firmware), []).append(run)
    return [tuple(group) for group in groups.values() if len(group) > 1]


@dataclass(frozen=True, slots=True)
class Sides:
    """Baseline and candidate, by their start, and older runs of the same set-up.

    Attributes:
        baseline: At least one run.
        candidate: At least one run.
        history: As of `history_groups`.
        by_satellite: Whether cells are of single satellites.
        reference: The metric type of the in-run reference; None: it isn't used.
    """

    baseline: tuple[JudgedRun, ...]
    candidate: tuple[JudgedRun, ...]
    history: Sequence[tuple[JudgedRun, ...]] = ()
    by_satellite: bool = False
    reference: str | None = REFERENCE

    @property
    def runs(self) -> tuple[JudgedRun, ...]:
        """The runs of both sides."""
        return (*self.baseline, *self.candidate)

    @property
    def interleaved(self) -> bool:
        """Whether the sides took turns in time: as often as the smaller one has runs."""
        candidates = {run.run_id for run in self.candidate}
        order = [run.run_id in candidates for run in by_start(self.runs)]
        switches = sum(a != b for a, b in pairwise(order))
        return switches >= max(2, min(len(self.baseline), len(self.candidate)))

    def check_comparable(self) -> None:
        """Raise `GateError` if what is known of the runs says that they can't be compared."""
        overlap = sorted({r.run_id for r in self.baseline} & {r.run_id for r in self.candidate})
        if overlap:
            raise GateError(f"run {overlap[0]!r} can't be baseline and candidate at once")
        for name in ("scenario", "percentile_definition", "rig"):
            self._check_same(name)
        if any(run.provenance.rig is None for run in self.runs):
            self._check_same("host")

    def _check_same(self, name: str) -> None:
        seen: dict[object, str] = {}
        for run in self.runs:
            value = getattr(run.provenance, name)
            if value is not None:
                seen.setdefault(value, run.run_id)
        if len(seen) > 1:
            (one, of_one), (other, of_other) = list(seen.items())[:2]
            raise GateError(
                f"not comparable: {name} is {one!r} in {of_one!r} and {other!r} in {of_other!r}"
            )

    @property
    def keys(self) -> list[CellKey]:
        """(metric type, satellite or None) of what the baseline measured, but the reference."""
        return sorted(
            {
                key
                for run in self.baseline
                for key in run.cells
                if key[0] not in (REFERENCE, self.reference)
                and (key[1] is not None) == self.by_satellite
            },
            key=lambda key: (key[0], key[1] or ""),
        )

    @property
    def has_reference(self) -> bool:
        """Whether all runs of both sides recorded the same kind of reference."""
        kinds = {_kind(run.reference) for run in self.runs if self._level(run) is not None}
        return len(kinds) == 1 and all(self._level(run) is not None for run in self.runs)

    def percentiles(self, limits: Limits) -> tuple[list[Cell], list[NotJudged]]:
        """Return the cells of percentiles, and which statistics can't be judged."""
        cells: list[Cell] = []
        not_judged: list[NotJudged] = []
        for key in self.keys:
            for statistic in limits.of(*key).statistics:
                cell = self._cell(key, statistic)
                if isinstance(cell, Cell):
                    cells.append(cell)
                else:
                    not_judged.append(NotJudged(*key, statistic, cell))
        return cells, not_judged

    def lost(self) -> list[CellKey]:
        """Return what the baseline measured often enough, and the candidate not at all."""
        return [
            key
            for key in self.keys
            if not any(key in run.cells for run in self.candidate)
            and all(
                _events(run, key) >= LEAST_EVENTS["p50"]
                for run in self.baseline
                if key in run.cells
            )
        ]

    def missed(self) -> list[MissedCell]:
        """Return the cells of missed events, where any were missed."""
        found = []
        for key in self.keys:
            baseline, candidate = (
                tuple(
                    Counts(run.cells[key].missed, run.cells[key].count)
                    for run in side
                    if key in run.cells
                )
                for side in (self.baseline, self.candidate)
            )
            if candidate and any(counts.missed for counts in (*baseline, *candidate)):
                found.append(MissedCell(*key, baseline, candidate))
        return found

    def _cell(self, key: CellKey, statistic: str) -> Cell | str:
        """Return the cell, or why it can't be judged."""
        sides: list[list[tuple[JudgedRun, float]]] = []
        for runs, name in ((self.baseline, "baseline"), (self.candidate, "candidate")):
            there = [run for run in runs if key in run.cells]
            if not there:
                return f"no {name} run measured it"
            fewest = min(there, key=lambda run: _events(run, key))
            if _events(fewest, key) < LEAST_EVENTS[statistic]:
                return (
                    f"{fewest.run_id} has {_events(fewest, key)} effective events, and "
                    f"{LEAST_EVENTS[statistic]} are needed"
                )
            values = [(run, getattr(run.cells[key], statistic)) for run in there]
            known = [(run, value) for run, value in values if value is not None]
            if len(known) < len(values):
                return "an old summary file doesn't say it"
            sides.append(known)
        bounds = [[isinstance(value, AtLeast) for _, value in side] for side in sides]
        if all(bounds[0]) and all(bounds[1]):
            return "it falls among the missed events on both sides"
        by = self._explaining(statistic)
        return Cell(
            *key,
            statistic,
            self._group(sides[0], by),
            self._group(sides[1], by),
            self._history(key, statistic, by),
            any(bounds[0]),
            any(bounds[1]),
        )

    def _explaining(self, statistic: str) -> str | None:
        """Return the statistic of the reference that a cell is explained by; None without one.

        Its median; of a p95 its own p95, where bursts of other work show, if all runs
        have it. A p99 of so few events is noise itself. To take whichever leaves less
        noise would make the noise look smaller than it is.
        """
        if not self.has_reference:
            return None
        has_own = all(self._level(run, "p95") is not None for run in self.runs)
        return "p95" if statistic == "p95" and has_own else "p50"

    def _group(self, values: Iterable[tuple[JudgedRun, float]], by: str | None) -> Group:
        values = tuple(values)
        y = tuple(log(max(float(value), _LEAST_MS)) for _, value in values)
        if by is None:
            return Group(y)
        return Group(y, tuple(self._level(run, by) or 0.0 for run, _ in values))

    def _history(self, key: CellKey, statistic: str, by: str | None) -> list[Group]:
        kind = _kind(self.baseline[0].reference) if by else None
        groups = []
        for group in self.history:
            known = [
                (run, value)
                for run in group
                if key in run.cells
                and _events(run, key) >= LEAST_EVENTS[statistic]
                and (value := getattr(run.cells[key], statistic)) is not None
                and not isinstance(value, AtLeast)
            ]
            with_one = [
                one
                for one in known
                if kind is not None
                and _kind(one[0].reference) == kind
                and self._level(one[0], by or "p50") is not None
            ]
            without = [one for one in known if one not in with_one]
            groups.append(self._group(with_one, by))
            groups.append(self._group(without, None))
        return [group for group in groups if len(group.y) > 1]

    def _level(self, run: JudgedRun, statistic: str = "p50") -> float | None:
        """Return the logarithm of how long a unit of the reference's work took, ms.

        None where it isn't known; a p95 or p99 also where it has too few events.
        """
        key = (self.reference or "", None)
        summary = run.cells.get(key)
        value_ms = None if summary is None else getattr(summary, f"{statistic}_ms")
        is_few = statistic != "p50" and summary and _events(run, key) < LEAST_EVENTS[statistic]
        if value_ms is None or is_few:
            return None
        return log(max(value_ms, _LEAST_MS)) - log(_units(run.reference))

    def _levels(self) -> list[list[float]]:
        return [
            [level for run in side if (level := self._level(run)) is not None]
            for side in (self.baseline, self.candidate)
        ]

    def provenance_changes(self) -> tuple[ProvenanceChange, ...]:
        """Return what differs between the sides, where each of them is all the same."""
        differ_within = {
            change.name
            for first, *others in (self.baseline, self.candidate)
            for other in others
            for change in provenance_changes(first.provenance, other.provenance)
        }
        return tuple(
            change
            for change in provenance_changes(
                self.baseline[0].provenance, self.candidate[0].provenance
            )
            if change.name not in {"seed", *differ_within}
        )

    def warnings(self) -> list[str]:
        """Return what weakens a verdict on these runs, a sentence each."""
        found = []
        if len(self.runs) > 2 and not self.interleaved:
            found.append(
                "the candidate's runs didn't take turns with the baseline's: a machine that "
                "drifts looks like a change then"
            )
        found += [
            f"the {name}'s runs differ in {what}"
            for side, name in ((self.baseline, "baseline"), (self.candidate, "candidate"))
            for what in _COMPARED
            if len({getattr(run.provenance, what) for run in side}) > 1
        ]
        found += [
            f"{run.run_id} ran with {doubt}" for run in self.runs for doubt in run.worst.doubts()
        ]
        found += self._reference_warnings()
        found += [
            f"{run.run_id} has {share * 100:.0f} % of the usual events: was it finished?"
            for run, share in _shares(self.runs, self.reference)
            if share < _UNFINISHED
        ]
        return found

    def _reference_warnings(self) -> list[str]:
        with_one = [run for run in self.runs if self._level(run) is not None]
        if not with_one or self.has_reference:
            return []
        if len(with_one) < len(self.runs):
            few = f"{len(with_one)} of {len(self.runs)}"
            return [f"only {few} runs recorded a reference, so it wasn't used"]
        kinds = sorted({_kind(run.reference) or "-" for run in with_one})
        return [f"the references aren't the same work ({', '.join(kinds)}), so none was used"]

    def reference_change(self) -> float | None:
        """Return by how much slower the reference was for the candidate, relative."""
        if not self.has_reference:
            return None
        before, after = (sum(levels) / len(levels) for levels in self._levels())
        return expm1(after - before)

    def reference_noise(self) -> float | None:
        """Return the standard deviation between runs of the reference, relative."""
        if not self.has_reference:
            return None
        squares, df = 0.0, 0
        for levels in self._levels():
            mean = sum(levels) / len(levels)
            squares += sum((level - mean) ** 2 for level in levels)
            df += len(levels) - 1
        return (squares / df) ** 0.5 if df else None


def _events(run: JudgedRun, key: CellKey) -> int:
    return effective_events(run.cells[key].count, run.ticks)


def _kind(version: str | None) -> str | None:
    """Return which work a reference of this version does, without how much of it."""
    if version is None:
        return None
    kind, _, units = version.rpartition("x")
    return kind if kind and units.isdecimal() else version


def _units(version: str | None) -> int:
    """Return how many units of that work it does."""
    units = (version or "").rpartition("x")[2]
    return int(units) if _kind(version) != version and int(units) else 1


def _shares(runs: Sequence[JudgedRun], reference: str | None) -> list[tuple[JudgedRun, float]]:
    """Return each run with its events of the most frequent metric type over the usual ones."""

    def most(cells: Mapping[CellKey, MetricSummary]) -> int:
        return max(
            (s.count for (name, sat), s in cells.items() if name != reference and sat is None),
            default=0,
        )

    usual = median(most(run.cells) for run in runs)
    return [(run, most(run.cells) / usual) for run in runs] if usual else []
