"""Plugin of pytest: the fixture `latency_run`, whose measurements become a run of a store.

It is loaded in every session of an environment that has the package, so it imports pytest and
nothing of the store until the fixture is used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from astraguard_store.latency import LatencyCollector

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.=+-]+")
_LONGEST = 100
_OUTCOME: pytest.StashKey[str] = pytest.StashKey()
_SAVED: pytest.StashKey[list[str]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and its counterpart in the configuration file."""
    group = parser.getgroup("astraguard-store", "latencies of hardware-in-the-loop tests")
    group.addoption(
        "--astraguard-store",
        metavar="DIR",
        default=None,
        help="Save what the fixture `latency_run` recorded, a run for each test, in the results "
        "folder DIR. Without it nothing is saved.",
    )
    parser.addini("astraguard_store", "The folder of --astraguard-store.", default="")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Note whether the test passed, for the fixture's end."""
    outcome: Any = yield
    report = outcome.get_result()
    if call.when == "call" or report.outcome != "passed":
        item.stash[_OUTCOME] = report.outcome


@pytest.fixture
def latency_run(request: pytest.FixtureRequest) -> Iterator[LatencyCollector]:
    """Return a collector; what it holds at the test's end is saved, also if the test fails.

    The run is named after the test, and has the tags `pytest` (its id), `outcome` (passed,
    failed or skipped) and, under pytest-xdist, `worker`. Where a run of that name is there
    already, as of an earlier session, a number is added. With `--astraguard-store=DIR` it is
    saved in DIR; without it, nothing is.
    """
    from astraguard_store.latency import LatencyCollector

    collector = LatencyCollector()
    yield collector
    folder = _folder(request.config)
    if folder and collector.measurements:
        run_id = _save(request.node, folder, collector)
        request.config.stash.setdefault(_SAVED, []).append(run_id)
        request.node.user_properties.append(("astraguard_run", run_id))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say which runs were saved, by whichever process."""
    reports = [r for found in terminalreporter.stats.values() for r in found]
    properties = [p for r in reports for p in getattr(r, "user_properties", ())]
    saved = sorted({value for name, value in properties if name == "astraguard_run"})
    if saved:
        terminalreporter.section("astraguard-store")
        terminalreporter.line(f"{len(saved)} saved in {_folder(config)}: {', '.join(saved)}")


def _folder(config: pytest.Config) -> str:
    given: str = config.getoption("--astraguard-store") or config.getini("astraguard_store")
    # Of the folder in which pytest was called: a test may have changed it.
    return str(config.invocation_params.dir / given) if given else ""


def _save(item: pytest.Item, folder: str, collector: LatencyCollector) -> str:
    from astraguard_store.repository import RunRepository

    tags = {"pytest": item.nodeid, "outcome": item.stash.get(_OUTCOME, "unknown")}
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker:
        tags["worker"] = worker
    with RunRepository.open(folder) as repository:
        run_id = _unused(repository, _NOT_IN_NAMES.sub("-", item.nodeid).strip("-.")[-_LONGEST:])
        repository.save(run_id, collector, tags=tags)
    return run_id


def _unused(repository: Any, name: str) -> str:
    """Return *name*, with a number if there is a run of it; a test runs in one worker only."""
    from astraguard_store.exceptions import RunNotFoundError

    number, run_id = 1, name
    while True:
        try:
            repository.get(run_id)
        except RunNotFoundError:
            return run_id
        number += 1
        run_id = f"{name}-{number}"
