"""The command that holds two runs side by side: `compare`."""

from pathlib import Path

import click
from rich.text import Text

from astraguard_store.cli import shapes
from astraguard_store.cli.options import (
    check_one_form,
    examples,
    json_option,
    markdown_option,
    results_option,
    run_argument,
)
from astraguard_store.cli.outcome import complain
from astraguard_store.cli.reading import open_for_reading, origin, statistic_text, value_text
from astraguard_store.cli.render import (
    Column,
    at_least_sign,
    change_text,
    difference_text,
    percentage,
    print_fields,
    print_line,
    print_table,
    shows_arrows,
)
from astraguard_store.comparison import Comparison, MetricChange, ValueChange
from astraguard_store.model import AtLeast


@click.command(
    epilog=examples(
        "astraguard-store compare run_001 run_002",
        "astraguard-store compare run_001 run_002 --by-satellite --json",
        "astraguard-store compare run_001 run_002 --markdown > change.md",
    )
)
@run_argument("baseline")
@run_argument("candidate")
@click.option("--by-satellite", is_flag=True, help="Compare each satellite by itself.")
@markdown_option
@results_option
@json_option
def compare(
    baseline: str,
    candidate: str,
    by_satellite: bool,
    as_markdown: bool,
    results: Path,
    as_json: bool,
) -> None:
    """Compare run CANDIDATE against run BASELINE.

    Differences are candidate - baseline, so more than zero is slower; where the terminal
    has colour, an arrow says so too. What only one of the runs measured is listed with
    `only in` and the name of that run. What differs between what the runs were comes
    first, and a warning on standard error says where their numbers can't be compared.

    Exit code 0, whatever the difference; 1 where a run doesn't exist; 2 for an error.
    """
    check_one_form(as_json=as_json, as_markdown=as_markdown)
    with open_for_reading(results) as repository:
        comparison = repository.compare(baseline, candidate, by_satellite=by_satellite)
        if as_json:
            shape = shapes.comparison_shape(comparison, by_satellite=by_satellite)
            shapes.print_json({**origin(repository), **shape})
        else:
            print_comparison(comparison, by_satellite=by_satellite, markdown=as_markdown)
    for warning in comparison.warnings:
        complain(f"warning: {warning}")


def print_comparison(
    comparison: Comparison, *, by_satellite: bool, markdown: bool = False
) -> None:
    """Print what the runs were, and a row for each statistic of each metric type."""
    sides = [("baseline", comparison.baseline), ("candidate", comparison.candidate)]
    print_fields(sides, markdown=markdown)
    print_line()
    if comparison.provenance_changes:
        _print_provenance(comparison, markdown=markdown)
        print_line()
    columns = [Column("metric type", numeric=False), Column("statistic", numeric=False)]
    if by_satellite:
        columns.insert(0, Column("satellite", numeric=False))
    columns += [Column("baseline"), Column("candidate"), Column("difference"), Column("change")]
    arrows = shows_arrows() and not markdown
    at_least = "≥" if markdown else at_least_sign()
    rows = [
        [
            *_names(change, by_satellite=by_satellite),
            name,
            *_cells(change, name, comparison, arrows=arrows, at_least=at_least),
        ]
        for change in comparison.changes
        for name in shapes.STATISTICS
        # Where nothing was missed, nobody has to read past the zeros.
        if name != "missed" or any(change.missed)
    ]
    print_table(columns, rows, markdown=markdown)


def _print_provenance(comparison: Comparison, *, markdown: bool) -> None:
    titles = ("what differs", "baseline", "candidate")
    rows = [
        [change.name.replace("_", " "), value_text(change.baseline), value_text(change.candidate)]
        for change in comparison.provenance_changes
    ]
    print_table([Column(title, numeric=False) for title in titles], rows, markdown=markdown)


def _names(change: MetricChange, *, by_satellite: bool) -> list[str]:
    satellite = [change.satellite_id or ""] if by_satellite else []
    return [*satellite, change.metric_type]


def _cells(
    change: MetricChange, name: str, comparison: Comparison, *, arrows: bool, at_least: str
) -> list[str | Text]:
    value: ValueChange = getattr(change, name)
    difference = value.difference
    is_number = name in {"count", "missed"}
    shown = (
        f"{difference:.0f}"
        if is_number and difference is not None
        else difference_text(difference, at_least)
    )
    return [
        statistic_text(change.baseline, name),
        statistic_text(change.candidate, name),
        shown,
        change_text(
            _remark(change, name, comparison, at_least),
            # More or fewer measurements are neither better nor worse.
            difference=None if name == "count" else difference,
            arrow=arrows,
        ),
    ]


def _remark(change: MetricChange, name: str, comparison: Comparison, at_least: str) -> str:
    side = shapes.present_in(change)
    if side != "both":
        return f"only in {comparison.baseline if side == 'baseline' else comparison.candidate}"
    value: ValueChange = getattr(change, name)
    is_bound = isinstance(value.baseline, AtLeast) or isinstance(value.candidate, AtLeast)
    if is_bound and value.relative_change is None:
        return "among the missed"
    return percentage(value.relative_change, at_least)
