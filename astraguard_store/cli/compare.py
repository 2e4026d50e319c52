"""`astraguard-store compare`."""

import click

from astraguard_store.cli import options, output
from astraguard_store.cli.groups import complain
from astraguard_store.comparison import Comparison, MetricChange
from astraguard_store.presentation import shapes, text


@click.command(
    epilog=options.examples(
        "astraguard-store compare run_001 run_002",
        "astraguard-store compare run_001 run_002 --by-satellite --json",
        "astraguard-store compare run_001 run_002 --markdown > change.md",
    )
)
@options.run("baseline")
@options.run("candidate")
@click.option("--by-satellite", is_flag=True, help="Compare each satellite by itself.")
@options.as_markdown
@options.results
@options.as_json
def compare(
    baseline: str,
    candidate: str,
    by_satellite: bool,
    as_markdown: bool,
    results: options.Results,
    as_json: bool,
) -> None:
    """Compare run CANDIDATE against run BASELINE.

    Differences are candidate - baseline, so more than zero is slower; where the terminal
    has colour, an arrow says so too. What only one of the runs measured is listed with
    `only in` and the name of that run. What differs between what the runs were comes
    first, and a warning on standard error, and in Markdown, says where their numbers
    can't be compared.

    Exit code 0, whatever the difference; 1 where a run doesn't exist; 2 for an error.
    """
    with options.open_store(results, read_only=True) as repository:
        comparison = repository.compare(baseline, candidate, by_satellite=by_satellite)
        origin = options.answers_from(repository)
    if as_json:
        shape = shapes.comparison_shape(comparison, by_satellite=by_satellite)
        output.print_json({**origin, **shape})
    else:
        print_comparison(comparison, by_satellite=by_satellite, markdown=as_markdown)
    for warning in comparison.warnings:
        complain(f"warning: {warning}")


def print_comparison(
    comparison: Comparison, *, by_satellite: bool, markdown: bool = False
) -> None:
    """Print what the runs were, and a row for each statistic of each metric type."""
    fields = [("baseline", comparison.baseline), ("candidate", comparison.candidate)]
    if markdown:
        # Whoever reads the file doesn't see standard error.
        fields += [("warning", warning) for warning in comparison.warnings]
    output.print_fields(fields, markdown=markdown)
    output.print_line()
    if comparison.provenance_changes:
        _print_provenance(comparison, markdown=markdown)
        output.print_line()
    names = ["satellite"] if by_satellite else []
    arrows = output.shows_arrows() and not markdown
    at_least = "≥ " if markdown else output.at_least_sign()
    rows = [
        [
            *([change.satellite_id or ""] if by_satellite else []),
            change.metric_type,
            statistic,
            *_cells(change, statistic, comparison, arrows=arrows, at_least=at_least),
        ]
        for change in comparison.changes
        for statistic in text.STATISTICS
        # Where nothing was missed, nobody has to read past the zeros.
        if statistic != "missed" or any(change.missed)
    ]
    columns = text.words(*names, "metric type", "statistic")
    columns += text.numbers("baseline", "candidate", "difference", "change")
    output.print_table(columns, rows, markdown=markdown)


def _print_provenance(comparison: Comparison, *, markdown: bool) -> None:
    rows = [
        [name.replace("_", " "), text.provenance_text(baseline), text.provenance_text(candidate)]
        for name, baseline, candidate in comparison.provenance_changes
    ]
    columns = text.words("what differs", "baseline", "candidate")
    output.print_table(columns, rows, markdown=markdown)


def _cells(
    change: MetricChange, statistic: str, comparison: Comparison, *, arrows: bool, at_least: str
) -> list[output.Cell]:
    texts = text.change_texts(change, statistic, comparison, at_least=at_least)
    remark: output.Cell = texts.change
    if texts.is_slower is not None:
        # The arrow is for those who don't see red and green.
        arrow, colour = ("▲ ", "red") if texts.is_slower else ("▼ ", "green")
        # A lower bound is the worst of all: the event never came.
        colour = f"bold {colour}" if texts.is_bound else colour
        remark = output.Coloured(f"{arrow if arrows else ''}{texts.change}", colour)
    return [texts.baseline, texts.candidate, texts.difference, remark]
