"""Verdicts on stored runs: what is asked, read and judged; baselines, and what is recorded."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from astraguard_store.buckets import BucketColumns, bucket_value, quantiles
from astraguard_store.checks import check_name, check_run_id, check_whole_number
from astraguard_store.database.baselines import baselines
from astraguard_store.database.judged_runs import (
    SERIES_STATISTICS,
    buckets_of_runs,
    history_ids,
    judged_runs,
    series,
)
from astraguard_store.database.runs import StoredRun, run_exists
from astraguard_store.exceptions import GateError, InvalidRunError, RunNotFoundError
from astraguard_store.model import AtLeast, RunSummary, utc_from_epoch_us
from astraguard_store.presentation.shapes import gate_shape
from astraguard_store.quantile_changes import quantile_interval
from astraguard_store.verdict.deadlines import Violations
from astraguard_store.verdict.order_statistics import (
    LEAST_EVENTS,
    QUANTILES,
    effective_events,
    ticks_of,
)
from astraguard_store.verdict.sides import (
    EXCLUDED,
    CellKey,
    Sides,
    by_start,
    history_groups,
    set_up,
)
from astraguard_store.verdict.values import (
    Baseline,
    Calibration,
    ChangePoint,
    GateReport,
    JudgedRun,
    PercentileInterval,
    SlowEvents,
)

if TYPE_CHECKING:
    import polars as pl

    from astraguard_store.database.sql import Connection, Query
    from astraguard_store.database.transaction import Transaction
    from astraguard_store.verdict.limits import Limits

T = TypeVar("T")

Runs = str | Iterable[str]
"""A run's id, or several."""

_MOST_HISTORY: Final = 60  # their variance is known to a tenth then
_SLOW: Final = 0.999


class Asked(Protocol):
    """A database whose runs are judged."""

    def read(self, query: Query[T], *, one_statement: bool = False) -> T:
        """Return the result of *query*, as of `Backend.read`."""

    def get(self, run_id: str) -> StoredRun:
        """Return a run."""


class Judged(Protocol):
    """A store whose runs are judged, in a folder, in memory or on a server.

    Attributes:
        where: The store, for messages.
    """

    where: str

    @property
    def database(self) -> Asked:
        """Its runs."""

    def change(self, purpose: str, step: Callable[[Transaction], T]) -> T:
        """Return the result of *step*; all that it writes is kept, or nothing."""


class Gating:
    """Judges the runs of a store; its methods raise as those of `RunRepository`.

    Args:
        store: The open store.
        measurements: Returns the measurements of a run; asked only where there is a deadline.
    """

    def __init__(self, store: Judged, measurements: Callable[[str], pl.DataFrame]) -> None:
        self._store = store
        self._measurements = measurements

    def gate(
        self,
        candidate: Runs,
        baseline: Runs,
        limits: Limits,
        *,
        by_satellite: bool,
        reference: str | None,
    ) -> GateReport:
        """Return the verdict on *candidate*."""
        from astraguard_store.verdict.gate import judge_sides

        candidates = _checked_ids(candidate, "candidate")
        name, ids = self._baseline_runs(baseline)
        sides, slow = self._store.database.read(
            lambda connection: (
                self._sides(connection, ids, candidates, by_satellite, reference),
                _slow_events(connection, ids, candidates, reference),
            )
        )
        sides.check_comparable()
        late = self._late(sides, limits)
        return judge_sides(sides, limits, late=late, slow_events=slow, baseline_name=name)

    def calibrate(
        self,
        baseline: Runs,
        candidate_runs: int,
        limits: Limits,
        *,
        by_satellite: bool,
        reference: str | None,
    ) -> Calibration:
        """Return what a baseline can find."""
        from astraguard_store.verdict.calibration import calibrate_pool

        if check_whole_number(candidate_runs, "candidate_runs") < 1:
            raise GateError(f"Invalid candidate_runs {candidate_runs!r}: 1 or more are needed")
        _, ids = self._baseline_runs(baseline)
        if len(ids) < 3:
            raise GateError(f"{len(ids)} runs can't be left out one by one: 3 or more are needed")
        pool = self._store.database.read(
            lambda connection: self._sides(connection, ids, (), by_satellite, reference)
        )
        return calibrate_pool(pool, limits, candidate_runs)

    def change_points(
        self, metric_type: str, statistic: str, scenario: str | None, since: datetime | None
    ) -> tuple[ChangePoint, ...]:
        """Return the steps in the history of a statistic."""
        from astraguard_store.verdict.change_points import find_change_points

        check_name(metric_type, "metric_type")
        if statistic not in SERIES_STATISTICS:
            raise GateError(
                f"Invalid statistic {statistic!r}: one of {', '.join(SERIES_STATISTICS)} is needed"
            )
        if since is not None and since.utcoffset() is None:
            raise InvalidRunError(f"Invalid since {since!r}: it has no time zone")
        found = self._store.database.read(
            lambda connection: series(
                connection, metric_type, statistic, scenario=scenario, since=since
            )
        )
        points = (point for history in found for point in find_change_points(history))
        return tuple(sorted(points, key=lambda point: (point.started_at, point.run_id)))

    def intervals(self, run_id: str) -> dict[str, dict[str, PercentileInterval]]:
        """Return how sure the percentiles of a run are, by metric type."""
        run = self._store.database.get(run_id).summary
        buckets = self._store.database.read(
            lambda connection: {
                name: buckets_of_runs(connection, name, [run_id]) for name in run.metrics
            }
        )
        return {name: _intervals(run, name, merged) for name, merged in buckets.items()}

    def set_baseline(self, name: str, runs: Runs) -> Baseline:
        """Let *name* be these runs."""
        check_name(name, "baseline")
        if "," in name:
            raise InvalidRunError(f"Invalid baseline {name!r}: commas are between runs")
        ids = sorted(_checked_ids(runs, "runs"))
        now_us = time.time_ns() // 1000

        def step(transaction: Transaction) -> None:
            self._check_there(transaction, ids)
            transaction.set_baseline(name, ids, now_us)

        self._store.change(f"setting baseline {name!r}", step)
        return Baseline(name, tuple(ids), utc_from_epoch_us(now_us))

    def delete_baseline(self, name: str) -> None:
        """Delete a baseline; its runs stay."""

        def step(transaction: Transaction) -> None:
            if not transaction.delete_baseline(name):
                raise self._no_baseline(name, self.baselines())

        self._store.change(f"deleting baseline {name!r}", step)

    def baselines(self) -> tuple[Baseline, ...]:
        """Return all baselines, by name."""
        return tuple(self._baselines().values())

    def baseline(self, name: str) -> Baseline:
        """Return a baseline."""
        found = self._baselines()
        if name not in found:
            raise self._no_baseline(name, tuple(found.values()))
        return found[name]

    def _baselines(self) -> dict[str, Baseline]:
        return self._store.database.read(baselines, one_statement=True)

    def record(self, report: GateReport) -> None:
        """Write a verdict down, for each of its candidate runs."""
        text = json.dumps(gate_shape(report), allow_nan=False)
        now_us = time.time_ns() // 1000
        of_all = (now_us, report.verdict, report.baseline_name, report.noise_source, text)

        def step(transaction: Transaction) -> None:
            self._check_there(transaction, report.candidates)
            transaction.insert_verdicts([(run_id, *of_all) for run_id in report.candidates])

        self._store.change("recording a verdict", step)

    def _check_there(self, transaction: Transaction, run_ids: Iterable[str]) -> None:
        for run_id in run_ids:
            if not transaction.has(run_id):
                raise RunNotFoundError(run_id, self._store.where)

    def _baseline_runs(self, baseline: Runs) -> tuple[str | None, tuple[str, ...]]:
        """Return the baseline's name, if it is one, and its runs."""
        if not isinstance(baseline, str):
            return None, _checked_ids(baseline, "baseline")
        found = self._baselines()
        if baseline in found:
            return baseline, found[baseline].run_ids
        if self._has_run(baseline):
            return None, (baseline,)
        raise self._no_baseline(baseline, tuple(found.values()))

    def _has_run(self, run_id: str) -> bool:
        return self._store.database.read(partial(run_exists, run_id=run_id))

    def _no_baseline(self, name: str, known: Sequence[Baseline]) -> GateError:
        names = ", ".join(repr(baseline.name) for baseline in known)
        there = f"there are {names}" if names else "`astraguard-store baseline set` makes one"
        run = "but a run of that name" if self._has_run(name) else "and no run of that name"
        return GateError(f"no baseline {name!r}, {run}: {there}")

    def _sides(
        self,
        connection: Connection,
        baseline: Sequence[str],
        candidate: Sequence[str],
        by_satellite: bool,
        reference: str | None,
    ) -> Sides:
        read = partial(
            judged_runs, connection, by_satellite=by_satellite, reference=reference or ""
        )
        found = read((*baseline, *candidate))
        for run_id in (*baseline, *candidate):
            if run_id not in found:
                raise RunNotFoundError(run_id, self._store.where)
        sides = list(found.values())
        history = history_groups(self._history(connection, sides, read), sides)
        return Sides(
            by_start(found[run_id] for run_id in baseline),
            by_start(found[run_id] for run_id in candidate),
            history,
            by_satellite,
            reference,
        )

    def _history(
        self,
        connection: Connection,
        sides: Sequence[JudgedRun],
        read: Callable[[Sequence[str]], dict[str, JudgedRun]],
    ) -> Iterable[JudgedRun]:
        key = set_up(sides[0])
        if key is None:
            return ()
        of_sides = {run.run_id for run in sides}
        limit = _MOST_HISTORY + len(sides)
        ids = history_ids(connection, *key, excluded=EXCLUDED, limit=limit)
        return read([run_id for run_id in ids if run_id not in of_sides]).values()

    def _late(self, sides: Sides, limits: Limits) -> dict[CellKey, list[Violations]]:
        """Return which events of the candidate's runs were later than the deadlines."""
        from astraguard_store.verdict.gate import deadlines_of

        deadlines = deadlines_of(sides, limits)
        found: dict[CellKey, list[Violations]] = {key: [] for key in deadlines}
        for run in sides.candidate if deadlines else ():
            frame = self._measurements(run.run_id)
            for key, of_cell in deadlines.items():
                if key in run.cells and of_cell.deadline_ms is not None:
                    late = _late_events(frame, *key, of_cell.deadline_ms)
                    found[key].append(Violations(late, run.ticks))
        return found


def _intervals(
    run: RunSummary, metric_type: str, merged: BucketColumns | None
) -> dict[str, PercentileInterval]:
    events = effective_events(run.metrics[metric_type].count, ticks_of(run))
    found = {}
    for statistic, q in QUANTILES.items():
        low, high = quantile_interval(merged, events, q) if merged else (None, None)
        is_enough = events >= LEAST_EVENTS[statistic]
        found[statistic] = PercentileInterval(events, is_enough, low, high)
    return found


def _late_events(
    frame: pl.DataFrame, metric_type: str, satellite_id: str | None, deadline_ms: float
) -> list[bool]:
    import polars as pl

    chosen = pl.col("metric_type") == metric_type
    if satellite_id is not None:
        chosen &= pl.col("satellite_id") == satellite_id
    late = (pl.col("duration_ms") > deadline_ms) | pl.col("missed")
    return frame.filter(chosen).select(late.alias("late"))["late"].to_list()


def _slow_events(
    connection: Connection,
    baseline: Sequence[str],
    candidate: Sequence[str],
    reference: str | None,
) -> list[SlowEvents]:
    """Return the events above the baseline's p99.9, of what both sides keep buckets of."""
    found = []
    sides = judged_runs(connection, baseline[:1], by_satellite=False, reference="")
    names = {name for run in sides.values() for name, _ in run.cells} - {reference, "reference"}
    for name in sorted(names):
        before, after = (
            buckets_of_runs(connection, name, run_ids) for run_ids in (baseline, candidate)
        )
        above = quantiles(before, [_SLOW])[0] if before and after else None
        if before and after and above is not None and not isinstance(above, AtLeast):
            slow = (*_above(before, above), *_above(after, above))
            found.append(SlowEvents(name, above, *slow))
    return found


def _above(columns: BucketColumns, above_ms: float) -> tuple[int, int]:
    """Return (events above, all events); a missed one is above."""
    missed = sum(columns.missed)
    counts = zip(columns.buckets, columns.counts, strict=True)
    slow = sum(count for bucket, count in counts if bucket_value(bucket) > above_ms)
    return slow + missed, sum(columns.counts) + missed


def _checked_ids(runs: Runs, what: str) -> tuple[str, ...]:
    """Return ids of runs, each once."""
    ids = (runs,) if isinstance(runs, str) else tuple(runs)
    if not ids:
        raise InvalidRunError(f"Invalid {what}: no run was named")
    return tuple(dict.fromkeys(check_run_id(run_id) for run_id in ids))
