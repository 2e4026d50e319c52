"""Names of files and folders below a results folder: the one place that knows them.

A run has a CSV and a summary, each plain or compressed, and maybe a parquet
file. After a save with another compression the names differ, and the publishing
removes the old ones.
"""

from __future__ import annotations

from typing import Final

from astraguard_store.model import ArtifactKind
from astraguard_store.options import Compression

__all__ = [
    "FILE_KINDS",
    "NAMES_BY_KIND",
    "RAW_NAME",
    "RAW_NAMES",
    "STAGING_NAME",
    "SUMMARY_NAME",
    "SUMMARY_NAMES",
    "compression_of",
    "file_name",
    "name_in",
]


SUMMARY_NAME: Final = "latency_summary.json"
RAW_NAME: Final = "latency_raw.csv"
PARQUET_NAME: Final = "latency_raw.parquet"
STAGING_NAME: Final = ".staging"

_ENDINGS: Final[dict[Compression, str]] = {"gzip": ".gz", "zstd": ".zst"}

# The plain one first: where there are several, it is the one that readers take.
RAW_NAMES: Final = (RAW_NAME, *(RAW_NAME + ending for ending in _ENDINGS.values()))
SUMMARY_NAMES: Final = (SUMMARY_NAME, *(SUMMARY_NAME + ending for ending in _ENDINGS.values()))

# In the order in which they are published: who sees the summary finds the rest.
NAMES_BY_KIND: Final[dict[ArtifactKind, tuple[str, ...]]] = {
    "raw_csv": RAW_NAMES,
    "raw_parquet": (PARQUET_NAME,),
    "summary_json": SUMMARY_NAMES,
}
# In the same order.
FILE_KINDS: Final[dict[str, ArtifactKind]] = {
    name: kind for kind, names in NAMES_BY_KIND.items() for name in names
}


def file_name(kind: ArtifactKind, compression: Compression | None) -> str:
    """Return the name of a run's file; a parquet file has its compression inside."""
    plain = NAMES_BY_KIND[kind][0]
    if compression is None or kind == "raw_parquet":
        return plain
    return plain + _ENDINGS[compression]


def compression_of(name: str) -> Compression | None:
    """Return how the file *name* is compressed, by its ending; None if it is plain."""
    return next((way for way, ending in _ENDINGS.items() if name.endswith(ending)), None)


def name_in(path: str) -> str:
    """Return the file's name in an artifact's *path*."""
    return path.rpartition("/")[2]
