"""The commands that carry runs from store to store: `export`, `merge`."""

from datetime import datetime
from pathlib import Path

import click

from astraguard_store.cli import report_shapes, shapes
from astraguard_store.cli.filters import scenario_filters
from astraguard_store.cli.options import examples, json_option, results_option, runs_argument
from astraguard_store.cli.outcome import ANSWER_IS_NO, OK, PROGRAM, complain
from astraguard_store.cli.reading import open_for_reading, origin
from astraguard_store.cli.render import (
    Column,
    counted,
    print_line,
    print_table,
    progress_bar,
    size,
)
from astraguard_store.exceptions import StoreNotFoundError
from astraguard_store.reports import MergeReport
from astraguard_store.repository import RunRepository
from astraguard_store.store.store import DATABASE_NAME

_EVERY_RUN = 2**62


@click.command(
    epilog=examples(
        "astraguard-store export run_001 run_002 --to runs.zip",
        "astraguard-store export --scenario eclipse --since 4w --to eclipse.parquet",
        "astraguard-store export --all --to copy_of_results",
    )
)
@runs_argument("run", required=False)
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path),
    required=True,
    metavar="TARGET",
    help="What to make: a folder, FILE.zip or FILE.parquet. Nothing may be there yet.",
)
@click.option("--all", "every_run", is_flag=True, help="Export all runs.")
@scenario_filters
@results_option
@json_option
@click.pass_context
def export(
    ctx: click.Context,
    run: tuple[str, ...],
    target: Path,
    every_run: bool,
    scenario: str | None,
    tag: str | tuple[str, str] | None,
    since: datetime | None,
    results: Path,
    as_json: bool,
) -> None:
    """Copy runs into a folder, a zip or a parquet file: all of them, or nothing.

    Name the runs, or filter them, or take --all. A folder and a zip have a folder of files
    for each run, which `import` and the old readers take. A parquet file has one row for
    each measurement, with its run_id. Files are held against their SHA-256 on the way.

    Exit code 0; 1 where there is no such run; 2 for an error, such as a damaged file or a
    target that is there already.
    """
    filters = any((scenario, tag, since))
    if bool(run) + every_run + filters != 1:
        raise click.UsageError("Name runs, or give --all, or filters: one of the three.")
    with open_for_reading(results) as repository:
        if not run:
            found = repository.recent(_EVERY_RUN, scenario=scenario, tag=tag, since=since)
            run = tuple(header.run_id for header in found)
        if not run:
            complain(f"there are no such runs in {results}; nothing is exported")
            ctx.exit(ANSWER_IS_NO)
        with progress_bar("Exporting", hidden=as_json) as progress:
            report = repository.export(run, target, progress)
        where = origin(repository)
    if as_json:
        shapes.print_json({**where, **report_shapes.export_shape(report)})
    else:
        files = f"{counted(report.files, 'file')}, {size(report.bytes)}"
        print_line(f"{report.target}: {counted(report.runs, 'run')}, {files}")


@click.command(
    epilog=examples(
        "astraguard-store merge /mnt/rig2/results",
        "astraguard-store merge rig3.backup.db --results all_rigs",
        "astraguard-store merge /mnt/rig2/results --json | jq '.conflicts'",
    )
)
@click.argument("other", type=click.Path(exists=True, path_type=Path))
@results_option
@json_option
@click.pass_context
def merge(ctx: click.Context, other: Path, results: Path, as_json: bool) -> None:
    """Take over the runs of another store, whole and with their files.

    OTHER is a results folder or a database; it is only read. A run that is here already is
    skipped. One of which another save is here is a conflict, and stays as it is on both
    sides. It may be called again at any time. The folder of --results becomes a store if
    it is none yet, which a line on standard error says.

    Exit code 0; 1 where a run was refused or is a conflict, with the reason; 2 for an error.
    """
    if other.is_dir() and not (other / DATABASE_NAME).exists():
        # Before a store is made for the runs that won't come.
        raise StoreNotFoundError(
            f"there is no database in {other}; `{PROGRAM} import` makes it from the run folders"
        )
    is_new = not (results / DATABASE_NAME).exists()
    with RunRepository.open(results) as repository:
        root, database = repository.results_dir, repository.database_path
        with progress_bar("Merging", hidden=as_json) as progress:
            report = repository.merge(other, progress=progress)
    if as_json:
        origin_shape = {"results_dir": str(root), "database": str(database), "other": str(other)}
        shapes.print_json({**origin_shape, **report_shapes.merge_shape(report)})
    else:
        _print_report(report, database)
    if is_new:
        complain(f"there was no store in {results}: it is made now")
    ctx.exit(ANSWER_IS_NO if report.conflicts or report.refused else OK)


def _print_report(report: MergeReport, database: Path | None) -> None:
    print_line(f"merged    {len(report.merged)}")
    print_line(f"skipped   {len(report.skipped)}  (here already)")
    print_line(f"conflicts {len(report.conflicts)}  (another save of the run is here)")
    print_line(f"refused   {len(report.refused)}")
    print_line(f"database  {database}")
    if report.without_files:
        without = ", ".join(report.without_files[:5])
        more = len(report.without_files) - 5
        print_line(
            f"{counted(len(report.without_files), 'run')} came without measurements, whose files "
            f"are not beside the database: {without}{f' and {more} more' if more > 0 else ''}"
        )
    problems = [("conflict", *pair) for pair in report.conflicts]
    problems += [("refused", *pair) for pair in report.refused]
    if problems:
        print_line()
        names = ("run", "problem", "reason")
        rows = [[run_id, problem, reason] for problem, run_id, reason in problems]
        print_table([Column(name, numeric=False) for name in names], rows)
