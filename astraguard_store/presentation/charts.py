"""Vega-Altair charts, for notebooks: the extra `plots`.

All data is aggregated before it goes into a chart, so that none has more than 5,000 marks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from math import log10
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from astraguard_store.comparison import Comparison
from astraguard_store.distributions import Distribution, RunDistribution
from astraguard_store.exceptions import MissingExtraError, StoreError
from astraguard_store.history import History, HistoryPoint, value_of
from astraguard_store.model import AtLeast, MetricSummary, RunSummary
from astraguard_store.over_time import over_time
from astraguard_store.presentation.numbers import Unit, unit_of
from astraguard_store.presentation.style import PALETTE
from astraguard_store.presentation.text import few_names, quantile_text
from astraguard_store.quantile_changes import quantile_changes, ratio_range

if TYPE_CHECKING:
    import altair
    import polars as pl

T = TypeVar("T")

MOST_MARKS: Final = 5_000
_MOST_SLICES: Final = 120
_MISSED: Final = "#a4262c"
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
    """Return the trend over runs: a band of the baseline; changes and what is new as lines."""
    alt = _altair()
    points = tuple(_newest(history.points, MOST_MARKS // 4))
    unit = unit_of(value_of(point, statistic) for point in points)
    changes = frozenset(history.changes(statistic))
    name = statistic.removesuffix("_ms")
    rows: list[_Row] = []
    order = {
        run_id: number
        for number, (_, run_id) in enumerate(sorted({(p.recorded_at, p.run_id) for p in points}))
    }
    for point in points:
        value = value_of(point, statistic)
        rows.append(
            {
                "run": point.run_id,
                "place": order[point.run_id],
                "group": point.group or "all",
                "value": None if value is None else float(value) / unit.ms,
                "commit": (point.git_commit or "-")[:12],
                "event": "change" if point in changes else history.news.get(point.run_id),
            }
        )
    base = alt.Chart(_data(alt, rows))
    x = alt.X("place:O", title="run, oldest left").axis(labels=False)
    y = alt.Y("value:Q", title=f"{name}, {unit.name}").scale(zero=False)
    colour = _colour(alt, sorted({row["group"] for row in rows}), history.by or "group", "group")
    lines = base.mark_line(point=True).encode(
        x=x, y=y, color=colour, tooltip=["run:N", "value:Q", "commit:N"]
    )
    bands = [
        {"group": group or "all", "low": low / unit.ms, "high": high / unit.ms}
        for group, (low, high) in replace(history, points=points).bands(statistic).items()
    ]
    # With an edge, as the band of a single run has no height.
    band = (
        alt.Chart(_data(alt, bands))
        .mark_rect(fillOpacity=0.12, strokeOpacity=0.5)
        .encode(
            y=alt.Y("low:Q"),
            y2="high:Q",
            color=colour,
            stroke=alt.Stroke("group:N", title=history.by or "group", scale=colour["scale"]),
            tooltip=["group:N", "low:Q", "high:Q"],
        )
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
    if history.baseline_name is not None:
        said = "the band is from its lowest run to its highest" if bands else "no such run"
        title = alt.Title(title, subtitle=f"baseline {history.baseline_name}: {said}")
    chart: altair.LayerChart = alt.layer(*([band] if bands else []), events, lines)
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


class Asked(Protocol):
    """What charts ask of the `RunRepository` that gave a value."""

    def get(self, run_id: str) -> RunSummary:
        """Return a run."""

    def compare(self, baseline: str, candidate: str) -> Comparison:
        """Return what changed from one run to another."""

    def distribution(self, metric_type: str, runs: Iterable[str]) -> Distribution:
        """Return the distributions of runs."""

    def measurements(self, run_id: str) -> pl.DataFrame:
        """Return a run's measurements."""


def run_chart(run: RunSummary, repository: Asked | None = None) -> altair.VConcatChart:
    """Return a run's percentiles, its satellites as a heat map, and its latencies over time.

    Args:
        run: The run.
        repository: Who knows its measurements; None for nobody any more.
    """
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
            .legend(format=",.3~r"),
            tooltip=["satellite:N", "metric type:N", "p95:Q"],
        )
        .properties(title=f"{run.run_id}: p95 by satellite, {unit.name}")
    )
    times = _times(alt, run, repository)
    chart: altair.VConcatChart = alt.vconcat(bars, heat, times)
    scaled: altair.VConcatChart = chart.resolve_scale(color="independent")
    return scaled


def _times(alt: Any, run: RunSummary, repository: Asked | None) -> Any:
    """Return p50 and p95 over the scenario's time, and when events were missed."""
    title = f"{run.run_id}: over the scenario's time"
    now = _still(run, lambda asked: asked.get(run.run_id), repository)
    if isinstance(now, str):
        return _nothing(alt, title, now)
    number = min(_MOST_SLICES, max(MOST_MARKS // 8 // max(len(run.metrics), 1), 1))
    found = over_time(now, run.run_id, number)
    if not found:
        return _nothing(alt, title, "the measurements aren't kept here")
    unit = unit_of(summary.p95 for summary in run.metrics.values())
    rows = [
        {
            "metric type": name,
            "time": (one.start_s + one.end_s) / 2,
            "percentile": percentile,
            # None breaks the line: the percentile is among what never came.
            "value": None if isinstance(value, AtLeast) else value / unit.ms,
            "missed": one.missed if percentile == "p95" and one.missed else None,
        }
        for name, slices in sorted(found.items())
        for one in slices
        for percentile, value in (("p50", one.p50), ("p95", one.p95))
    ]
    base = alt.Chart(_data(alt, rows)).encode(x=alt.X("time:Q", title="time in the scenario, s"))
    lines = base.mark_line().encode(
        y=alt.Y("value:Q", title=f"duration, {unit.name}")
        .scale(type="log", zero=False)
        .axis(tickCount=4),
        color=_colour(alt, ["p50", "p95"], "percentile", "percentile"),
        tooltip=["metric type:N", "percentile:N", "time:Q", "value:Q"],
    )
    crosses = (
        base.transform_filter("datum.missed != null")
        .mark_point(shape="cross", angle=45, filled=True, size=70, color=_MISSED)
        .encode(y=alt.value(5), tooltip=["metric type:N", "missed:Q", "time:Q"])
    )
    layers = alt.layer(lines, crosses).properties(width=480, height=120)
    where = "; a cross is where events never came" if any(r["missed"] for r in rows) else ""
    facets = layers.facet(row=alt.Row("metric type:N", title=None)).resolve_scale(y="independent")
    return facets.properties(title=f"{title}, {unit.name}{where}")


def _still(value: T, ask: Callable[[Asked], T], repository: Asked | None) -> Asked | str:
    """Return who knows more of *value*, or why nobody does."""
    if repository is None:
        return "the repository that gave it is gone"
    try:
        return repository if ask(repository) == value else "it was saved anew since"
    except StoreError as error:
        return str(error)


def _nothing(alt: Any, title: str, why: str) -> Any:
    """Return a line that says why there is no chart."""
    said = alt.Chart(_data(alt, [{"said": f"Not drawn: {why}."}])).mark_text(align="left")
    return said.encode(text="said:N", x=alt.value(0)).properties(title=title, height=20, width=480)


def comparison_chart(
    comparison: Comparison, repository: Asked | None = None
) -> altair.VConcatChart:
    """Return the percentiles of both runs, and the difference by quantile with its interval.

    Args:
        comparison: The two runs.
        repository: Who knows their distributions; None for nobody any more.
    """
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
    differences = _differences(alt, comparison, repository, f"{title}: difference by quantile")
    chart: altair.VConcatChart = alt.vconcat(lines, differences)
    scaled: altair.VConcatChart = chart.resolve_scale(color="independent")
    return scaled


def _differences(alt: Any, comparison: Comparison, repository: Asked | None, title: str) -> Any:
    """Return the difference by quantile with its interval, else that of what is kept."""
    if any(change.satellite_id for change in comparison.changes):
        return _kept_differences(alt, comparison, title, "of the percentiles that runs keep")
    runs = comparison.baseline, comparison.candidate
    now = _still(comparison, lambda asked: asked.compare(*runs), repository)
    if isinstance(now, str):
        return _kept_differences(alt, comparison, title, f"without intervals: {now}")
    rows = _difference_rows(comparison, now)
    drawn = {row["metric type"] for row in rows}
    few = [change.metric_type for change in comparison.changes if change.metric_type not in drawn]
    why = f"too few events: {few_names(few)}" if few else ""
    if not rows:
        return _kept_differences(alt, comparison, title, f"without intervals: {why}")
    base = alt.Chart(_data(alt, rows)).encode(
        x=alt.X("nines:Q", title="quantile").axis(
            values=[_nines(share) for share in (0.5, 0.9, 0.95, 0.99, 0.999)],
            labelExpr="format(1 - pow(10, -datum.value), '.3~%')",
        )
    )
    axis = alt.Y("low:Q", title="times the baseline").scale(type="log", zero=False, nice=False)
    band = base.mark_area(opacity=0.2, color=PALETTE[1]).encode(
        y=axis.axis(tickCount=4), y2="high:Q"
    )
    line = base.mark_line(color=PALETTE[1]).encode(
        y=alt.Y("ratio:Q").title(None),
        tooltip=["metric type:N", "quantile:Q", "ratio:Q", "low:Q", "high:Q"],
    )
    same = base.mark_rule().encode(x=alt.value(0), x2=alt.value(480), y=alt.datum(1.0))
    layers = alt.layer(band, line, same).properties(width=480, height=120)
    facets = layers.facet(row=alt.Row("metric type:N", title=None))
    said = alt.Title(f"{title}, with 95 % interval", subtitle=why)
    return facets.resolve_scale(y="independent").properties(title=said)


def _difference_rows(comparison: Comparison, repository: Asked) -> list[_Row]:
    baseline = repository.get(comparison.baseline)
    candidate = repository.get(comparison.candidate)
    both = [change for change in comparison.changes if change.baseline and change.candidate]
    rows: list[_Row] = []
    for change in both[: MOST_MARKS // 250]:
        distribution = repository.distribution(
            change.metric_type, [baseline.run_id, candidate.run_id]
        )
        for found in quantile_changes(distribution, baseline, [candidate]):
            if not found.changes:
                continue
            lowest, highest = ratio_range(found.changes)
            rows += [
                {
                    "metric type": change.metric_type,
                    "quantile": point.quantile,
                    "nines": _nines(point.quantile),
                    "ratio": 1 + point.change,
                    # An open end, and what lies beyond the chart, is drawn to its edge.
                    "low": lowest if point.low is None else max(1 + point.low, lowest),
                    "high": highest if point.high is None else min(1 + point.high, highest),
                }
                for point in found.changes
            ]
    return rows


def _nines(share: float) -> float:
    return -log10(1 - share)


def _kept_differences(alt: Any, comparison: Comparison, title: str, why: str) -> Any:
    """Return the changes of the percentiles that every run keeps."""
    rows = [
        {
            "metric type": _named(change.metric_type, change.satellite_id),
            "percentile": name,
            "ratio": 1 + float(value),
            "known": "at least" if isinstance(value, AtLeast) else "exact",
        }
        for change in comparison.changes[: MOST_MARKS // 12]
        for name in _KEPT
        if (value := getattr(change, f"{name}_ms").relative_change) is not None and value > -1
    ]
    x = alt.X("ratio:Q", title="times the baseline").scale(type="log").axis(tickCount=4)
    return (
        alt.Chart(_data(alt, rows))
        .mark_point(filled=True, size=60, color=PALETTE[1])
        .encode(
            x=x,
            y=alt.Y("percentile:N", title=None),
            row=alt.Row("metric type:N", title=None),
            tooltip=["metric type:N", "percentile:N", "ratio:Q", "known:N"],
        )
        .properties(title=alt.Title(title, subtitle=why), height=60)
    )


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
            x=alt.X("value:Q", title=f"duration, {unit.name}").scale(type="log").axis(tickCount=5),
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
