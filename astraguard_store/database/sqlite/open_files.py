"""Whether the files of a database that is being written are still those that were opened.

SQLite answers from its own memory: into a file that another program overwrites, cuts
off or replaces it goes on writing without a word, and the rows are gone. So a writer
looks before and after each of its transactions, which takes 15 µs.

The files are read through SQLite's own descriptors: to close another one would let go
of all locks that this process has on the file (`fcntl(2)`).
"""

from __future__ import annotations

import os
import sqlite3
import stat
import struct
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from astraguard_store.database.sqlite.errors import translated_os_errors
from astraguard_store.exceptions import DatabaseDamagedError, DatabaseError
from astraguard_store.system.files import (
    descriptor_of,
    head_of,
    is_same_file,
    range_shared,
    read_at,
)

_MAGIC = b"SQLite format 3\0"
# Which version of the format may write and read it: 1 with a rollback journal, 2 with a log.
_MODE = slice(18, 20)
_WITHOUT_LOG = b"\1\1"

# What no transaction changes: the magic, the size of a page, and that there is a log.
_HEADER_BYTES = 24
_LOG_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
# https://sqlite.org/walformat.html: number of frames, pages, checksum of the last frame,
# salts; and, far behind, how many frames are in the database file already.
_INDEX_HEADER = struct.Struct("=16xII2I8s")
_MOVED_FRAMES = struct.Struct("=96xI")


# https://sqlite.org/src/file/src/os.h: whoever deletes the log has these bytes for itself.
_SHARED_FIRST = 0x40000002
_SHARED_SIZE = 510


class _Index(NamedTuple):
    """What the index tells of the log; programs that have the database open share it."""

    frames: int
    checksum: tuple[int, int]
    salts: bytes
    moved_frames: int


class _Seen(NamedTuple):
    """The files as they were after a look: (size, time in ns) and the log's index."""

    database: tuple[int, int]
    log: tuple[int, int]
    log_index: _Index


class OpenFiles:
    """The database file, its log and the log's index, as a connection has opened them.

    Args:
        path: The database.
        connection: It writes, and has read once.
        before: The descriptors that this process had before it was opened.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, before: set[int]) -> None:
        self._path = os.fspath(path)
        self._names = (self._path, f"{path}-wal", f"{path}-shm")
        self._opened = tuple(os.stat(name) for name in self._names)
        self._descriptors = self._find(before)
        self._connection = connection
        self._header = b""
        self._seen: _Seen | None = None
        if self._descriptors:
            self._header = read_at(self._descriptors[0], _HEADER_BYTES, 0)
        size = int.from_bytes(self._header[16:18], "big")
        # 65,536 has no place in two bytes.
        self._frame_bytes = _FRAME_HEADER_BYTES + (2**16 if size == 1 else size)

    def check(self) -> None:
        """Make sure of the files, in a write transaction or right after its commit.

        The log's last frame is the one that was committed last, by whomever: the index
        has its checksum, and so tells after a commit that what was committed is in the
        file that the next program will open.

        Raises:
            DatabaseDamagedError: One of them was overwritten, cut off, replaced or removed.
            OSError: One can't be looked at.
        """
        database, log = self._found()
        if self._descriptors is None:
            # Without /proc: SQLite's descriptors aren't known, and only names are compared.
            return
        try:
            self._look(*self._descriptors, database, log)
        except (OSError, DatabaseDamagedError):
            # A descriptor may have been another connection's, which was opened beside.
            found = self._find()
            if found is None or found == self._descriptors:
                raise
            self._descriptors = found
            self._look(*found, database, log)

    def _find(self, before: Collection[int] = ()) -> tuple[int, int, int] | None:
        file, log, index = (descriptor_of(state, before) for state in self._opened)
        return None if file is None or log is None or index is None else (file, log, index)

    def _look(
        self,
        file: int,
        log_file: int,
        index_file: int,
        database: os.stat_result,
        log: os.stat_result,
    ) -> None:
        if read_at(file, _HEADER_BYTES, 0) != self._header or not database.st_size:
            raise self._damaged("it was overwritten or emptied")
        index = _index(read_at(index_file, _MOVED_FRAMES.size, 0))
        self._check_log(log_file, log.st_size, index)
        before, now = self._seen, _Seen(_state(database), _state(log), index)
        if before is not None and now != before:
            self._check_explained(before, now)
        self._seen = now

    def note(self) -> None:
        """Note the files as they are: this process itself has just changed them."""
        with suppress(OSError, DatabaseDamagedError):
            self._seen = None
            self.check()

    def _found(self) -> tuple[os.stat_result, os.stat_result]:
        states = []
        for name, opened in zip(self._names, self._opened, strict=True):
            try:
                state = os.stat(name)
            except FileNotFoundError:
                raise self._damaged(f"{name} was removed") from None
            if not is_same_file(state, opened):
                raise self._damaged(f"{name} was replaced by another file")
            states.append(state)
        return states[0], states[1]

    def _check_log(self, log_file: int, size: int, index: _Index) -> None:
        """Make sure that the log ends as the index says; an empty one says nothing."""
        if not index.frames:
            return
        header = read_at(log_file, _LOG_HEADER_BYTES, 0)
        last = _LOG_HEADER_BYTES + (index.frames - 1) * self._frame_bytes
        frame = read_at(log_file, _FRAME_HEADER_BYTES, last)
        ends = index.salts + struct.pack(">2I", *index.checksum)
        if size < last + self._frame_bytes or header[16:24] != index.salts or frame[8:] != ends:
            raise self._damaged("its log was overwritten or cut off")

    def _check_explained(self, before: _Seen, now: _Seen) -> None:
        """Read all pages anew if a file was changed and nobody's commit or checkpoint tells why.

        A checkpoint that was killed, or a transaction that was rolled back, does that too.
        """
        is_moved = (now.log_index.salts, now.log_index.moved_frames) != (
            before.log_index.salts,
            before.log_index.moved_frames,
        )
        is_committed = now.log_index != before.log_index
        if (now.database == before.database or is_moved) and (
            now.log == before.log or is_committed
        ):
            return
        uri = f"file:{quote(os.fsencode(self._path))}?mode=ro"
        try:
            with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as fresh:
                problems = fresh.execute("PRAGMA quick_check(1)").fetchall()
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from error
        if problems != [("ok",)]:
            raise self._damaged(str(problems[0][0]).replace("\n", " "))
        # Pages that it remembers may not be those of the file any more.
        self._connection.execute("PRAGMA shrink_memory")

    def _damaged(self, reason: str) -> DatabaseDamagedError:
        return DatabaseDamagedError(self._path, f"{reason}, while it was open")


@contextmanager
def logs_of_others_kept(path: Path, opened: os.stat_result) -> Iterator[None]:
    """Keep SQLite from deleting a log inside, if another file has taken the database's place.

    As when another disk was mounted over its folder while it was open. The last connection
    that closes moves the log into the database and deletes it, by its name. Before, SQLite
    looks whether the file of the database's name has the inode number that was opened
    (`fileHasMoved` in os_unix.c), which on another disk comes again: then the log is another's.

    Args:
        path: The database.
        opened: What `os.stat` told of it when it was opened.
    """
    with ExitStack() as kept:
        # A database that is gone is SQLite's to notice, and its log stays.
        with suppress(OSError):
            if not is_same_file(os.stat(path), opened):
                kept.enter_context(range_shared(opened, _SHARED_FIRST, _SHARED_SIZE))
        yield


def check_side_files(path: Path) -> None:
    """Make sure that SQLite can open what lies beside the database *path* under its names.

    It follows links there, and waits for ever at a pipe.

    Raises:
        DatabaseError: There is a link, a pipe, a folder or a device.
    """
    for suffix in ("-journal", "-wal", "-shm"):
        name = f"{path}{suffix}"
        with translated_os_errors(name), suppress(FileNotFoundError):
            if not stat.S_ISREG(os.lstat(name).st_mode):
                raise DatabaseError(
                    f"{path} can't be opened: {name} is a link or no file; it is not the store's, "
                    "move it away"
                )


def is_written_with_log(path: Path | str) -> bool:
    """Return whether whoever writes the database puts a log beside it; True if it is none."""
    header = head_of(path, _HEADER_BYTES)
    return not header.startswith(_MAGIC) or header[_MODE] != _WITHOUT_LOG


def has_log_of_another(path: Path) -> bool:
    """Return whether a copy was put in place beside a log, which SQLite would replay over it.

    A copy by `db backup` is written without a log, and beside such a one there is none.
    """
    return _holds_frames(path) and not is_written_with_log(path)


def _holds_frames(path: Path) -> bool:
    log = f"{path}-wal"
    with translated_os_errors(log), suppress(FileNotFoundError):
        return os.lstat(log).st_size > _LOG_HEADER_BYTES
    return False


def _index(content: bytes) -> _Index:
    if len(content) < _MOVED_FRAMES.size:
        return _Index(0, (0, 0), b"", 0)
    frames, _, first, second, salts = _INDEX_HEADER.unpack_from(content)
    return _Index(frames, (first, second), salts, _MOVED_FRAMES.unpack(content)[0])


def _state(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns
