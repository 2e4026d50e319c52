"""Tables, lists and the description of the schema, as Markdown.

`docs/schema.md` and the README's table of tables and views are the latter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from astraguard_store.presentation.sketch import Sketch
from astraguard_store.presentation.text import Column
from astraguard_store.shown import printable

if TYPE_CHECKING:
    from astraguard_store.reports import DescribedObject

# An underscore inside a word, an ampersand without an entity, and a parenthesis that
# begins no address of a link are only themselves. Between dollars GitHub sets formulas.
_MARKS = re.compile(r"[\\|*`<\[~$]|(?<=\])\(|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;)")

_TITLE = """\
# Tables and views

What `astraguard-store db describe --markdown` prints for a new store. The same stands in the
table `schema_doc` of every store.

Ask the views: their columns stay the same when the tables below them change. Tables are STRICT
and hold INTEGER, REAL and TEXT only. What isn't known is NULL.

"""
_HEADLINES = {"view": "Views", "table": "Tables"}


def field_lines(fields: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Yield a list item for each (name, value)."""
    return (f"- {name}: {escaped(value)}" for name, value in fields)


def table_lines(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table."""
    titles = [escaped(column.title) for column in columns]
    rulers = ["---:" if column.numeric else "---" for column in columns]
    cells = (map(escaped, row) for row in rows)
    return (f"| {' | '.join(line)} |" for line in (titles, rulers, *cells))


def schema(objects: Sequence[DescribedObject]) -> str:
    """Return a section for each table and view; a page with a title if there are several."""
    sections = "\n".join(_sections(objects)) + "\n"
    return _TITLE + sections if len(objects) > 1 else sections


def brief_schema(objects: Sequence[DescribedObject]) -> str:
    """Return a table with a row for each table and view, and no columns."""
    rows = [
        f"| `{described.name}` | {described.kind} | {_cell(first_sentence(described))} |"
        for described in objects
    ]
    return "\n".join(["| name | kind | meaning |", "|---|---|---|", *rows]) + "\n"


def first_sentence(described: DescribedObject) -> str:
    """Return the first sentence of a description."""
    paragraph = described.description.partition("\n")[0]
    return paragraph.partition(". ")[0].rstrip(".") + "."


def _sections(objects: Sequence[DescribedObject]) -> Iterator[str]:
    kind = None
    for number, described in enumerate(objects):
        if number:
            yield ""
        if described.kind != kind:
            kind = described.kind
            yield f"## {_HEADLINES.get(kind, kind)}"
            yield ""
        yield from (f"### {described.name}", "", described.description, "")
        yield from ("| column | unit | meaning |", "|---|---|---|")
        for column in described.columns:
            yield f"| `{column.name}` | {column.unit or ''} | {_cell(column.description)} |"


def escaped(text: str) -> str:
    """Return *text* with what Markdown would take for its own marks escaped; a sketch as code."""
    if isinstance(text, Sketch) and text:
        # Of code that begins and ends with a space, one of each is taken away.
        return f"` {text} `" if text[:1] == " " == text[-1:] else f"`{text}`"
    return _MARKS.sub(r"\\\g<0>", printable(text))


def _cell(markdown: str) -> str:
    return markdown.replace("|", "\\|")
