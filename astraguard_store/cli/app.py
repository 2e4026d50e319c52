"""The program `astraguard-store`: its commands, in the order in which help lists them."""

from __future__ import annotations

import click

from astraguard_store.cli.groups import PROGRAM, LateCommands, StoreGroup

# The first line of each command's docstring, by what people do: help imports no command.
_SECTIONS = {
    "Look": {
        "recent": "List the newest runs, newest first.",
        "show": "Show the statistics of one run, what it was, its tags and its files.",
        "compare": "Compare run CANDIDATE against run BASELINE.",
        "history": "Show how METRIC went from run to run, oldest first, and where it changed.",
        "percentiles": "Say the percentiles of METRIC over many runs, each within 1 %.",
        "report": "Write a report of runs that can be mailed: one file, without scripts.",
        "query": "Run one statement of SQL that only reads; `-` takes it from standard input.",
        "serve": "Serve pages of the store for a browser: runs, charts, history, SQL.",
        "watch": "Draw the list of the newest runs anew, every other second, until Ctrl-C.",
    },
    "Judge": {
        "gate": "Say whether the CANDIDATE runs got worse than a baseline, and how sure that is.",
        "baseline": "Name the runs that others are judged against; `prune` keeps them.",
        "changes": "Say when METRIC became slower or faster for good: the steps in its history.",
    },
    "Keep in order": {
        "tag": "Set and remove tags of a run, and list what it has then.",
        "delete": "Delete runs: their rows and their files.",
        "prune": "Delete old runs, and give their bytes back to the disk.",
        "check": "Look for damage: in the database, in the files, between both.",
        "db": "Look after the database: its schema, what it means, and copies of it.",
    },
    "Bring in and take out": {
        "save": "Save the measurements of files as run RUN; `-` is standard input.",
        "import": "Adopt run folders that the database doesn't know yet.",
        "export": "Copy runs into a folder, a zip or a parquet file: all of them, or nothing.",
        "merge": "Take over the runs of another store, whole and with their files.",
        "push": "Copy to a PostgreSQL server what it doesn't have of these runs.",
    },
    "Try out": {
        "demo": "Fly a simulated swarm, save the runs, compare two of them, and write a report.",
    },
}

_EPILOG = """\b
Examples:
  astraguard-store demo
  astraguard-store recent --limit 5
  astraguard-store show run_001 --satellites
  astraguard-store compare run_001 run_002 --json
  astraguard-store gate run_011 run_012 run_013 --baseline nightly
  astraguard-store percentiles fault_detection --since 4w
  astraguard-store prune --keep 500 --older-than 90d --dry-run
  astraguard-store query - --format csv < slowest.sql
  astraguard-store import --results old_results
  astraguard-store export --all --to runs.zip
  astraguard-store merge /mnt/rig2/results
  astraguard-store push postgresql://rig@server/runs --watch 60
  astraguard-store check

\b
Exit codes:
  0  done
  1  the answer is no: no such run, a metric type that no run has, a folder
     that the import refused, a run that a merge or a push refused or has
     another save of, a schema that is not at head, a fault that a check
     found; of `gate`: something regressed
  2  a usage or store error, said in one line on standard error
  3  of `gate`: not settled, or only on assumed noise

\b
Completion in bash (zsh and fish alike):
  eval "$(_ASTRAGUARD_STORE_COMPLETE=bash_source astraguard-store)"
"""


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from astraguard_store import __version__
    from astraguard_store.store.schema_versions import schema_head, sqlite_version

    click.echo(f"{PROGRAM} {__version__} (SQLite {sqlite_version()}, schema head {schema_head()})")
    ctx.exit()


@click.group(
    cls=StoreGroup,
    commands=LateCommands(__package__, _SECTIONS),
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EPILOG,
    invoke_without_command=True,
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the versions of the package, of SQLite and of the schema.",
)
@click.pass_context
def main(ctx: click.Context) -> None:
    """Keep and ask the latency measurements of hardware-in-the-loop test runs."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
