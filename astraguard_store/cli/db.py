"""`astraguard-store db`: what the database is, what it means, and copies of it."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from astraguard_store.cli import options, output
from astraguard_store.cli.groups import ANSWER_IS_NO, OK, PROGRAM, StoreGroup
from astraguard_store.presentation import markdown, numbers, shapes, text
from astraguard_store.reports import DescribedObject
from astraguard_store.store.schema_versions import (
    SchemaStatus,
    described_schema,
    grant_roles,
    grant_statements,
    restore_backup,
    schema_status,
    upgrade_schema,
)


@click.group(
    cls=StoreGroup,
    no_args_is_help=False,
    epilog=options.examples(
        "astraguard-store db current",
        "astraguard-store db describe v_latency",
        "astraguard-store db upgrade",
        "astraguard-store db backup runs.backup.db",
    ),
)
def db() -> None:
    """Look after the database: its schema, what it means, and copies of it."""


@db.command(
    epilog=options.examples("astraguard-store db current || astraguard-store db upgrade"),
)
@options.place
@options.results
@options.as_json
def current(place: options.Results | None, results: options.Results, as_json: bool) -> int:
    """Say which schema revision the database has, and which one this version needs.

    Exit code 0 at head; 1 for another revision or no database; 2 for an error.
    """
    status = schema_status(place or results)
    at_head = status.found == status.head
    if as_json:
        shape = {"found": status.found, "head": status.head, "at_head": at_head}
        output.print_json({**_origin(status), **shape})
    else:
        output.print_line(f"database {status.database_path}")
        output.print_line(f"found    {status.found or 'none'}")
        output.print_line(f"head     {status.head}")
        output.print_line(_advice(status))
    return OK if at_head else ANSWER_IS_NO


@db.command(
    epilog=options.examples(
        "astraguard-store db describe v_latency",
        "astraguard-store db describe --brief",
        "astraguard-store db describe --json | jq -r '.objects[].name'",
    )
)
@click.argument("name", metavar="[OBJECT]", required=False, shell_complete=options.complete_view)
@click.option("--brief", is_flag=True, help="A line for each table and view, without columns.")
@options.as_markdown
@options.results
@options.as_json
def describe(
    name: str | None, brief: bool, as_markdown: bool, results: options.Results, as_json: bool
) -> None:
    """Say what the tables, the views and their columns mean, and in which units they are.

    OBJECT is one table or view; without it all are described, the views first.

    Exit code 0; 2 for an error, such as an OBJECT that isn't there.
    """
    objects = _chosen(described_schema(results), name)
    if as_json:
        shape = shapes.plain(objects)
        for one in shape if brief else ():
            del one["columns"]
        output.print_json({**_origin(schema_status(results)), "objects": shape})
    elif as_markdown:
        shown = markdown.brief_schema(objects) if brief else markdown.schema(objects)
        click.echo(shown, nl=False)
    else:
        _print_objects(objects, brief=brief)


@db.command(epilog=options.examples("astraguard-store db upgrade --results results"))
@options.place
@options.results
@options.as_json
def upgrade(place: options.Results | None, results: options.Results, as_json: bool) -> None:
    """Bring the database to the schema revision that this version needs.

    A database at head is left as it is; of another one a copy is kept beside it. On a
    server, named by its URL, nothing is copied: it is one transaction.

    Exit code 0; 2 for an error, such as a database that isn't there or is newer.
    """
    before = schema_status(place or results)
    after = upgrade_schema(place or results)
    if as_json:
        backup = str(after.backup_path) if after.backup_path else None
        shape = {"before": before.found, "after": after.found, "head": after.head}
        output.print_json({**_origin(after), **shape, "backup": backup})
    elif before.found == after.found:
        output.print_line(f"{after.database_path} is at {after.head} already.")
    else:
        found = before.found or "no schema"
        output.print_line(f"{after.database_path} went from {found} to {after.found}.")
        if after.backup_path is not None:
            output.print_line(f"A copy from before is kept as {after.backup_path}.")


@db.command(
    epilog=options.examples(
        "astraguard-store db grants > grants.sql",
        "astraguard-store db grants postgresql://owner@server/runs --apply",
    )
)
@options.place
@click.option("--apply", "is_wanted", is_flag=True, help="Run them on the server.")
def grants(place: options.Results | None, is_wanted: bool) -> None:
    """Print the SQL that makes a server's roles: owner, writer and reader.

    An owner migrates, writers push and save, readers ask. With --apply it is run on the
    server of that URL. It may be run again at any time.

    Exit code 0; 2 for an error.
    """
    if is_wanted:
        if not isinstance(place, str):
            raise click.UsageError("Say which server: db grants postgresql://… --apply.")
        grant_roles(place)
        output.print_line(f"{options.shown_place(place)} has its roles.")
        return
    for statement in grant_statements():
        output.print_line(f"{statement};")


@db.command(epilog=options.examples("astraguard-store db backup runs.backup.db --results results"))
@click.argument("file", type=options.LocalPath(path_type=Path))
@options.results
@options.as_json
def backup(file: Path, results: options.Results, as_json: bool) -> None:
    """Copy the database to the new file FILE while others go on writing, and check the copy.

    The run folders are not copied: back them up as the files they are.

    Exit code 0; 2 for an error, such as a file that is there already.
    """
    with options.open_store(results, read_only=True) as repository:
        origin = options.database_of(repository)
        repository.back_up(file)
    size = file.stat().st_size
    if as_json:
        output.print_json({**origin, "backup": str(file.resolve()), "bytes": size})
    else:
        output.print_line(
            f"{origin['database']} is copied to {file} ({numbers.size_text(size)}), "
            "and the copy is sound."
        )


@db.command(epilog=options.examples("astraguard-store db restore runs.backup.db"))
@click.argument("file", type=options.LocalPath(path_type=Path))
@options.results
@options.as_json
def restore(file: Path, results: options.Results, as_json: bool) -> None:
    """Put a copy of the backup FILE in the place of the database; the former one is kept.

    Programs that have the store open must open it again. Runs that were saved since the
    backup come back by `astraguard-store import`.

    Exit code 0; 2 for an error, such as a backup that isn't sound.
    """
    folder = options.folder_only(results, "use the server's own tools, such as pg_restore")
    former = restore_backup(folder, file)
    status = schema_status(folder)
    if as_json:
        kept = str(former) if former else None
        output.print_json({**_origin(status), "backup": str(file.resolve()), "former": kept})
        return
    output.print_line(f"{status.database_path} is a copy of {file} now, and the copy is sound.")
    if former:
        output.print_line(f"The former database is kept as {former}.")
    if status.found != status.head:
        output.print_line(_advice(status))


def _chosen(objects: Sequence[DescribedObject], name: str | None) -> Sequence[DescribedObject]:
    chosen = [described for described in objects if name in (None, described.name)]
    if not chosen:
        names = ", ".join(described.name for described in objects)
        raise click.UsageError(f"There is no table or view {name!r}; there are {names}.")
    return chosen


def _print_objects(objects: Sequence[DescribedObject], *, brief: bool) -> None:
    if brief:
        rows = [[o.name, o.kind, markdown.first_sentence(o)] for o in objects]
        output.print_table(text.words("name", "kind", "meaning"), rows)
        return
    for number, described in enumerate(objects):
        if number:
            output.print_line()
        output.print_line(f"{described.kind} {described.name}")
        for line in ("", *described.description.splitlines(), ""):
            output.print_line(line)
        rows = [[c.name, c.unit or "-", c.description] for c in described.columns]
        output.print_table(text.words("column", "unit", "meaning"), rows)


def _origin(status: SchemaStatus) -> shapes.Shape:
    path = status.database_path
    if isinstance(path, str):
        return {"results_dir": path, "database": path}
    return {"results_dir": str(path.parent), "database": str(path)}


def _advice(status: SchemaStatus) -> str:
    if status.found == status.head:
        return "The database is at head."
    if isinstance(status.database_path, str):
        return f"Not at head: run, as its owner, `{PROGRAM} db upgrade URL`."
    folder = shlex.quote(str(status.database_path.parent))
    if not status.database_path.exists():
        return f"The first save makes one, or `{PROGRAM} import --results {folder}`."
    if status.found is None:
        return "It holds no astraguard_store schema: another program may have made it."
    # Revisions count up in four digits, so their order is that of the text.
    if status.found > status.head:
        return "The database is newer: run `pip install --upgrade astraguard-store`."
    return f"Not at head: run `{PROGRAM} db upgrade --results {folder}`."
