"""Plugin of pytest: the fixture `latency_run`, a live run for each test, and its verdict.

It is loaded in every session of an environment that has the package, so it imports pytest and
nothing of the store until the fixture is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from astraguard_store.judging import Standard
    from astraguard_store.repository import RunRepository
    from astraguard_store.store.live_run import LiveRun
    from astraguard_store.verdict.limits import Limits

_OUTCOME: pytest.StashKey[str] = pytest.StashKey()
_ERROR: pytest.StashKey[BaseException | None] = pytest.StashKey()
_UNSAVED: pytest.StashKey[Path] = pytest.StashKey()
_LIMITS: pytest.StashKey[Limits | None] = pytest.StashKey()
_RUN, _VERDICT = "astraguard_run", "astraguard_verdict"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and their counterparts in the configuration file."""
    group = parser.getgroup("astraguard-store", "latencies of hardware-in-the-loop tests")

    def add(name: str, metavar: str, what: str, said: str) -> None:
        group.addoption(f"--astraguard-{name}", metavar=metavar, help=said)
        parser.addini(f"astraguard_{name}", f"The {what} of --astraguard-{name}.", default="")

    add(
        *("store", "DIR", "folder"),
        "Save what the fixture `latency_run` recorded, a run for each test, in the results "
        "folder DIR. Without it nothing is saved.",
    )
    add(
        *("baseline", "NAME|RUN,RUN...", "baseline"),
        "Judge each of these runs by the runs of the same test in this baseline, and fail "
        "the tests that regressed. Runs may be named as `latest` and `@tag`.",
    )
    add(
        *("limits", "FILE", "file"),
        "Which changes count for --astraguard-baseline, as TOML: the file of `gate "
        "--limits`. Without it, changes from 5 %% on. A limit of a metric type holds for the "
        "tests that measure it.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a baseline without a store, and limits that can't hold."""
    if _baseline(config) and not _folder(config):
        raise pytest.UsageError("--astraguard-baseline needs --astraguard-store=DIR too")
    if config.getoption("--astraguard-limits") and not _baseline(config):
        raise pytest.UsageError("--astraguard-limits needs --astraguard-baseline=NAME too")
    if _baseline(config):
        config.stash[_LIMITS] = _read_limits(config)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Forget how the test ended before: plugins that run a test again use the same item."""
    item.stash[_OUTCOME], item.stash[_ERROR] = "unknown", None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Note whether the test passed, for the fixture's end."""
    outcome: Any = yield
    report = outcome.get_result()
    if call.when == "call" or report.outcome != "passed":
        item.stash[_OUTCOME] = report.outcome
        if call.excinfo is not None and report.outcome == "failed":
            item.stash[_ERROR] = call.excinfo.value


@pytest.fixture
def latency_run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveRun]:
    """Return a live run that is saved at the test's end, `failed` if the test failed.

    The run is named after the test, its scenario is the test's id, and it has the tags
    `pytest` (that id), `outcome` (passed, failed or skipped) and, under pytest-xdist,
    `worker`. Where a run of that name is there already, as of an earlier session, a number
    is added. A run without measurements isn't kept. With `--astraguard-store=DIR` it is
    saved in DIR; without it, in a temporary folder. With `--astraguard-baseline=NAME` a
    test that passed fails if its run regressed.
    """
    from astraguard_store.repository import RunRepository
    from astraguard_store.tested_runs import run_of_test

    item: pytest.Item = request.node
    saved_in = _folder(request.config)
    folder = saved_in or _unsaved(request.config, tmp_path_factory)
    with RunRepository.open(folder) as repository:
        standard = _standard(repository, _baseline(request.config))
        run = run_of_test(repository, item.nodeid, _tags(item))
        yield run.__enter__()
        _finish(repository, run, item, standard, is_kept=bool(saved_in))


def _finish(
    repository: RunRepository,
    run: LiveRun,
    item: pytest.Item,
    standard: Standard | None,
    *,
    is_kept: bool,
) -> None:
    """Save what was recorded, note it for the summary, and judge it."""
    from astraguard_store.tested_runs import end_run

    outcome = item.stash[_OUTCOME]
    has_measured = end_run(repository, run, outcome, item.stash[_ERROR])
    if not (has_measured and is_kept):
        return
    item.user_properties.append((_RUN, run.run_id))
    if standard is not None and outcome == "passed":
        limits = item.config.stash[_LIMITS]
        said, has_failed = _verdict(repository, run.run_id, standard, limits)
        item.user_properties.append((_VERDICT, f"{run.run_id}: {said}"))
        if has_failed:
            pytest.fail(f"{run.run_id}: {said}", pytrace=False)


def _verdict(
    repository: RunRepository, run_id: str, standard: Standard, limits: Limits | None
) -> tuple[str, bool]:
    from astraguard_store.judging import judge, of_the_same_scenario, regressed_for_sure
    from astraguard_store.presentation.verdict_texts import headline

    same = of_the_same_scenario(repository, run_id, standard)
    if same is None:
        return "not judged: the baseline has no run of this test", False
    if limits is not None:
        limits = limits.of_metrics(repository.get(run_id).metrics.keys())
    report, why_not = judge(repository, [run_id], same, limits=limits)
    if report is None:
        return why_not or "not judged: one run can't be judged by another", False
    return headline(report), regressed_for_sure(report)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say which runs were saved, by whichever process, and what was said of them."""
    reports = [r for found in terminalreporter.stats.values() for r in found]
    properties = {p for r in reports for p in getattr(r, "user_properties", ())}
    saved = sorted(value for name, value in properties if name == _RUN)
    if saved:
        terminalreporter.section("astraguard-store")
        terminalreporter.line(f"{len(saved)} saved in {_folder(config)}: {', '.join(saved)}")
        for said in sorted(value for name, value in properties if name == _VERDICT):
            terminalreporter.line(said)
        for said in _unmatched_limits(config, saved):
            terminalreporter.line(said)


def _unmatched_limits(config: pytest.Config, run_ids: Iterable[str]) -> Iterator[str]:
    """Yield which limits no test of the session came under, as one of a mistyped name."""
    limits = config.stash.get(_LIMITS, None)
    if limits is None or not limits.metrics:
        return
    from astraguard_store.repository import RunRepository

    with RunRepository.open(_folder(config), read_only=True) as repository:
        # A test may have deleted its run.
        found = repository._get_all(list(run_ids))
        measured = {name for run in found.values() for name in run.metrics}
    for name in sorted(limits.metrics.keys() - measured):
        yield f"--astraguard-limits: no test measured 'metrics.{name}'"


def _read_limits(config: pytest.Config) -> Limits | None:
    given = _path(config, "limits")
    if not given:
        return None
    from astraguard_store.exceptions import GateError
    from astraguard_store.verdict.limits import Limits

    try:
        limits = Limits.read(Path(given))
    except GateError as error:
        raise pytest.UsageError(f"--astraguard-limits: {error}") from None
    if limits.names_satellites():
        raise pytest.UsageError(
            f"--astraguard-limits: {given} has limits of single satellites, which only "
            "`astraguard-store gate --by-satellite` judges"
        )
    return limits


def _folder(config: pytest.Config) -> str:
    return _path(config, "store")


def _path(config: pytest.Config, name: str) -> str:
    """Return the path that an option gives, or else the ini file; empty without either."""
    # Of the folder in which pytest was called: a test may have changed it.
    folder = config.invocation_params.dir
    given: str = config.getoption(f"--astraguard-{name}")
    if not given:
        given = config.getini(f"astraguard_{name}")
        # As pytest takes paths in its ini file.
        folder = config.inipath.parent if config.inipath else folder
    return str(folder / given) if given else ""


def _baseline(config: pytest.Config) -> str:
    given: str = config.getoption("--astraguard-baseline") or config.getini("astraguard_baseline")
    return given


def _unsaved(config: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of a session that saves nothing: making one takes 0.1 s."""
    if _UNSAVED not in config.stash:
        config.stash[_UNSAVED] = tmp_path_factory.mktemp("astraguard_store")
    return str(config.stash[_UNSAVED])


def _standard(repository: RunRepository, baseline: str) -> Standard | None:
    """Return what runs are judged by, before the test makes a newer run."""
    from astraguard_store.exceptions import StoreError
    from astraguard_store.judging import find_standard

    if not baseline:
        return None
    try:
        return find_standard(repository, baseline)
    except StoreError as error:
        pytest.fail(f"--astraguard-baseline: {error}", pytrace=False)


def _tags(item: pytest.Item) -> dict[str, str]:
    tags = {"pytest": item.nodeid}
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    return tags | {"worker": worker} if worker else tags
