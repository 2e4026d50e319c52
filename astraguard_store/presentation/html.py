"""HTML and SVG of which every name is escaped: names come from files, not from us.

The report, the pages and the tables of notebooks are made with `tag`, so that there is one
place where something could be left unescaped, and it leaves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from astraguard_store.presentation.text import Column
from astraguard_store.shown import printable


class Html(str):
    """Text that is HTML already; any other text is escaped when it is put into a tag."""

    __slots__ = ()


Child = str | None | Iterable["Html"]

_EMPTY_TAGS = frozenset({"meta", "link", "input", "br", "path", "line", "rect", "circle", "col"})


def text(value: str) -> Html:
    """Return *value* escaped; control characters become visible escapes."""
    return value if isinstance(value, Html) else Html(escape(printable(value)))


def tag(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Html:
    """Return an element.

    Args:
        name: Its name.
        children: Text, which is escaped; `Html`; several of these; None is left out.
        attributes: Underscores become hyphens, and one at the end goes; None and False are
            left out.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _EMPTY_TAGS and not children:
        return Html(f"<{name}{given}/>")
    inside = "".join(
        text(child) if isinstance(child, str) else "".join(map(text, child))
        for child in children
        if child is not None
    )
    return Html(f"<{name}{given}>{inside}</{name}>")


def document(title: str, body: Html, *head: Html) -> str:
    """Return an HTML document; *head* is what its head has beside the title."""
    made = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        head,
    )
    return f"<!DOCTYPE html>\n{tag('html', made, body, lang='en')}\n"


def table(
    columns: Sequence[Column],
    rows: Iterable[Sequence[str]],
    caption: str | None = None,
    *,
    long: bool = False,
) -> Html:
    """Return a table that scrolls by itself where it is wider than the page.

    Args:
        columns: Their titles, empty ones for a table of names and values.
        rows: Their cells.
        caption: What stands above it.
        long: Fold the cells after the first column, which are sentences.
    """
    classes = [
        "n" if column.numeric else "long" if long and place else None
        for place, column in enumerate(columns)
    ]
    head = [
        tag("th", column.title, class_=name, scope="col")
        for column, name in zip(columns, classes, strict=True)
    ]
    titled = any(column.title for column in columns)
    body = [
        tag("tr", [tag("td", cell, class_=c) for cell, c in zip(row, classes, strict=True)])
        for row in rows
    ]
    made = tag(
        "table",
        tag("caption", caption) if caption else None,
        tag("thead", tag("tr", head)) if titled else None,
        tag("tbody", body),
    )
    # With the keyboard one can scroll only what has the focus.
    return tag(
        "div", made, class_="wide", tabindex="0", role="region", aria_label=caption or "table"
    )


def figure(chart: Html) -> Html:
    """Return a chart that scrolls by itself where it is wider than the page."""
    # As a table; a chart that is only made smaller can't be read on a phone.
    return tag("figure", chart, tabindex="0", aria_label="chart")


def _attribute(value: str | float | bool) -> str:
    if value is True:
        return ""
    return escape(printable(value), quote=True) if isinstance(value, str) else f"{value:g}"
