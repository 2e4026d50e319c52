"""Raw files of pushes that died before they had written their rows → removed.

A file whose row is missing isn't in the catalogue, and the next push of that save writes the
row. But if the run was saved again before, nobody would look for the file, and engines that
don't ask the catalogue would read the run twice. So a push announces the files that it is
about to write, by a file in their place, and removes that when their rows are there. The next
push of that store looks at what is still announced; others don't.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from astraguard_store.artifacts.raw_places import RawPlace, SmallFile, remove_raw
from astraguard_store.artifacts.staging import new_token
from astraguard_store.database.postgres.database import ServerDatabase
from astraguard_store.database.run_database import RunDatabase
from astraguard_store.exceptions import ArtifactReadError, RunNotFoundError

logger = logging.getLogger("astraguard_store")

# Engines pass by what begins with a dot.
_FOLDER: Final = ".pushing"
# Of a name, as `dataset_name` gives it; a link out of the place has others.
_SLASHES: Final = 2
# A push that lives takes minutes for what it announces at once.
_LONGEST: Final = timedelta(days=1)


class Announced(NamedTuple):
    """A file of one save of a run.

    Attributes:
        run_id: The run.
        revision: How often it had been saved.
        token: Of the save; None if it was adopted.
        name: Below the place.
    """

    run_id: str
    revision: int
    token: str | None
    name: str


_decode: Final = msgspec.json.Decoder(list[Announced]).decode


def announce(place: RawPlace, store_id: str, files: Sequence[Announced]) -> str:
    """Say that files are about to be written; return where that is said.

    Raises:
        ArtifactWriteError: It can't be said.
    """
    return place.put(f"{_FOLDER}/{store_id}/{new_token()}.json", msgspec.json.encode(files))


def remove_left(
    source: RunDatabase, target: ServerDatabase, store_id: str, place: RawPlace
) -> None:
    """Remove the files that a push of this store has left and that no row will ever note.

    Another push of this store may be under way, and its rows come after its files. So a file
    stays while its save is the run's, here or there: such a save never comes back later.
    """
    try:
        left = place.small_files(f"{_FOLDER}/{store_id}")
    except ArtifactReadError as error:
        logger.warning("%s; files that a push has left there stay", error)
        return
    for file in left:
        is_done = _remove_announced(source, target, place, file)
        if is_done or datetime.now(UTC) - file.modified_at > _LONGEST:
            place.remove(file.location)


def _remove_announced(
    source: RunDatabase, target: ServerDatabase, place: RawPlace, file: SmallFile
) -> bool:
    """Remove what is announced and is no run's.

    Returns:
        Whether all that is announced was there; else it may still be written.
    """
    try:
        announced = _decode(file.content)
    except msgspec.MsgspecError:
        return False
    run_ids = [one.run_id for one in announced]
    there, noted = target.known(run_ids), target.raw_files(run_ids)
    is_done = True
    for one in announced:
        location = f"{place.base}{one.name}"
        row = noted.get(one.run_id)
        if row is not None and row.location == location:
            continue
        known = there.get(one.run_id)
        saves = {known and (known.revision, known.token), _save_here(source, one.run_id)}
        # Whoever may write there may have written this, too.
        if (one.revision, one.token) in saves or one.name.count("/") != _SLASHES:
            is_done = False
            continue
        is_done &= place.has(one.name)
        why = remove_raw(location, one.run_id)
        if why is not None:
            logger.warning("%s, which a push has left, stays: %s", location, why)
    return is_done


def _save_here(source: RunDatabase, run_id: str) -> tuple[int, str | None] | None:
    try:
        run = source.get(run_id)
    except RunNotFoundError:
        return None
    return run.summary.revision, run.staging_token
