"""`astraguard-store prune`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from astraguard_store.cli import options, output
from astraguard_store.cli.groups import ANSWER_IS_NO, OK, complain
from astraguard_store.presentation import numbers, shapes, text
from astraguard_store.reports import PruneReport

if TYPE_CHECKING:
    from astraguard_store.repository import RunRepository


@click.command(
    epilog=options.examples(
        "astraguard-store prune --keep 500 --older-than 90d --dry-run",
        "astraguard-store prune --older-than 26w --yes",
        "astraguard-store prune --keep 50 --measurements-only",
    )
)
@click.option(
    "--keep",
    type=click.IntRange(0),
    metavar="N",
    help="The newest N runs stay, pinned ones among them.",
)
@click.option(
    "--older-than",
    type=options.span,
    metavar="SPAN",
    help="Younger runs stay: 12h, 90d, 26w or such.",
)
@click.option(
    "--measurements-only",
    is_flag=True,
    help="Leave the runs; only delete the measurements that the database keeps.",
)
@click.option(
    "--unfinished",
    is_flag=True,
    help="Let failed and interrupted runs go too; a running one always stays.",
)
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would be done.")
@options.yes
@options.results
@options.as_json
def prune(dry_run: bool, yes: bool, results: options.Results, as_json: bool, **chosen: Any) -> int:
    """Delete old runs, and give their bytes back to the disk.

    A run is deleted if it is not among the newest N and is older than SPAN; with one of
    the two options, by that alone. Runs with the tag `pinned` stay, and so do runs that
    aren't finished, of which it says which. At the end the
    database file is written anew without what is free in it, if that is worth it; savers
    wait meanwhile. Ctrl-C leaves a sound store, with the newer ones of the old runs.

    Asks first; where there is no terminal to ask on, --yes is needed.

    Exit code 0; 1 where the answer was no; 2 for an error.
    """
    if chosen["keep"] is None and chosen["older_than"] is None:
        raise click.UsageError("Say which runs stay: --keep, --older-than or both.")
    if dry_run:
        with options.open_store(results, read_only=True) as repository:
            report = repository.prune(**chosen, dry_run=True)
            _print_report(repository, report, as_json=as_json)
        return OK
    options.check_can_ask(yes)
    with options.open_existing(results) as repository:
        if not yes:
            expected = repository.prune(**chosen, dry_run=True)
            if not options.agrees(f"{_summary(expected)} Do it?"):
                return ANSWER_IS_NO
        with output.progress_bar("Pruning", hidden=as_json) as progress:
            report = repository.prune(**chosen, progress=progress)
        _print_report(repository, report, as_json=as_json)
    return OK


def _print_report(repository: RunRepository, report: PruneReport, *, as_json: bool) -> None:
    if as_json:
        output.print_json({**options.database_of(repository), **shapes.shape_of(report)})
    else:
        heading = "would go" if report.dry_run else "gone"
        for run_id in report.deleted:
            output.print_line(f"{heading:<9}{run_id}")
        for run_id in report.purged:
            output.print_line(f"{heading:<9}measurements of {run_id}")
        for run_id in report.pinned:
            output.print_line(f"{'pinned':<9}{run_id}")
        for run_id in report.unfinished:
            output.print_line(f"{'stays':<9}{run_id} (not finished)")
        output.print_line(_summary(report))
    if report.not_compacted:
        complain(f"warning: the database was not made smaller: {report.not_compacted}")


def _summary(report: PruneReport) -> str:
    """Return what a pruning did or will do, as the rest of a sentence."""
    what = (
        f"measurements of {text.counted(len(report.purged), 'run')}"
        if report.purged
        else text.counted(len(report.deleted), "run")
    )
    begin, verb, about = "Deleted", "freed", ""
    if report.dry_run:
        begin, verb, about = "Would delete", "free", "about "
    files, database = (
        numbers.size_text(report.file_bytes),
        numbers.size_text(report.database_bytes),
    )
    pinned = len(report.pinned)
    stay = f"; {pinned} pinned {'stays' if pinned == 1 else 'stay'}" if pinned else ""
    return f"{begin} {what} and {verb} {files} of files, {about}{database} of the database{stay}."
