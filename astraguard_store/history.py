"""The trend of one metric type over runs, and where it changed; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from astraguard_store.frozen import FrozenMapping
from astraguard_store.model import AtLeast, MetricSummary, RunSummary, epoch_us
from astraguard_store.shown import Tabular, dict_of, html_of, printable

if TYPE_CHECKING:
    import altair

    from astraguard_store.provenance import Provenance
    from astraguard_store.verdict.values import ChangePoint

GROUPS: Final = ("scenario", "rig", "satellite")
"""What a history may be taken apart by."""

_NOTHING_NEW: Final[FrozenMapping[str, str]] = FrozenMapping({})
_NEWS: Final = ("firmware", "software_version", "git_commit", "rig", "host")


class HistoryPoint(NamedTuple):
    """One metric type in one run.

    Attributes:
        run_id: The run.
        recorded_at: When it was saved, aware UTC.
        group: The scenario, rig or satellite that the history is taken apart by; None
            where it isn't known, or where the history isn't taken apart.
        git_commit: Commit of the software under test; None where it isn't known.
        summary: The statistics.
    """

    run_id: str
    recorded_at: datetime
    group: str | None
    git_commit: str | None
    summary: MetricSummary

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, for JSON; nothing is rounded."""
        return dict_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)


@dataclass(frozen=True, slots=True, repr=False)
class History(Tabular):
    """How one metric type went from run to run.

    Attributes:
        metric_type: What was measured.
        by: What it is taken apart by: ``scenario``, ``rig``, ``satellite`` or None.
        points: Oldest first, the groups in the order of their names, None first.
        unfinished: Ids of runs that were left out, as they didn't end well.
        news: {run id: what of its software and rig isn't as in the run before it}, such as
            ``firmware 4.2``; of runs with anything new.
        baseline_name: The baseline that it is held against; None where none was asked for.
        baseline_points: The same of that baseline's runs, be they among ``points`` or not.
    """

    metric_type: str
    by: str | None
    points: tuple[HistoryPoint, ...]
    unfinished: tuple[str, ...] = ()
    news: Mapping[str, str] = _NOTHING_NEW
    baseline_name: str | None = None
    baseline_points: tuple[HistoryPoint, ...] = ()

    def __repr__(self) -> str:
        by = f" by {self.by}" if self.by else ""
        number = len({point.run_id for point in self.points})
        runs = f"{number} run{'' if number == 1 else 's'}"
        return printable(f"<History {self.metric_type}{by}: {runs}>")

    def groups(self) -> dict[str | None, tuple[HistoryPoint, ...]]:
        """Return {group: its points, oldest first}."""
        return _by_group(self.points)

    def bands(self, statistic: str = "p95") -> dict[str | None, tuple[float, float]]:
        """Return {group: lowest and highest of the baseline's runs in it}, in ms.

        A percentile among the missed events counts as its lower bound. A group that the
        baseline has no run of has no band.

        Args:
            statistic: As in `changes`.
        """
        found = {}
        of_baseline = _by_group(self.baseline_points)
        for group in self.groups():
            values = [
                float(value)
                for point in of_baseline.get(group, ())
                if (value := value_of(point, statistic)) is not None
            ]
            if values:
                found[group] = min(values), max(values)
        return found

    def changes(self, statistic: str = "p95") -> tuple[HistoryPoint, ...]:
        """Return the first run after each step of *statistic* that is proven.

        By the same rule as `RunRepository.change_points`: four runs at least on each side, 5 %
        or more, and p < 0.01/n.

        Args:
            statistic: ``mean_ms``, ``p50``, ``p95``, ``p99``, ``min_ms`` or ``max_ms``.
        """
        return tuple(steps_of(self, statistic))

    def plot(self, statistic: str = "p95") -> altair.LayerChart:
        """Return the trend as a Vega-Altair chart, with change points and what is new marked.

        Where there is a baseline, a band goes from the lowest to the highest of its runs.

        Args:
            statistic: As in `changes`.

        Raises:
            MissingExtraError: Altair isn't installed.
        """
        from astraguard_store.presentation.charts import history_chart

        return history_chart(self, statistic)


# A page asks three times, for its table, its chart and its JSON: 0.1 s for 100 runs of five
# satellites.
@lru_cache(maxsize=4)
def steps_of(history: History, statistic: str) -> dict[HistoryPoint, ChangePoint]:
    """Return {the first run after each step: the step, with its levels before and after, ms}.

    Args:
        history: Whose steps.
        statistic: As in `History.changes`.
    """
    # Most questions to a history are for its points alone, and no other asks for this.
    from astraguard_store.verdict.change_points import HistoryPoint as MeasuredPoint
    from astraguard_store.verdict.change_points import find_change_points

    found: dict[HistoryPoint, ChangePoint] = {}
    for points in history.groups().values():
        known = {p.run_id: p for p in points if value_of(p, statistic) is not None}
        steps = find_change_points(
            [
                MeasuredPoint(
                    point.run_id,
                    epoch_us(point.recorded_at),
                    float(value_of(point, statistic) or 0.0),
                )
                for point in known.values()
            ]
        )
        found |= {known[step.run_id]: step for step in steps}
    return found


def value_of(point: HistoryPoint, statistic: str) -> float | AtLeast | None:
    """Return a statistic of a point, ms, or its lower bound; None where it isn't known."""
    value: float | AtLeast | None = getattr(point.summary, statistic)
    return value


def _by_group(points: Iterable[HistoryPoint]) -> dict[str | None, tuple[HistoryPoint, ...]]:
    groups: dict[str | None, list[HistoryPoint]] = {}
    for point in points:
        groups.setdefault(point.group, []).append(point)
    return {group: tuple(of_group) for group, of_group in groups.items()}


def history_of(
    runs: Iterable[RunSummary], metric_type: str, by: str | None, satellite_id: str | None
) -> History:
    """Return the history of *runs*, which may come in any order."""
    runs = list(runs)
    points = points_of(runs, metric_type, by, satellite_id)
    return History(metric_type, by, points, news=FrozenMapping(_news(runs, by)))


def points_of(
    runs: Iterable[RunSummary], metric_type: str, by: str | None, satellite_id: str | None
) -> tuple[HistoryPoint, ...]:
    """Return the points of *runs*, in the order of `History.points`."""
    points = [
        HistoryPoint(run.run_id, run.recorded_at, group, run.provenance.git_commit, summary)
        for run in runs
        for group, summary in _measured(run, metric_type, by, satellite_id)
    ]
    points.sort(key=lambda point: (point.group or "", point.recorded_at, point.run_id))
    return tuple(points)


def _news(runs: Iterable[RunSummary], by: str | None) -> dict[str, str]:
    """Return {run id: what is new in it}, against the run before it in its group."""
    before: dict[object, Provenance] = {}
    found: dict[str, str] = {}
    for run in sorted(runs, key=lambda run: (run.recorded_at, run.run_id)):
        group = getattr(run.provenance, by) if by in {"scenario", "rig"} else None
        earlier = before.get(group)
        before[group] = run.provenance
        new = [
            f"{name.removeprefix('git_').replace('_', ' ')} {str(value)[:12]}"
            for name in _NEWS
            if earlier is not None
            and (value := getattr(run.provenance, name)) is not None
            and value != getattr(earlier, name)
        ]
        if new:
            found[run.run_id] = ", ".join(new)
    return found


def _measured(
    run: RunSummary, metric_type: str, by: str | None, satellite_id: str | None
) -> list[tuple[str | None, MetricSummary]]:
    """Return [(group, statistics)] of one run; empty if it didn't measure it."""
    if by == "satellite":
        return [
            (name, metrics[metric_type])
            for name, metrics in run.satellites.items()
            if metric_type in metrics and satellite_id in (None, name)
        ]
    metrics = run.metrics if satellite_id is None else run.satellites.get(satellite_id, {})
    if metric_type not in metrics:
        return []
    return [(getattr(run.provenance, by) if by else None, metrics[metric_type])]
