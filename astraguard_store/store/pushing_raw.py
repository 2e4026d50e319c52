"""Raw measurements of pushed runs → a folder or object storage, catalogued on the server.

The file comes first, and then the row that names it. So a push that dies in between leaves
a file that the next one finds by its name, and no row of a run's present save names a file
that isn't there. Such a file of a run that was saved again is announced: see `announced_raw`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from astraguard_store.artifacts.dataset import dataset_name
from astraguard_store.artifacts.exports import write_parquet
from astraguard_store.artifacts.raw_places import RawPlace
from astraguard_store.database.lists import SaveMark, save_marks
from astraguard_store.database.postgres.database import ServerDatabase
from astraguard_store.database.postgres.pushed import Known
from astraguard_store.database.postgres.raw_files import CataloguedFile
from astraguard_store.database.run_database import RunDatabase
from astraguard_store.database.runs import StoredRun
from astraguard_store.exceptions import ArtifactReadError, RunNotFoundError
from astraguard_store.model import epoch_us
from astraguard_store.store.announced_raw import Announced, announce, remove_left
from astraguard_store.store.one_save import save_of

if TYPE_CHECKING:
    import polars as pl

    from astraguard_store.store.pushing import Tally

_ASKED_AT_ONCE: Final = 1_000
# A file of 1,800 measurements is written in 5 ms, so as many are noted each half second.
_NOTED_AT_ONCE: Final = 100


class _Work(NamedTuple):
    source: RunDatabase
    target: ServerDatabase
    store_id: str
    place: RawPlace
    measurements: Callable[[str], pl.DataFrame]


def push_raw(
    source: RunDatabase,
    target: ServerDatabase,
    store_id: str,
    place: RawPlace,
    measurements: Callable[[str], pl.DataFrame],
    tally: Tally,
) -> None:
    """Write the files that are missing of the runs that are on the server; note it in *tally*."""
    work = _Work(source, target, store_id, place, measurements)
    after = ""
    while marks := source.read(partial(save_marks, after=after, limit=_ASKED_AT_ONCE)):
        run_ids = [mark.run_id for mark in marks]
        there, files = target.known(run_ids), target.raw_files(run_ids)
        wanted = [
            mark
            for mark in marks
            if _is_pushed(there.get(mark.run_id), mark, store_id)
            and not _is_catalogued(files.get(mark.run_id), mark, place)
        ]
        tally.step(len(marks) - len(wanted))
        for first in range(0, len(wanted), _NOTED_AT_ONCE):
            some = wanted[first : first + _NOTED_AT_ONCE]
            _write_some(work, some, files, tally)
            tally.step(len(some))
        after = marks[-1].run_id
    remove_left(source, target, store_id, place)


def _is_pushed(there: Known | None, mark: SaveMark, store_id: str) -> bool:
    """Return whether the server has this save of a run, from this store."""
    if there is None or there.store_id != store_id or "running" in {mark.state, there.state}:
        return False
    return (there.revision, there.recorded_at_us, there.token) == (
        mark.revision,
        mark.recorded_at_us,
        mark.token,
    )


def _is_catalogued(file: CataloguedFile | None, mark: SaveMark, place: RawPlace) -> bool:
    if file is None or file.revision != mark.revision:
        return False
    return file.location.startswith(place.base)


def _write_some(
    work: _Work,
    marks: Sequence[SaveMark],
    before: dict[str, CataloguedFile],
    tally: Tally,
) -> None:
    """Write the files of some runs, remove what they replace, and write their rows.

    In this order, as a row that has lost its file tells the next push what to do, and a file
    that has lost its row is found by nobody. The row of a save of before is read by nobody.
    """
    names = _names(work, marks, tally)
    if not names:
        return
    announced = announce(
        work.place,
        work.store_id,
        [Announced(mark.run_id, mark.revision, mark.token, name) for mark, name in names],
    )
    written: list[CataloguedFile] = []
    for mark, name in names:
        try:
            file = _write(work, mark, name)
        except (ArtifactReadError, RunNotFoundError) as error:
            _refuse(tally, mark, error)
            continue
        written.append(file)
        former = before.get(mark.run_id)
        if former is not None and former.location != file.location:
            work.place.remove(former.location)
    noted = set(work.target.catalogue(work.store_id, written)) if written else set()
    tally.raw += [file.run_id for file in written if file.run_id in noted]
    if len(noted) == len(written):
        work.place.remove(announced)
    # else deleted there, or saved again here, meanwhile: the next push sees to it


def _names(work: _Work, marks: Sequence[SaveMark], tally: Tally) -> list[tuple[SaveMark, str]]:
    """Return the runs that have measurements and are as they were, with their files' names."""
    names = []
    for mark in marks:
        try:
            run = work.source.get(mark.run_id)
        except RunNotFoundError as error:
            _refuse(tally, mark, error)
            continue
        if run.summary.total_measurements and _is_still(run, mark):
            names.append((mark, _name(run)))
    return names


def _name(run: StoredRun) -> str:
    return dataset_name(run.summary, save_of(run))


def _refuse(tally: Tally, mark: SaveMark, why: Exception) -> None:
    # Its row is on the server all the same.
    tally.refused.append((mark.run_id, f"its measurements are not pushed: {why}"))


def _write(work: _Work, mark: SaveMark, name: str) -> CataloguedFile:
    def of_that_save(run_id: str) -> pl.DataFrame:
        frame = work.measurements(run_id)
        if _name(work.source.get(run_id)) != name:
            raise ArtifactReadError("it was saved meanwhile; push again")
        return frame

    def make(path: Path) -> None:
        write_parquet(path, [mark.run_id], of_that_save)

    file = work.place.write(name, make)
    rows = work.source.get(mark.run_id).summary.total_measurements
    return CataloguedFile(mark.run_id, mark.revision, *file, rows)


def _is_still(run: StoredRun, mark: SaveMark) -> bool:
    summary = run.summary
    now = (summary.revision, epoch_us(summary.recorded_at), run.staging_token)
    return now == (mark.revision, mark.recorded_at_us, mark.token)
