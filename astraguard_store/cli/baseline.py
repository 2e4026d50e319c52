"""`astraguard-store baseline`: names for runs to judge others against."""

import click

from astraguard_store.cli import options, output
from astraguard_store.cli.groups import StoreGroup
from astraguard_store.presentation import shapes, text
from astraguard_store.verdict.values import Baseline


@click.group(
    cls=StoreGroup,
    no_args_is_help=False,
    epilog=options.examples(
        "astraguard-store baseline set nightly run_001 run_002 run_003",
        "astraguard-store baseline show nightly",
        "astraguard-store baseline delete nightly",
    ),
)
def baseline() -> None:
    """Name the runs that others are judged against; `prune` keeps them."""


@baseline.command(
    "set",
    epilog=options.examples("astraguard-store baseline set nightly run_001 run_002 run_003"),
)
@click.argument("name", shell_complete=options.complete_baseline_name)
@options.runs("run", required=True)
@options.results
@options.as_json
def set_(name: str, run: tuple[str, ...], results: options.Results, as_json: bool) -> None:
    """Let NAME stand for these runs, and no others; 10 or more tell most.

    Exit code 0; 1 where a run doesn't exist; 2 for an error.
    """
    with options.open_existing(results) as repository:
        found = repository.set_baseline(name, [options.resolved(repository, one) for one in run])
        _print_one(found, options.answers_from(repository), as_json=as_json)


@baseline.command(epilog=options.examples("astraguard-store baseline show nightly"))
@click.argument("name", shell_complete=options.complete_baseline_name)
@options.results
@options.as_json
def show(name: str, results: options.Results, as_json: bool) -> None:
    """List the runs of a baseline.

    Exit code 0; 2 for an error, such as a NAME that isn't there.
    """
    with options.open_store(results, read_only=True) as repository:
        _print_one(repository.baseline(name), options.answers_from(repository), as_json=as_json)


@baseline.command("list", epilog=options.examples("astraguard-store baseline list"))
@options.as_markdown
@options.results
@options.as_json
def list_(as_markdown: bool, results: options.Results, as_json: bool) -> None:
    """List all baselines.

    Exit code 0; 2 for an error.
    """
    with options.open_store(results, read_only=True) as repository:
        found = repository.baselines()
        origin = options.answers_from(repository)
    if as_json:
        output.print_json({**origin, "baselines": [shapes.shape_of(one) for one in found]})
        return
    columns = text.words("baseline", "set at (UTC)") + text.numbers("runs")
    rows = [[one.name, text.time_text(one.set_at), str(len(one.run_ids))] for one in found]
    if found:
        output.print_table(columns, rows, markdown=as_markdown)
    else:
        output.print_line("There are no baselines.")


@baseline.command(epilog=options.examples("astraguard-store baseline delete nightly"))
@click.argument("name", shell_complete=options.complete_baseline_name)
@options.results
@options.as_json
def delete(name: str, results: options.Results, as_json: bool) -> None:
    """Forget a baseline; its runs stay.

    Exit code 0; 2 for an error, such as a NAME that isn't there.
    """
    with options.open_existing(results) as repository:
        repository.delete_baseline(name)
        origin = options.answers_from(repository)
    if as_json:
        output.print_json({**origin, "deleted": name})
    else:
        output.print_line(f"{name} is deleted; its runs are still there.")


def _print_one(found: Baseline, origin: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        output.print_json({**origin, **shapes.shape_of(found)})
        return
    output.print_fields(
        [
            ("baseline", found.name),
            ("set at", f"{text.time_text(found.set_at)} UTC"),
            ("runs", str(len(found.run_ids))),
        ]
    )
    output.print_line()
    for run_id in found.run_ids:
        output.print_line(run_id)
