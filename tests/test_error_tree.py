"""Every error goes to another process, and is copied, with all that it knows."""

from __future__ import annotations

import copy
import errno
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import astraguard_store
from astraguard_store import (
    ArtifactError,
    ArtifactReadError,
    ArtifactWriteError,
    ClosedStoreError,
    CommitOutcomeUnknownError,
    DatabaseBusyError,
    DatabaseDamagedError,
    DatabaseError,
    GateError,
    InvalidRunError,
    MissingExtraError,
    QueryError,
    ReadOnlyStoreError,
    RunIsRunningError,
    RunNotFoundError,
    SchemaVersionError,
    StoreError,
    StoreMismatchError,
    StoreNotFoundError,
)

EXAMPLES: list[StoreError] = [
    StoreError("of any kind"),
    InvalidRunError("Invalid run_id 'a/b'"),
    RunNotFoundError("run_1", "/results"),
    StoreNotFoundError("no such folder"),
    MissingExtraError("a chart", "plots"),
    GateError("no baseline 'nightly'"),
    QueryError("only SELECT is allowed"),
    ReadOnlyStoreError("opened for reading"),
    StoreMismatchError("the database of another store"),
    ClosedStoreError("closed"),
    RunIsRunningError("run_042"),
    SchemaVersionError("too old", None, "0002"),
    DatabaseError("the disk is full"),
    DatabaseBusyError("/results/astraguard.db", 1.5, "process 7 (saving, for 3 s)"),
    DatabaseDamagedError("/results/astraguard.db", "no magic"),
    CommitOutcomeUnknownError("the commit failed"),
    ArtifactError("a file"),
    ArtifactWriteError("can't be written"),
    ArtifactReadError("can't be read"),
]


def pickled(error: StoreError) -> StoreError:
    found = pickle.loads(pickle.dumps(error))
    assert isinstance(found, StoreError)
    return found


every_way = pytest.mark.parametrize("transported", [pickled, copy.copy, copy.deepcopy])
every_error = pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)

Transport = Callable[[StoreError], StoreError]


def tree(kind: type[StoreError]) -> Iterator[type[StoreError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from tree(below)


def test_there_is_an_example_of_every_error() -> None:
    # A private one is caught where it is raised.
    ours = {
        kind
        for kind in tree(StoreError)
        if kind.__module__.startswith("astraguard_store") and not kind.__name__.startswith("_")
    }

    assert {type(error) for error in EXAMPLES} == ours
    assert {kind.__name__ for kind in ours} <= set(astraguard_store.__all__)


@every_way
@every_error
def test_it_stays_what_it_is(error: StoreError, transported: Transport) -> None:
    found = transported(error)

    assert type(found) is type(error)
    assert (str(found), found.args, vars(found)) == (str(error), error.args, vars(error))


@every_way
@every_error
def test_what_was_noted_on_it_goes_along(error: StoreError, transported: Transport) -> None:
    noted = pickled(error)
    noted.add_note("in the night of the 12th")
    noted.rig = "rig-7"  # type: ignore[attr-defined]

    found = transported(noted)

    assert found.__notes__ == ["in the night of the 12th"]
    assert found.rig == "rig-7"  # type: ignore[attr-defined]


@every_way
@pytest.mark.parametrize(
    "error",
    [error for error in EXAMPLES if isinstance(error, DatabaseError)],
    ids=lambda error: type(error).__name__,
)
def test_the_kept_files_go_along(error: DatabaseError, transported: Transport) -> None:
    keeping = copy.copy(error)
    keeping.kept = (Path("/results/.staging/run~1.kept.csv"),)

    found = transported(keeping)

    assert isinstance(found, DatabaseError)
    assert found.kept == keeping.kept
    assert str(found) == str(keeping)
    assert "run~1.kept.csv" in str(found)


@every_way
@pytest.mark.parametrize("kind", [ArtifactWriteError, DatabaseError, CommitOutcomeUnknownError])
def test_what_the_disk_refused_is_an_oserror_with_its_number(
    kind: type[StoreError], transported: Transport
) -> None:
    with pytest.raises(OSError, match="no room for it") as raised:
        raise kind("no room for it") from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    found = transported(of_the_store(raised.value))
    assert isinstance(found, OSError)
    assert (found.errno, str(found)) == (errno.ENOSPC, "no room for it")


def of_the_store(error: BaseException) -> StoreError:
    assert isinstance(error, StoreError)
    return error


class OwnError(RunNotFoundError):
    """One of a caller's own, with arguments of its own."""

    def __init__(self, number: int) -> None:
        super().__init__(f"run_{number}", "here")
        self.number = number


@every_way
def test_one_that_a_caller_derived_goes_along(transported: Transport) -> None:
    found = transported(OwnError(5))

    assert isinstance(found, OwnError)
    assert (found.number, found.run_id, str(found)) == (5, "run_5", "no run 'run_5' in here")
