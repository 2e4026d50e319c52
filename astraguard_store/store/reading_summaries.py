"""Summary files → rows, read by this process or by several.

Reading 500 summaries takes 200 ms, writing their rows 60, and only one process
can write. What comes back from the others are plain values: the rows of 500 runs
are 0.6 MB, and are unpacked in 7 ms. A process needs 0.6 s to start, so it pays
from some 5,000 runs on, with cores that have nothing else to do.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from astraguard_store.checks import check_run_id
from astraguard_store.database.runs import StoredRun
from astraguard_store.database.whole_runs import RunRows, rows_of
from astraguard_store.exceptions import ArtifactReadError, InvalidRunError
from astraguard_store.store.folder_runs import read_run
from astraguard_store.system.interrupts import ctrl_c_blocked

__all__ = ["FoundRuns", "summaries_read"]

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
        without_summary: How many folders have no summary, and are no runs.
    """

    runs: list[RunRows]
    refused: list[tuple[str, str]]
    without_summary: int


@contextmanager
def summaries_read(
    root: Path, batches: Iterator[list[str]], jobs: int
) -> Iterator[Iterator[FoundRuns]]:
    """Give what is found in each batch of folders, in the order of the batches.

    Args:
        root: The results folder.
        batches: Folder names; asked for a little ahead of what was given.
        jobs: How many processes read; with 1 or less this one does.

    Raises:
        ArtifactReadError: A process died.
    """
    if jobs <= 1:
        yield (_read_batch(root, names) for names in batches)
        return
    with ExitStack() as workers:
        yield _read_by([_started(root, workers) for _ in range(jobs)], batches)


def _read_batch(root: Path, names: list[str]) -> FoundRuns:
    found = FoundRuns([], [], 0)
    without_summary = 0
    for name in names:
        try:
            summary = read_run(root, check_run_id(name))
        except FileNotFoundError:
            without_summary += 1
        except (ArtifactReadError, InvalidRunError) as error:
            found.refused.append((name, str(error)))
        else:
            found.runs.append(rows_of(StoredRun(summary, None, None)))
    return found._replace(without_summary=without_summary)


def _read_by(pipes: list[Connection], batches: Iterator[list[str]]) -> Iterator[FoundRuns]:
    """Yield what the processes find; each has one batch at a time, and they take turns."""
    at_work: deque[Connection] = deque()
    for pipe, names in zip(pipes, batches, strict=False):
        _send(pipe, names)
        at_work.append(pipe)
    while at_work:
        pipe = at_work.popleft()
        found = _receive(pipe)
        # Before its rows are written, so that it reads meanwhile.
        names_left = next(batches, None)
        if names_left is not None:
            _send(pipe, names_left)
            at_work.append(pipe)
        yield found


def _send(pipe: Connection, names: list[str]) -> None:
    try:
        pipe.send(names)
    except OSError as error:
        raise ArtifactReadError(_DIED) from error


def _receive(pipe: Connection) -> FoundRuns:
    try:
        found: FoundRuns | Exception = pipe.recv()
    except (EOFError, OSError) as error:
        # In the middle of a message it is a plain OSError.
        raise ArtifactReadError(_DIED) from error
    if isinstance(found, Exception):
        raise found
    return found


def _started(root: Path, workers: ExitStack) -> Connection:
    """Start a process that reads what comes through the returned pipe, until it closes."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    # Ctrl-C comes to all processes of a terminal; this one ends the others. Blocked
    # here, it stays so in a process that is started.
    resource_tracker.ensure_running()
    try:
        with ctrl_c_blocked():
            process = context.Process(target=_serve, args=(root, theirs), daemon=True)
            process.start()
    finally:
        theirs.close()
    workers.callback(process.join)
    workers.callback(process.terminate)
    workers.callback(ours.close)
    return ours


def _serve(root: Path, pipe: Any) -> None:
    """Answer batches until the other end is closed, or its process is gone."""
    with suppress(EOFError, OSError), pipe:
        while True:
            names = pipe.recv()
            try:
                found: FoundRuns | Exception = _read_batch(root, names)
            except Exception as error:  # noqa: BLE001 - raised where it was asked for
                found = error
            pipe.send(found)
