"""`kill -9` at every step of what keeps a store in order: done again, it ends as it should."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from astraguard_store import RunRepository, StoreError

from .audit import DATABASE, audit, audit_database, audit_rebuilt, unkept
from .cases import Case, new_case
from .children import Children
from .keepers import (
    CHANGED,
    KEEPING,
    OLD_RUNS,
    PINNED,
    PRUNED,
    TAGS_AFTER,
    TAGS_BEFORE,
    keep,
    keep_once,
    newest_of_source,
    source_ledger,
    source_of,
)
from .ledger import promises, read_ledger
from .report import Finding, Harm, Table
from .savers import AGAIN, KEPT
from .shim import Action, Fault
from .test_kill import kill_at_steps, some_tries, stride_for

Judge = Callable[[Case, Case], Iterator[Finding]]


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Read every file of a store that is closed, and its time; not the log, which is empty."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(f"{DATABASE}-")
    }


def after_merge(case: Case, prepared: Case) -> Iterator[Finding]:
    """Find what is lost on either side of a merge, and runs that came over by half."""
    yield from case.audit()
    keep(case, "merge")
    yield from case.audit()
    with RunRepository.open(case.results) as here, RunRepository.open(source_of(case)) as there:
        for run_id in newest_of_source(case):
            if here.get(run_id) != there.get(run_id):
                yield Finding(Harm.TORN, f"{run_id}: {here.get(run_id)}, {there.get(run_id)}")
    if content(source_of(case)) != content(source_of(prepared)):
        yield Finding(Harm.LOST, "the other store isn't what it was")
    yield from audit(source_of(case), promises(read_ledger(source_ledger(case))))


def rows(case: Case, query: str) -> list[Any]:
    """Ask a store that is closed."""
    with closing(sqlite3.connect(case.results / DATABASE)) as connection:
        return connection.execute(query).fetchall()


def after_prune(case: Case, _: Case) -> Iterator[Finding]:
    """Find runs that went before older ones, and space that stays free."""
    yield from case.audit()
    left = [run_id for run_id in PRUNED if (case.results / run_id).exists()]
    if left != list(PRUNED[len(PRUNED) - len(left) :]):
        yield Finding(Harm.LOST, f"of {PRUNED} the newest went first, {left} stay")
    keep(case, "prune")
    yield from case.audit()
    with RunRepository.open(case.results) as repository:
        stay = {run.run_id for run in repository.recent(10)}
    if stay != {KEPT, PINNED}:
        yield Finding(Harm.LEFT_OVER, f"{stay} stay")
    yield from _free_pages(case)


def after_purge(case: Case, _: Case) -> Iterator[Finding]:
    """Find measurements that went by half, that should have stayed, or didn't go."""
    query = "SELECT run_id, count(*) FROM measurements GROUP BY run_id"
    every = {KEPT: 12, PINNED: 12, **dict.fromkeys(PRUNED, 600)}
    yield from case.audit()
    halves = [row for row in rows(case, query) if row[1] != every[row[0]]]
    if halves:
        yield Finding(Harm.TORN, f"measurements in the database: {halves}")
    keep(case, "prune of measurements")
    yield from case.audit()
    stay = dict(rows(case, query))
    if stay != {KEPT: 12, PINNED: 12}:
        yield Finding(Harm.LEFT_OVER, f"measurements in the database: {stay}")
    yield from _free_pages(case)


def _free_pages(case: Case) -> Iterator[Finding]:
    """Find a database that a prune should have compacted."""
    [(free,)] = rows(case, "PRAGMA freelist_count")
    [(pages,)] = rows(case, "PRAGMA page_count")
    if free * 10 > pages:
        yield Finding(Harm.LEFT_OVER, f"{free} of {pages} pages are free")


def after_tags(case: Case, _: Case) -> Iterator[Finding]:
    """Find tags of which some were set, and some not."""
    yield from case.audit()
    with RunRepository.open(case.results) as repository:
        found = repository.get(AGAIN).tags
    if found not in (TAGS_BEFORE, TAGS_AFTER):
        yield Finding(Harm.TORN, f"tags {found}")
    keep(case, "set_tags")
    yield from case.audit()


def after_fix(case: Case, _: Case) -> Iterator[Finding]:
    """Find what a mending lost, and what can't be mended any more."""
    runs, findings = audit_database(case.results)
    yield from findings
    yield from unkept(runs or {}, case.promises())
    keep(case, "check --fix")
    kept = sorted((case.results / AGAIN).glob("*.changed*"))
    if CHANGED not in [path.read_bytes() for path in kept]:
        yield Finding(Harm.LOST, f"the summary that was changed, {kept}")
    for path in kept[1:]:
        yield Finding(Harm.LEFT_OVER, f"{path.name} of {len(kept)}")
    for path in kept:
        path.unlink()
    yield from case.audit()


def after_import(case: Case, prepared: Case) -> Iterator[Finding]:
    """Find old runs that were changed, or can't be adopted any more."""
    keep(case, "import")
    for run_id in OLD_RUNS:
        if content(case.results / run_id) != content(prepared.results / run_id):
            yield Finding(Harm.LOST, f"{run_id} isn't what it was")
    # It hashes their CSVs first, which an import doesn't read.
    yield from audit_rebuilt(case.results, case.promises())


JUDGES: dict[str, Judge] = {
    "merge": after_merge,
    "prune": after_prune,
    "prune of measurements": after_purge,
    "set_tags": after_tags,
    "check --fix": after_fix,
    "import": after_import,
    "import into a new store": after_import,
}


def judged(judge: Judge, case: Case, prepared: Case) -> Iterator[Finding]:
    """Find what *judge* finds, and whether anything can't be done again."""
    try:
        yield from judge(case, prepared)
    except (StoreError, AssertionError) as error:
        yield Finding(Harm.LOST, f"can't be done again: {error!r}")


@pytest.mark.timeout(1200)
@some_tries
@pytest.mark.parametrize("what", KEEPING)
def test_what_is_killed_while_it_keeps_order_can_be_done_again(
    what: str, action: Action, tries: int, tmp_path: Path, children: Children, table: Table
) -> None:
    prepared = new_case(tmp_path / "prepared")
    assert children.run(KEEPING[what].prepare, prepared) == 0
    tally = table.row(f"{action.name.lower()} in {what}")

    def run(case: Case, fault: Fault) -> int:
        return children.run(keep_once, case, what, fault)

    kill_at_steps(
        prepared,
        run,
        action,
        stride_for(tries, prepared, run, action),
        tally,
        lambda case: list(judged(JUDGES[what], case, prepared)),
    )

    tally.check()
