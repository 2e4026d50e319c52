"""The command that takes folders of old runs into the database: `import`."""

from pathlib import Path

import click

from astraguard_store.cli import report_shapes, shapes
from astraguard_store.cli.options import (
    check_is_folder,
    examples,
    json_option,
    results_option,
)
from astraguard_store.cli.outcome import ANSWER_IS_NO
from astraguard_store.cli.render import print_line, progress_bar
from astraguard_store.reports import ImportReport
from astraguard_store.repository import RunRepository


@click.command(
    name="import",
    epilog=examples(
        "astraguard-store import --results old_results",
        "astraguard-store import --results old_results --jobs 4",
        "astraguard-store import --json | jq '.refused'",
    ),
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=None,
    show_default="one; from 5,000 folders on one a processor, 4 at most",
    metavar="N",
    help="How many processes read the summaries.",
)
@results_option
@json_option
@click.pass_context
def import_runs(ctx: click.Context, jobs: int | None, results: Path, as_json: bool) -> None:
    """Adopt run folders that the database doesn't know yet.

    Their summaries are read and indexed; the files themselves are not touched. It may
    be called again at any time: what is in the database already is skipped.

    Exit code 0; 1 where a folder was refused, with the reason; 2 for an error.
    """
    check_is_folder(results)
    with RunRepository.open(results, adopt=False) as repository:
        root, database = repository.results_dir, repository.database_path
        with progress_bar("Importing", hidden=as_json) as progress:
            report = repository.import_legacy(progress, jobs=jobs)
    if as_json:
        origin: shapes.Shape = {"results_dir": str(root), "database": str(database)}
        shapes.print_json({**origin, **report_shapes.import_shape(report)})
    else:
        _print_report(report, database)
    if report.refused:
        ctx.exit(ANSWER_IS_NO)


def _print_report(report: ImportReport, database: Path | None) -> None:
    print_line(f"adopted  {report.adopted}")
    print_line(f"skipped  {report.skipped}  (in the database already)")
    print_line(f"ignored  {report.ignored}  (folders without a summary)")
    print_line(f"refused  {len(report.refused)}")
    print_line(f"database {database}")
    for run_id, reason in report.refused:
        print_line(f"{run_id}: {reason}")
