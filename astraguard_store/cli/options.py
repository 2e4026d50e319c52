"""Options and arguments that several commands share."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from astraguard_store.exceptions import StoreError, StoreNotFoundError
from astraguard_store.repository import DEFAULT_RESULTS_DIR, RunRepository

RESULTS_VARIABLE = "ASTRAGUARD_STORE_RESULTS"

Command = TypeVar("Command", bound=Callable[..., Any])

# Read in some 20 ms; more than these nobody looks through.
_RUNS_OFFERED = 5_000
_COMPLETES = "_ASTRAGUARD_STORE_COMPLETE"
_UNSAFE_IN_BASH = re.compile(r"[^\w\-.:+=@,%/]")

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


def yes_option(command: Command) -> Command:
    """Add `--yes`, not to be asked."""
    return click.option("--yes", is_flag=True, help="Don't ask.")(command)


def markdown_option(command: Command) -> Command:
    """Add `--markdown` as `as_markdown`."""
    option = click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown.")
    return option(command)


def check_one_form(*, as_json: bool, as_markdown: bool) -> None:
    """Refuse both at a time.

    Raises:
        click.UsageError: Both were asked for.
    """
    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown can't be had together; choose one.")


def check_is_folder(results: Path) -> None:
    """Refuse a results folder that isn't there: a mistyped one must not become a store.

    Raises:
        StoreNotFoundError: It isn't there.
    """
    if not results.is_dir():
        raise StoreNotFoundError(f"the results folder {results} does not exist; name another")


def runs_argument(name: str, *, required: bool) -> Callable[[Command], Command]:
    """Return a decorator that adds any number of run ids, completed as one is."""
    shown = f"{name.upper()}..." if required else f"[{name.upper()}]..."
    return click.argument(
        name, metavar=shown, nargs=-1, required=required, shell_complete=complete_run
    )


def run_argument(name: str) -> Callable[[Command], Command]:
    """Return a decorator that adds a run id, completed by the shell from the newest runs."""
    return click.argument(name, metavar=name.upper(), shell_complete=complete_run)


def complete_run(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the newest runs' ids that begin with *incomplete*, none on any error."""
    results = ctx.params.get("results") or ctx.lookup_default("results") or DEFAULT_RESULTS_DIR
    try:
        with RunRepository.open(results, read_only=True) as repository:
            newest = repository.recent(limit=_RUNS_OFFERED)
    except (StoreError, OSError):
        return []  # a completion that fails must not write into the command line
    found = [header.run_id for header in newest if header.run_id.startswith(incomplete)]
    if not os.environ.get(_COMPLETES, "").startswith("bash"):
        return found  # zsh and fish quote by themselves
    if os.environ.get("COMP_WORDS", "").removesuffix(incomplete).endswith(("'", '"')):
        return found
    # bash puts into the line what it gets, and click's `read` takes away one backslash.
    return [_UNSAFE_IN_BASH.sub(r"\\\\\g<0>", run_id) for run_id in found]
