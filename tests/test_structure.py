"""How the package is built: how deep its imports go, and where SQL stands.

import-linter holds the layers (`make layers`), `test_system_boundary.py` the operating system.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

import astraguard_store

PACKAGE = Path(astraguard_store.__file__).parent
OUTSIDE_DATABASE = [
    path for path in sorted(PACKAGE.rglob("*.py")) if PACKAGE / "database" not in path.parents
]
LONGEST_CHAIN = 16

# Of the views that users ask too: the command line may ask them as users do.
USERS_SQL = re.compile(r"\bv_\w+|\bschema_doc\b")
SQL = re.compile(
    r"\bSELECT\s.*\bFROM\b|\bPRAGMA\s+\w|\bINSERT\s+(OR \w+ )?INTO\b|\bDELETE\s+FROM\b"
    r"|\bUPDATE\s+\w+\s+SET\b|\b(CREATE|DROP|ALTER)\s+(TABLE|VIEW|INDEX|TRIGGER)\b"
    r"|\bATTACH\b|\bBEGIN\s+(IMMEDIATE|EXCLUSIVE)\b|\bVACUUM\b",
    re.DOTALL,
)


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in PACKAGE.rglob("*.py")}


def run_when_imported(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that an import runs, not those of functions or for type checkers."""
    for statement in statements:
        yield statement
        match statement:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield from run_when_imported(statement.orelse)
            case ast.If() | ast.Try() | ast.With() | ast.ClassDef():
                for field in ("body", "orelse", "finalbody"):
                    yield from run_when_imported(getattr(statement, field, ()))


@cache
def imports_of(module: str) -> frozenset[str]:
    """Return the modules of the package that importing *module* imports by name."""
    found: set[str] = set()
    for statement in run_when_imported(ast.parse(MODULES[module].read_text()).body):
        if isinstance(statement, ast.Import):
            found.update(alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            names = [f"{statement.module}.{alias.name}" for alias in statement.names]
            found.update(n if n in MODULES else str(statement.module) for n in names)
    return frozenset(found & MODULES.keys() - {module})


@cache
def longest_chain(module: str) -> tuple[str, ...]:
    return max(
        ((module, *longest_chain(m)) for m in imports_of(module)), key=len, default=(module,)
    )


def texts(path: Path) -> Iterator[str]:
    """Yield the strings of a module; neither docstrings nor what help lists as examples."""
    tree = ast.parse(path.read_text())
    said: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            said.update(id(part) for part in ast.walk(node.value))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "options.examples":
            said.update(id(part) for part in ast.walk(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


def test_the_longest_chain_of_imports_is_short() -> None:
    chain = max((longest_chain(module) for module in sorted(MODULES)), key=len)

    assert len(chain) <= LONGEST_CHAIN, " > ".join(chain)


@pytest.mark.parametrize("path", OUTSIDE_DATABASE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_sql_stands_outside_of_the_database(path: Path) -> None:
    found = [text for text in texts(path) if SQL.search(text) and not USERS_SQL.search(text)]

    assert found == []
