"""Many writers, readers and openers on one store: nobody fails, and every save counts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from .cases import Case, new_case
from .children import Children, finish, wait_until
from .crowds import (
    SHARED,
    open_together,
    open_use_close,
    publish_revisions,
    read_files,
    read_published,
    read_rows,
    save_in_threads,
    save_often,
    save_shared_until,
)
from .ledger import acknowledged_saves, failures
from .report import Finding, Harm, Table
from .savers import prepare

LARGEST_LOG_BYTES = 8_000_000

full = pytest.mark.torture


def uncounted(case: Case) -> list[Finding]:
    """Find saves that failed, and revisions of the shared run that are missing or came twice."""
    entries = case.entries()
    findings = [Finding(Harm.LOST, f"{e.run_id}: {e.note}") for e in failures(entries)]
    saves = [e for e in acknowledged_saves(entries) if e.run_id == SHARED]
    revisions = sorted(e.revision for e in saves)
    if revisions != list(range(1, len(saves) + 1)):
        findings.append(Finding(Harm.LOST, f"revisions {revisions}"))
    return findings


def watch_log(case: Case, savers: list[BaseProcess]) -> int:
    """Wait for savers, and return the largest size of the write-ahead log meanwhile."""
    log = case.results / "astraguard.db-wal"
    largest = 0
    while any(saver.is_alive() for saver in savers):
        if log.exists():
            largest = max(largest, log.stat().st_size)
        time.sleep(0.02)
    return largest


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("writers", "saves", "delay_ms"),
    [
        pytest.param(8, 15, 0.0, id="bounded"),
        pytest.param(8, 6, 20.0, id="bounded, slow disk"),
        pytest.param(8, 100, 0.0, id="full", marks=full),
        pytest.param(8, 100, 20.0, id="full, slow disk", marks=full),
    ],
)
def test_every_save_of_many_processes_counts(
    writers: int, saves: int, delay_ms: float, tmp_path: Path, children: Children, table: Table
) -> None:
    case = new_case(tmp_path / "store")
    start = children.context.Barrier(writers)
    tally = table.row(f"{writers} processes x {saves} saves, every fsync +{delay_ms:.0f} ms")

    savers = [
        children.start(save_often, case, f"own{n}", saves, start, delay_ms) for n in range(writers)
    ]
    largest_log = watch_log(case, savers)
    codes = [finish(saver) for saver in savers]

    tally.add([*case.audit(), *uncounted(case)])
    tally.tries = len(acknowledged_saves(case.entries()))
    tally.check()
    assert codes == [0] * writers
    assert tally.tries == writers * saves
    # Each waits for its turn. One that starves waits for most saves of all others; a bound in
    # seconds would measure how busy the machine is.
    waited_s = [e.seconds for e in acknowledged_saves(case.entries())]
    assert max(waited_s) < saves / 2 * sum(waited_s) / len(waited_s)
    assert largest_log < LARGEST_LOG_BYTES


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("threads", "saves"),
    [pytest.param(32, 6, id="bounded"), pytest.param(32, 50, id="full", marks=full)],
)
def test_every_save_of_many_threads_counts(
    threads: int, saves: int, tmp_path: Path, children: Children, table: Table
) -> None:
    case = new_case(tmp_path / "store")
    tally = table.row(f"{threads} threads x {saves} saves")

    code = children.run(save_in_threads, case, threads, saves, timeout_s=300)

    tally.add([*case.audit(), *uncounted(case)])
    tally.tries = len(acknowledged_saves(case.entries()))
    assert code == 0
    tally.check()
    assert tally.tries == threads * saves


@pytest.mark.parametrize("read", [read_rows, read_files], ids=["rows", "files"])
@pytest.mark.parametrize(
    "seconds", [pytest.param(1.5, id="bounded"), pytest.param(30.0, id="full", marks=full)]
)
def test_readers_beside_writers_see_whole_saves(
    read: Callable[[Case, float], None],
    seconds: float,
    tmp_path: Path,
    children: Children,
    table: Table,
) -> None:
    case = new_case(tmp_path / "store")
    over = children.context.Event()
    tally = table.row(f"{'rows' if read is read_rows else 'files'} read beside 2 writers")
    writers = [children.start(save_shared_until, case, over) for _ in range(2)]
    wait_until(lambda: bool(acknowledged_saves(case.entries())), "a save returns")

    code = children.run(read, case, seconds)
    over.set()
    codes = [finish(writer) for writer in writers]

    tally.tries, seen = json.loads(case.answer.read_text())
    tally.findings += [Finding(Harm.TORN, text) for text in seen]
    tally.findings += [*case.audit(), *uncounted(case)]
    assert (code, codes) == (0, [0, 0])
    tally.check()


@pytest.mark.parametrize(
    "seconds", [pytest.param(1.5, id="bounded"), pytest.param(30.0, id="full", marks=full)]
)
def test_a_reader_never_gets_less_than_was_published(
    seconds: float, tmp_path: Path, children: Children, table: Table
) -> None:
    case = new_case(tmp_path / "store")
    over = children.context.Event()
    published = children.context.Value("q", 0, lock=False)
    tally = table.row("cached reads beside a writer")
    writer = children.start(publish_revisions, case, published, over)
    wait_until(lambda: bool(published.value), "a save is published")

    code = children.run(read_published, case, published, seconds)
    over.set()

    assert (code, finish(writer)) == (0, 0)
    tally.tries, stale, hits = json.loads(case.answer.read_text())
    tally.findings += [Finding(Harm.LOST, "a stale read")] * stale
    tally.check()
    assert hits > 0


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("openers", "times"),
    [pytest.param(16, 1, id="bounded"), pytest.param(16, 25, id="full", marks=full)],
)
def test_a_new_store_is_opened_by_many_at_once(
    openers: int, times: int, tmp_path: Path, children: Children, table: Table
) -> None:
    tally = table.row(f"{openers} processes open a new store")

    for time_ in range(times):
        case = new_case(tmp_path / f"store{time_}")
        start = children.context.Barrier(openers)
        opening = [children.start(open_together, case, n, start) for n in range(openers)]
        codes = [finish(opener) for opener in opening]
        tally.add([*case.audit(), *uncounted(case)])
        if any(codes):
            tally.findings.append(Finding(Harm.LOST, f"openers ended with {codes}"))

    tally.check()


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("openers", "times"),
    [pytest.param(4, 12, id="bounded"), pytest.param(8, 300, id="full", marks=full)],
)
def test_a_store_is_opened_and_closed_by_many(
    openers: int, times: int, tmp_path: Path, children: Children, table: Table
) -> None:
    case = new_case(tmp_path / "store")
    children.run(prepare, case)
    tally = table.row(f"{openers} processes x {times} times open, use, close")

    opening = [children.start(open_use_close, case, n, times) for n in range(openers)]
    codes = [finish(opener, 300) for opener in opening]

    tally.add([*case.audit(), *uncounted(case)])
    tally.tries = openers * times
    assert codes == [0] * openers
    tally.check()
