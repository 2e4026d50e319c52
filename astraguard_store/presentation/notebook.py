"""Values as HTML tables and polars frames, for notebooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from astraguard_store.comparison import Comparison, MetricChange
from astraguard_store.distributions import Distribution
from astraguard_store.history import History
from astraguard_store.model import AtLeast, MetricSummary, RunHeaders, RunSummary
from astraguard_store.presentation import numbers, text
from astraguard_store.presentation import verdict_texts as words
from astraguard_store.presentation.brief import PERCENTILES, brief_table
from astraguard_store.presentation.html import Html, table, tag
from astraguard_store.presentation.shapes import shape_of
from astraguard_store.presentation.tables import (
    calibration_table,
    history_table,
    metrics_table,
    verdict_table,
)
from astraguard_store.reports import CheckReport, Percentiles, QueryResult
from astraguard_store.verdict.values import Calibration, GateReport

if TYPE_CHECKING:
    import polars as pl

# A notebook stays quick to open.
_MOST_ROWS = 100

_Row = dict[str, Any]


def html_table_of(value: object) -> Html:
    """Return a table of *value*: its rows where it has some, else its fields."""
    return _TABLES.get(type(value), _fields)(value)


def frame_of(value: object) -> pl.DataFrame:
    """Return the rows of a tabular value as a frame; units are in the names of columns."""
    import polars as pl

    if isinstance(value, QueryResult):
        names = _distinct(value.columns)
        return pl.DataFrame(value.rows, schema=names, orient="row", infer_schema_length=None)
    return pl.DataFrame(_ROWS[type(value)](value), infer_schema_length=None)


def _run_rows(run: RunSummary) -> list[_Row]:
    parts: list[tuple[str | None, Mapping[str, MetricSummary]]] = [(None, run.metrics)]
    parts += run.satellites.items()
    return [
        {"satellite_id": satellite, "metric_type": name, **summary._asdict()}
        for satellite, metrics in parts
        for name, summary in metrics.items()
    ]


def _history_rows(history: History) -> list[_Row]:
    rows = [point._asdict() | point.summary._asdict() for point in history.points]
    for row in rows:
        del row["summary"]
    return rows


def _distribution_rows(distribution: Distribution) -> list[_Row]:
    return [
        {"run_id": run.run_id, "duration_ms": time, "share": share}
        for run in distribution.runs
        for time, share in run.cumulative()
    ]


def _change_row(change: MetricChange) -> dict[str, Any]:
    row: dict[str, Any] = {
        "satellite_id": change.satellite_id,
        "metric_type": change.metric_type,
    }
    for statistic in text.STATISTICS:
        value = getattr(change, statistic)
        for side in ("baseline", "candidate", "difference", "relative_change"):
            number = getattr(value, side)
            # A bound is no number of its column.
            row[f"{side}_{statistic}"] = None if isinstance(number, AtLeast) else number
    return row


def _distinct(names: Sequence[str]) -> list[str]:
    """Return *names* with a number at those that come again: a frame has each once."""
    seen: dict[str, int] = {}
    distinct = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        distinct.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return distinct


def _query_table(answer: QueryResult) -> Html:
    rows = [
        ["NULL" if cell is None else _shown(cell) for cell in row]
        for row in answer.rows[:_MOST_ROWS]
    ]
    total = f"{text.counted(len(answer.rows), 'row')}{', and more' * answer.truncated}"
    return table(text.words(*answer.columns), rows, caption=total)


def _percentiles_table(answer: Percentiles) -> Html:
    rows = [
        [text.quantile_text(v.quantile), numbers.duration_text(v.value, about="≈ ")]
        for v in answer.values
    ]
    columns = [*text.words("percentile"), *text.numbers(answer.metric_type)]
    return table(columns, rows, caption=repr(answer))


def _distribution_table(distribution: Distribution) -> Html:
    rows = [
        [run.run_id, *(numbers.duration_text(run.percentile(q)) for q in (0.5, 0.95, 0.99))]
        for run in distribution.runs
    ]
    columns = [*text.words("run"), *text.numbers(*PERCENTILES)]
    return table(columns, rows, caption=distribution.metric_type)


def _findings_table(report: CheckReport) -> Html:
    rows = [[f.severity, f.where, f.what, f.advice] for f in report.findings]
    columns = text.words("severity", "where", "what", "advice")
    return table(columns, rows, caption=repr(report))


def _headers(headers: RunHeaders) -> Html:
    rows = [
        [
            header.run_id,
            text.time_text(header.recorded_at),
            header.state,
            numbers.count_text(header.total_measurements),
        ]
        for header in headers[:_MOST_ROWS]
    ]
    columns = text.words("run", "recorded (UTC)", "state") + text.numbers("measurements")
    return table(columns, rows, caption=f"{text.counted(len(headers), 'run')}, newest first")


def _statistics(metrics: Mapping[str, MetricSummary], caption: str) -> Html:
    listed = (((name,), summary) for name, summary in metrics.items())
    return table(*metrics_table(["metric type", "unit"], listed), caption)


def _comparison(value: Comparison) -> Html:
    return table(*brief_table(value), f"{value.baseline} → {value.candidate}")


def _fields(value: object) -> Html:
    rows = [[name, _shown(field)] for name, field in shape_of(value).items()]
    return tag("div", table(text.words("", type(value).__name__), rows))


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, bytes):
        return value.hex()
    return "" if value is None else str(value)


_TABLES: dict[type, Callable[[Any], Html]] = {
    Calibration: lambda found: table(*calibration_table(found), repr(found)),
    CheckReport: _findings_table,
    Comparison: _comparison,
    Distribution: _distribution_table,
    GateReport: lambda report: table(*verdict_table(report.cells), words.headline(report)),
    History: lambda history: table(*history_table(history), history.metric_type),
    MetricChange: lambda change: _comparison(Comparison("baseline", "candidate", (change,))),
    MetricSummary: lambda summary: _statistics({"": summary}, "Statistics"),
    Percentiles: _percentiles_table,
    QueryResult: _query_table,
    RunHeaders: _headers,
    RunSummary: lambda run: _statistics(run.metrics, f"Run {run.run_id}"),
}
_ROWS: dict[type, Callable[[Any], list[_Row]]] = {
    Calibration: lambda found: [shape_of(cell) for cell in found.cells],
    CheckReport: lambda report: [shape_of(finding) for finding in report.findings],
    Comparison: lambda comparison: [_change_row(change) for change in comparison.changes],
    Distribution: _distribution_rows,
    GateReport: lambda report: [shape_of(cell) for cell in report.cells],
    History: _history_rows,
    Percentiles: lambda answer: [
        {"metric_type": answer.metric_type, **value._asdict()} for value in answer.values
    ],
    RunHeaders: lambda headers: [header._asdict() for header in headers],
    RunSummary: _run_rows,
}
