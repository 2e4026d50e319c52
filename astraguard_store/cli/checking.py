"""The command that holds a store against its promises: `check`."""

from pathlib import Path

import click

from astraguard_store.cli import report_shapes, shapes
from astraguard_store.cli.options import examples, json_option, results_option
from astraguard_store.cli.outcome import ANSWER_IS_NO
from astraguard_store.cli.render import print_line, progress_bar
from astraguard_store.reports import CheckReport, Finding
from astraguard_store.store.checking import check_folder
from astraguard_store.store.store import DATABASE_NAME


@click.command(
    epilog=examples(
        "astraguard-store check --results results",
        "astraguard-store check --fix",
        "astraguard-store check --json | jq -r '.findings[].where'",
    )
)
@click.option("--fix", is_flag=True, help="Mend what can be mended; nothing is thrown away.")
@results_option
@json_option
@click.pass_context
def check(ctx: click.Context, fix: bool, results: Path, as_json: bool) -> None:
    """Look for damage: in the database, in the files, between both.

    Every file of every run is read and held against the hash that was noted when it was
    saved. Without --fix nothing is written. With it, what dead processes left is finished
    or undone, folders without rows are adopted, missing or changed summaries are written
    anew (a changed one is kept beside it), and CSVs of adopted runs are hashed and
    counted. A damaged database is never mended in place: the finding says what to do.

    Exit code 0 if all is sound, notes aside; 1 where faults are left; 2 for an error.
    """
    with progress_bar("Checking", hidden=as_json) as progress:
        report = check_folder(results, fix=fix, progress=progress)
    if as_json:
        root = results.resolve()
        origin: shapes.Shape = {"results_dir": str(root), "database": str(root / DATABASE_NAME)}
        shapes.print_json({**origin, **report_shapes.check_shape(report)})
    else:
        _print_report(report)
    if not report.is_sound:
        ctx.exit(ANSWER_IS_NO)


def _print_report(report: CheckReport) -> None:
    for finding in report.mended:
        _print_finding("mended", finding)
    for finding in report.findings:
        _print_finding(finding.severity, finding)
    faults = sum(finding.severity == "fault" for finding in report.findings)
    verdict = f"{_counted(faults, 'fault')} left" if faults else "sound"
    megabytes = report.bytes / 1e6
    print_line(
        f"{_counted(report.runs, 'run')}, {_counted(report.files, 'file')}, "
        f"{megabytes:.1f} MB: {verdict}"
    )


def _print_finding(heading: str, finding: Finding) -> None:
    print_line(f"{heading:<7}{finding.where}: {finding.what}")
    print_line(f"       -> {finding.advice}")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
