"""MetricsStorage: the drop-in for the old file-based class, a translation to `RunRepository`."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from astraguard_store.artifacts.reader import has_summary, read_document
from astraguard_store.artifacts.scanner import newest_runs
from astraguard_store.checks import check_run_id, check_whole_number
from astraguard_store.exceptions import (
    ArtifactReadError,
    DatabaseError,
    InvalidRunError,
    RunNotFoundError,
    SchemaVersionError,
    StoreError,
    StoreMismatchError,
    StoreNotFoundError,
)
from astraguard_store.formats.layout import RAW_NAME, STAGING_NAME, SUMMARY_NAME
from astraguard_store.options import (
    DATABASE_NAME,
    DEFAULT_RESULTS_DIR,
    StoreOptions,
    local_path,
)
from astraguard_store.repository import RunRepository
from astraguard_store.store.new_runs import Collector, new_run
from astraguard_store.store.saving import keep_run
from astraguard_store.system.file_limit import is_file_limit, names_the_file_limit
from astraguard_store.system.forks import in_forked_child

logger = logging.getLogger("astraguard_store")

_UNUSABLE_ERRORS: Final = (
    DatabaseError,
    SchemaVersionError,
    StoreMismatchError,
    StoreNotFoundError,
)


@names_the_file_limit
class MetricsStorage:
    """The files and the answers of one run, with the names and shapes of the old class.

    Saving puts the run into the database of the results folder, made on the
    first save, and writes both files. Reading creates nothing. Where there is
    no database, or none that can be read, the answers come from the run
    folders, and the log says so.

    Attributes:
        run_id: The run.
        metrics_dir: Its folder, which exists from now on.
    """

    def __init__(
        self, run_id: str, results_dir: str | os.PathLike[str] = DEFAULT_RESULTS_DIR
    ) -> None:
        """Name a run and make its folder.

        Args:
            run_id: The run; see `check_run_id` for what is allowed.
            results_dir: The results folder; a URL is refused.

        Raises:
            InvalidRunError: The id is not allowed (a ValueError that names it).
            OSError: The folder can't be made.
        """
        self.run_id = check_run_id(run_id)
        self._root = os.path.abspath(results_dir)
        root = local_path(results_dir, "RunRepository.open takes the URL of a server")
        self.metrics_dir = root / self.run_id
        # Mostly it is there: to ask takes half as long as to be refused.
        if not os.path.isdir(self.metrics_dir):
            self.metrics_dir.mkdir(parents=True, exist_ok=True)

    def __repr__(self) -> str:
        return f"<MetricsStorage {self.run_id!r} in {self._root}>"

    def save_latency_stats(self, collector: Collector) -> dict[str, str]:
        """Save the run; both files are there when this returns.

        Args:
            collector: A `LatencyCollector`, or anything with its ``measurements``.

        Returns:
            The paths of both files: ``{"summary": …, "raw": …}``.

        Raises:
            InvalidRunError: There are no measurements, or one can't be stored
                (a ValueError).
            StoreError: As `RunRepository.save`; also where the database can't be opened,
                the files are kept.
        """
        try:
            repository = _writable(self._root)
        except (DatabaseError, SchemaVersionError, StoreMismatchError) as error:
            run = new_run(self.run_id, collector, None, None)
            keep_run(Path(self._root), run, StoreOptions(), error)
            raise
        repository.save(self.run_id, collector)
        return {
            "summary": str(self.metrics_dir / SUMMARY_NAME),
            "raw": str(self.metrics_dir / RAW_NAME),
        }

    def get_run_metrics(self, use_cache: bool = True) -> dict[str, Any] | None:
        """Return the run's summary, as its JSON file has it; the dict is the caller's.

        Args:
            use_cache: False reads the file afresh; True is never stale either.

        Returns:
            None if there is no such run, or its file can't be read, which the
            log explains.
        """
        return _document(self._root, self.run_id, afresh=not use_cache)

    def compare_runs(self, other_run_id: str) -> dict[str, Any]:
        """Return how this run differs from another of the same results folder.

        Args:
            other_run_id: The run to compare with; a name that no run can have is a missing run.

        Returns:
            ``run1`` (this), ``run2`` (the other), ``timestamp`` (local) and
            ``metrics``: {metric type: means and 95th percentiles, and
            ``diff_ms`` = this mean − other mean} of the types that both have.
            If a run is missing: ``error`` and empty ``metrics``.
        """
        metrics = _compare_rows(self._root, self.run_id, other_run_id)
        if metrics is None:
            documents = []
            for run_id in (other_run_id, self.run_id):
                document = _document(self._root, run_id)
                if document is None:
                    return {"error": f"Could not load metrics for run {run_id}", "metrics": {}}
                documents.append(document)
            metrics = _compared(*map(_stats, reversed(documents)))
        return {
            "run1": self.run_id,
            "run2": other_run_id,
            "timestamp": datetime.now().isoformat(),  # noqa: DTZ005 - local, as it was
            "metrics": metrics,
        }

    @staticmethod
    def get_recent_runs(
        results_dir: str | os.PathLike[str] = DEFAULT_RESULTS_DIR, limit: int = 10
    ) -> list[str]:
        """Return the ids of the newest runs, newest first.

        Args:
            results_dir: The results folder; a missing one has no runs, and one that can't
                be listed none either, which the log says.
            limit: Most ids to return; below 1 gives none.

        Raises:
            InvalidRunError: *limit* isn't a whole number.
            DatabaseError: This process may open no more files.
        """
        limit = check_whole_number(limit, "limit")
        if limit < 1:
            return []
        root = os.path.abspath(results_dir)
        if not os.path.exists(root):
            return []
        return _ask(
            root,
            lambda repository: _recent_with_files(repository, root, limit),
            lambda: _recent_in_folder(root, limit),
        )


def _document(root: str, run_id: str, *, afresh: bool = False) -> dict[str, Any] | None:
    key = root, run_id
    known, state = _missing.get(key), _UNSETTLED
    if known is not None:
        state = _places_state(root, run_id)
        if state == known:
            return None
        if not _is_settled(state):
            state = _UNSETTLED
    try:
        document = _read_document(root, run_id, afresh=afresh)
    except (RunNotFoundError, FileNotFoundError, InvalidRunError):
        if len(_missing) >= _MOST_MISSING:
            _missing.clear()
        # As it was before the look, so that what came meanwhile makes a difference.
        _missing[key] = state
        return None
    except ArtifactReadError as error:
        logger.warning("no metrics for run %r: %s", run_id, error)
        document = None
    _missing.pop(key, None)
    return document


def _places_state(root: str, run_id: str) -> PlacesState:
    """Return the state of the folders that a run's summary can come into.

    A save stages it in one and publishes it in the other, and either changes the folder's time.
    """
    return _folder_state(f"{root}/{run_id}"), _folder_state(f"{root}/{STAGING_NAME}")


def _folder_state(path: str) -> FolderState:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_ctime_ns


def _is_settled(state: PlacesState) -> bool:
    """Return whether a change from now on will give a folder another time."""
    latest_ns = time.time_ns() - _SETTLED_AFTER_NS
    return all(found is None or found[2] < latest_ns for found in state)


def _read_document(root: str, run_id: str, *, afresh: bool) -> dict[str, Any]:
    if afresh:
        # Without a row: asking for one takes as long as reading a small file.
        with suppress(FileNotFoundError):
            return read_document(root, run_id)
    return _ask(
        root,
        lambda repository: repository.read_document(run_id, afresh=afresh),
        lambda: read_document(Path(root), check_run_id(run_id)),
    )


def _compare_rows(root: str, this: str, other: str) -> dict[str, Any] | None:
    """Compare by the joined query; None where not both runs have rows and files."""
    try:
        other = check_run_id(other)
        if not (has_summary(root, other) and has_summary(root, this)):
            return None
        comparison = _ask(root, lambda repository: repository.compare(other, this), lambda: None)
    except (RunNotFoundError, InvalidRunError):
        return None
    if comparison is None:
        return None
    return _compared(
        {c.metric_type: c.candidate._asdict() for c in comparison.changes if c.candidate},
        {c.metric_type: c.baseline._asdict() for c in comparison.changes if c.baseline},
    )


def _compared(
    this: dict[str, dict[str, Any]], other: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    return {
        metric_type: {
            "this_mean_ms": mine["mean_ms"],
            "other_mean_ms": theirs["mean_ms"],
            "diff_ms": mine["mean_ms"] - theirs["mean_ms"],
            "this_p95_ms": mine.get("p95_ms"),
            "other_p95_ms": theirs.get("p95_ms"),
        }
        for metric_type, mine in this.items()
        if (theirs := other.get(metric_type)) is not None
    }


def _stats(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the metric types of a possibly hand-made document that have a mean."""
    stats = document.get("stats")
    return {
        metric_type: values
        for metric_type, values in (stats.items() if isinstance(stats, dict) else ())
        if isinstance(values, dict) and isinstance(values.get("mean_ms"), int | float)
    }


def _recent_with_files(repository: RunRepository, root: str, limit: int) -> list[str]:
    """Leave out runs whose folder somebody has removed by hand."""
    wanted = limit
    while True:
        headers = repository.recent(wanted)
        found = [header.run_id for header in headers if has_summary(root, header.run_id)]
        if len(found) >= limit or len(headers) < wanted:
            return found[:limit]
        wanted *= 2


def _recent_in_folder(root: str, limit: int) -> list[str]:
    # Only a link has to be followed: it is no folder to who lists one.
    listed = os.path.realpath(root) if os.path.islink(root) else root
    try:
        return [run_id for _, run_id in newest_runs(Path(listed), limit)]
    except FileNotFoundError:
        return []
    except OSError as error:
        if is_file_limit(error):
            raise
        logger.warning("%s can't be listed: %s", root, error.strerror)
        return []


_said: set[tuple[str, tuple[object, ...]]] = set()


def _log_fallback(root: str, error: StoreError) -> None:
    """Say once why the folders answer."""
    # Not its text, from which passwords are taken out: 10 µs.
    key = root, error.args
    if key not in _said and os.path.isdir(root):
        _said.add(key)
        logger.warning("%s: answering from the run folders: %s", root, error)


T = TypeVar("T")

FolderState = tuple[int, int, int] | None
"""(device, inode, time of last change in ns); None where nothing can be seen."""

PlacesState = tuple[FolderState, ...]
"""Of the run's folder and of the staging folder."""

# {(root, run id): state when no summary was there, or `_UNSETTLED`}. To look for one takes 60 µs,
# and those who wait for a run ask again and again.
_missing: dict[tuple[str, str], PlacesState] = {}
_MOST_MISSING: Final = 1_000
_UNSETTLED: Final[PlacesState] = ()
# Within one tick of the kernel's clock, 10 ms at most, two changes give a folder one time.
_SETTLED_AFTER_NS: Final = 20_000_000

# The open repositories that all `MetricsStorage` of a process share, a few folders' worth.
_LIMIT = 8


class _Held(NamedTuple):
    repository: RunRepository
    writes: bool
    folder: tuple[int, ...]


def _state(path: str) -> tuple[int, ...]:
    """Return device, inode, size and time of last change of what is there; empty if nothing is.

    The time is the one that a program can't set: a copy may bring its own.
    """
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns


def _folder_id(results_dir: str) -> tuple[int, ...]:
    """Return which folder the path leads to now: a link may be pointed elsewhere."""
    return _state(results_dir)[:2]


def _held_at(results_dir: str) -> _Held | None:
    """Return what is open of the folder that the path leads to now."""
    held = _held.get(results_dir)
    return held if held is not None and held.folder == _folder_id(results_dir) else None


# By absolute path, the one opened last at the end. They aren't closed when they
# leave: another thread may be using one.
_held: dict[str, _Held] = {}
_lock = threading.Lock()
# {path: state of the files of a database that couldn't be used}
_unusable: dict[str, tuple[tuple[int, ...], ...]] = {}


def _ask(
    results_dir: str, question: Callable[[RunRepository], T], otherwise: Callable[[], T]
) -> T:
    """Return the answer of the database in the absolute path *results_dir*; creates nothing.

    Where it can't be used, the answer is that of *otherwise*, and the log says so.
    """
    try:
        return _answer(results_dir, question)
    except _UNUSABLE_ERRORS as error:
        _log_fallback(results_dir, error)
        return otherwise()


def _answer(results_dir: str, question: Callable[[RunRepository], T]) -> T:
    held = _held_at(results_dir)
    if held is not None:
        try:
            return question(held.repository)
        except DatabaseError:
            # Somebody may have replaced the whole folder since.
            if held.repository.is_in_place():
                raise
    return question(_open(results_dir, writes=False))


def _writable(results_dir: str) -> RunRepository:
    """Return the repository to save with; makes folder and database where they are missing.

    Raises:
        StoreError: As `RunRepository.open`.
    """
    held = _held_at(results_dir)
    if held is not None and held.writes and held.repository.is_in_place():
        return held.repository
    if held is None and results_dir in _held and not _folder_id(results_dir):
        logger.warning(
            "%s was removed while it was open: it is made anew, and holds none of its runs",
            results_dir,
        )
    return _open(results_dir, writes=True)


def _open(results_dir: str, *, writes: bool) -> RunRepository:
    with _lock:
        if not writes and not os.path.lexists(f"{results_dir}/{DATABASE_NAME}"):
            raise StoreNotFoundError("there is no database")
        state = _database_state(results_dir)
        if not writes and _unusable.get(results_dir) == state:
            raise StoreNotFoundError("the database can't be used")
        repository = RunRepository.open(results_dir, read_only=not writes)
        if repository.answers_from == "folders":
            # The opening has logged why; until the files change, it needn't again.
            _unusable[results_dir] = state
            raise StoreNotFoundError("the database can't be used")
        _held.pop(results_dir, None)
        _held[results_dir] = _Held(repository, writes, _folder_id(results_dir))
        if len(_held) > _LIMIT:
            del _held[next(iter(_held))]
        return repository


def _database_state(results_dir: str) -> tuple[tuple[int, ...], ...]:
    path = f"{results_dir}/{DATABASE_NAME}"
    return _state(path), _state(f"{path}-wal")


@atexit.register
def _close_all() -> None:
    while _held:
        _held.popitem()[1].repository.close()


def _new_lock() -> None:
    global _lock
    _lock = threading.Lock()


in_forked_child(_new_lock)
