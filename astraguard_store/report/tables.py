"""The tables that both forms of a report have, as columns and texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from astraguard_store.comparison import Comparison
from astraguard_store.model import MetricSummary, RunSummary
from astraguard_store.presentation import numbers, text
from astraguard_store.presentation import verdict_texts as words
from astraguard_store.presentation.brief import brief_table
from astraguard_store.presentation.tables import (
    NOISE,
    Table,
    noise_text,
    provenance_table,
    verdict_table,
)
from astraguard_store.verdict.values import GateReport


def changes_table(comparison: Comparison) -> Table:
    """Return a line a metric type, the worst first."""
    return Table(*brief_table(comparison))


def differences_table(comparison: Comparison) -> Table:
    """Return what differs between what two runs were, whose names are the titles."""
    return provenance_table(comparison, comparison.baseline, comparison.candidate)


def deciding_table(verdict: GateReport) -> Table:
    """Return what decides a verdict, a row a statistic; the rest is counted by `rest_text`."""
    return verdict_table(words.worst(verdict))


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
    titles = [_titled(name, unit) for name in text.STATISTICS]
    rows = [
        [name, *(text.statistic_text(summary, statistic, unit) for statistic in text.STATISTICS)]
        for name, summary in summaries.items()
    ]
    return Table([*text.words(title), *text.numbers(*titles)], rows)


def _titled(statistic: str, unit: numbers.Unit) -> str:
    name = statistic.removesuffix("_ms")
    return name if name == statistic else f"{name} {unit.name}"
