"""The command for percentiles over many runs: `percentiles`."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import click

from astraguard_store.cli import shapes
from astraguard_store.cli.filters import scenario_filters
from astraguard_store.cli.options import (
    check_one_form,
    examples,
    json_option,
    markdown_option,
    results_option,
    runs_argument,
)
from astraguard_store.cli.outcome import ANSWER_IS_NO, PROGRAM, complain
from astraguard_store.cli.reading import open_for_reading, origin
from astraguard_store.cli.render import (
    Column,
    counted,
    duration_text,
    print_fields,
    print_line,
    print_table,
)
from astraguard_store.reports import Percentiles

_ALL = 2**62
_NAMED_WITHOUT = 5

_Groups = Mapping[tuple[str | None, ...], Percentiles]


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple([name.strip() for name in text.split(",")])


@click.command(
    epilog=examples(
        "astraguard-store percentiles fault_detection",
        "astraguard-store percentiles fault_detection --scenario swarm --since 4w -q 0.999",
        "astraguard-store percentiles fault_detection --by scenario,week -q 0.99",
        "astraguard-store percentiles recovery_action run_001 run_002 --satellite SAT003",
    )
)
@click.argument("metric")
@runs_argument("run", required=False)
@click.option(
    "-q",
    "--quantile",
    "quantiles",
    type=click.FloatRange(0, 1),
    multiple=True,
    default=(0.5, 0.95, 0.99),
    show_default=True,
    metavar="Q",
    help="Which one, from 0 to 1. May be repeated.",
)
@click.option(
    "--by",
    metavar="NAME[,NAME]...",
    callback=lambda _ctx, _option, text: _names(text),
    help="One row for each group of runs that have this in common: run, satellite, scenario, "
    "host, rig, firmware, software_version, git_branch, git_commit, platform, python, or when "
    "they were recorded (UTC): day, week, month.",
)
@click.option("--satellite", metavar="NAME", help="Of one satellite; its buckets must be kept.")
@scenario_filters
@markdown_option
@results_option
@json_option
@click.pass_context
def percentiles(
    ctx: click.Context,
    metric: str,
    run: tuple[str, ...],
    quantiles: tuple[float, ...],
    by: tuple[str, ...] | None,
    satellite: str | None,
    scenario: str | None,
    tag: str | tuple[str, str] | None,
    since: datetime | None,
    as_markdown: bool,
    results: Path,
    as_json: bool,
) -> None:
    """Say the percentiles of METRIC over many runs, each within 1 %.

    Over all runs, those that pass the filters, or those that are named. They come from
    the sums of the runs' buckets, never from percentiles of runs. `above 12.5` is a
    percentile that falls among missed events: it is above 12.5 ms. With --by, a table of
    one row for each group of runs.

    Exit code 0; 1 where nothing was measured, or a run doesn't exist; 2 for an error.
    """
    check_one_form(as_json=as_json, as_markdown=as_markdown)
    if by and "satellite" in by and satellite is not None:
        raise click.UsageError("--satellite and --by satellite can't be had together; choose one.")
    filters = {"scenario": scenario, "tag": tag, "since": since}
    is_filtered = any(value is not None for value in filters.values())
    if run and is_filtered:
        raise click.UsageError("Runs can be named or filtered, not both.")
    with open_for_reading(results) as repository:
        runs: list[str] | None = list(run) or None
        if is_filtered:
            found = repository.recent(_ALL, scenario=scenario, tag=tag, since=since)
            runs = [header.run_id for header in found]
        groups = repository.grouped_percentiles(
            by or (), quantiles, metric_type=metric, runs=runs, satellite_id=satellite
        )
        if as_json:
            shapes.print_json({**origin(repository), **_shape(by, groups)})
        elif any(answer.count for answer in groups.values()):
            _print(by, groups, quantiles, markdown=as_markdown)
    _complain_of_gaps(metric, groups.values())
    if not any(answer.count for answer in groups.values()):
        ctx.exit(ANSWER_IS_NO)


def _shape(by: tuple[str, ...] | None, groups: _Groups) -> shapes.Shape:
    if by is None:
        return shapes.percentiles_shape(groups[()])
    return {"groups": shapes.groups_shape(by, groups)}


def _print(
    by: tuple[str, ...] | None, groups: _Groups, quantiles: Sequence[float], *, markdown: bool
) -> None:
    if by is None:
        _print_percentiles(groups[()], markdown=markdown)
        return
    print_table(
        [
            *[Column(name.replace("_", " "), numeric=False) for name in by],
            *[Column(name) for name in ("runs", "events", "missed")],
            *[Column(f"{_percent(q)} ms") for q in quantiles],
        ],
        [
            [
                *["-" if value is None else value for value in group],
                *[str(number) for number in (answer.runs, answer.count, answer.missed)],
                *[duration_text(v.value) for v in answer.values],
            ]
            for group, answer in groups.items()
        ],
        markdown=markdown,
    )


def _percent(quantile: float) -> str:
    """Return ``p99.9`` for 0.999: from its decimal digits, as 0.07 * 100 isn't 7."""
    return f"p{(Decimal(repr(quantile)) * 100).normalize():f}"


def _print_percentiles(answer: Percentiles, *, markdown: bool) -> None:
    on_one = [("satellite", answer.satellite_id)] if answer.satellite_id else []
    fields = [
        ("metric type", answer.metric_type),
        *on_one,
        ("runs", str(answer.runs)),
        ("events", str(answer.count)),
        ("missed", str(answer.missed)),
    ]
    print_fields(fields, markdown=markdown)
    print_line()
    print_table(
        [Column("quantile"), Column("ms")],
        [[f"{v.quantile:g}", duration_text(v.value)] for v in answer.values],
        markdown=markdown,
    )


def _complain_of_gaps(metric: str, answers: Collection[Percentiles]) -> None:
    # A run is in several groups where these are satellites.
    without = sorted({run_id for answer in answers for run_id in answer.runs_without_buckets})
    if without:
        more = ", …" if len(without) > _NAMED_WITHOUT else ""
        complain(
            f"warning: {counted(len(without), 'run')} without buckets can't be in it: "
            f"{', '.join(without[:_NAMED_WITHOUT])}{more}; `{PROGRAM} check --fix` counts them "
            "from the CSVs"
        )
    elif not any(answer.count for answer in answers):
        complain(f"none of the runs measured {metric!r}")
