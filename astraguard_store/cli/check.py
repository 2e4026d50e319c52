"""`astraguard-store check`."""

from typing import Any

import click

from astraguard_store.cli import options, output
from astraguard_store.cli.groups import ANSWER_IS_NO, OK
from astraguard_store.options import DATABASE_NAME
from astraguard_store.presentation import numbers, shapes, text
from astraguard_store.reports import CheckReport, Finding


@click.command(
    epilog=options.examples(
        "astraguard-store check --results results",
        "astraguard-store check --fix",
        "astraguard-store check --json | jq -r '.findings[].where'",
    )
)
@click.option("--fix", is_flag=True, help="Mend what can be mended; nothing is thrown away.")
@click.option("--deep", is_flag=True, help="Compute all statistics anew from the CSVs.")
@click.option(
    "--satellite-buckets",
    is_flag=True,
    help="With --fix: compute the buckets of satellites of runs that were saved without.",
)
@options.results
@options.as_json
def check(results: options.Results, as_json: bool, **how: Any) -> int:
    """Look for damage: in the database, in the files, between both.

    Every file of every run is read and held against the hash that was noted when it was
    saved, and the rows against the summaries; with --deep, all statistics are computed anew
    from the CSVs and compared. Without --fix nothing is written. With it, what dead
    processes left is finished
    or undone, folders without rows are adopted, missing or changed summaries are written
    anew (a changed one is kept beside it), and CSVs of adopted runs are hashed and
    counted. A damaged database is never mended in place: the finding says what to do.

    Exit code 0 if all is sound, notes aside; 1 where faults are left; 2 for an error.
    """
    if how["satellite_buckets"] and not how["fix"]:
        raise click.UsageError("--satellite-buckets needs --fix.")
    with output.progress_bar("Checking", hidden=as_json) as progress:
        if isinstance(results, str):
            with options.open_store(results, read_only=not how["fix"]) as repository:
                report = repository.check(**how, progress=progress)
                origin = options.database_of(repository)
        else:
            from astraguard_store.store.checking import check_folder

            root = results.resolve()
            report = check_folder(results, **how, progress=progress)
            origin = {"results_dir": str(root), "database": str(root / DATABASE_NAME)}
    if as_json:
        output.print_json({**origin, **shapes.shape_of(report)})
    else:
        _print_report(report)
    return OK if report.is_sound else ANSWER_IS_NO


def _print_report(report: CheckReport) -> None:
    for finding in report.mended:
        _print_finding("mended", finding)
    for finding in report.findings:
        _print_finding(finding.severity, finding)
    faults = sum(finding.severity == "fault" for finding in report.findings)
    verdict = f"{text.counted(faults, 'fault')} left" if faults else "sound"
    output.print_line(
        f"{text.counted(report.runs, 'run')}, {text.counted(report.files, 'file')}, "
        f"{numbers.size_text(report.bytes)}: {verdict}"
    )


def _print_finding(heading: str, finding: Finding) -> None:
    output.print_line(f"{heading:<7}{finding.where}: {finding.what}")
    output.print_line(f"       -> {finding.advice}")
