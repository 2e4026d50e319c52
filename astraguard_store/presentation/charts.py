"""Vega-Altair charts, for notebooks: the extra `plots`.

All data is aggregated before it goes into a chart, so that none has more than 5,000 marks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from astraguard_store.comparison import Comparison
from astraguard_store.distributions import Distribution, RunDistribution
from astraguard_store.exceptions import MissingExtraError
from astraguard_store.history import History, HistoryPoint, value_of
from astraguard_store.model import AtLeast, MetricSummary, RunSummary
from astraguard_store.presentation.numbers import Unit, unit_of
from astraguard_store.presentation.style import PALETTE
from astraguard_store.presentation.text import quantile_text

if TYPE_CHECKING:
    import altair

MOST_MARKS: Final = 5_000
_QUANTILES: Final = (0.5, 0.95, 0.99)
_KEPT: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_Row = dict[str, Any]


def _altair() -> Any:
    try:
        import altair
    except ImportError:
        raise MissingExtraError("a chart", "plots") from None
    return altair


def distribution_chart(distribution: Distribution) -> altair.LayerChart:
    """Return cumulative distributions, one over the other; missed events never arrive."""
    alt = _altair()
    unit = unit_of(run.quantile(0.5) for run in distribution.runs)
    most = MOST_MARKS // 2 // max(len(distribution.runs), 1)
    curves = [
        {"run": _label(run), "time": time / unit.ms, "share": share}
        for run in distribution.runs
        for time, share in _thinned([p for p in run.cumulative() if p[0] > 0], most)
    ]
    marks = [
        {"run": _label(run), "time": float(value) / unit.ms, "share": q, "mark": quantile_text(q)}
        for run in distribution.runs
        for q in _QUANTILES
        if (value := run.quantile(q)) is not None and not isinstance(value, AtLeast) and value > 0
    ]
    colour = _colour(alt, [_label(run) for run in distribution.runs], "run")
    x = alt.X("time:Q", title=f"{distribution.metric_type}, {unit.name}").scale(
        type="log", nice=False
    )
    y = alt.Y("share:Q", title="share of events that took no longer").scale(domain=[0, 1])
    base = alt.Chart(_data(alt, curves))
    lines = base.mark_line(interpolate="step-after").encode(
        x=x, y=y.axis(format="%"), color=colour
    )
    points = (
        alt.Chart(_data(alt, marks))
        .mark_point(filled=True, size=60)
        .encode(x=x, y=y, color=colour, tooltip=["run:N", "mark:N", "time:Q"])
    )
    where = f" on {distribution.satellite_id}" if distribution.satellite_id else ""
    title = f"{distribution.metric_type}{where}: cumulative distribution"
    chart: altair.LayerChart = alt.layer(lines, points)
    return chart.properties(title=title, width=480, height=280)


def history_chart(history: History, statistic: str) -> altair.LayerChart:
    """Return the trend over runs: a band of the usual, change points and new commits as lines."""
    alt = _altair()
    points = _newest(history.points, MOST_MARKS // 4)
    unit = unit_of(value_of(point, statistic) for point in points)
    changes = frozenset(history.changes(statistic))
    name = statistic.removesuffix("_ms")
    rows: list[_Row] = []
    order = {
        run_id: number
        for number, (_, run_id) in enumerate(sorted({(p.recorded_at, p.run_id) for p in points}))
    }
    commits: dict[str | None, str | None] = {}
    for point in points:
        value = value_of(point, statistic)
        is_new = commits.get(point.group, point.git_commit) != point.git_commit
        commits[point.group] = point.git_commit
        rows.append(
            {
                "run": point.run_id,
                "place": order[point.run_id],
                "group": point.group or "all",
                "value": None if value is None else float(value) / unit.ms,
                "commit": (point.git_commit or "-")[:12],
                "event": "change" if point in changes else "new commit" if is_new else None,
            }
        )
    base = alt.Chart(_data(alt, rows))
    x = alt.X("place:O", title="run, oldest left").axis(labels=False)
    y = alt.Y("value:Q", title=f"{name}, {unit.name}").scale(zero=False)
    colour = _colour(alt, sorted({row["group"] for row in rows}), history.by or "group", "group")
    lines = base.mark_line(point=True).encode(
        x=x, y=y, color=colour, tooltip=["run:N", "value:Q", "commit:N"]
    )
    band = (
        base.transform_aggregate(low="q1(value)", high="q3(value)", groupby=["group"])
        .mark_rect(opacity=0.12)
        .encode(y=alt.Y("low:Q"), y2="high:Q", color=colour)
    )
    events = (
        base.transform_filter("datum.event != null")
        .mark_rule(strokeDash=[5, 3])
        .encode(
            x=x,
            size=alt.condition("datum.event == 'change'", alt.value(2), alt.value(0.7)),
            tooltip=["event:N", "run:N", "commit:N"],
        )
    )
    title = f"{history.metric_type}: {name} of each run"
    chart: altair.LayerChart = alt.layer(band, events, lines)
    return chart.properties(title=title, width=480, height=280)


def _newest(points: Sequence[HistoryPoint], most: int) -> list[HistoryPoint]:
    """Return the points of the newest runs, whole runs as far as so many points go."""
    number = Counter((point.recorded_at, point.run_id) for point in points)
    kept: set[tuple[datetime, str]] = set()
    for run in sorted(number, reverse=True):
        if kept and sum(number[other] for other in kept) + number[run] > most:
            break
        kept.add(run)
    return [point for point in points if (point.recorded_at, point.run_id) in kept][:most]


def run_chart(run: RunSummary) -> altair.VConcatChart:
    """Return a run's percentiles by metric type, and satellites × metric types as a heat map."""
    alt = _altair()
    unit = unit_of(summary.p95 for summary in run.metrics.values())
    rows = _percentile_rows(run.run_id, run.metrics.items(), unit)
    bars = _percentile_lines(alt, rows, unit, [run.run_id], f"{run.run_id}: percentiles")
    cells = [
        {
            "satellite": satellite,
            "metric type": name,
            "p95": None if summary.p95 is None else float(summary.p95) / unit.ms,
        }
        for satellite, metrics in sorted(run.satellites.items())
        for name, summary in metrics.items()
    ][: MOST_MARKS // 2]
    heat = (
        alt.Chart(_data(alt, cells))
        .mark_rect()
        .encode(
            x=alt.X("metric type:N", title=None),
            y=alt.Y("satellite:N", title="satellite"),
            color=alt.Color("p95:Q", title=f"p95, {unit.name}")
            .scale(type="log", scheme="viridis")
            .legend(format=".3~g"),
            tooltip=["satellite:N", "metric type:N", "p95:Q"],
        )
        .properties(title=f"{run.run_id}: p95 by satellite, {unit.name}")
    )
    chart: altair.VConcatChart = alt.vconcat(bars, heat)
    scaled: altair.VConcatChart = chart.resolve_scale(color="independent")
    return scaled


def comparison_chart(comparison: Comparison) -> altair.VConcatChart:
    """Return the percentiles of both runs, and the relative change of each."""
    alt = _altair()
    changes = comparison.changes[: MOST_MARKS // 12]
    names = [comparison.baseline, comparison.candidate]
    summaries = [
        (run_id, _named(change.metric_type, change.satellite_id), summary)
        for change in changes
        for run_id, summary in zip(names, (change.baseline, change.candidate), strict=True)
        if summary is not None
    ]
    unit = unit_of(summary.p95 for _, _, summary in summaries)
    rows: list[_Row] = []
    for run_id, name, summary in summaries:
        rows += _percentile_rows(run_id, [(name, summary)], unit)
    title = f"{comparison.baseline} → {comparison.candidate}"
    lines = _percentile_lines(alt, rows, unit, names, f"{title}: percentiles")
    relative = [
        {
            "metric type": _named(change.metric_type, change.satellite_id),
            "percentile": name,
            "change": float(value),
            "known": "at least" if isinstance(value, AtLeast) else "exact",
        }
        for change in changes
        for name in _KEPT
        if (value := getattr(change, f"{name}_ms").relative_change) is not None
    ]
    bars = (
        alt.Chart(_data(alt, relative))
        .mark_bar()
        .encode(
            x=alt.X("change:Q", title="change of the candidate, %").axis(format="+%"),
            y=alt.Y("percentile:N", title=None),
            row=alt.Row("metric type:N", title=None),
            color=alt.condition("datum.change > 0", alt.value(PALETTE[1]), alt.value(PALETTE[0])),
            tooltip=["metric type:N", "percentile:N", "change:Q", "known:N"],
        )
        .properties(title=f"{title}: difference by quantile", height=60)
    )
    chart: altair.VConcatChart = alt.vconcat(lines, bars)
    scaled: altair.VConcatChart = chart.resolve_scale(color="independent")
    return scaled


def _percentile_rows(
    run_id: str, summaries: Iterable[tuple[str, MetricSummary]], unit: Unit
) -> list[_Row]:
    return [
        {
            "run": run_id,
            "metric type": name,
            "percentile": percentile,
            "value": None if value is None else float(value) / unit.ms,
            "known": "above" if isinstance(value, AtLeast) else "exact",
        }
        for name, summary in summaries
        for percentile in _KEPT
        for value in [getattr(summary, percentile)]
    ]


def _percentile_lines(
    alt: Any, rows: list[_Row], unit: Unit, runs: Sequence[str], title: str
) -> Any:
    return (
        alt.Chart(_data(alt, rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("value:Q", title=f"duration, {unit.name}").scale(type="log"),
            y=alt.Y("percentile:N", title=None, sort=["p99", "p95", "p50"]),
            row=alt.Row("metric type:N", title=None),
            color=_colour(alt, runs, "run"),
            order="percentile:N",
            tooltip=["run:N", "metric type:N", "percentile:N", "value:Q", "known:N"],
        )
        .properties(title=title, height=80)
    )


def _colour(alt: Any, names: Sequence[str], title: str, field: str = "run") -> Any:
    palette = [PALETTE[number % len(PALETTE)] for number in range(len(names))]
    return alt.Color(f"{field}:N", title=title).scale(domain=list(names), range=palette)


def _data(alt: Any, rows: list[_Row]) -> Any:
    return alt.Data(values=rows)


def _label(run: RunDistribution) -> str:
    return f"{run.run_id} ({run.missed} never came)" if run.missed else run.run_id


def _named(metric_type: str, satellite_id: str | None) -> str:
    return f"{metric_type} on {satellite_id}" if satellite_id else metric_type


def _thinned(points: list[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    every = -(-len(points) // max(most - 1, 1))
    return points if every <= 1 else [*points[:-1:every], points[-1]]
