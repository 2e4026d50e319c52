"""The commands that change what is stored: `tag`, `delete`, `prune`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import click

from astraguard_store.cli import report_shapes, shapes
from astraguard_store.cli.filters import named_value, span
from astraguard_store.cli.options import (
    check_is_folder,
    examples,
    json_option,
    results_option,
    run_argument,
    runs_argument,
    yes_option,
)
from astraguard_store.cli.outcome import ANSWER_IS_NO, PROGRAM, complain
from astraguard_store.cli.reading import open_for_reading, origin
from astraguard_store.cli.render import counted, print_line, progress_bar, size
from astraguard_store.exceptions import StoreNotFoundError
from astraguard_store.model import RunSummary
from astraguard_store.reports import PruneReport
from astraguard_store.repository import RunRepository
from astraguard_store.store.store import DATABASE_NAME


@contextmanager
def open_for_changing(results: Path) -> Iterator[RunRepository]:
    """Open a store that is there already: a mistyped folder must not become one.

    Raises:
        StoreNotFoundError: There is none.
    """
    check_is_folder(results)
    if not (results / DATABASE_NAME).exists():
        raise StoreNotFoundError(
            f"there is no database in {results}; `{PROGRAM} import` makes it from the run folders"
        )
    with RunRepository.open(results) as repository:
        yield repository


@click.command(
    epilog=examples(
        "astraguard-store tag run_001",
        "astraguard-store tag run_001 pinned ticket=HIL-42",
        "astraguard-store tag run_001 --remove pinned",
    )
)
@run_argument("run")
@click.argument("changes", metavar="[NAME=VALUE]...", nargs=-1, type=named_value)
@click.option("--remove", metavar="NAME", multiple=True, help="Remove a tag. May be repeated.")
@results_option
@json_option
def tag(
    run: str,
    changes: tuple[tuple[str, str], ...],
    remove: tuple[str, ...],
    results: Path,
    as_json: bool,
) -> None:
    """Set and remove tags of a run, and list what it has then.

    NAME alone sets a tag without a value. The tag `pinned` keeps a run from being pruned.
    Tags may be changed at any time; the run's revision stays.

    Exit code 0; 1 where there is no such run; 2 for an error.
    """
    names = [name for name, _ in changes] + list(remove)
    for name in names:
        if names.count(name) > 1:
            raise click.UsageError(f"Tag {name!r} is named twice.")
    wanted: dict[str, str | None] = {**dict(changes), **dict.fromkeys(remove)}
    opened = open_for_changing(results) if wanted else open_for_reading(results)
    with opened as repository:
        summary = repository.set_tags(run, wanted) if wanted else repository.get(run)
        if as_json:
            shape = {"run_id": summary.run_id, "tags": dict(summary.tags)}
            shapes.print_json({**origin(repository), **shape})
        else:
            _print_tags(summary)


@click.command(
    epilog=examples(
        "astraguard-store delete run_001 run_002",
        "astraguard-store delete run_001 --yes --json",
    )
)
@runs_argument("run", required=True)
@yes_option
@results_option
@json_option
@click.pass_context
def delete(
    ctx: click.Context, run: tuple[str, ...], yes: bool, results: Path, as_json: bool
) -> None:
    """Delete runs: their rows and their files.

    Asks first; where there is no terminal to ask on, --yes is needed. All of them must
    exist, or none is deleted. The folder of a run stays if other files are in it.

    Exit code 0; 1 where a run doesn't exist, or the answer was no; 2 for an error.
    """
    run_ids = tuple(dict.fromkeys(run))
    _check_can_ask(yes)
    with open_for_changing(results) as repository:
        for run_id in run_ids:
            repository.get(run_id)
        what = f"run {run_ids[0]!r}" if len(run_ids) == 1 else counted(len(run_ids), "run")
        if not yes and not _agrees(f"Delete {what} with all files?"):
            ctx.exit(ANSWER_IS_NO)
        with progress_bar("Deleting", hidden=as_json) as progress:
            for done, run_id in enumerate(run_ids):
                progress(done, len(run_ids))
                repository.delete(run_id)
        if as_json:
            shapes.print_json({**_database(repository), "deleted": list(run_ids)})
        else:
            print_line(f"deleted {', '.join(run_ids)}")


@click.command(
    epilog=examples(
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
    "--older-than", type=span, metavar="SPAN", help="Younger runs stay: 12h, 90d, 26w or such."
)
@click.option(
    "--measurements-only",
    is_flag=True,
    help="Leave the runs; only delete the measurements that the database keeps.",
)
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would be done.")
@yes_option
@results_option
@json_option
@click.pass_context
def prune(
    ctx: click.Context,
    keep: int | None,
    older_than: timedelta | None,
    measurements_only: bool,
    dry_run: bool,
    yes: bool,
    results: Path,
    as_json: bool,
) -> None:
    """Delete old runs, and give their bytes back to the disk.

    A run is deleted if it is not among the newest N and is older than SPAN; with one of
    the two options, by that alone. Runs with the tag `pinned` stay. At the end the
    database file is written anew without what is free in it, if that is worth it; savers
    wait meanwhile. Ctrl-C leaves a sound store, with the newer ones of the old runs.

    Asks first; where there is no terminal to ask on, --yes is needed.

    Exit code 0; 1 where the answer was no; 2 for an error.
    """
    if keep is None and older_than is None:
        raise click.UsageError("Say which runs stay: --keep, --older-than or both.")
    if dry_run:
        with open_for_reading(results) as repository:
            report = repository.prune(
                keep, older_than, measurements_only=measurements_only, dry_run=True
            )
            _print_report(repository, report, as_json=as_json)
        return
    _check_can_ask(yes)
    with open_for_changing(results) as repository:
        if not yes:
            expected = repository.prune(
                keep, older_than, measurements_only=measurements_only, dry_run=True
            )
            if not _agrees(f"{_summary(expected)} Do it?"):
                ctx.exit(ANSWER_IS_NO)
        with progress_bar("Pruning", hidden=as_json) as progress:
            report = repository.prune(
                keep, older_than, measurements_only=measurements_only, progress=progress
            )
        _print_report(repository, report, as_json=as_json)


def _check_can_ask(yes: bool) -> None:
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask on: add --yes to go on without.")


def _agrees(question: str) -> bool:
    if click.confirm(question, err=True):
        return True
    complain("nothing is deleted")
    return False


def _print_tags(run: RunSummary) -> None:
    for name, value in run.tags.items():
        print_line(f"{name}={value}" if value else name)
    if not run.tags:
        print_line(f"{run.run_id} has no tags.")


def _print_report(repository: RunRepository, report: PruneReport, *, as_json: bool) -> None:
    if as_json:
        shapes.print_json({**_database(repository), **report_shapes.prune_shape(report)})
    else:
        heading = "would go" if report.dry_run else "gone"
        for run_id in report.deleted:
            print_line(f"{heading:<9}{run_id}")
        for run_id in report.purged:
            print_line(f"{heading:<9}measurements of {run_id}")
        for run_id in report.pinned:
            print_line(f"{'pinned':<9}{run_id}")
        print_line(_summary(report))
    if report.not_compacted:
        complain(f"warning: the database was not made smaller: {report.not_compacted}")


def _summary(report: PruneReport) -> str:
    """Return what a pruning did or will do, as the rest of a sentence."""
    what = (
        f"measurements of {counted(len(report.purged), 'run')}"
        if report.purged
        else counted(len(report.deleted), "run")
    )
    begin, verb, about = "Deleted", "freed", ""
    if report.dry_run:
        begin, verb, about = "Would delete", "free", "about "
    files, database = size(report.file_bytes), size(report.database_bytes)
    pinned = len(report.pinned)
    stay = f"; {pinned} pinned {'stays' if pinned == 1 else 'stay'}" if pinned else ""
    return f"{begin} {what} and {verb} {files} of files, {about}{database} of the database{stay}."


def _database(repository: RunRepository) -> shapes.Shape:
    return {
        "results_dir": str(repository.results_dir),
        "database": str(repository.database_path),
    }
