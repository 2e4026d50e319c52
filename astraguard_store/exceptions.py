"""Everything the store raises on purpose, in one tree.

```
StoreError                        the base; never raised itself
├─ InvalidRunError                a run id or measurement that can't be stored; a ValueError
├─ RunNotFoundError               no such run in this store; a LookupError
├─ RunIsRunningError              the run is being recorded, so nobody else may change it
├─ StoreNotFoundError             no store and no run folder there; a FileNotFoundError
├─ GateError                      runs or limits of which no verdict can be given; a ValueError
├─ QueryError                     a query that is refused, wrong or takes too long; a ValueError
├─ ReadOnlyStoreError             a write through a repository opened for reading
├─ ClosedStoreError               a call after `close()`
├─ MissingExtraError              a package of an extra isn't installed; an ImportError
├─ SchemaVersionError             the database is older or newer than this code
├─ StoreMismatchError             the database lies beside the folder of another store
├─ DatabaseError                  SQLite failed: disk full, I/O error, folder gone; an OSError
│  ├─ DatabaseBusyError           a lock was not to be had in time; a TimeoutError
│  ├─ DatabaseDamagedError        the file is not a database, or a damaged one
│  └─ CommitOutcomeUnknownError   the commit itself failed; reopen the store to learn
└─ ArtifactError                  a JSON or CSV file; never raised itself
   ├─ ArtifactWriteError          writing failed; an OSError
   └─ ArtifactReadError           missing, unreadable, or not what it should be
```

A call that raises has changed nothing, unless the error's docstring says so. `errno` of an
`OSError` is its cause's: `ENOSPC` on a full disk, and `None` where nothing gave one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

# Of a URL, also of one whose colon or slash was left out, or which became a path; of
# USER:PASSWORD@HOST/… alone; and of a URL without a host. To the last @ of a word, as a
# password may hold more of them.
_PASSWORD: Final = re.compile(
    r"""((?:\b\w[\w+.-]*:?/{1,2}|\bpostgres\w*:)[^\s:/@'"]*):(?!/)[^\s'"]+@
    |(\b[^\s:/@'"]+):(?!/)[^\s'"/]+@(?=[\w.\[-][^\s'"]*/)
    |(\bpostgres\w*:/{0,2}[^\s:/@'"]*):(?!/|\d+\b)[^\s'"@]+
    |(\bpassword=)[^\s&'"]+""",
    re.VERBOSE,
)


def without_passwords(message: str) -> str:
    """Return a message with `***` for the password of each URL in it.

    A URL that was put in the place of a run id, a path or a number is told as what it isn't.
    """
    return _PASSWORD.sub(_hidden, message)


def _hidden(found: re.Match[str]) -> str:
    of_url, alone, without_host, named = found.groups()
    if named or without_host:
        return f"{named}***" if named else f"{without_host}:***"
    return f"{of_url or alone}:***@"


def _restored(kind: type[StoreError], args: tuple[object, ...]) -> StoreError:
    error = kind.__new__(kind, *args)
    error.args = args
    return error


class StoreError(Exception):
    """Base of all errors of this package; catch it to catch them all.

    Any of them survives pickling and copying with all its attributes.

    Attributes:
        kept: Where the files of a save lie that failed only for the database;
            the next opening of the store after the cause is gone adopts them. Empty
            otherwise.
    """

    kept: tuple[Path, ...] = ()

    def __str__(self) -> str:
        message = without_passwords(super().__str__())
        if not self.kept:
            return message
        files = ", ".join(map(str, self.kept))
        return (
            f"{message}. The run is not lost: when the cause is gone, the next opening of "
            f"the store adopts {files}"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # Without __init__, whose arguments need not be the message; the attributes follow.
        return _restored, (type(self), self.args), self.__dict__


class InvalidRunError(StoreError, ValueError):
    """A run id or a measurement that the store can't keep; the message names the value."""


class RunNotFoundError(StoreError, LookupError):
    """The store has no run of this id.

    Attributes:
        run_id: The id that was asked for.
    """

    def __init__(self, run_id: str, where: str, why: str | None = None) -> None:
        super().__init__(f"{why or f'no run {run_id!r}'} in {where}")
        self.run_id = run_id


class RunIsRunningError(StoreError):
    """A run that is being recorded was to be saved, recorded or deleted by somebody else.

    Attributes:
        run_id: The run.
    """

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"run {run_id!r} is being recorded by a process that is alive; wait until it ends, "
            "or use another run id"
        )
        self.run_id = run_id


class StoreNotFoundError(StoreError, FileNotFoundError):
    """The folder holds neither a database nor a run, and the call may not create one."""


class GateError(StoreError, ValueError):
    """No verdict can be given: runs that can't be compared, no such baseline, a wrong limit."""


class QueryError(StoreError, ValueError):
    """Somebody's own SQL: not allowed, not right, or not done in its time."""


class ReadOnlyStoreError(StoreError):
    """A save, delete, import or upgrade through a repository opened with `read_only=True`."""


class ClosedStoreError(StoreError):
    """The repository was closed; open another one."""


class SchemaVersionError(StoreError):
    """The database has another schema than this version of the package needs.

    Attributes:
        found: The schema revision in the file, `None` where there is none.
        needed: The revision this package works with.
    """

    def __init__(self, message: str, found: str | None, needed: str) -> None:
        super().__init__(message)
        self.found = found
        self.needed = needed


class MissingExtraError(StoreError, ImportError):
    """A package that an extra brings isn't installed.

    Attributes:
        extra: The extra, such as ``plots``.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the extra {extra!r}: run `pip install 'astraguard-store[{extra}]'`"
        )
        self.extra = extra


class StoreMismatchError(StoreError):
    """The database and the results folder that it lies in have ids of different stores."""


class _SystemError(StoreError, OSError):
    """An error that code which knows only `OSError` catches, as it did the old class's."""

    _number: int | None = None

    @property
    def errno(self) -> int | None:
        """The operating system's number for what failed, as in the module `errno`."""
        cause = self.__cause__
        return cause.errno if isinstance(cause, OSError) else self._number

    @errno.setter
    def errno(self, number: int | None) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Any, ...]:
        if self.errno is not None:
            # The cause doesn't travel.
            self._number = self.errno
        return super().__reduce__()


class DatabaseError(_SystemError):
    """SQLite refused or failed; what was stored before is unchanged. An `OSError` too."""


class DatabaseBusyError(DatabaseError, TimeoutError):
    """Others held the database for longer than `busy_timeout_s`.

    Attributes:
        path: The database.
        waited_s: Seconds waited.
    """

    def __init__(self, path: Path | str, waited_s: float, holder: str = "") -> None:
        by = f" by {holder}" if holder else ""
        super().__init__(
            f"{path} is locked{by}; gave up after {waited_s:.1f} s. "
            "Save again when the other writer is done, or open with a longer busy_timeout_s"
        )
        self.path = Path(path)
        self.waited_s = waited_s


_MOVE_AWAY: Final = (
    "Move it (and its -wal and -shm files) away, and the next opening rebuilds the index from the "
    "run folders; or restore a backup with `astraguard-store db restore FILE`"
)


class DatabaseDamagedError(DatabaseError):
    """The file is there but is no sound SQLite database; it is left as it is.

    Attributes:
        path: The database.
        reason: What is wrong with it.
    """

    def __init__(self, path: Path | str, reason: str, advice: str = _MOVE_AWAY) -> None:
        super().__init__(f"{path} is damaged: {reason}. It was left untouched. {advice}")
        self.path = Path(path)
        self.reason = reason


class CommitOutcomeUnknownError(DatabaseError):
    """The commit's own write or fsync failed, so the run may or may not be stored.

    The staged files stay where they are; the next opening of the store settles
    it one way or the other. Don't delete anything by hand.
    """


class ArtifactError(StoreError):
    """A problem with a run's JSON or CSV file."""


class ArtifactWriteError(_SystemError, ArtifactError):
    """A file couldn't be written; the message names it. An `OSError` too."""


class ArtifactReadError(ArtifactError):
    """A file is missing, unreadable, or holds something else than it should."""
