"""Tables that several front ends show, as columns and texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from astraguard_store.presentation import numbers, text
from astraguard_store.presentation import verdict_texts as words

if TYPE_CHECKING:
    from astraguard_store.comparison import Comparison
    from astraguard_store.history import History
    from astraguard_store.model import MetricSummary, RunSummary
    from astraguard_store.provenance import Unit
    from astraguard_store.verdict.values import Calibration, CellVerdict


class Table(NamedTuple):
    """A table of texts."""

    columns: list[text.Column]
    rows: list[list[str]]


class NoiseKind(NamedTuple):
    """One kind of machine noise.

    Attributes:
        name: Before ``_start``, ``_end`` and ``_worst`` in `MachineNoise`.
        title: For people.
        form: How a value is written.
    """

    name: str
    title: str
    form: str


NOISE: Final = (
    NoiseKind("load", "load average", "{:.2f}"),
    NoiseKind("steal", "steal", "{:.1%}"),
    NoiseKind("pressure", "waited for a processor", "{:.1%}"),
    NoiseKind("frequency_mhz", "frequency", "{:.0f} MHz"),
)


def noise_text(value: float | None, kind: NoiseKind) -> str:
    """Return a value for people; ``-`` where the machine didn't say."""
    return "-" if value is None else kind.form.format(value).replace("%", " %")


def provenance_table(
    comparison: Comparison, baseline: str = "baseline", candidate: str = "candidate"
) -> Table:
    """Return what differs between what two runs were; their columns have these titles."""
    rows = [
        [name.replace("_", " "), text.provenance_text(before), text.provenance_text(after)]
        for name, before, after in comparison.provenance_changes
    ]
    return Table(text.words("what differs", baseline, candidate), rows)


def verdict_table(
    cells: Iterable[CellVerdict], sides: Sequence[str] = ("baseline", "candidate")
) -> Table:
    """Return these cells of a verdict, a row a statistic, with what these sides measured."""
    rows = [
        [
            words.name_of(cell),
            *(words.value_text(cell, side) for side in sides),
            words.change_text(cell),
            words.interval_text(cell),
            cell.verdict,
        ]
        for cell in cells
    ]
    columns = text.words("what") + text.numbers(*sides, "change", "between")
    return Table([*columns, *text.words("verdict")], rows)


def calibration_table(found: Calibration) -> Table:
    """Return which changes a baseline can find, a row a statistic."""
    is_pure = any(cell.detectable_with_reference is None for cell in found.cells)
    rows = [
        [
            f"{cell.metric_type} {cell.statistic} {cell.satellite_id or ''}".rstrip(),
            words.percent(cell.noise),
            words.percent(cell.detectable, sign=True),
            *(
                []
                if is_pure
                else [words.percent(cell.detectable_with_reference or 0.0, sign=True)]
            ),
            str(cell.false_alarms),
        ]
        for cell in found.cells
    ]
    titles = ["noise", "found from", *([] if is_pure else ["with a reference"])]
    return Table(text.words("what") + text.numbers(*titles, "false alarms"), rows)


def history_table(history: History) -> Table:
    """Return the p95 of each run, oldest first, and where it changed."""
    from astraguard_store.history import steps_of

    steps = steps_of(history, "p95")
    unit = numbers.unit_of(point.summary.p95 for point in history.points)
    rows = [
        [
            point.run_id,
            text.time_text(point.recorded_at),
            *([point.group or "-"] if history.by else []),
            numbers.in_unit(point.summary.p95, unit),
            numbers.change_text(steps[point].change) if point in steps else "",
            numbers.count_text(point.summary.missed),
            (point.git_commit or "-")[:12],
        ]
        for point in history.points
    ]
    columns = text.words("run", "recorded (UTC)", *([history.by] if history.by else []))
    columns += text.numbers(f"p95 {unit.name}", "change", "missed")
    return Table([*columns, *text.words("commit")], rows)


def metrics_table(
    titles: Sequence[str], summaries: Iterable[tuple[Sequence[str], MetricSummary]]
) -> Table:
    """Return statistics of several metric types, each in a unit of its own.

    Args:
        titles: Those of the names, and that of the unit.
        summaries: (names, statistics), each.
    """
    listed = list(summaries)
    # Where nothing was missed, nobody has to read past a column of zeros.
    is_missed = any(summary.missed for _, summary in listed)
    shown = [name for name in text.STATISTICS if name != "missed" or is_missed]
    rows = [
        [*named, unit.name, *(text.statistic_text(summary, name, unit) for name in shown)]
        for named, summary in listed
        for unit in [text.summary_unit([summary])]
    ]
    columns = text.numbers(*(name.removesuffix("_ms") for name in shown))
    return Table([*text.words(*titles), *columns], rows)


def units_table(units: Mapping[str, Unit]) -> Table:
    """Return which hardware each satellite was."""
    rows = [
        [satellite_id, *("-" if value is None else value for value in unit.values())]
        for satellite_id, unit in sorted(units.items())
    ]
    return Table(text.words("unit", "serial", "hardware", "firmware"), rows)


def machine_table(runs: Iterable[RunSummary]) -> Table | None:
    """Return what else the machines did, the worst of each run; None where nothing is known."""
    noisy = [(run.run_id, run.noise) for run in runs if run.noise is not None]
    if not noisy:
        return None
    rows = [
        [
            run_id,
            "-" if noise.processors is None else str(noise.processors),
            *(noise_text(getattr(noise, f"{kind.name}_worst"), kind) for kind in NOISE),
        ]
        for run_id, noise in noisy
    ]
    titles = ["processors", *(f"worst {kind.title}" for kind in NOISE)]
    return Table([*text.words("run"), *text.numbers(*titles)], rows)


def attachments_table(
    runs: Iterable[RunSummary], link: Callable[[str, str], str] | None = None
) -> Table | None:
    """Return the files that were attached to runs; None where there are none.

    Args:
        runs: The runs.
        link: Makes a cell of a run's id and the name of what was attached; None shows the name.
    """
    rows = [
        [
            run.run_id,
            link(run.run_id, name) if link else name,
            numbers.size_text(size),
            sha256[:12],
        ]
        for run in runs
        for name, size, sha256 in run.attachments
    ]
    columns = [*text.words("run", "attached"), *text.numbers("size"), *text.words("sha256")]
    return Table(columns, rows) if rows else None


def runs_table(runs: Sequence[RunSummary]) -> Table:
    """Return what the runs were, a row each."""
    names = ("scenario", "rig", "firmware", "software_version", "host", "git_commit")
    rows = [
        [
            run.run_id,
            run.state,
            text.time_text(run.recorded_at),
            *(text.provenance_text(getattr(run.provenance, name)) for name in names),
            text.tags_text(run.tags) or "-",
            numbers.count_text(run.total_measurements),
        ]
        for run in runs
    ]
    titles = [name.replace("_", " ") for name in names]
    columns = text.words("run", "state", "recorded (UTC)", *titles, "tags")
    return Table(columns + text.numbers("measurements"), rows)


def statistics_table(runs: Iterable[RunSummary], metric_type: str) -> Table:
    """Return the statistics of one metric type, a row a run."""
    return _statistics(
        "run", {r.run_id: r.metrics[metric_type] for r in runs if metric_type in r.metrics}
    )


def satellites_table(run: RunSummary, metric_type: str) -> Table:
    """Return the statistics of one metric type, a row a satellite, the slowest first."""
    found = {s: m[metric_type] for s, m in run.satellites.items() if metric_type in m}
    slowest = sorted(found, key=lambda name: (-float(found[name].p95 or 0), name))
    return _statistics("satellite", {name: found[name] for name in slowest})


def _statistics(title: str, summaries: Mapping[str, MetricSummary]) -> Table:
    unit = text.summary_unit(summaries.values())
    # Counts have no unit.
    titles = [name.replace("_ms", f" {unit.name}") for name in text.STATISTICS]
    rows = [
        [name, *(text.statistic_text(summary, statistic, unit) for statistic in text.STATISTICS)]
        for name, summary in summaries.items()
    ]
    return Table([*text.words(title), *text.numbers(*titles)], rows)
