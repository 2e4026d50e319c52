"""`astraguard-store percentiles`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from astraguard_store.cli import options, output
from astraguard_store.cli.groups import ANSWER_IS_NO, OK, PROGRAM, complain
from astraguard_store.model import AtLeast
from astraguard_store.presentation import numbers, shapes, text
from astraguard_store.reports import Percentiles

if TYPE_CHECKING:
    from astraguard_store.repository import RunRepository

# What needs the buckets of single satellites.
_OF_SATELLITES = frozenset({"satellite", "serial"})

_Groups = Mapping[tuple[str | None, ...], Percentiles]
# {(group, quantile): exact value} of the groups that are one run each.
_Exact = Mapping[tuple[tuple[str | None, ...], float], float | AtLeast | None]

# What a run keeps exactly; all others come from its buckets.
_KEPT = {0.5: "p50", 0.95: "p95", 0.99: "p99"}
# To know which run a group is takes 30 µs a run, and to read it 100 more.
_MOST_RUNS_LOOKED_INTO = 1_000
_GROUPINGS = (
    *("run", "satellite", "scenario", "host", "rig", "firmware", "software_version"),
    *("git_branch", "git_commit", "platform", "python", "serial", "day", "week", "month"),
)


def _names(listed: str | None) -> tuple[str, ...] | None:
    if listed is None:
        return None
    names = tuple(name.strip() for name in listed.split(","))
    for name in names:
        if name not in _GROUPINGS:
            known = ", ".join(_GROUPINGS)
            raise click.UsageError(f"Invalid --by {name!r}: one of {known} is needed.")
    return names


@click.command(
    epilog=options.examples(
        "astraguard-store percentiles fault_detection",
        "astraguard-store percentiles fault_detection --scenario swarm --since 4w -q 0.999",
        "astraguard-store percentiles fault_detection --by scenario,week -q 0.99",
        "astraguard-store percentiles recovery_action run_001 run_002 --satellite SAT003",
    )
)
@click.argument("metric", shell_complete=options.complete_metric)
@options.runs("run", required=False)
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
    callback=lambda _ctx, _option, listed: _names(listed),
    shell_complete=options.complete_list(lambda: _GROUPINGS),
    help="One row for each group of runs that have this in common: run, satellite, scenario, "
    "host, rig, firmware, software_version, git_branch, git_commit, platform, python, serial "
    "(of the units), or when they started, else were recorded (UTC): day, week (ISO), month.",
)
@click.option("--satellite", metavar="NAME", help="Of one satellite; its buckets must be kept.")
@options.scenario_filters
@options.as_markdown
@options.results
@options.as_json
def percentiles(
    metric: str,
    run: tuple[str, ...],
    quantiles: tuple[float, ...],
    by: tuple[str, ...] | None,
    satellite: str | None,
    as_markdown: bool,
    results: options.Results,
    as_json: bool,
    **filters: Any,
) -> int:
    """Say the percentiles of METRIC over many runs, each within 1 %.

    Over all finished runs, those of them that pass the filters, or those that are named,
    finished or not. They come from the sums of the runs' buckets, never from percentiles
    of runs, so they are `≈`; where a group is one run, its own p50, p95 and p99 are exact,
    unless there are more than 1,000 runs.
    `above 12.5` is a percentile that falls among missed events: 12.5 ms is its lower
    bound. With --by, a table of one row for each group of runs.

    Exit code 0; 1 where nothing was measured, or a run doesn't exist; 2 for an error.
    """
    if by and "satellite" in by and satellite is not None:
        raise click.UsageError("--satellite and --by satellite can't be had together; choose one.")
    is_filtered = any(value is not None for value in filters.values())
    if run and is_filtered:
        raise click.UsageError("Runs can be named or filtered, not both.")
    with options.open_store(results, read_only=True) as repository:
        runs: Sequence[str] | None = [options.resolved(repository, r) for r in run] or None
        if is_filtered:
            runs = options.filtered_ids(repository, filters, without=options.UNFINISHED)
        groups = repository.grouped_percentiles(
            by or (), quantiles, metric_type=metric, runs=runs, satellite_id=satellite
        )
        is_measured = any(answer.count for answer in groups.values())
        mistyped = None if is_measured else options.why_no_metric(repository, metric)
        asks_exact = not as_json and not _KEPT.keys().isdisjoint(quantiles)
        exact = _exact(repository, by or (), groups, runs) if asks_exact else {}
        origin = options.answers_from(repository)
    if as_json:
        output.print_json({**origin, **_shape(by, groups)})
    elif is_measured:
        _print(by, groups, exact, markdown=as_markdown)
    of_satellites = satellite is not None or not _OF_SATELLITES.isdisjoint(by or ())
    has_gaps = _complain_of_gaps(groups.values(), of_satellites=of_satellites)
    if not has_gaps and not is_measured:
        where = f" on a satellite {satellite!r}" if satellite else ""
        complain(mistyped or f"none of the runs measured {metric!r}{where}")
    return OK if is_measured else ANSWER_IS_NO


def _shape(by: tuple[str, ...] | None, groups: _Groups) -> shapes.Shape:
    if by is None:
        return shapes.shape_of(groups[()])
    return {
        "groups": [
            {"group": dict(zip(by, group, strict=True)), **shapes.shape_of(answer)}
            for group, answer in groups.items()
        ]
    }


def _exact(
    repository: RunRepository,
    by: tuple[str, ...],
    groups: _Groups,
    runs: Sequence[str] | None,
) -> _Exact:
    """Return what is known exactly: the percentiles that a run keeps, where a group is one."""
    exact = {}
    for group, run_id in _single_runs(repository, by, groups, runs).items():
        answer = groups[group]
        run = repository.get(run_id)
        satellite = answer.satellite_id
        metrics = run.metrics if satellite is None else run.satellites.get(satellite, {})
        for quantile, name in _KEPT.items():
            summary = metrics.get(answer.metric_type)
            # A serial number's events are fewer than those of all satellites.
            if summary is not None and summary.count == answer.count:
                exact[group, quantile] = getattr(summary, name)
    return exact


def _single_runs(
    repository: RunRepository,
    by: tuple[str, ...],
    groups: _Groups,
    runs: Sequence[str] | None,
) -> Mapping[tuple[str | None, ...], str]:
    """Return {group: the id of its only run} of the groups that are one run."""
    single = [group for group, answer in groups.items() if answer.runs == 1]
    if not single or sum(answer.runs for answer in groups.values()) > _MOST_RUNS_LOOKED_INTO:
        return {}
    if "run" in by:
        return {group: str(group[by.index("run")]) for group in single}
    some = next(iter(groups.values()))
    satellite = None if "satellite" in by else some.satellite_id
    each = repository.grouped_percentiles(
        (*by, "run"), (), metric_type=some.metric_type, runs=runs, satellite_id=satellite
    )
    found = {group[:-1]: str(group[-1]) for group, answer in each.items() if answer.runs}
    return {group: found[group] for group in single}


def _print(by: tuple[str, ...] | None, groups: _Groups, exact: _Exact, *, markdown: bool) -> None:
    if by is None:
        _print_percentiles(groups[()], exact, markdown=markdown)
        return
    columns = text.words(*(name.replace("_", " ") for name in by))
    columns += text.numbers("runs", "events", "missed")
    named = next(iter(groups.values())).values
    units = [
        numbers.unit_of(answer.values[place].value for answer in groups.values())
        for place in range(len(named))
    ]
    columns += text.numbers(
        *(
            f"{text.quantile_text(v.quantile)} {unit.name}"
            for v, unit in zip(named, units, strict=True)
        )
    )
    rows = [
        [
            *["-" if value is None else value for value in group],
            *map(numbers.count_text, (answer.runs, answer.count, answer.missed)),
            *(
                _value_text(v.value, exact.get((group, v.quantile)), unit, markdown=markdown)
                for v, unit in zip(answer.values, units, strict=True)
            ),
        ]
        for group, answer in groups.items()
    ]
    output.print_table(columns, rows, markdown=markdown)


def _value_text(
    value: float | AtLeast | None,
    exact: float | AtLeast | None,
    unit: numbers.Unit,
    *,
    markdown: bool,
) -> str:
    if exact is not None:
        return numbers.in_unit(exact, unit)
    about = "≈ " if markdown else output.sign("≈ ", "~ ")
    # A bound says by itself that it isn't exact.
    is_number = value is not None and not isinstance(value, AtLeast)
    return f"{about if is_number else ''}{numbers.in_unit(value, unit)}"


def _print_percentiles(answer: Percentiles, exact: _Exact, *, markdown: bool) -> None:
    on_one = [("satellite", answer.satellite_id)] if answer.satellite_id else []
    fields = [
        ("metric type", answer.metric_type),
        *on_one,
        ("runs", numbers.count_text(answer.runs)),
        ("events", numbers.count_text(answer.count)),
        ("missed", numbers.count_text(answer.missed)),
    ]
    output.print_fields(fields, markdown=markdown)
    output.print_line()
    unit = numbers.unit_of(v.value for v in answer.values)
    rows = [
        [
            f"{v.quantile:g}",
            _value_text(v.value, exact.get(((), v.quantile)), unit, markdown=markdown),
        ]
        for v in answer.values
    ]
    output.print_table(text.numbers("quantile", unit.name), rows, markdown=markdown)


def _complain_of_gaps(answers: Collection[Percentiles], *, of_satellites: bool) -> bool:
    """Warn of runs without buckets; return whether there are any."""
    # A run is in several groups where these are satellites.
    without = sorted({run_id for answer in answers for run_id in answer.runs_without_buckets})
    if without:
        of_what, how = (" of satellites", " --satellite-buckets") if of_satellites else ("", "")
        complain(
            f"warning: {text.counted(len(without), 'run')} without buckets{of_what} can't be in "
            f"it: {text.few_names(without)}; `{PROGRAM} check --fix{how}` counts them from the "
            "CSVs"
        )
    unfinished = sorted({run_id for answer in answers for run_id in answer.unfinished})
    if unfinished:
        complain(f"{text.left_out(unfinished)}; name them to have them in it")
    return bool(without)
