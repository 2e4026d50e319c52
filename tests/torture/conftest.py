"""What the fault tests share: the compiled shim, children, and the table of findings."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .children import Children
from .journal import Journal
from .progress import JOURNAL_NAME, LongRun
from .report import Table
from .shim import compile_shim, compiler

MEMORY = Path("/dev/shm")
JOURNAL = pytest.StashKey[Journal]()
CAME_TO_AN_END = pytest.StashKey[bool]()


def is_long(config: pytest.Config) -> bool:
    """Tell whether the full forms are to be run."""
    return "torture" in config.option.markexpr and "not torture" not in config.option.markexpr


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Begin the journal of a long run, or find it when this is a worker of one."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if not is_long(config):
        return
    if hasattr(config, "workerinput"):
        config.stash[JOURNAL] = Journal(Path(config.workerinput[JOURNAL_NAME]))
    elif terminal:
        long_run = LongRun(terminal)
        config.pluginmanager.register(long_run)
        config.stash[JOURNAL] = long_run.journal


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the full forms out, unless the command asks for marks itself."""
    if is_long(config):
        # The longest first, so that at the end no worker is alone with one.
        items.sort(key=_limit_s, reverse=True)
    if config.option.markexpr:
        return
    full = [item for item in items if item.get_closest_marker("torture")]
    if full:
        config.hook.pytest_deselected(items=full)
        items[:] = [item for item in items if item not in full]


def _limit_s(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker else 0.0


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note which tests there are."""
    journal = session.config.stash.get(JOURNAL, None)
    if journal and session.items:
        journal.collected(item.nodeid for item in session.items)


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Remember that a test came to an end; one that is interrupted has no report."""
    item.stash[CAME_TO_AN_END] = call.when == "call"


@pytest.fixture
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    """Give the table that the rows of this test go into."""
    journal = request.config.stash.get(JOURNAL, None)
    if journal is None:
        yield Table()
        return
    test = request.node.nodeid
    table = Table()
    table.told = lambda: journal.note_now_and_then(test, table.tallies)
    yield table
    journal.note(test, table.tallies, ended=request.node.stash[CAME_TO_AN_END])


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """Give a folder in memory, for what doesn't depend on a disk: 30 % faster."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)


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
