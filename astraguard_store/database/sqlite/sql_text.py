"""How much SQLite has to read of a statement, told by its text.

SQLite asks nobody while it reads. Each time that a name of a WITH stands in a FROM, its
SELECT is read again, with all that it names itself: 22 such names, each the join of the
one before with itself, are 2^22 SELECTs, which took 15 s and 2 GB before the first step
that can be stopped. So they are counted before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

# 0.3 s, and 60 MB.
_MOST_PARTS: Final = 30_000
# A long list of values to look for; of 1 MB it takes 1 s, and of 500 MB the memory of 2 GB.
_LONGEST_BYTES: Final = 2**16
_TOKEN: Final = re.compile(
    r"""--[^\n]*|/\*.*?(?:\*/|\Z)"""
    r"""|'((?:[^']|'')*)'|"((?:[^"]|"")*)"|`((?:[^`]|``)*)`|\[([^\]]*)\]"""
    # Any character that isn't ASCII may be in a name; as SQLite has it, a mark of the order of
    # bytes is a space where none has begun.
    r"""|([A-Za-z_\x80-\ufefe\uff00-\U0010ffff][\w$\x80-\U0010ffff]*)|([(),.])""",
    re.DOTALL,
)
_QUOTES: Final = ("'", '"', "`")
_BEFORE_A_TABLE: Final = frozenset({"from", "join", "in", ",", "("})
_BEGINNINGS: Final = frozenset({"select", "values", "with"})


def why_too_long_to_read(
    sql: str, views: Callable[[], Iterable[tuple[str, str]]] = tuple
) -> str | None:
    """Return why a statement isn't given to SQLite; None if it may be.

    Args:
        sql: The statement.
        views: Gives (name, text) of each view that it may name; asked only if it has a WITH.
    """
    # The second looks at the text only where the first lets it pass.
    if len(sql) > _LONGEST_BYTES or len(sql.encode(errors="replace")) > _LONGEST_BYTES:
        return (
            f"it has more than {_LONGEST_BYTES // 1024} kB; bind long values as parameters, or "
            "ask for less at a time"
        )
    tokens = list(_tokens(sql))
    bodies: dict[str, Sequence[str]] = {}
    for name, body in _definitions(tokens):
        if name in bodies:
            return f"the name {name!r} is given twice by WITH; use another"
        bodies[name] = body
    of_views = {name.lower(): list(_tokens(text)) for name, text in views()} if bodies else {}
    parts = _Parts(bodies, of_views).of(tokens)
    if parts > _MOST_PARTS:
        return f"its names of WITH stand for {parts} parts; name each of them once or twice"
    return None


class _Parts:
    """Counts how many SELECTs names of WITH and of views stand for."""

    def __init__(
        self, bodies: dict[str, Sequence[str]], views: Mapping[str, Sequence[str]]
    ) -> None:
        self._bodies = {**views, **bodies}
        self._selects = {
            name: 1 if name in bodies else body.count("select")
            for name, body in self._bodies.items()
        }
        # A name within its own body is the recursion, or wrong.
        self._counts: dict[str, int] = {}

    def of(self, tokens: Sequence[str]) -> int:
        return sum(map(self._of_name, _tables(tokens)))

    def _of_name(self, name: str) -> int:
        if name not in self._bodies:
            return 0
        if name not in self._counts:
            self._counts[name] = 0
            self._counts[name] = self._selects[name] + self.of(self._bodies[name])
        return self._counts[name]


def _tokens(sql: str) -> Iterator[str]:
    """Yield names, also quoted ones, brackets, commas and dots; names in lower case."""
    for found in _TOKEN.finditer(sql):
        token = next((group for group in found.groups() if group is not None), None)
        if token is not None:
            yield _unquoted(found[0][0], token).lower()


def _unquoted(beginning: str, token: str) -> str:
    """Return a token without its quotes; a quoted bracket keeps them, for it is a name."""
    if beginning in _QUOTES:
        token = token.replace(beginning * 2, beginning)
    return f'"{token}"' if beginning not in "(),." and token in {*"(),."} else token


def _definitions(tokens: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield (name, what it stands for) of each ``name (columns) AS (SELECT …)``."""
    for position, (bracket, beginning) in enumerate(pairwise(tokens)):
        if bracket == "(" and beginning in _BEGINNINGS:
            name = _name_before(tokens, position)
            if name is not None:
                yield name, tokens[position + 1 : _closing(tokens, position)]


def _name_before(tokens: Sequence[str], position: int) -> str | None:
    """Return the name of ``name (columns) AS NOT MATERIALIZED`` that ends there."""
    end = position
    while end and tokens[end - 1] in {"materialized", "not"}:
        end -= 1
    if not end or tokens[end - 1] != "as":
        return None
    end -= 1
    if end and tokens[end - 1] == ")":
        while end and tokens[end - 1] != "(":
            end -= 1
        end -= 1
    return tokens[end - 1] if end > 0 else None


def _closing(tokens: Sequence[str], opening: int) -> int:
    depth = 0
    for position in range(opening, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[position], 0)
        if not depth:
            return position
    return len(tokens)


def _tables(tokens: Sequence[str]) -> Iterator[str]:
    """Yield what stands where a table may."""
    for before, token, after in zip(["", *tokens], tokens, [*tokens[1:], ""], strict=False):
        if before in _BEFORE_A_TABLE and after != ".":
            yield token
