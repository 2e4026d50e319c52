"""`astraguard-store changes`."""

from datetime import datetime

import click

from astraguard_store.cli import options, output
from astraguard_store.cli.groups import ANSWER_IS_NO, OK, complain
from astraguard_store.presentation import numbers, shapes, text
from astraguard_store.presentation.markdown import escaped


@click.command(
    epilog=options.examples(
        "astraguard-store changes fault_detection",
        "astraguard-store changes fault_detection --statistic p99 --scenario swarm --since 12w",
    )
)
@click.argument("metric", shell_complete=options.complete_metric)
@click.option(
    "--statistic",
    type=options.StatisticName(("mean", "p50", "p95", "p99")),
    default="p50",
    show_default=True,
    help="Of which statistic.",
)
@options.scenario
@click.option(
    "--since",
    type=options.time,
    metavar="TIME",
    help="Only runs that started since: an ISO date or time, or a span such as 7d or 12w.",
)
@options.as_markdown
@options.results
@options.as_json
def changes(
    metric: str,
    statistic: str,
    scenario: str | None,
    since: datetime | None,
    as_markdown: bool,
    results: options.Results,
    as_json: bool,
) -> int:
    """Say when METRIC became slower or faster for good: the steps in its history.

    A step shows once it has four runs, and is of 5 % at least. Runs that aren't finished are
    left out.

    Exit code 0; 1 where no run measured METRIC; 2 for an error.
    """
    with options.open_store(results, read_only=True) as repository:
        found = repository.change_points(metric, statistic, scenario=scenario, since=since)
        mistyped = None if found else options.why_no_metric(repository, metric)
        origin = options.answers_from(repository)
    if mistyped:
        complain(mistyped)
        return ANSWER_IS_NO
    if as_json:
        shape = {"metric_type": metric, "statistic": statistic}
        output.print_json({**origin, **shape, "changes": [shapes.shape_of(one) for one in found]})
    elif found:
        unit = numbers.unit_of(level for one in found for level in (one.before_ms, one.after_ms))
        columns = text.words("first run", "started at (UTC)")
        columns += text.numbers(f"before {unit.name}", f"after {unit.name}", "change", "runs")
        rows = [
            [
                one.run_id,
                text.time_text(one.started_at),
                numbers.in_unit(one.before_ms, unit),
                numbers.in_unit(one.after_ms, unit),
                numbers.change_text(one.change),
                str(one.runs_after),
            ]
            for one in found
        ]
        output.print_table(columns, rows, markdown=as_markdown)
    else:
        said = f"{metric} {statistic} has no step of 5 % or more."
        output.print_line(escaped(said) if as_markdown else said)
    return OK
