"""Baselines and recorded verdicts of pushed runs → the server."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Any, Final

from astraguard_store.database.baselines import baselines, judgements_of, verdict_marks
from astraguard_store.database.postgres.database import ServerDatabase
from astraguard_store.database.postgres.pushed import Origin
from astraguard_store.database.run_database import RunDatabase
from astraguard_store.database.transaction import Transaction
from astraguard_store.model import epoch_us
from astraguard_store.verdict.values import Baseline

__all__ = ["push_judgements"]

# Of one transaction; a recorded verdict by satellite may take 1 MB.
_BATCH_RUNS: Final = 20


def push_judgements(source: RunDatabase, target: ServerDatabase, origin: Origin) -> None:
    """Carry the judgements of runs that the server has from this store.

    A baseline that has that name on the server is replaced only if it came from here and was
    set earlier: every rig may have a ``nightly``, and the fleet's own is set on the server.
    """
    here = source.read(baselines)
    marks = source.read(verdict_marks)
    run_ids = sorted({run_id for run_id, _ in marks} | _runs_of(here.values()))
    if not run_ids:
        return
    mine = _from_here(target, origin, run_ids)
    set_anew = _baselines_to_set(target, origin, here, mine)
    if set_anew:
        target.change_judgements(partial(_set_baselines, given=set_anew))
    there = target.read(partial(verdict_marks, run_ids=mine))
    missing = sorted(mark for mark in marks - there if mark[0] in mine)
    for rows in _verdicts(source, missing):
        target.change_judgements(partial(Transaction.insert_verdicts, rows=rows))


def _runs_of(given: Collection[Baseline]) -> set[str]:
    return {run_id for baseline in given for run_id in baseline.run_ids}


def _from_here(target: ServerDatabase, origin: Origin, run_ids: Collection[str]) -> set[str]:
    """Return those of the runs that the server has from this store."""
    known = target.known(list(run_ids))
    return {run_id for run_id, run in known.items() if run.store_id == origin.store_id}


def _baselines_to_set(
    target: ServerDatabase, origin: Origin, here: Mapping[str, Baseline], mine: set[str]
) -> dict[str, tuple[list[str], int]]:
    """Return {name: (the runs that the server has, when it was set, µs)} of what it lacks."""
    if not here:
        return {}
    there = target.read(baselines)
    runs_there = _runs_of([there[name] for name in here if name in there])
    mine = mine | _from_here(target, origin, runs_there - mine)
    found = {}
    for name, baseline in here.items():
        run_ids = [run_id for run_id in baseline.run_ids if run_id in mine]
        other = there.get(name)
        if run_ids and (other is None or _is_older(other, baseline, run_ids, mine)):
            found[name] = run_ids, epoch_us(baseline.set_at)
    return found


def _is_older(there: Baseline, here: Baseline, run_ids: list[str], mine: set[str]) -> bool:
    if not mine.issuperset(there.run_ids) or there.set_at > here.set_at:
        return False
    return there.set_at < here.set_at or set(there.run_ids) != set(run_ids)


def _set_baselines(transaction: Transaction, given: Mapping[str, tuple[list[str], int]]) -> None:
    for name, (run_ids, set_at_us) in given.items():
        transaction.set_baseline(name, run_ids, set_at_us)


def _verdicts(
    source: RunDatabase, missing: list[tuple[str, int]]
) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of recorded verdicts, those of a few runs at a time."""
    wanted = set(missing)
    run_ids = sorted({run_id for run_id, _ in missing})
    for start in range(0, len(run_ids), _BATCH_RUNS):
        yield [
            (run_id, *verdict)
            for run_id in run_ids[start : start + _BATCH_RUNS]
            for verdict in source.read(partial(judgements_of, run_id=run_id)).verdicts
            if (run_id, verdict.judged_at_us) in wanted
        ]
