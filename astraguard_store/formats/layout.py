"""Names of files and folders below a results folder: the one place that knows them.

A run has a CSV and a summary, each plain or compressed, and maybe a parquet
file. After a save with another compression the names differ, and the publishing
removes the old ones. On its way there a file lies in the staging folder, as
``<run id>~<token><suffix>``.

A new kind of file is one more row in `_TABLE`, and whoever writes and reads it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from astraguard_store.model import ArtifactKind
from astraguard_store.options import Compression

CSV: Final = "raw_csv"
PARQUET: Final = "raw_parquet"
SUMMARY: Final = "summary_json"

STAGING_NAME: Final = ".staging"
ATTACHMENTS_NAME: Final = "attachments"
"""The folder, in that of a run, of the files that were attached to it."""
JOURNAL_SUFFIX: Final = ".journal"
"""Of what a recorder writes while it records."""
DELETION_SUFFIX: Final = ".delete"
"""Of what is staged of a deletion, which has no file."""
KEPT_RUN_SUFFIX: Final = ".kept.run"
"""Of what a save knew beside its measurements, if its database was not to be had."""

_ENDINGS: Final[dict[Compression, str]] = {"gzip": ".gz", "zstd": ".zst"}


class RunFile(NamedTuple):
    """A name that a file of a run may have.

    Attributes:
        name: In the run's folder.
        kind: What is in it.
        compression: How; None if it is plain, or has its compression inside.
        staged: Its suffix in the staging folder: ``.csv.gz`` for ``latency_raw.csv.gz``.
        kept: Its suffix there when the database was not to be had: the next opening adopts it.
    """

    name: str
    kind: ArtifactKind
    compression: Compression | None
    staged: str
    kept: str


# (kind, plain name, whether it may be compressed), in the order in which they are published:
# who sees the summary finds the rest.
_TABLE: Final[tuple[tuple[ArtifactKind, str, bool], ...]] = (
    (CSV, "latency_raw.csv", True),
    (PARQUET, "latency_raw.parquet", False),
    (SUMMARY, "latency_summary.json", True),
)


def _run_file(kind: ArtifactKind, plain: str, compression: Compression | None) -> RunFile:
    name = plain if compression is None else plain + _ENDINGS[compression]
    suffix = name[name.index(".") :]
    return RunFile(name, kind, compression, suffix, f".kept{suffix}")


# Of each kind the plain one first: where there are several, it is the one that readers take.
FILES: Final[dict[str, RunFile]] = {
    file.name: file
    for kind, plain, may_be_compressed in _TABLE
    for file in (
        _run_file(kind, plain, compression)
        for compression in (None, *(_ENDINGS if may_be_compressed else ()))
    )
}
"""{name: file} of all files that a run may have, in the order in which they are published."""

FILE_KINDS: Final[dict[str, ArtifactKind]] = {name: file.kind for name, file in FILES.items()}
NAMES_BY_KIND: Final[dict[ArtifactKind, tuple[str, ...]]] = {
    kind: tuple(name for name, file in FILES.items() if file.kind == kind) for kind, *_ in _TABLE
}
RAW_NAMES: Final = NAMES_BY_KIND[CSV]
RAW_NAME: Final = RAW_NAMES[0]
SUMMARY_NAMES: Final = NAMES_BY_KIND[SUMMARY]
SUMMARY_NAME: Final = SUMMARY_NAMES[0]


def file_name(kind: ArtifactKind, compression: Compression | None) -> str:
    """Return the name of a run's file of that kind, the plain one if it is never compressed."""
    names = NAMES_BY_KIND[kind]
    return next((name for name in names if FILES[name].compression == compression), names[0])


def compression_of(name: str) -> Compression | None:
    """Return how the file *name* is compressed, by its ending; None if it is plain."""
    for way, ending in _ENDINGS.items():
        if name.endswith(ending):
            return way
    return None


def name_in(path: str) -> str:
    """Return the file's name in an artifact's *path*."""
    return path.rpartition("/")[2]
