"""`astraguard-store history`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from astraguard_store.cli import options, output
from astraguard_store.cli.groups import ANSWER_IS_NO, OK, complain
from astraguard_store.history import GROUPS, History, HistoryPoint, steps_of, value_of
from astraguard_store.presentation import numbers, shapes, text
from astraguard_store.presentation.sketch import BLOCKS, sparkline

if TYPE_CHECKING:
    from astraguard_store.verdict.values import ChangePoint

_STATISTICS = ("mean_ms", "p50", "p95", "p99", "min_ms", "max_ms")


@click.command(
    epilog=options.examples(
        "astraguard-store history fault_detection",
        "astraguard-store history fault_detection --by rig -n 50 --baseline nightly",
        "astraguard-store history recovery_action --statistic p99 --scenario swarm --since 4w",
    )
)
@click.argument("metric", shell_complete=options.complete_metric)
@options.limit(1_000, 30, "How many of the newest runs.")
@click.option(
    "--statistic",
    type=options.StatisticName(_STATISTICS),
    default="p95",
    show_default=True,
    help="What of it.",
)
@click.option("--by", type=click.Choice(GROUPS), help="A trend for each of these.")
@click.option("--satellite", metavar="NAME", help="Of one satellite.")
@click.option(
    "--baseline",
    metavar="NAME",
    shell_complete=options.complete_baseline_name,
    help="Show the lowest and highest of a baseline's runs too.",
)
@options.scenario_filters
@options.as_markdown
@options.results
@options.as_json
def history(
    metric: str,
    limit: int,
    statistic: str,
    by: str | None,
    satellite: str | None,
    baseline: str | None,
    as_markdown: bool,
    results: options.Results,
    as_json: bool,
    **filters: Any,
) -> int:
    """Show how METRIC went from run to run, oldest first, and where it changed.

    A change is a step that stays and is proven, as of `changes`, among the runs that are
    shown. The commit is shown where it isn't that of the run before. Runs that aren't
    finished are left out.

    Exit code 0; 1 where no run measured it; 2 for an error.
    """
    with options.open_store(results, read_only=True) as repository:
        found = repository.history(
            metric,
            by=by,
            satellite_id=satellite,
            limit=limit,
            **filters,
            baseline=baseline,
        )
        mistyped = None if found.points else options.why_no_metric(repository, metric)
        origin = options.answers_from(repository)
    if as_json:
        output.print_json({**origin, **shapes.history_shape(found, statistic)})
    elif found.points:
        _print_history(found, statistic, markdown=as_markdown)
    if found.unfinished:
        complain(text.left_out(found.unfinished))
    if not found.points:
        complain(mistyped or f"none of the runs measured {metric!r}")
        return ANSWER_IS_NO
    return OK


def _print_history(found: History, statistic: str, *, markdown: bool) -> None:
    steps = steps_of(found, statistic)
    bands = found.bands(statistic)
    for number, (group, points) in enumerate(found.groups().items()):
        if number:
            output.print_line()
        values = [value_of(point, statistic) for point in points]
        unit = numbers.unit_of(values)
        name = statistic.removesuffix("_ms")
        fields = [("metric type", f"{found.metric_type}, {name} in {unit.name}")]
        fields += [(found.by, group or "-")] if found.by else []
        if found.baseline_name is not None:
            band = text.band_text(found.baseline_name, bands.get(group), unit)
            fields.append(("baseline", band))
        if output.has(BLOCKS) or markdown:
            # As the chart of the same history: a step of 20 % is seen beside an outlier of 10
            # times.
            known = [None if value is None else float(value) for value in values]
            fields.append(("trend", sparkline(known, logarithmic=True)))
        output.print_fields(fields, markdown=markdown)
        output.print_line()
        columns = [*text.words("run", "recorded (UTC)"), *text.numbers(name, "change", "missed")]
        columns += text.words("commit")
        rows = [
            _row(point, before, statistic, unit, steps)
            for before, point in zip([None, *points], points, strict=False)
        ]
        output.print_table(columns, rows, markdown=markdown)


def _row(
    point: HistoryPoint,
    before: HistoryPoint | None,
    statistic: str,
    unit: numbers.Unit,
    steps: Mapping[HistoryPoint, ChangePoint],
) -> Sequence[output.Cell]:
    value = value_of(point, statistic)
    is_new = before is None or before.git_commit != point.git_commit
    return [
        point.run_id,
        text.time_text(point.recorded_at),
        numbers.in_unit(value, unit),
        _change(steps.get(point)),
        numbers.count_text(point.summary.missed),
        (point.git_commit or "-")[:12] if is_new else "",
    ]


def _change(step: ChangePoint | None) -> output.Cell:
    """Return the change from the level before a step to that after it, as of `changes`."""
    if step is None:
        return ""
    return output.Coloured(numbers.change_text(step.change), "red" if step.change > 0 else "green")
