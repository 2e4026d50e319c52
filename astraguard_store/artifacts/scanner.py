"""The newest run folders, without a database.

One question to the file system a folder: the time of its summary file, which a
save sets to the time of the run. Where it wasn't set by a save, it may be the
time of a copy; then the run's CSV is asked.

One thread asks: of two, both want the interpreter's lock after every answer and
wake each other on the same core. On a machine with other work to do, two took
1.03 to 1.06 times as long as one.
"""

from __future__ import annotations

import heapq
import logging
import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from astraguard_store.artifacts.reader import (
    last_measured_us,
    read_summary_file,
)
from astraguard_store.artifacts.verification import has_files
from astraguard_store.checks import check_run_id
from astraguard_store.exceptions import ArtifactReadError, InvalidRunError
from astraguard_store.formats.layout import STAGING_NAME, SUMMARY_NAMES
from astraguard_store.system.files import open_folder, status_in

logger = logging.getLogger("astraguard_store")

_MANY_FOLDERS: Final = 1_000
# How many CSVs are asked in a tree with the times of a copy, 20 µs each.
MAX_TIMES_READ: Final = 256
# How many folders more than asked for are looked at, in case a name can't be a run's.
_SPARE: Final = 8
# The old class wrote its summary after the last measurement; a copy is later.
_BELIEVED_US: Final = 2_000_000

# A list may be asked for each second; it says once what it leaves out.
_warned_of_links: set[Path] = set()

RunTime = tuple[int, str]
"""(microseconds since 1970, run id): their order is that of the runs."""


def newest_runs(root: Path, limit: int) -> list[RunTime]:
    """Return the time and id of the newest *limit* runs below *root*, newest first.

    A run is a folder with a summary file in it and a name that `check_run_id`
    allows; symbolic links are none. In a tree whose file times are those of a
    copy, the 256 newest by file time (or *limit*, if that is more) are put in
    the order of their runs.

    Raises:
        FileNotFoundError: There is no such folder.
        OSError: It can't be listed.
    """
    if limit < 1:
        return []
    newest = _newest_by_file_time(root, limit)
    times = [(file_time_us(root, name, modified_ns), name) for modified_ns, name in newest]
    if [us for us, _ in times] == [modified_ns // 1000 for modified_ns, _ in newest]:
        return times
    newest = _newest_by_file_time(root, max(limit, MAX_TIMES_READ))
    times = sorted(((file_time_us(root, name, ns), name) for ns, name in newest), reverse=True)
    del times[limit:]
    if len(newest) >= MAX_TIMES_READ and times[-1][0] < newest[-1][0] // 1000:
        logger.warning(
            "%s: the files have the times of a copy, so the order of its runs is uncertain "
            "beyond the %d newest files; `astraguard-store import` puts it right",
            root,
            len(newest),
        )
    return times


def folder_names(root: Path) -> list[str]:
    """Return the names of all folders below *root* that may be runs, in no order.

    Raises:
        OSError: It can't be listed.
    """
    with os.scandir(root) as entries:
        return [entry.name for entry in entries if _may_be_run(entry)]


def linked_runs(root: Path) -> list[str]:
    """Return the names of symbolic links below *root* that lead to a run's folder, sorted.

    Not those that lead to a folder of *root* itself, as one that is called ``latest``.

    Raises:
        OSError: It can't be listed.
    """
    with os.scandir(root) as entries:
        links = sorted(e.name for e in entries if e.is_symlink() and e.name != STAGING_NAME)
    inside = os.path.realpath(root)
    return [
        name
        for name in links
        if os.path.dirname(os.path.realpath(root / name)) != inside and has_files(root, name)
    ]


def warn_of_linked_runs(root: Path) -> list[str]:
    """Return what `linked_runs` does, and name each in the log."""
    links = linked_runs(root)
    for name in links:
        logger.warning(
            "%s is a symbolic link to a run's folder, and not taken for a run: move the folder "
            "itself there",
            root / name,
        )
    return links


def has_folders(root: Path) -> bool:
    """Return whether any folder below *root* may be a run."""
    with os.scandir(root) as entries:
        return any(_may_be_run(entry) for entry in entries)


def _may_be_run(entry: os.DirEntry[str]) -> bool:
    return (
        entry.name != STAGING_NAME
        and not entry.name.startswith("astraguard.db")
        and entry.is_dir(follow_symlinks=False)
    )


def _newest_by_file_time(root: Path, limit: int) -> list[tuple[int, str]]:
    """Return (file time in ns, name) of the newest *limit* runs, newest first."""
    wanted, limit = limit, limit + _SPARE
    with open_folder(root) as folder:
        newest, seen = _newest_summaries(folder, limit)
        newest.sort(reverse=True)
        others: list[str] = []
        runs = list(islice(_runs_among(newest, folder, others), wanted))
    if others and root not in _warned_of_links:
        _warned_of_links.add(root)
        warn_of_linked_runs(root)
    if seen > _MANY_FOLDERS:
        logger.warning("%s: scanned %d run folders for lack of a database", root, seen)
    if len(runs) < wanted and len(newest) == limit:
        return _newest_by_file_time(root, 2 * limit)[:wanted]
    return runs


def _runs_among(
    newest: list[tuple[int, str]], folder: int, others: list[str]
) -> Iterator[tuple[int, str]]:
    """Yield what is a run's folder; a link to one goes to *others*.

    Only now, and not for every folder: to check a name takes as long as the question.
    """
    for time_ns, name in newest:
        if _is_run_id(name):
            # No link to one; and it may be gone by now.
            found = status_in(folder, name)
            if found and stat.S_ISDIR(found.st_mode):
                yield time_ns, name
            else:
                others.append(name)


def _newest_summaries(folder: int, limit: int) -> tuple[list[tuple[int, str]], int]:
    """Return (file time in ns, run folder) of the newest *limit* summaries, in no order.

    And how many there are. A symbolic link counts, but is no summary; whether the
    folder is one is for the caller to find out.

    Raises:
        OSError: The open *folder* can't be listed.
    """
    newest: list[tuple[int, str]] = []
    seen = 0
    oldest_ns = -(2**63)
    for name in os.listdir(folder):
        found = _summary_status(folder, name)
        if found is None:
            continue
        seen += 1
        modified_ns = found.st_mtime_ns
        if modified_ns < oldest_ns or not stat.S_ISREG(found.st_mode):
            continue
        if len(newest) < limit:
            heapq.heappush(newest, (modified_ns, name))
        else:
            heapq.heappushpop(newest, (modified_ns, name))
            oldest_ns = newest[0][0]
    return newest, seen


def _summary_status(folder: int, name: str) -> os.stat_result | None:
    """Return what the file system says of the summary in folder *name*, None if there is none."""
    for summary in SUMMARY_NAMES:
        try:
            return os.stat(f"{name}/{summary}", dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            continue
        except OSError:
            # No folder.
            return None
    return None


def _is_run_id(name: str) -> bool:
    try:
        check_run_id(name)
    except InvalidRunError:
        return False
    return True


def file_time_us(root: Path, run_id: str, modified_ns: int) -> int:
    """Return when a run was, told by the time of its summary file, microseconds since 1970.

    A save sets whole microseconds; a time that others set has odd nanoseconds
    or, set by hand, whole milliseconds. Such a time is compared with the last
    one in the CSV, which counts if they differ.
    """
    modified_us, odd_ns = divmod(modified_ns, 1000)
    if not odd_ns and modified_us % 1000:
        return modified_us
    measured_us = last_measured_us(root, run_id)
    if measured_us is None or abs(modified_us - measured_us) <= _BELIEVED_US:
        return modified_us
    try:
        return read_summary_file(root, run_id).run_time_us(root, run_id)
    except (FileNotFoundError, ArtifactReadError):
        return measured_us
