"""How a store is opened: what a save keeps and where, and how its transactions are wanted."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Final, Literal, get_args

from astraguard_store.exceptions import StoreNotFoundError

DATABASE_NAME = "astraguard.db"
DEFAULT_RESULTS_DIR = "astraguard/hil/results"
# Names the folder, or the server, where a call or a command doesn't.
RESULTS_VARIABLE = "ASTRAGUARD_STORE_RESULTS"

# Also one that lacks a slash or the colon: as a folder's name it would be made, password and all.
# Of a name in lower case: to compile one that ignores the case takes ten times as long.
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://|postgres(ql)?(\+[a-z0-9]+)?(:|//|/[^/]*@)")

Durability = Literal["full", "normal"]
Compression = Literal["gzip", "zstd"]
KeptMeasurements = Literal["csv", "database", "parquet"]


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """The options of one repository.

    Attributes:
        durability: ``full`` syncs files, folders and commits; ``normal`` syncs none.
        busy_timeout_s: How long to wait for other writers, seconds.
        safe_csv: Put an apostrophe before names that a spreadsheet takes for formulas.
        compression: Of the CSV and the summary; None for plain files.
        keep_measurements: Where measurements are kept: in the CSV alone, in the table
            too, or in a parquet file too.
        satellite_buckets: Keep the buckets of each satellite too.

    Raises:
        ValueError: An option isn't one of those named.
    """

    durability: Durability = "full"
    busy_timeout_s: float = 30.0
    safe_csv: bool = False
    compression: Compression | None = None
    keep_measurements: KeptMeasurements = "csv"
    satellite_buckets: bool = False

    def __post_init__(self) -> None:
        if self.compression not in {None, *get_args(Compression)}:
            raise ValueError(f"compression is None, 'gzip' or 'zstd', not {self.compression!r}")
        if self.keep_measurements not in get_args(KeptMeasurements):
            raise ValueError(
                "keep_measurements is 'csv', 'database' or 'parquet', "
                f"not {self.keep_measurements!r}"
            )
        if self.durability not in get_args(Durability):
            raise ValueError(f"durability is 'full' or 'normal', not {self.durability!r}")
        if not _is_time(self.busy_timeout_s):
            raise ValueError(
                f"busy_timeout_s is a number of seconds, 0 or more, not {self.busy_timeout_s!r}"
            )

    @property
    def sync(self) -> bool:
        """Whether what is written must survive a power cut."""
        return self.durability == "full"


def _is_time(value_s: float) -> bool:
    try:
        return 0 <= value_s < inf
    except TypeError:
        return False


def names_server(place: object) -> bool:
    """Return whether *place* is a URL and no folder."""
    # A path that was made of one has lost a slash.
    return (
        isinstance(place, str | os.PathLike) and _URL.match(os.fspath(place).lower()) is not None
    )


def local_path(place: str | os.PathLike[str], instead: str) -> Path:
    """Return a path of this machine; a URL is refused, and its password told to nobody.

    Args:
        place: What was given.
        instead: What to do where it is a URL.

    Raises:
        StoreNotFoundError: It is a URL.
    """
    if names_server(place):
        raise StoreNotFoundError(f"a URL was given where a path is needed; {instead}")
    return Path(place)
