"""The command `astraguard-store`: front end for people and scripts.

```
reading  comparing  distributions  asking                    the commands that ask,
changing  adopting  moving  checking  schema  demonstration  and those that do
                     │
options  filters  render  shapes  report_shapes  described   what they share: arguments,
                     │                                       tables, JSON
                  outcome                                    exit codes and error lines
```

Only this package imports click and rich, and nothing imports this package: a
runner that only saves doesn't pay for the terminal.
"""

import click

from astraguard_store import __version__
from astraguard_store.cli.adopting import import_runs
from astraguard_store.cli.asking import query
from astraguard_store.cli.changing import delete, prune, tag
from astraguard_store.cli.checking import check
from astraguard_store.cli.comparing import compare
from astraguard_store.cli.demonstration import demo
from astraguard_store.cli.distributions import percentiles
from astraguard_store.cli.moving import export, merge
from astraguard_store.cli.options import examples
from astraguard_store.cli.outcome import PROGRAM, StoreCommands
from astraguard_store.cli.reading import recent, show
from astraguard_store.cli.schema import db
from astraguard_store.store.schema_versions import schema_head, sqlite_caveat, sqlite_version


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(
            f"{PROGRAM} {__version__} (SQLite {sqlite_version()}, schema head {schema_head()})"
        )
        if caveat := sqlite_caveat():
            click.echo(caveat)
        ctx.exit()


_EPILOG = (
    examples(
        "astraguard-store demo",
        "astraguard-store recent --limit 5",
        "astraguard-store show run_001 --satellites",
        "astraguard-store compare run_001 run_002 --json",
        "astraguard-store percentiles fault_detection --since 4w",
        "astraguard-store prune --keep 500 --older-than 90d --dry-run",
        "astraguard-store query - --format csv < slowest.sql",
        "astraguard-store import --results old_results",
        "astraguard-store export --all --to runs.zip",
        "astraguard-store merge /mnt/rig2/results",
        "astraguard-store check",
    )
    + """

\b
Exit codes:
  0  done
  1  the answer is no: no such run, a folder that the import refused, a run
     that a merge refused or has another save of, a schema that is not at
     head, a fault that a check found
  2  a usage or store error, said in one line on standard error

\b
Completion in bash (zsh and fish alike):
  eval "$(_ASTRAGUARD_STORE_COMPLETE=bash_source astraguard-store)"
"""
)


@click.group(
    cls=StoreCommands,
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


for _command in (
    demo,
    recent,
    show,
    compare,
    percentiles,
    query,
    tag,
    delete,
    prune,
    import_runs,
    export,
    merge,
    check,
    db,
):
    main.add_command(_command)
