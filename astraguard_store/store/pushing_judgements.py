"""Baselines and recorded verdicts of pushed runs → the server.

What is missing is looked for twice: before, as mostly nothing is, and once more when it is
this push's turn to write. So of two pushes at a time the second writes what the first didn't.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from astraguard_store.database.baselines import (
    baselines,
    insert_verdicts,
    judged_run_ids,
    judgements_of,
    set_baseline,
    verdict_marks,
)
from astraguard_store.database.postgres.database import ServerDatabase
from astraguard_store.database.postgres.pushed import Origin, runs_from
from astraguard_store.database.run_database import RunDatabase
from astraguard_store.model import epoch_us
from astraguard_store.verdict.values import Baseline

_ASKED_AT_ONCE: Final = 1_000
# Of one transaction; a recorded verdict by satellite may take 1 MB.
_BATCH_RUNS: Final = 20


def push_judgements(source: RunDatabase, target: ServerDatabase, origin: Origin) -> None:
    """Carry the judgements of runs that the server has from this store.

    A baseline that has that name on the server is replaced only if it came from here and was
    set earlier: every rig may have a ``nightly``, and the fleet's own is set on the server.
    """
    here = source.read(baselines)
    if here:
        to_set = target.read(partial(_baselines_to_set, origin=origin, here=here))
        if to_set:
            target.judge(partial(_set_baselines, origin=origin, here=here))
    after = ""
    while run_ids := source.read(partial(judged_run_ids, after=after, limit=_ASKED_AT_ONCE)):
        _push_verdicts(source, target, origin, run_ids)
        after = run_ids[-1]


def _runs_of(given: Collection[Baseline]) -> set[str]:
    return {run_id for baseline in given for run_id in baseline.run_ids}


def _from_here(
    connection: Any, origin: Origin, run_ids: Collection[str], *, hold: bool = False
) -> set[str]:
    """Return those of the runs that the server has from this store: see `runs_from`."""
    found: set[str] = set()
    asked = list(run_ids)
    for start in range(0, len(asked), _ASKED_AT_ONCE):
        some = asked[start : start + _ASKED_AT_ONCE]
        found |= runs_from(connection, origin.store_id, some, hold=hold)
    return found


def _baselines_to_set(
    connection: Any, origin: Origin, here: Mapping[str, Baseline]
) -> dict[str, tuple[list[str], int]]:
    """Return {name: (the runs that the server has, when it was set, µs)} of what it lacks."""
    there = baselines(connection)
    runs_there = _runs_of([there[name] for name in here if name in there])
    mine = _from_here(connection, origin, _runs_of(here.values()) | runs_there)
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


def _set_baselines(connection: Any, origin: Origin, here: Mapping[str, Baseline]) -> None:
    to_set = _baselines_to_set(connection, origin, here)
    wanted = {run_id for run_ids, _ in to_set.values() for run_id in run_ids}
    held = _from_here(connection, origin, wanted, hold=True)
    for name, (run_ids, set_at_us) in to_set.items():
        some = [run_id for run_id in run_ids if run_id in held]
        if some:  # else they are about to be deleted, and what is there stays
            set_baseline(connection, name, some, set_at_us)


def _push_verdicts(
    source: RunDatabase, target: ServerDatabase, origin: Origin, run_ids: Sequence[str]
) -> None:
    """Carry the verdicts on some runs, those on a few in one transaction."""
    marks = source.read(partial(verdict_marks, run_ids=run_ids))
    missing = target.read(partial(_missing, origin=origin, marks=marks))
    for rows in _verdicts(source, missing):
        target.judge(partial(_insert_verdicts, origin=origin, rows=rows))


def _missing(
    connection: Any,
    origin: Origin,
    marks: set[tuple[str, int]],
    *,
    hold: bool = False,
) -> set[tuple[str, int]]:
    """Return those of the verdicts that the server lacks, on runs that it has from here."""
    mine = _from_here(connection, origin, {run_id for run_id, _ in marks}, hold=hold)
    return {mark for mark in marks if mark[0] in mine} - verdict_marks(connection, mine)


def _verdicts(
    source: RunDatabase, wanted: set[tuple[str, int]]
) -> Iterator[dict[tuple[str, int], tuple[Any, ...]]]:
    """Yield {(run id, when it was judged, µs): row} of verdicts, those on a few runs at a time."""
    run_ids = sorted({run_id for run_id, _ in wanted})
    for start in range(0, len(run_ids), _BATCH_RUNS):
        yield {
            (run_id, verdict.judged_at_us): (run_id, *verdict)
            for run_id in run_ids[start : start + _BATCH_RUNS]
            for verdict in source.read(partial(judgements_of, run_id=run_id)).verdicts
            if (run_id, verdict.judged_at_us) in wanted
        }


def _insert_verdicts(
    connection: Any,
    origin: Origin,
    rows: Mapping[tuple[str, int], tuple[Any, ...]],
) -> None:
    missing = _missing(connection, origin, set(rows), hold=True)
    insert_verdicts(connection, [rows[mark] for mark in sorted(missing)])
