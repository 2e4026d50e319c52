"""Folders of runs without rows → rows, from their summary files."""

from __future__ import annotations

import logging
import os
import pickle
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from astraguard_store.artifacts.reader import has_summary, read_run
from astraguard_store.artifacts.scanner import folder_names, warn_of_linked_runs
from astraguard_store.artifacts.staging import staged_names
from astraguard_store.artifacts.verification import has_files
from astraguard_store.checks import check_run_id, check_whole_number
from astraguard_store.database.runs import StoredRun
from astraguard_store.database.sqlite.errors import translated_os_errors
from astraguard_store.database.whole_runs import RunRows, rows_of, with_document
from astraguard_store.exceptions import ArtifactReadError, InvalidRunError, StoreError
from astraguard_store.formats.layout import DELETION_SUFFIX, SUMMARY_NAME
from astraguard_store.reports import ImportReport, Progress
from astraguard_store.store.rebuilding import needs_summary, rebuild_summary
from astraguard_store.store.store import FolderStore
from astraguard_store.system.interrupts import ctrl_c_blocked, interrupts_held_back

if TYPE_CHECKING:
    from concurrent.futures import Future

logger = logging.getLogger("astraguard_store")

# A transaction each: so that others get their turn, and memory stays flat.
_BATCH = 500

# From here on more than one process pays: to start one takes as long as to read 1,000 folders.
_MANY_FOLDERS = 5_000
# With so many that read, the one that writes is the slowest.
_MOST_JOBS = 4

_DIED = (
    "a process that read summaries died (killed, or out of memory). What was adopted before "
    "stays; import again, with jobs=1 if it happens again. A script that imports with jobs above "
    "1 must do so below `if __name__ == '__main__':`"
)


class FoundRuns(NamedTuple):
    """What was found in some folders.

    Attributes:
        runs: Their rows.
        refused: (folder name, reason) of what can't be read.
        without_summary: How many folders hold no summary or can't be looked into: no runs.
    """

    runs: list[RunRows]
    refused: list[tuple[str, str]]
    without_summary: int


def adopt_folders(
    store: FolderStore,
    progress: Progress | None = None,
    jobs: int | None = 1,
    *,
    rebuild: bool = False,
) -> ImportReport:
    """Write a row for every run folder that has none, from its summary file.

    The files stay as they are. What can't be read is reported, and left alone.
    Run again, it adopts only what is new; interrupted, it goes on where it was.

    Args:
        store: Where to.
        progress: Called with (folders done, folders in all).
        jobs: How many processes read the summaries; with 1 this one does. None: as
            many as pay.
        rebuild: Make the summaries anew that are missing or damaged, where the CSV is whole.

    Raises:
        InvalidRunError: *jobs* is below 1.
        ArtifactReadError: A process that read summaries died.
        DatabaseError: The results folder can't be listed, or the database not be written.
    """
    if jobs is not None and check_whole_number(jobs, "jobs") < 1:
        raise InvalidRunError(f"Invalid jobs {jobs!r}: at least 1 is needed")
    with translated_os_errors(store.root):
        names = sorted(folder_names(store.root))
        linked = warn_of_linked_runs(store.root)
    if jobs is None:
        jobs = _jobs_that_pay(len(names))
    batches = [names[start : start + _BATCH] for start in range(0, len(names), _BATCH)]
    adopted = skipped = ignored = done = 0
    refused: list[tuple[str, str]] = []
    for batch, (missing, found) in zip(
        batches, _found(store, batches, min(jobs, len(batches))), strict=True
    ):
        added = _insert(store, found.runs) if found.runs else 0
        adopted += added
        skipped += len(batch) - missing + len(found.runs) - added
        refused += found.refused
        ignored += found.without_summary
        done += len(batch)
        if progress:
            progress(done, len(names))
    report = ImportReport(adopted, skipped, tuple(refused), ignored + len(linked))
    return _rebuilt(store, names, report) if rebuild else report


def _rebuilt(store: FolderStore, names: list[str], report: ImportReport) -> ImportReport:
    """Adopt the folders whose summary can be made anew from the CSV; return the new report."""
    refused = dict(report.refused)
    ignored, rebuilt = report.ignored, []
    for name in store.database.without_row(names):
        if not needs_summary(store.root, name):
            continue
        was_ignored = name not in refused
        try:
            rebuild_summary(store, name)
        except (StoreError, OSError) as error:
            refused[name] = str(error)
        else:
            found = _read_batch(store.root, [name])
            refused.pop(name, None)
            refused.update(found.refused)
            if found.runs and _insert(store, found.runs):
                rebuilt.append(name)
                logger.warning("%s: made the summary of run %r anew", store.root, name)
        ignored -= was_ignored
    return ImportReport(
        report.adopted + len(rebuilt),
        report.skipped,
        tuple(sorted(refused.items())),
        ignored,
        tuple(rebuilt),
    )


def _jobs_that_pay(folders: int) -> int:
    return min(_MOST_JOBS, len(os.sched_getaffinity(0))) if folders >= _MANY_FOLDERS else 1


def _found(
    store: FolderStore, batches: list[list[str]], jobs: int
) -> Iterator[tuple[int, FoundRuns]]:
    """Yield how many folders of each batch have no row, and what was read of these."""
    without_row = map(store.database.without_row, batches)
    if jobs <= 1:
        yield from ((len(names), _read_batch(store.root, names)) for names in without_row)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    # Spawned, since polars or a connection may be in use in this process.
    with (
        _folder_of_answers() as answers,
        ProcessPoolExecutor(
            jobs, multiprocessing.get_context("spawn"), initializer=_end_with_parent
        ) as pool,
    ):
        under_way: deque[tuple[int, Future[Path]]] = deque()
        try:
            for number, names in enumerate(without_row):
                with ctrl_c_blocked():
                    future = pool.submit(_read_into, answers / f"{number}", store.root, names)
                under_way.append((len(names), future))
                # As many as keep the processes at work, and no more in memory.
                if len(under_way) > jobs:
                    missing, future = under_way.popleft()
                    yield missing, _answer(future.result())
            for missing, future in under_way:
                yield missing, _answer(future.result())
        except BrokenProcessPool as error:
            raise ArtifactReadError(_DIED) from error
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _folder_of_answers() -> Iterator[Path]:
    from tempfile import TemporaryDirectory

    try:
        folder = TemporaryDirectory(prefix="astraguard-")
    except OSError as error:
        raise ArtifactReadError(
            f"no folder for temporary files: {error}; set TMPDIR, or import with jobs=1"
        ) from error
    with folder as path:
        yield Path(path)


def _read_into(answer: Path, root: Path, names: list[str]) -> Path:
    # Through a pipe, half of a long answer would wait for its other half for ever if its
    # process is killed in between. What goes through it now is written in one piece.
    answer.write_bytes(pickle.dumps(_read_batch(root, names)))
    return answer


def _answer(path: Path) -> FoundRuns:
    found: FoundRuns = pickle.loads(path.read_bytes())  # noqa: S301 - our own process's
    path.unlink()
    return found


def _end_with_parent() -> None:
    """End with the process that started this one, even if that is killed."""
    import multiprocessing

    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 - this is a child

    def end_with_it() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_it, daemon=True).start()


def _read_batch(root: Path, names: list[str]) -> FoundRuns:
    found = FoundRuns([], [], 0)
    without_summary = 0
    for name in names:
        try:
            summary = read_run(root, check_run_id(name))
        except FileNotFoundError:
            without_summary += 1
            if has_files(root, name):
                logger.warning(
                    "%s holds measurements, but no %s, so it isn't adopted; "
                    "`astraguard-store import` makes one from the CSV",
                    root / name,
                    SUMMARY_NAME,
                )
            else:
                logger.info("%s holds no run", root / name)
        except (ArtifactReadError, InvalidRunError) as error:
            if has_files(root, name):
                found.refused.append((name, str(error)))
            else:
                # Such as lost+found, or a folder of the desktop's.
                without_summary += 1
                logger.info("%s holds no run: %s", root / name, error)
        else:
            run = StoredRun(summary, None, None)
            found.runs.append(with_document(rows_of(run), run))
    return found._replace(without_summary=without_summary)


def _insert(store: FolderStore, runs: list[RunRows]) -> int:
    with interrupts_held_back(), store.write("adopting old runs") as transaction:
        # Under the ticket: since they were read, another process may have deleted some.
        # If a former database was lost, nobody knows whether a staged deletion was committed.
        is_known = store.database.adopted()
        staged = staged_names(store.root) if is_known else ()
        deleted = {name.run_id for name in staged if name.suffix == DELETION_SUFFIX}
        there = [
            run
            for run in runs
            if run.run_id not in deleted and has_summary(store.root, run.run_id)
        ]
        return len(transaction.insert_new(there))
