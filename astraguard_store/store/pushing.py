"""Runs of this store → a server, each whole or not at all.

Nothing is noted here of what was pushed: the server is asked which runs it has, a
thousand at a time. So a push that died is repaired by the next one, and a server that was
restored from a backup gets what it lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from astraguard_store.artifacts.raw_places import RawPlace
from astraguard_store.database.lists import SaveMark, count_runs, save_marks
from astraguard_store.database.postgres.database import ServerDatabase
from astraguard_store.database.postgres.pushed import Known, Origin
from astraguard_store.database.run_database import RunDatabase
from astraguard_store.database.whole_runs import RunRows, load_rows
from astraguard_store.exceptions import CommitOutcomeUnknownError
from astraguard_store.reports import Progress, PushReport
from astraguard_store.store.pushing_judgements import push_judgements
from astraguard_store.store.pushing_raw import push_raw
from astraguard_store.store.row_rules import why_not_written

if TYPE_CHECKING:
    import polars as pl

_ASKED_AT_ONCE: Final = 1_000
_BATCH_RUNS: Final = 100
# Of the measurements of a batch, if the database keeps them; a run is never split.
_BATCH_BYTES: Final = 32 * 2**20
_ATTEMPTS: Final = 5
_LONGEST_WAIT_S: Final = 300.0


class Raw(NamedTuple):
    """What is wanted of raw measurements.

    Attributes:
        place: Where their files go.
        measurements: Gives those of a run.
    """

    place: RawPlace
    measurements: Callable[[str], pl.DataFrame]


def push(
    source: RunDatabase,
    target: ServerDatabase,
    origin: Origin,
    progress: Progress | None,
    raw: Raw | None = None,
) -> PushReport:
    """Push what the server lacks; raises as `RunRepository.push`."""
    # With raw measurements each run is looked at once more.
    total = source.read(count_runs) * (1 if raw is None else 2)
    tally = Tally(total=total, progress=progress)
    after = ""
    while marks := source.read(partial(save_marks, after=after, limit=_ASKED_AT_ONCE)):
        _push_some(source, target, origin, marks, tally)
        after = marks[-1].run_id
    push_judgements(source, target, origin)
    if raw is not None:
        push_raw(source, target, origin.store_id, raw.place, raw.measurements, tally)
    return tally.report()


def waits_s(pause_s: float, failures: int) -> float:
    """Return how long to wait after so many failures in a row: twice as long each time."""
    return min(pause_s * 2.0**failures, max(pause_s, _LONGEST_WAIT_S))


@dataclass(slots=True)
class Tally:
    """What a push has done so far."""

    total: int
    progress: Progress | None
    done: int = 0
    known: int = 0
    pushed: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    tagged: list[str] = field(default_factory=list)
    conflicts: list[tuple[str, str]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)

    def step(self, runs: int) -> None:
        """Note that so many more runs were looked at."""
        self.done += runs
        if self.progress:
            # Runs may have been saved since they were counted.
            self.progress(self.done, max(self.total, self.done))

    def report(self) -> PushReport:
        """Return all of it."""
        return PushReport(
            tuple(self.pushed),
            tuple(self.replaced),
            tuple(self.tagged),
            self.known,
            tuple(self.conflicts),
            tuple(self.refused),
            tuple(self.raw),
        )


def _push_some(
    source: RunDatabase,
    target: ServerDatabase,
    origin: Origin,
    marks: Sequence[SaveMark],
    tally: Tally,
) -> None:
    known = target.known([mark.run_id for mark in marks])
    wanted: list[SaveMark] = []
    changed: dict[str, Mapping[str, str]] = {}
    for mark in marks:
        there = known.get(mark.run_id)
        if there is None or _is_behind(there, mark, origin):
            wanted.append(mark)
        elif not _is_same(there, mark, origin):
            tally.conflicts.append((mark.run_id, _why(there, mark, origin)))
        elif there.store_id == origin.store_id and there.tags != mark.tags:
            changed[mark.run_id] = mark.tags
        else:
            tally.known += 1
    if changed:
        target.push_tags(origin, changed, known)
        tally.tagged += changed
    tally.step(len(marks) - len(wanted))
    for batch, looked_at in _batches(source, wanted, tally):
        _push_batch(target, origin, batch, known, tally)
        tally.step(looked_at)


def _batches(
    source: RunDatabase, wanted: Sequence[SaveMark], tally: Tally
) -> Iterator[tuple[list[RunRows], int]]:
    """Yield the rows of some runs, and how many were looked at for them."""
    batch: list[RunRows] = []
    looked_at = size = 0
    for mark in wanted:
        rows = source.read(partial(load_rows, run_id=mark.run_id))
        looked_at += 1
        if rows is not None:  # else it was deleted meanwhile
            fault = why_not_written(rows) or _why_no_text(rows)
            if fault:
                tally.refused.append((mark.run_id, fault))
            else:
                batch.append(rows)
                size += sum(8 * len(column) for column in rows.measurements)
        if len(batch) == _BATCH_RUNS or size >= _BATCH_BYTES:
            yield batch, looked_at
            batch, looked_at, size = [], 0, 0
    if looked_at:
        yield batch, looked_at


def _push_batch(
    target: ServerDatabase,
    origin: Origin,
    batch: list[RunRows],
    known: Mapping[str, Known],
    tally: Tally,
) -> None:
    """Write a batch; if nobody knows whether it was committed, ask, and write what isn't there."""
    rest = batch
    written: list[str] = []
    for attempt in range(_ATTEMPTS):
        if not rest:
            break
        try:
            written += target.push(origin, rest, known)
            break
        except CommitOutcomeUnknownError:
            if attempt == _ATTEMPTS - 1:
                raise
            there = target.known([rows.run_id for rows in rest])
            settled = [r.run_id for r in rest if _has(there.get(r.run_id), r, origin)]
            written += settled
            rest = [rows for rows in rest if rows.run_id not in settled]
    of_ids = set(written)
    for run_id in written:
        (tally.replaced if run_id in known else tally.pushed).append(run_id)
    others = [rows for rows in batch if rows.run_id not in of_ids]
    if others:
        _note_others(target, origin, others, tally)


def _note_others(
    target: ServerDatabase, origin: Origin, others: Sequence[RunRows], tally: Tally
) -> None:
    """Note what came to the server between the question and the answer."""
    there = target.known([rows.run_id for rows in others])
    for rows in others:
        mark = _mark_of(rows)
        found = there.get(rows.run_id)
        if found is None:
            tally.refused.append(
                (rows.run_id, "it was deleted on the server meanwhile; push again")
            )
        elif _is_same(found, mark, origin):
            tally.known += 1
        else:
            tally.conflicts.append((rows.run_id, _why(found, mark, origin)))


def _has(there: Known | None, rows: RunRows, origin: Origin) -> bool:
    """Return whether the server has these rows, whoever has written them."""
    mark = _mark_of(rows)
    if there is None or not _is_same(there, mark, origin):
        return False
    return not _is_behind(there, mark, origin)


def _mark_of(rows: RunRows) -> SaveMark:
    return SaveMark(rows.run_id, *rows.save, *rows.life, {})


def _is_same(there: Known, mark: SaveMark, origin: Origin) -> bool:
    """Return whether the server has this save of the run.

    A token is of one save, wherever it has gone by merges. An adopted run has none.
    """
    if mark.token is not None:
        return there.token == mark.token
    return (
        there.token is None
        and there.store_id == origin.store_id
        and (there.revision, there.recorded_at_us) == (mark.revision, mark.recorded_at_us)
    )


def _is_behind(there: Known, mark: SaveMark, origin: Origin) -> bool:
    """Return whether this store has gone on with a run that it has pushed.

    It has saved the run again, or a recorder is at work on it, or was when it was pushed:
    what is saved of a run that was pushed as ``running`` has the revision that it had.
    """
    if there.store_id != origin.store_id:
        return False
    if there.revision < mark.revision:
        return not _is_same(there, mark, origin)
    told = (there.state, there.last_written_at_us) != (mark.state, mark.last_written_at_us)
    return told and there.revision == mark.revision and "running" in {there.state, mark.state}


def _why(there: Known, mark: SaveMark, origin: Origin) -> str:
    if there.store_id is None:
        return "a run of that id was saved on the server"
    if there.store_id != origin.store_id:
        return f"a run of that id was pushed from another store ({there.store_id})"
    return (
        f"the server has revision {there.revision} of it from this store, and here is another "
        f"save with revision {mark.revision}: was the store restored from a backup?"
    )


def _why_no_text(rows: RunRows) -> str | None:
    """Return why the server can't keep a text; SQLite keeps any."""
    for row in (rows.run, *(row for table in rows.children.values() for row in table)):
        for value in row:
            if isinstance(value, str) and "\0" in value:
                return f"{value!r:.40} holds a NUL, which the server can't keep"
    return None
