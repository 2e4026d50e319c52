"""`astraguard-store delete`."""

import click

from astraguard_store.cli import options, output
from astraguard_store.cli.groups import ANSWER_IS_NO, OK
from astraguard_store.presentation import text


@click.command(
    epilog=options.examples(
        "astraguard-store delete run_001 run_002",
        "astraguard-store delete run_001 --yes --json",
    )
)
@options.runs("run", required=True)
@options.yes
@options.results
@options.as_json
def delete(run: tuple[str, ...], yes: bool, results: options.Results, as_json: bool) -> int:
    """Delete runs: their rows and their files.

    Asks first; where there is no terminal to ask on, --yes is needed. All of them must
    exist, or none is deleted. The folder of a run stays if other files are in it.

    Exit code 0; 1 where a run doesn't exist, or the answer was no; 2 for an error.
    """
    options.check_can_ask(yes)
    with options.open_existing(results) as repository:
        run_ids = tuple(dict.fromkeys(options.resolved(repository, name) for name in run))
        for run_id in run_ids:
            repository.get(run_id)
        what = f"run {run_ids[0]!r}" if len(run_ids) == 1 else text.counted(len(run_ids), "run")
        if not yes and not options.agrees(f"Delete {what} with all files?"):
            return ANSWER_IS_NO
        with output.progress_bar("Deleting", hidden=as_json) as progress:
            for done, run_id in enumerate(run_ids):
                progress(done, len(run_ids))
                repository.delete(run_id)
        if as_json:
            output.print_json({**options.database_of(repository), "deleted": list(run_ids)})
        else:
            output.print_line(f"deleted {', '.join(run_ids)}")
    return OK
