"""What a store is opened with: how durable a save is, what it keeps, how long it waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from astraguard_store.formats.compression import check_compression
from astraguard_store.formats.layout import Compression

__all__ = ["Durability", "KeptMeasurements", "StoreOptions"]

Durability = Literal["full", "normal"]
"""Whether a save that returned survives a power cut, or only a crash of the process."""

KeptMeasurements = Literal["csv", "database", "parquet"]
"""Where measurements are kept: in the CSV alone, in the table too, or in parquet too."""


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """The options of an open store; they are checked when it is made.

    Attributes:
        durability: ``full`` or ``normal``.
        busy_timeout_s: How long a save waits for other writers, seconds.
        safe_csv: Put an apostrophe before names that look like formulas.
        compression: Of the CSV and the summary.
        keep_measurements: Where else than in the CSV they are kept.
        satellite_buckets: Keep the buckets of each satellite too.

    Raises:
        ValueError: An option isn't one of those named.
        ArtifactWriteError: ``zstd`` needs a package that isn't installed.
    """

    durability: Durability = "full"
    busy_timeout_s: float = 30.0
    safe_csv: bool = False
    compression: Compression | None = None
    keep_measurements: KeptMeasurements = "csv"
    satellite_buckets: bool = False

    def __post_init__(self) -> None:
        """Refuse what can't be."""
        check_compression(self.compression)
        if self.keep_measurements not in get_args(KeptMeasurements):
            raise ValueError(
                "keep_measurements is 'csv', 'database' or 'parquet', "
                f"not {self.keep_measurements!r}"
            )
        if self.durability not in get_args(Durability):
            raise ValueError(f"durability is 'full' or 'normal', not {self.durability!r}")
