"""Options, arguments and their types, which several commands share."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from astraguard_store.cli.groups import PROGRAM, complain
from astraguard_store.exceptions import StoreError, StoreNotFoundError
from astraguard_store.options import (
    DATABASE_NAME,
    DEFAULT_RESULTS_DIR,
    RESULTS_VARIABLE,
    names_server,
)
from astraguard_store.presentation.text import few_names

if TYPE_CHECKING:
    from astraguard_store.model import RunHeader, RunState, RunSummary
    from astraguard_store.presentation.shapes import Shape
    from astraguard_store.repository import RunRepository

Command = TypeVar("Command", bound=Callable[..., Any])
Tag = str | tuple[str, str]
Results = Path | str
"""A results folder, or the URL of a server."""

UNFINISHED: frozenset[RunState] = frozenset({"running", "failed", "interrupted"})
RUNNING: frozenset[RunState] = frozenset({"running"})

_ALL_RUNS = 2**62
# Read in some 20 ms; more than these nobody looks through.
_RUNS_OFFERED = 5_000
_RUNS_LOOKED_INTO = 200
_COMPLETES = "_ASTRAGUARD_STORE_COMPLETE"
_UNSAFE_IN_BASH = re.compile(r"[^\w\-.:+=@,%/]")
_SPAN = re.compile(r"(\d{1,9})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


class LocalPath(click.Path):
    """A path of this machine; a URL is refused, and its password told to nobody."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Return the path."""
        if names_server(value):
            self.fail("a URL was given where a path is needed.", param, ctx)
        return super().convert(value, param, ctx)


class StatisticName(click.Choice[str]):
    """A statistic, with ``_ms`` after it or without, as both are written elsewhere."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name as the choice has it."""
        plain = str(value).removesuffix("_ms")
        same = (name for name in self.choices if name.removesuffix("_ms") == plain)
        return super().convert(next(same, value), param, ctx)


_FOLDER = LocalPath(file_okay=False, path_type=Path)


def examples(*lines: str) -> str:
    """Return the end of a help text: command lines that click doesn't fold."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


class _FolderOrServer(click.ParamType):  # type: ignore[type-arg]
    """A folder, as a path; or a URL, as it is."""

    name = "folder"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Results:
        """Return what the option names."""
        if names_server(value):
            return str(value)
        folder: Path = _FOLDER.convert(value, param, ctx)
        return folder


results = click.option(
    "--results",
    type=_FolderOrServer(),
    default=Path(DEFAULT_RESULTS_DIR),
    envvar=RESULTS_VARIABLE,
    show_default=True,
    show_envvar=True,
    metavar="DIR",
    help="The folder of runs, with the database in it; or postgresql://user@host/database.",
)

# Instead of `--results`, where a command is about the place itself.
place = click.argument("place", metavar="[URL]", type=_FolderOrServer(), required=False)

# No variable sets it: these runs don't belong beside real ones.
demo_results = click.option(
    "--results",
    type=_FOLDER,
    default=Path("demo_results"),
    show_default=True,
    metavar="DIR",
    help="The folder to save the runs in; created where it is missing.",
)


def _one_form(ctx: click.Context, option: click.Parameter, is_wanted: bool) -> bool:
    """Refuse `--json` and `--markdown` together: whichever comes second sees the other."""
    other = "as_markdown" if option.name == "as_json" else "as_json"
    if is_wanted and ctx.params.get(other):
        raise click.UsageError("--json and --markdown can't be had together; choose one.")
    return is_wanted


as_json = click.option(
    "--json", "as_json", is_flag=True, callback=_one_form, help="Print JSON, for scripts."
)

as_markdown = click.option(
    "--markdown", "as_markdown", is_flag=True, callback=_one_form, help="Print Markdown."
)


yes = click.option("--yes", is_flag=True, help="Don't ask.")


def check_can_ask(yes: bool) -> None:
    """Refuse to go on where nobody can be asked.

    Raises:
        click.UsageError: There is neither `--yes` nor a terminal.
    """
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask on: add --yes to go on without.")


def agrees(question: str) -> bool:
    """Ask on the terminal; say so where nothing will be deleted."""
    if click.confirm(question, err=True):
        return True
    complain("nothing is deleted")
    return False


def shown_place(results: Results) -> str:
    """Return the folder, or the URL without its password.

    Raises:
        StoreNotFoundError: The URL is none of a store.
    """
    if isinstance(results, Path):
        return str(results)
    from astraguard_store.repository import server_shown

    return server_shown(results)


def folder_only(results: Results, instead: str) -> Path:
    """Return the folder; a server is refused, with what to do instead.

    Raises:
        click.UsageError: It is a server.
    """
    if isinstance(results, str):
        raise click.UsageError(f"{shown_place(results)} has no run folders: {instead}")
    return results


def check_is_folder(results: Path) -> None:
    """Refuse a results folder that isn't there: a mistyped one must not become a store.

    Raises:
        StoreNotFoundError: It isn't there.
    """
    if not results.is_dir():
        raise StoreNotFoundError(f"the results folder {results} does not exist; name another")


def check_has_database(folder: Path) -> None:
    """Refuse a folder without a database.

    Raises:
        StoreNotFoundError: There is none in it.
    """
    if not (folder / DATABASE_NAME).exists():
        raise StoreNotFoundError(
            f"there is no database in {folder}; `{PROGRAM} import` makes it from the run folders"
        )


def open_store(
    results: str | Path, *, read_only: bool = False, adopt: bool = True
) -> RunRepository:
    """Open a store, which is imported here: help, and a mistyped option, don't wait for it."""
    from astraguard_store.repository import RunRepository

    return RunRepository.open(results, read_only=read_only, adopt=adopt)


def open_existing(results: Results) -> RunRepository:
    """Open a store for writing that is there already: a mistyped folder must not become one.

    Raises:
        StoreNotFoundError: There is none.
    """
    if isinstance(results, Path):
        check_is_folder(results)
        check_has_database(results)
    return open_store(results)


def answers_from(repository: RunRepository) -> Shape:
    """Return the JSON of where an answer comes from."""
    return {"results_dir": _place_of(repository), "answers_from": repository.answers_from}


def database_of(repository: RunRepository) -> Shape:
    """Return the JSON of which database was used."""
    place = _place_of(repository)
    return {"results_dir": place, "database": str(repository.database_path or place)}


def _place_of(repository: RunRepository) -> str:
    return repository.server or str(repository.results_dir)


def resolved(repository: RunRepository, name: str) -> str:
    """Return the id of the run that a name such as ``latest~3`` or ``@tag`` stands for."""
    from astraguard_store.run_names import resolve_run

    return resolve_run(repository, name)


def filtered_ids(
    repository: RunRepository, filters: Mapping[str, Any], *, without: Collection[RunState]
) -> list[str]:
    """Return the ids of all runs that pass the filters, newest first.

    But of those that came only so far, which it says.
    """
    found = repository.recent(_ALL_RUNS, **filters)
    left_out = [header.run_id for header in found if header.state in without]
    if left_out:
        complain(
            f"left out, for not being finished: {few_names(left_out)}; name them to have "
            "them in it"
        )
    return [header.run_id for header in found if header.state not in without]


def why_no_metric(repository: RunRepository, metric_type: str) -> str | None:
    """Return a sentence that names the metric types there are; None where this is one of them."""
    found = metric_types(repository)
    if metric_type in found or not found:
        return None
    from difflib import get_close_matches

    near = get_close_matches(metric_type, found, n=1)
    meant = f" did you mean {near[0]!r}?" if near else ""
    return f"no run has the metric type {metric_type!r};{meant} there are: {', '.join(found)}"


def _completion(
    names: Callable[[RunRepository, str], Iterable[str]],
) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Return a completion: those of *names*, of a store and what was typed, that begin so."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        try:
            with open_store(_results_of(ctx), read_only=True) as repository:
                # Nobody can type what no terminal shows, and a line's end would begin another.
                known = filter(str.isprintable, names(repository, incomplete))
                found = [name for name in known if name.startswith(incomplete)]
        except (StoreError, OSError):
            return []  # a completion that fails must not write into the command line
        if not os.environ.get(_COMPLETES, "").startswith("bash"):
            return found  # zsh and fish quote by themselves
        if os.environ.get("COMP_WORDS", "").removesuffix(incomplete).endswith(("'", '"')):
            return found
        # bash puts into the line what it gets, and click's `read` takes away one backslash.
        return [_UNSAFE_IN_BASH.sub(r"\\\\\g<0>", name) for name in found]

    return complete


def _runs(repository: RunRepository, begun: str) -> list[str]:
    """Return the newest runs' ids, and names such as ``latest`` and ``@tag``."""
    found = [header.run_id for header in repository.recent(limit=_RUNS_OFFERED)]
    if begun.startswith("@"):
        found += [f"@{tag}" for tag in _tags(repository)]
    return [*found, "latest"] if begun else found


def _baselines(repository: RunRepository) -> list[str]:
    if repository.answers_from == "folders":
        return []
    return [baseline.name for baseline in repository.baselines()]


def metric_types(repository: RunRepository) -> list[str]:
    """Return the metric types that any run has; none where run folders answer."""
    if repository.answers_from == "folders":
        return []
    return _firsts(repository, "SELECT DISTINCT metric_type FROM v_latency ORDER BY 1")


def _tags(repository: RunRepository) -> list[str]:
    runs = summaries_of(repository, repository.recent(_RUNS_LOOKED_INTO))
    return sorted({tag for run in runs for tag in run.tags})


def _firsts(repository: RunRepository, sql: str) -> list[str]:
    return [str(value) for (value,) in repository.query(sql).rows]


_SCENARIOS = "SELECT DISTINCT scenario FROM v_runs WHERE scenario IS NOT NULL ORDER BY 1"

complete_run = _completion(_runs)
complete_baseline_name = _completion(lambda store, _: _baselines(store))
complete_baseline = _completion(lambda store, begun: _baselines(store) + _runs(store, begun))
complete_metric = _completion(lambda store, _: metric_types(store))
complete_scenario = _completion(lambda store, _: _firsts(store, _SCENARIOS))
complete_tag = _completion(lambda store, _: _tags(store))


def complete_view(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of the tables and views that begin with *incomplete*."""
    from astraguard_store.store.schema_versions import described_schema

    try:
        described = described_schema(_results_of(ctx))
    except (StoreError, OSError):
        return []
    return [one.name for one in described if one.name.startswith(incomplete)]


def runs(name: str, *, required: bool) -> Callable[[Command], Command]:
    """Return a decorator that adds any number of run ids, completed as one is."""
    shown = f"{name.upper()}..." if required else f"[{name.upper()}]..."
    return click.argument(
        name, metavar=shown, nargs=-1, required=required, shell_complete=complete_run
    )


def run(name: str) -> Callable[[Command], Command]:
    """Return a decorator that adds a run, by its id or a name such as ``latest``; completed."""
    return click.argument(name, metavar=name.upper(), shell_complete=complete_run)


def complete_list(
    names: Callable[[], Iterable[str]],
) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Return a completion of a list of names, separated by commas."""

    def complete(_ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        done, comma, begun = incomplete.rpartition(",")
        given = done.split(",")
        return [f"{done}{comma}{n}" for n in names() if n.startswith(begun) and n not in given]

    return complete


def _results_of(ctx: click.Context) -> Results:
    given = ctx.params.get("results") or ctx.lookup_default("results") or DEFAULT_RESULTS_DIR
    return str(given) if names_server(given) else Path(given)


def summaries_of(repository: RunRepository, headers: Iterable[RunHeader]) -> list[RunSummary]:
    """Return the listed runs; one that was deleted since is left out."""
    from astraguard_store.store.seeing import summaries

    return list(summaries(repository, headers))


def span(text: str) -> timedelta:
    """Return how long ``90d``, ``12h`` or ``2w`` is.

    Raises:
        click.BadParameter: It is no such thing.
    """
    found = _SPAN.fullmatch(text)
    try:
        if found:
            return int(found[1]) * _UNITS[found[2]]
    except OverflowError:
        pass
    raise click.BadParameter(f"{text!r} is no span of time such as 12h, 90d or 2w.")


def time(text: str) -> datetime:
    """Return an ISO date or time, or the time a span back from now; aware.

    Raises:
        click.BadParameter: It is neither.
    """
    try:
        is_span = _SPAN.fullmatch(text)
        found = datetime.now(UTC) - span(text) if is_span else datetime.fromisoformat(text)
    except (click.BadParameter, ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is neither a time such as 2026-03-01 or 2026-03-01T12:00+01:00, "
            "nor a span such as 12h, 7d or 2w."
        ) from None
    # The lists show UTC, so that is meant where no zone is given.
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def named_value(text: str) -> tuple[str, str]:
    """Return (name, value) of ``name=value``; the value is empty where it has none."""
    name, _, value = text.partition("=")
    return name, value


def tag_filter(text: str) -> Tag:
    """Return the pair of ``name=value``, or the name where it says no value."""
    return named_value(text) if "=" in text else text


def metric_limit(text: str) -> tuple[str, str, float]:
    """Return (metric type, statistic, limit in ms) of ``fault_detection.p95_ms=100``.

    Raises:
        click.BadParameter: It is no such thing.
    """
    # From the right: the name of a metric type may hold both signs.
    measured, _, number = text.rpartition("=")
    metric_type, _, statistic = measured.rpartition(".")
    try:
        limit_ms = float(number)
    except ValueError:
        metric_type = ""
    if not metric_type:
        raise click.BadParameter(
            f"{text!r} is no METRIC.STATISTIC=MS such as fault_detection.p95_ms=100."
        )
    return metric_type, statistic, limit_ms


def limit(
    most: int, default: int = 10, said: str = "Most runs to list."
) -> Callable[[Command], Command]:
    """Return a decorator that adds `--limit`, from 1 to *most*."""
    return click.option(
        "-n",
        "--limit",
        type=click.IntRange(1, most),
        default=default,
        show_default=True,
        metavar="N",
        help=said,
    )


scenario = click.option(
    "--scenario",
    metavar="NAME",
    shell_complete=complete_scenario,
    help="Only runs of this scenario.",
)


def scenario_filters(command: Command) -> Command:
    """Add `--scenario`, `--tag` and more, by the names that `RunRepository.recent` has."""
    for option in (
        click.option(
            "--recorded-since",
            type=time,
            metavar="TIME",
            help="Only runs that were saved since.",
        ),
        click.option(
            "--until", type=time, metavar="TIME", help="Only runs flown before; as --since."
        ),
        click.option(
            "--since",
            type=time,
            metavar="TIME",
            help="Only runs flown since, by when they started, else by when they were "
            "recorded: an ISO date or time (UTC, if it has no zone), or a span back from now "
            "such as 12h, 7d or 2w.",
        ),
        click.option(
            "--tag",
            type=tag_filter,
            metavar="NAME[=VALUE]",
            shell_complete=complete_tag,
            help="Only runs with this tag (and value).",
        ),
        scenario,
    ):
        command = option(command)
    return command
