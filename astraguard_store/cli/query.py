"""`astraguard-store query`."""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import click

from astraguard_store.cli import options, output
from astraguard_store.cli.groups import complain
from astraguard_store.presentation import shapes, text
from astraguard_store.reports import QueryResult
from astraguard_store.shown import printable

# What a table shows of a BLOB; CSV and JSON have all of it.
_BLOB_BYTES_SHOWN = 16
_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)(?P<fraction>\.\d+)?(?P<exponent>[eE][+-]?\d+)?")
_LARGEST_INTEGER = 2**63
_QUOTED_IN_CSV = re.compile(r'[",\r\n]')


@click.command(
    epilog=options.examples(
        'astraguard-store query "SELECT * FROM v_runs LIMIT 5"',
        'astraguard-store query "SELECT * FROM schema_doc" --format markdown',
        'astraguard-store query "SELECT * FROM v_latency WHERE run_id = :run" --param run=run_001',
        "astraguard-store query - --format csv < slowest.sql > slowest.csv",
    )
)
@click.argument("sql", metavar="SQL")
@click.option(
    "--param",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="Bind :NAME; a number is bound as one, unless in single quotes. May be repeated.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json", "markdown"]),
    default="table",
    show_default=True,
    help="How to print the answer.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True, max=86_400),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Stop the query after so long.",
)
@click.option(
    "--limit", type=click.IntRange(min=0), metavar="ROWS", help="Print so many rows at most."
)
@options.results
@options.as_json
def query(
    sql: str,
    parameters: tuple[str, ...],
    form: str,
    time_limit: float,
    limit: int | None,
    results: options.Results,
    as_json: bool,
) -> None:
    """Run one statement of SQL that only reads; `-` takes it from standard input.

    The views v_runs, v_latency, v_changes, v_buckets, v_artifacts and the table schema_doc,
    which explains each column, stay the same from version to version. Nothing can be
    written, attached or switched off.

    In CSV and Markdown NULL is empty, and in CSV an empty text is "". BLOBs are in
    hexadecimal digits.

    Exit code 0, also where there is no row; 2 for an error, or where the time is over.
    """
    if as_json and form not in {"table", "json"}:
        raise click.UsageError(f"--json and --format {form} can't be had together; choose one.")
    bound = _bound(parameters)
    statement = _from_stdin() if sql == "-" else sql
    with options.open_store(results, read_only=True) as repository:
        answer = repository.query(statement, bound, time_limit_s=time_limit, row_limit=limit)
        origin = options.database_of(repository)
    if as_json or form == "json":
        output.print_json({**origin, **shapes.shape_of(answer)})
        return
    _PRINTERS[form](answer)
    if answer.truncated:
        complain(f"there are more rows than the {limit} of --limit")


def _from_stdin() -> str:
    try:
        return sys.stdin.read() if sys.stdin else ""
    except UnicodeDecodeError as error:
        raise click.UsageError(f"Standard input is no text: {error}.") from None


def _bound(parameters: Sequence[str]) -> Mapping[str, str | int | float]:
    bound: dict[str, str | int | float] = {}
    for parameter in parameters:
        name, equals, text = parameter.partition("=")
        name = name.removeprefix(":")
        if not equals or not name.isidentifier():
            raise click.UsageError(f"Invalid --param {parameter!r}: NAME=VALUE is needed.")
        if name in bound:
            raise click.UsageError(f"Invalid --param {parameter!r}: {name} is given twice.")
        bound[name] = _value(text)
    return bound


def _value(text: str) -> str | int | float:
    number = _NUMBER.fullmatch(text)
    if number:
        if not number["fraction"] and not number["exponent"]:
            whole = int(text)
            return whole if -_LARGEST_INTEGER <= whole < _LARGEST_INTEGER else float(text)
        return float(text)
    if len(text) >= 2 and text[0] == text[-1] == "'":
        return text[1:-1]
    return text


def _print_table(answer: QueryResult, *, markdown: bool = False) -> None:
    columns = [
        text.Column(printable(name), numeric=numeric)
        for name, numeric in zip(answer.columns, _numeric_columns(answer), strict=True)
    ]
    null = "" if markdown else "NULL"
    rows = [[_shown(value, null) for value in row] for row in answer.rows]
    output.print_table(columns, rows, markdown=markdown)


def _numeric_columns(answer: QueryResult) -> list[bool]:
    """Return for each column whether there are numbers in it, and nothing else but NULL."""
    found: list[set[type]] = [set() for _ in answer.columns]
    for row in answer.rows:
        for types, value in zip(found, row, strict=True):
            types.add(type(value))
    return [bool(types & {int, float}) and types <= {int, float, type(None)} for types in found]


def _shown(value: Any, null: str) -> str:
    """Return *value* for people, NULL as *null*."""
    if value is None:
        return null
    if isinstance(value, float):
        # As SQLite's shell: 0.1 + 0.2 is 0.3.
        return f"{value:.15g}"
    if isinstance(value, bytes):
        rest = f"… ({len(value)} bytes)" if len(value) > _BLOB_BYTES_SHOWN else ""
        return value[:_BLOB_BYTES_SHOWN].hex() + rest
    return str(value)


def _in_csv(value: Any) -> str:
    """Return *value* as a field by RFC 4180; NULL is empty, and an empty text is not."""
    if value is None:
        return ""
    text = value.hex() if isinstance(value, bytes) else str(value)
    if text and not _QUOTED_IN_CSV.search(text):
        return text
    return '"' + text.replace('"', '""') + '"'


_PRINTERS: Mapping[str, Callable[[QueryResult], None]] = {
    "table": _print_table,
    "csv": lambda answer: output.write_lines(
        ",".join(map(_in_csv, row)) + "\r" for row in (answer.columns, *answer.rows)
    ),
    "markdown": partial(_print_table, markdown=True),
}
