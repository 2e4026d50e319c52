"""`astraguard-store push`."""

import time
from collections.abc import Callable

import click

from astraguard_store.cli import options, output
from astraguard_store.cli.groups import ANSWER_IS_NO, OK, complain
from astraguard_store.exceptions import DatabaseError
from astraguard_store.presentation import shapes, text
from astraguard_store.reports import PushReport


@click.command(
    epilog=options.examples(
        "astraguard-store push postgresql://rig@server/runs",
        "astraguard-store push postgresql://rig@server/runs --watch 60",
        "astraguard-store push postgresql://rig@server/runs --raw s3://bucket/lake",
        "astraguard-store push postgresql://rig@server/runs --json | jq '.conflicts'",
    )
)
@click.argument("url", metavar="URL")
@click.option(
    "--watch",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Push again and again, so far apart; further while the server is away.",
)
@click.option(
    "--raw",
    metavar="DIR|s3://...",
    help="Also write raw measurements there, as a dataset, and catalogue them on the server.",
)
@options.results
@options.as_json
def push(
    url: str, watch: float | None, raw: str | None, results: options.Results, as_json: bool
) -> int:
    """Copy to a PostgreSQL server what it doesn't have of these runs.

    Runs go over whole, but for their files. A run of the same name from another store is
    a conflict, and stays as it is on both sides. It may be interrupted and called again at
    any time: what is there already is not sent again.

    With --watch it goes on until it is interrupted, and prints what was pushed.

    Exit code 0; 1 where a run is a conflict or was refused, with the reason; 2 for an error.
    """
    folder = options.folder_only(results, "to copy it, use pg_dump or a replica")
    options.check_is_folder(folder)
    options.check_has_database(folder)
    shown = options.shown_place(url)

    def once() -> PushReport:
        with options.open_store(folder) as repository:
            with output.progress_bar("Pushing", hidden=as_json or watch is not None) as progress:
                report = repository.push(url, raw=raw, progress=progress)
            origin = options.database_of(repository)
        if as_json:
            output.print_json({**origin, "server": shown, **shapes.shape_of(report)})
        elif watch is None or any((report.pushed, report.replaced, report.tagged, report.raw)):
            _print_report(report, shown)
        return report

    if watch is not None:
        _again_and_again(once, watch)
    report = once()
    return ANSWER_IS_NO if report.conflicts or report.refused else OK


def _again_and_again(once: Callable[[], PushReport], pause_s: float) -> None:
    """Push until Ctrl-C; each problem is told once."""
    from astraguard_store.store.pushing import waits_s

    failures = 0
    told: set[tuple[str, str]] = set()
    while True:
        try:
            report = once()
        except DatabaseError as error:
            failures += 1
            complain(f"{error}; next in {waits_s(pause_s, failures):.0f} s")
        else:
            failures = 0
            for run_id, reason in (*report.conflicts, *report.refused):
                if (run_id, reason) not in told:
                    complain(f"run {run_id!r} is not pushed: {reason}")
                    told.add((run_id, reason))
        time.sleep(waits_s(pause_s, failures))


def _print_report(report: PushReport, shown: str) -> None:
    output.print_line(f"pushed    {len(report.pushed)}")
    output.print_line(f"replaced  {len(report.replaced)}  (an older save of them was there)")
    output.print_line(f"tagged    {len(report.tagged)}  (only their tags had changed)")
    output.print_line(f"known     {report.known}  (there already)")
    output.print_line(f"conflicts {len(report.conflicts)}  (another run of that id is there)")
    output.print_line(f"refused   {len(report.refused)}")
    if report.raw:
        output.print_line(f"raw       {len(report.raw)}  (their measurements were written)")
    output.print_line(f"server    {shown}")
    problems = [[run_id, "conflict", reason] for run_id, reason in report.conflicts]
    problems += [[run_id, "refused", reason] for run_id, reason in report.refused]
    if problems:
        output.print_line()
        output.print_table(text.words("run", "problem", "reason"), problems)
