"""What the fault tests share: the compiled shim, children, and the table of findings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .children import Children
from .report import Table
from .shim import compile_shim, compiler

TABLE = pytest.StashKey[Table]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin the table."""
    config.stash[TABLE] = Table()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the full forms out, unless the command asks for marks itself."""
    if config.option.markexpr:
        return
    full = [item for item in items if item.get_closest_marker("torture")]
    if full:
        config.hook.pytest_deselected(items=full)
        items[:] = [item for item in items if item not in full]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table after the full forms."""
    table = config.stash[TABLE]
    markexpr = config.option.markexpr
    if table.tallies and "torture" in markexpr and "not torture" not in markexpr:
        terminalreporter.section("faults")
        for line in table.lines():
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def table(pytestconfig: pytest.Config) -> Table:
    """Give the table that the rows of this run go into."""
    return pytestconfig.stash[TABLE]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the compiled shim."""
    if compiler() is None:
        pytest.skip("no C compiler (cc, gcc, clang) to build the fault shim with")
    return compile_shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def children(library: Path) -> Iterator[Children]:
    """Give a place to start processes from, which end with the test."""
    with Children(library) as started:
        yield started
