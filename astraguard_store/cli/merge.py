"""`astraguard-store merge`."""

from pathlib import Path

import click

from astraguard_store.cli import options, output
from astraguard_store.cli.groups import ANSWER_IS_NO, OK, complain
from astraguard_store.options import DATABASE_NAME
from astraguard_store.presentation import shapes, text
from astraguard_store.reports import MergeReport
from astraguard_store.store.merging import check_is_no_zip


@click.command(
    epilog=options.examples(
        "astraguard-store merge /mnt/rig2/results",
        "astraguard-store merge rig3.backup.db --results all_rigs",
        "astraguard-store merge /mnt/rig2/results --json | jq '.conflicts'",
    )
)
@click.argument("other", type=options.LocalPath(exists=True, path_type=Path))
@options.results
@options.as_json
def merge(other: Path, results: options.Results, as_json: bool) -> int:
    """Take over the runs of another store, whole and with their files.

    OTHER is a results folder or a database; it is only read. A run that is here already is
    skipped. One of which another save is here is a conflict, and stays as it is on both
    sides. It may be called again at any time. The folder of --results becomes a store if
    it is none yet, which a line on standard error says.

    Exit code 0; 1 where a run was refused or is a conflict, with the reason; 2 for an error.
    """
    folder = options.folder_only(results, "`push` the other store to it")
    # Before a store is made for runs that won't come.
    if other.is_dir():
        options.check_has_database(other)
    else:
        check_is_no_zip(other)
    is_new = not (folder / DATABASE_NAME).exists()
    with options.open_store(folder) as repository:
        origin = options.database_of(repository)
        with output.progress_bar("Merging", hidden=as_json) as progress:
            report = repository.merge(other, progress=progress)
    if as_json:
        output.print_json({**origin, "other": str(other), **shapes.shape_of(report)})
    else:
        _print_report(report, origin["database"])
    if is_new:
        complain(f"there was no store in {folder}: it is made now")
    return ANSWER_IS_NO if report.conflicts or report.refused else OK


def _print_report(report: MergeReport, database: str) -> None:
    output.print_line(f"merged    {len(report.merged)}")
    output.print_line(f"skipped   {len(report.skipped)}  (here already)")
    output.print_line(f"conflicts {len(report.conflicts)}  (another save of the run is here)")
    output.print_line(f"refused   {len(report.refused)}")
    output.print_line(f"database  {database}")
    if report.without_files:
        came = f"{text.counted(len(report.without_files), 'run')} came without measurements"
        which = text.few_names(report.without_files)
        output.print_line(f"{came}, whose files are not beside the database: {which}")
    problems = [[run_id, "conflict", reason] for run_id, reason in report.conflicts]
    problems += [[run_id, "refused", reason] for run_id, reason in report.refused]
    if problems:
        output.print_line()
        output.print_table(text.words("run", "problem", "reason"), problems)
