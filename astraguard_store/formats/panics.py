"""Panics of polars as errors of this store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["panics_raise"]


@contextmanager
def panics_raise(error: type[Exception], what: str) -> Iterator[None]:
    """Raise *error* for a panic of polars inside: it is a BaseException, which nobody catches.

    It panics for want of threads or files, and on some damaged parquet files.

    Args:
        error: What is raised.
        what: Was to be done, for the message.
    """
    try:
        yield
    except BaseException as failure:
        # Told by its name: importing the class would load polars for those who save small runs.
        if type(failure).__name__ != "PanicException":
            raise
        again = "start this process again, and " if "poisoned" in str(failure) else ""
        raise error(
            f"{what}: polars failed ({failure}); {again}see whether this process may have more "
            "threads and open files (`ulimit -u`, `ulimit -n`), and whether the file is whole"
        ) from failure
