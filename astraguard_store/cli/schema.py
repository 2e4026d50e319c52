"""The commands about the database itself: what it is, what it means, copies of it."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from astraguard_store.cli import report_shapes, shapes
from astraguard_store.cli.described import brief_markdown, described_markdown, print_described
from astraguard_store.cli.options import (
    check_one_form,
    examples,
    json_option,
    markdown_option,
    results_option,
)
from astraguard_store.cli.outcome import ANSWER_IS_NO, PROGRAM, StoreCommands
from astraguard_store.cli.render import print_line
from astraguard_store.repository import RunRepository
from astraguard_store.store.schema_versions import (
    DescribedObject,
    SchemaStatus,
    described_schema,
    schema_status,
    upgrade_schema,
)


@click.group(
    cls=StoreCommands,
    no_args_is_help=False,
    epilog=examples(
        "astraguard-store db current",
        "astraguard-store db describe v_latency",
        "astraguard-store db upgrade",
        "astraguard-store db backup runs.backup.db",
    ),
)
def db() -> None:
    """Look after the database: its schema, what it means, and copies of it."""


@db.command(
    epilog=examples("astraguard-store db current || astraguard-store db upgrade"),
)
@results_option
@json_option
@click.pass_context
def current(ctx: click.Context, results: Path, as_json: bool) -> None:
    """Say which schema revision the database has, and which one this version needs.

    Exit code 0 at head; 1 for another revision or no database; 2 for an error.
    """
    status = schema_status(results)
    at_head = status.found == status.head
    if as_json:
        shape = {"found": status.found, "head": status.head, "at_head": at_head}
        shapes.print_json({**_origin(status), **shape})
    else:
        print_line(f"database {status.database_path}")
        print_line(f"found    {status.found or 'none'}")
        print_line(f"head     {status.head}")
        print_line(_advice(status))
    if not at_head:
        ctx.exit(ANSWER_IS_NO)


@db.command(
    epilog=examples(
        "astraguard-store db describe v_latency",
        "astraguard-store db describe --brief",
        "astraguard-store db describe --json | jq -r '.objects[].name'",
    )
)
@click.argument("name", metavar="[OBJECT]", required=False)
@click.option("--brief", is_flag=True, help="A line for each table and view, without columns.")
@markdown_option
@results_option
@json_option
def describe(
    name: str | None, brief: bool, as_markdown: bool, results: Path, as_json: bool
) -> None:
    """Say what the tables, the views and their columns mean, and in which units they are.

    OBJECT is one table or view; without it all are described, the views first.

    Exit code 0; 2 for an error, such as an OBJECT that isn't there.
    """
    check_one_form(as_json=as_json, as_markdown=as_markdown)
    objects = _chosen(described_schema(results), name)
    if as_json:
        origin = _origin(schema_status(results))
        shapes.print_json({**origin, "objects": report_shapes.objects_shape(objects, brief=brief)})
    elif as_markdown:
        shown = brief_markdown(objects) if brief else described_markdown(objects)
        click.echo(shown, nl=False)
    else:
        print_described(objects, brief=brief)


@db.command(epilog=examples("astraguard-store db upgrade --results results"))
@results_option
@json_option
def upgrade(results: Path, as_json: bool) -> None:
    """Bring the database to the schema revision that this version needs.

    A database at head is left as it is; of another one a copy is kept beside it.

    Exit code 0; 2 for an error, such as a database that isn't there or is newer.
    """
    before = schema_status(results)
    after = upgrade_schema(results)
    if as_json:
        backup = str(after.backup_path) if after.backup_path else None
        shape = {"before": before.found, "after": after.found, "head": after.head}
        shapes.print_json({**_origin(after), **shape, "backup": backup})
    elif after.backup_path is None:
        print_line(f"{after.database_path} is at {after.head} already.")
    else:
        print_line(f"{after.database_path} went from {before.found} to {after.found}.")
        print_line(f"A copy from before is kept as {after.backup_path}.")


@db.command(epilog=examples("astraguard-store db backup runs.backup.db --results results"))
@click.argument("file", type=click.Path(path_type=Path))
@results_option
@json_option
def backup(file: Path, results: Path, as_json: bool) -> None:
    """Copy the database to the new file FILE while others go on writing, and check the copy.

    The run folders are not copied: back them up as the files they are.

    Exit code 0; 2 for an error, such as a file that is there already.
    """
    with RunRepository.open(results, read_only=True) as repository:
        root, database = repository.results_dir, repository.database_path
        repository.back_up(file)
    size = file.stat().st_size
    if as_json:
        shape: shapes.Shape = {"results_dir": str(root), "database": str(database)}
        shapes.print_json({**shape, "backup": str(file.resolve()), "bytes": size})
    else:
        print_line(f"{database} is copied to {file} ({size} bytes), and the copy is sound.")


def _chosen(objects: Sequence[DescribedObject], name: str | None) -> Sequence[DescribedObject]:
    chosen = [described for described in objects if name in (None, described.name)]
    if not chosen:
        names = ", ".join(described.name for described in objects)
        raise click.UsageError(f"There is no table or view {name!r}; there are {names}.")
    return chosen


def _origin(status: SchemaStatus) -> shapes.Shape:
    path = status.database_path
    return {"results_dir": str(path.parent), "database": str(path)}


def _advice(status: SchemaStatus) -> str:
    folder = shlex.quote(str(status.database_path.parent))
    if status.found == status.head:
        return "The database is at head."
    if not status.database_path.exists():
        return f"The first save makes one, or `{PROGRAM} import --results {folder}`."
    if status.found is None:
        return "It holds no astraguard_store schema: another program may have made it."
    # Revisions count up in four digits, so their order is that of the text.
    if status.found > status.head:
        return "The database is newer: run `pip install --upgrade astraguard-store`."
    return f"Not at head: run `{PROGRAM} db upgrade --results {folder}`."
