"""Nothing outside of the package `system` knows the operating system."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import astraguard_store

PACKAGE = Path(astraguard_store.__file__).parent
OUTSIDE = [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent != PACKAGE / "system"]
MODULES = {"fcntl", "signal", "_signal", "subprocess", "ctypes", "msvcrt"}
NAMES = re.compile(
    r"\bos\.(O_\w+|open|fsync|fdatasync|register_at_fork|posix_fadvise|fork|kill\w*)\b"
)


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_and_calls_nothing_of_the_system(path: Path) -> None:
    modules = {name.partition(".")[0] for name in imported(path)} & MODULES
    names = {match[0] for match in NAMES.finditer(path.read_text())}

    assert (modules, names) == (set(), set())


def test_one_module_registers_with_the_fork() -> None:
    registering = [
        path.name
        for path in (PACKAGE / "system").glob("*.py")
        if "os.register_at_fork(" in path.read_text()
    ]

    assert registering == ["forks.py"]


@pytest.mark.parametrize("system", ["macOS", "Windows"])
def test_what_a_port_needs_is_said_of_each_module(system: str) -> None:
    described = (PACKAGE / "system" / "__init__.py").read_text()
    modules = {path.stem for path in (PACKAGE / "system").glob("*.py")} - {"__init__"}

    port = described.partition(f"What a port to {system} would need:")[2]
    port = port.partition("What a port to")[0]

    assert {name for name in modules if f"`{name}`" not in port} == set()
