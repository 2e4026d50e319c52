"""`astraguard-store watch`."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import click

from astraguard_store.cli import options, output
from astraguard_store.cli.recent import print_runs
from astraguard_store.presentation import text


@click.command(
    epilog=options.examples(
        "astraguard-store watch",
        "astraguard-store watch --every 10 -n 20 --metric recovery_action",
    )
)
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, 1_000),
    default=10,
    show_default=True,
    metavar="N",
    help="Most runs to list.",
)
@click.option(
    "--every",
    type=click.FloatRange(0.1, 86_400),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look.",
)
@click.option("--times", type=click.IntRange(1), metavar="N", help="Stop after so many looks.")
@click.option(
    "--metric",
    metavar="METRIC",
    shell_complete=options.complete_metric,
    help="Whose p95 is shown.",
)
@options.scenario_filters
@options.results
def watch(
    limit: int,
    every: float,
    times: int | None,
    metric: str | None,
    scenario: str | None,
    tag: options.Tag | None,
    since: datetime | None,
    until: datetime | None,
    recorded_since: datetime | None,
    results: options.Results,
) -> None:
    """Draw the list of the newest runs anew, every other second, until Ctrl-C.

    It only reads, and holds no lock between two looks.

    Exit code 0; 2 for an error.
    """
    with options.open_store(results, read_only=True) as repository:
        looks = 0
        while True:
            headers = repository.recent(
                limit,
                scenario=scenario,
                tag=tag,
                since=since,
                until=until,
                recorded_since=recorded_since,
            )
            click.clear()
            now = text.time_text(datetime.now(UTC))
            output.print_line(f"{options.shown_place(results)}  {now} UTC, Ctrl-C ends")
            output.print_line()
            if headers:
                print_runs(options.summaries_of(repository, headers), metric=metric)
            else:
                output.print_line("No such runs yet.")
            looks += 1
            if looks == times:
                return
            time.sleep(every)
