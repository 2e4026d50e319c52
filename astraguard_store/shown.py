"""Shown: what every public value says of itself as a table, a dict and a frame.

Values lie below `presentation/`, which knows how they are shown. So it is imported when one
of these methods is called, and a runner that only saves never loads it.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl


class Shown:
    """A value with a table in notebooks and a dict for JSON."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        """Return an HTML table, which notebooks show."""
        return html_of(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the value as the command line's JSON has it; nothing is rounded."""
        return dict_of(self)


class Tabular(Shown):
    """A value that is a table too."""

    __slots__ = ()

    def to_polars(self) -> pl.DataFrame:
        """Return the rows of the table as a polars frame; nothing is rounded."""
        from astraguard_store.presentation.notebook import frame_of

        return frame_of(self)


class Plotted(Tabular):
    """A value whose charts hold more than itself: it knows the repository that gave it."""

    # Not among the fields: neither compared nor shown, and a copy doesn't have it.
    __slots__ = ("_asked",)


def note_asked(value: Plotted, repository: object) -> None:
    """Let the charts of *value* ask *repository*, for as long as somebody has that open."""
    # A cached value is shared by the repositories of a store: one that is open is as good.
    if getattr(asked_of(value), "_closed", True):
        object.__setattr__(value, "_asked", weakref.ref(repository))


def asked_of(value: Plotted) -> Any:
    """Return the repository that gave *value*; None where there is none any more."""
    asked: weakref.ref[object] | None = getattr(value, "_asked", None)
    return None if asked is None else asked()


def html_of(value: object) -> str:
    """Return *value* as an HTML table, with all names escaped: named tuples have no mixin."""
    from astraguard_store.presentation.notebook import html_table_of

    return html_table_of(value)


def dict_of(value: object) -> dict[str, Any]:
    """Return *value* as the command line's JSON has it."""
    from astraguard_store.presentation.shapes import shape_of

    return shape_of(value)


def printable(text: str) -> str:
    """Return *text* with control characters escaped: names come from files, not from us."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
