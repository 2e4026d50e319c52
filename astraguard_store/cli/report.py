"""`astraguard-store report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from astraguard_store.cli import options, output
from astraguard_store.judging import Judged, Standard, find_standard, judge
from astraguard_store.presentation import numbers

if TYPE_CHECKING:
    from astraguard_store.repository import RunRepository

_FORMS = (".html", ".md")


@click.command(
    epilog=options.examples(
        "astraguard-store report latest --baseline @baseline --to report.html",
        "astraguard-store report run_001 run_002 run_003 --to report.md",
    )
)
@options.runs("run", required=True)
@click.option(
    "--baseline",
    metavar="NAME|RUN,RUN...",
    shell_complete=options.complete_baseline,
    help="Compare each run with this one; of a baseline, or of several runs, with the newest, "
    "and judge them by all.",
)
@click.option(
    "--to",
    "target",
    type=options.LocalPath(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="FILE.html or FILE.md; what is there is replaced.",
)
@options.results
@options.as_json
def report(
    run: tuple[str, ...],
    baseline: str | None,
    target: Path,
    results: options.Results,
    as_json: bool,
) -> None:
    """Write a report of runs that can be mailed: one file, without scripts.

    The verdict and its reasons, what changed against the baseline and what was different, a
    chart of each metric type, the statistics, and the commands that show the same. An HTML
    file prints well too.

    Exit code 0; 1 where a run doesn't exist; 2 for an error.
    """
    if target.suffix not in _FORMS:
        raise click.UsageError(
            f"Invalid --to {str(target)!r}: a file that ends in {' or '.join(_FORMS)} is needed; "
            "print the HTML for a PDF."
        )
    with options.open_store(results, read_only=True) as repository:
        run_ids = [options.resolved(repository, name) for name in run]
        standard = None if baseline is None else find_standard(repository, baseline, run_ids)
        if standard and set(run_ids) == {standard.newest}:
            raise click.UsageError("The baseline is the only run: name another one too.")
        if not target.parent.is_dir():
            raise click.UsageError(f"Invalid --to {str(target)!r}: there is no such folder.")
        size = write_report(repository, run_ids, standard, target)
        origin = options.answers_from(repository)
    if as_json:
        output.print_json({**origin, "report": str(target.resolve()), "bytes": size})
    else:
        output.print_line(f"{target}: {numbers.size_text(size)}")


def write_report(
    repository: RunRepository, run_ids: Sequence[str], standard: Standard | None, target: Path
) -> int:
    """Write a report in the form that the target's name says; return its size in bytes."""
    from astraguard_store.report import markdown, page
    from astraguard_store.report.content import collect

    render = page.render if target.suffix == ".html" else markdown.render
    # A name may hold half of a surrogate pair only in a damaged file; the report shows it.
    newest = standard.newest if standard else None
    judged = Judged(None, None)
    if standard:
        others = [run_id for run_id in run_ids if run_id != newest]
        judged = judge(repository, others, standard)
    written = render(collect(repository, run_ids, newest, *judged))
    return target.write_bytes(written.encode("utf-8", "backslashreplace"))
