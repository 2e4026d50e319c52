"""`astraguard-store watch`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from astraguard_store.cli import options, output
from astraguard_store.cli.recent import fields_option, print_runs
from astraguard_store.model import RunHeader, RunSummary
from astraguard_store.presentation import text


@click.command(
    epilog=options.examples(
        "astraguard-store watch",
        "astraguard-store watch --every 10 -n 20 --metric recovery_action",
    )
)
@options.limit(1_000)
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
@fields_option
@options.scenario_filters
@options.results
def watch(
    limit: int,
    every: float,
    times: int | None,
    metric: str | None,
    fields: tuple[str, ...] | None,
    results: options.Results,
    **filters: Any,
) -> None:
    """Draw the list of the newest runs anew, every other second, until Ctrl-C.

    Runs that are being recorded, and began before these, stand below. It only reads, and
    holds no lock between two looks.

    Exit code 0; 2 for an error.
    """
    with options.open_store(results, read_only=True) as repository:
        looks = 0
        while True:
            newest = repository.recent(limit, **filters)
            others = _besides(newest, repository.recent(limit, **filters, state="running"))
            listed, besides = (options.summaries_of(repository, f) for f in (newest, others))
            click.clear()
            now = text.time_text(datetime.now(UTC))
            output.print_line(f"{options.shown_place(results)}  {now} UTC, Ctrl-C ends")
            output.print_line()
            _print(listed, besides, fields, metric)
            looks += 1
            if looks == times:
                return
            time.sleep(every)


def _besides(newest: Sequence[RunHeader], running: Iterable[RunHeader]) -> list[RunHeader]:
    """Return the running ones that aren't listed; between two looks a run's header changes."""
    listed = {header.run_id for header in newest}
    return [header for header in running if header.run_id not in listed]


def _print(
    newest: Sequence[RunSummary],
    others: Sequence[RunSummary],
    fields: tuple[str, ...] | None,
    metric: str | None,
) -> None:
    if newest:
        print_runs(newest, fields, metric=metric)
    else:
        output.print_line("No such runs yet.")
    if others:
        output.print_line()
        output.print_line("Also being recorded:")
        print_runs(others, fields, metric=metric)
