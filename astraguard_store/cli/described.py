"""What the tables and views mean, as text for a terminal and as Markdown.

`docs/schema.md` and the README's table of tables and views are this Markdown.
"""

from collections.abc import Iterator, Sequence

from astraguard_store.cli.render import Column, print_line, print_table
from astraguard_store.store.schema_versions import DescribedObject

_TITLE = """\
# Tables and views

What `astraguard-store db describe --markdown` prints for a new store. The same stands in the
table `schema_doc` of every store.

Ask the views: their columns stay the same when the tables below them change. Tables are STRICT
and hold INTEGER, REAL and TEXT only. What isn't known is NULL.

"""
_HEADLINES = {"view": "Views", "table": "Tables"}


def print_described(objects: Sequence[DescribedObject], *, brief: bool) -> None:
    """Print the tables and views; if *brief*, a line each without their columns."""
    if brief:
        columns = [Column(title, numeric=False) for title in ("name", "kind", "meaning")]
        print_table(columns, [[o.name, o.kind, first_sentence(o)] for o in objects])
        return
    for number, described in enumerate(objects):
        if number:
            print_line()
        _print_one(described)


def _print_one(described: DescribedObject) -> None:
    print_line(f"{described.kind} {described.name}")
    print_line()
    for line in described.description.splitlines():
        print_line(line)
    print_line()
    titles = [Column(title, numeric=False) for title in ("column", "unit", "meaning")]
    print_table(titles, [[c.name, c.unit or "-", c.description] for c in described.columns])


def described_markdown(objects: Sequence[DescribedObject]) -> str:
    """Return a section for each table and view; a page with a title if there are several."""
    sections = "\n".join(_sections(objects)) + "\n"
    return _TITLE + sections if len(objects) > 1 else sections


def brief_markdown(objects: Sequence[DescribedObject]) -> str:
    """Return a table with a row for each table and view, and no columns."""
    rows = [
        f"| `{described.name}` | {described.kind} | {_cell(first_sentence(described))} |"
        for described in objects
    ]
    return "\n".join(["| name | kind | meaning |", "|---|---|---|", *rows]) + "\n"


def first_sentence(described: DescribedObject) -> str:
    """Return what the description begins with."""
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
        yield f"### {described.name}"
        yield ""
        yield described.description
        yield ""
        yield "| column | unit | meaning |"
        yield "|---|---|---|"
        for column in described.columns:
            yield f"| `{column.name}` | {column.unit or ''} | {_cell(column.description)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
