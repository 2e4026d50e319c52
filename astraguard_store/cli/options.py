"""Options and arguments that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from astraguard_store.exceptions import StoreError
from astraguard_store.repository import DEFAULT_RESULTS_DIR, RunRepository

RESULTS_VARIABLE = "ASTRAGUARD_STORE_RESULTS"

Command = TypeVar("Command", bound=Callable[..., Any])

_FOLDER = click.Path(file_okay=False, path_type=Path)


def examples(*lines: str) -> str:
    """Return the end of a help text: command lines that click doesn't fold."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def results_option(command: Command) -> Command:
    """Add `--results DIR`, which the environment may set, as `results`."""
    option = click.option(
        "--results",
        type=_FOLDER,
        default=Path(DEFAULT_RESULTS_DIR),
        envvar=RESULTS_VARIABLE,
        show_default=True,
        show_envvar=True,
        metavar="DIR",
        help="The folder of runs, with the database in it.",
    )
    return option(command)


def demo_results_option(command: Command) -> Command:
    """Add `--results DIR` for runs that don't belong beside real ones."""
    option = click.option(
        "--results",
        type=_FOLDER,
        default=Path("demo_results"),
        show_default=True,
        metavar="DIR",
        help="The folder to save the two runs in; created where it is missing.",
    )
    return option(command)


def json_option(command: Command) -> Command:
    """Add `--json` as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")(
        command
    )


def run_argument(name: str) -> Callable[[Command], Command]:
    """Return a decorator that adds a run id, completed by the shell from the newest runs."""
    return click.argument(name, metavar=name.upper(), shell_complete=_complete_run)


def _complete_run(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    results = ctx.params.get("results") or ctx.lookup_default("results") or DEFAULT_RESULTS_DIR
    try:
        with RunRepository.open(results, read_only=True) as repository:
            newest = repository.recent(limit=200)
    except (StoreError, OSError):
        return []  # a completion that fails must not write into the command line
    return [header.run_id for header in newest if header.run_id.startswith(incomplete)]
