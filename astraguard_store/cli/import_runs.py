"""`astraguard-store import`."""

from pathlib import Path

import click

from astraguard_store.cli import options, output
from astraguard_store.cli.groups import ANSWER_IS_NO, OK
from astraguard_store.presentation import shapes
from astraguard_store.reports import ImportReport


@click.command(
    name="import",
    epilog=options.examples(
        "astraguard-store import --results old_results",
        "astraguard-store import --results old_results --jobs 4",
        "astraguard-store import two_runs.zip --results results",
        "astraguard-store import --json | jq '.refused'",
    ),
)
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=options.LocalPath(path_type=Path))
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=None,
    show_default="one; from 5,000 folders on one a processor, 4 at most",
    metavar="N",
    help="How many processes read the summaries.",
)
@options.results
@options.as_json
def import_runs(
    paths: tuple[Path, ...], jobs: int | None, results: options.Results, as_json: bool
) -> int:
    """Adopt run folders that the database doesn't know yet.

    Without PATH those in the results folder: their summaries are read and indexed, and the
    files themselves are not touched. With PATH, folders of runs and zips that `export` made
    are copied into the store, with the provenance, tags and attachments that it noted.
    A summary that is missing or damaged is made anew where the CSV is whole. It may be
    called again at any time: what is in the database already is skipped.

    Exit code 0; 1 where a folder was refused, with the reason; 2 for an error.
    """
    if paths and jobs is not None:
        raise click.UsageError("--jobs is for runs in the results folder, not for a PATH.")
    folder = options.folder_only(results, "import into a folder, and `push` it to the server")
    if not paths:
        options.check_is_folder(folder)
    with options.open_store(folder, adopt=False) as repository:
        origin = options.database_of(repository)
        with output.progress_bar("Importing", hidden=as_json) as progress:
            if paths:
                report = repository.import_runs(paths, progress)
            else:
                report = repository.import_legacy(progress, jobs=jobs)
    if as_json:
        output.print_json({**origin, **shapes.shape_of(report)})
    else:
        _print_report(report, origin["database"])
    return ANSWER_IS_NO if report.refused else OK


def _print_report(report: ImportReport, database: str) -> None:
    output.print_line(f"adopted  {report.adopted}")
    output.print_line(f"skipped  {report.skipped}  (in the database already)")
    if report.rebuilt:
        output.print_line(f"rebuilt  {len(report.rebuilt)}  (of the adopted; summary from CSV)")
    output.print_line(f"ignored  {report.ignored}  (folders without a summary)")
    output.print_line(f"refused  {len(report.refused)}")
    output.print_line(f"database {database}")
    for run_id, reason in report.refused:
        output.print_line(f"{run_id}: {reason}")
