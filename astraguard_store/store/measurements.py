"""A run's measurements as a frame, from wherever they are kept."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from astraguard_store.artifacts.reader import noted_chunks, read_columns, read_noted
from astraguard_store.artifacts.verification import name_of
from astraguard_store.columns import Columns, polars_is_usable
from astraguard_store.database.measurements import kept_measurements
from astraguard_store.database.runs import StoredRun
from astraguard_store.exceptions import ArtifactReadError
from astraguard_store.formats.csv import may_have_apostrophes, plain_labels
from astraguard_store.formats.parquet import frame_of, frame_of_csv, parse_parquet
from astraguard_store.model import Artifact, RunSummary
from astraguard_store.store.one_save import read_of_one_save
from astraguard_store.store.store import FolderStore, Store

if TYPE_CHECKING:
    import polars as pl

# 2 to 3 µs each in plain Python, of 0.2 s of CPU that polars' import takes.
_FEW = 50_000


def frame_in_memory(store: Store, run_id: str) -> pl.DataFrame:
    """Return the measurements of a run whose store has no files: those in the table.

    Raises:
        ArtifactReadError: They are not kept.
    """
    frame = _from_table(store, store.database.get(run_id).summary)
    if frame is None:
        raise ArtifactReadError(
            f"the measurements of run {run_id!r} are not kept: "
            "open with RunRepository.in_memory(keep_measurements='database')"
        )
    return frame


def frame_of_stored(store: FolderStore, load: Callable[[], StoredRun]) -> pl.DataFrame:
    """Return the measurements of a stored run.

    Another process may save the run meanwhile: if its files aren't those of the
    row, both are looked at again until they are of one save.

    Args:
        store: The open store.
        load: Gives the run's row as it is now.

    Raises:
        ArtifactReadError: They are nowhere, or not what was saved.
    """
    return read_of_one_save(store.root, load, lambda run: _frame(store, run.summary))


def few_of_stored(store: FolderStore, load: Callable[[], StoredRun]) -> Columns | None:
    """Return the measurements of a stored run that has few, read without polars.

    None where polars pays: of many, of those in a parquet file, and where it is imported;
    see `frame_of_stored`, which this raises as.
    """
    if "polars" in sys.modules or not _are_few(load().summary):
        return None
    return read_of_one_save(store.root, load, lambda run: _few(store, run.summary))


def _are_few(run: RunSummary) -> bool:
    return run.total_measurements <= _FEW and _file(run, "raw_parquet") is None


def _few(store: FolderStore, run: RunSummary) -> Columns | None:
    if not _are_few(run):
        return None  # saved again meanwhile
    kept = _kept(store, run)
    noted = _file(run, "raw_csv")
    if kept is not None or noted is None:
        return kept
    path = store.root / run.run_id / name_of(run.run_id, noted)
    return plain_labels(read_columns(path, noted), run.metrics, run.satellites)


def frame_of_files(root: Path, run: RunSummary) -> pl.DataFrame:
    """Return the measurements in the CSV of a run that is known from its folder alone.

    Raises:
        ArtifactReadError: It is missing, or can't be read.
    """
    try:
        frame = _from_csv(root, run)
    except FileNotFoundError as error:
        raise ArtifactReadError(f"{error.filename} is missing") from error
    if frame is None:
        raise ArtifactReadError(f"{root / run.run_id} holds no CSV")
    return frame


def _frame(store: FolderStore, run: RunSummary) -> pl.DataFrame:
    parquet = _file(run, "raw_parquet")
    # One that nobody has hashed isn't believed before the CSV.
    if parquet and parquet.sha256:
        return _from_parquet(store.root, run, parquet)
    frame = _from_table(store, run)
    if frame is None:
        frame = _from_csv(store.root, run)
    if frame is None:
        raise ArtifactReadError(
            f"the measurements of run {run.run_id!r} are not kept: its row names no CSV"
        )
    return frame


def _from_table(store: Store, run: RunSummary) -> pl.DataFrame | None:
    kept = _kept(store, run)
    return None if kept is None else frame_of(kept)


def _kept(store: Store, run: RunSummary) -> Columns | None:
    if not run.total_measurements and run.state != "running":
        # Its recording ended before the first one.
        return Columns([], [])
    kept = store.database.read(partial(kept_measurements, run_id=run.run_id))
    return kept if kept and kept.rows == run.total_measurements else None


def _from_parquet(root: Path, run: RunSummary, noted: Artifact) -> pl.DataFrame:
    path = root / run.run_id / name_of(run.run_id, noted)
    content = read_noted(path, noted)
    try:
        return parse_parquet(content, run.total_measurements)
    except ArtifactReadError as error:
        raise ArtifactReadError(f"{path}: {error}") from error


def _from_csv(root: Path, run: RunSummary) -> pl.DataFrame | None:
    noted = _file(run, "raw_csv")
    if noted is None:
        return None
    path = root / run.run_id / name_of(run.run_id, noted)
    if noted.sha256 and polars_is_usable():
        # An adopted one may have a byte order mark or blank lines, which polars doesn't take.
        with suppress(ArtifactReadError):
            frame = frame_of_csv(noted_chunks(path, noted))
            if frame.height == run.total_measurements:
                return _named_as_recorded(frame, run)
    # The apostrophes of `safe_csv` are taken back.
    return frame_of(plain_labels(read_columns(path, noted), run.metrics, run.satellites))


def _named_as_recorded(frame: pl.DataFrame, run: RunSummary) -> pl.DataFrame:
    """Take back the apostrophes of `safe_csv`, as `plain_labels` does."""
    # Mostly there are none, and to look for different labels takes as much as the frame.
    if not may_have_apostrophes((*run.metrics, *run.satellites)):
        return frame
    import polars as pl

    names = pl.col("metric_type", "satellite_id")
    labels = [*frame.select("metric_type", "satellite_id").unique().iter_rows()]
    plain = plain_labels(Columns([], labels), run.metrics, run.satellites).labels
    plain_names = {
        name: recorded
        for label, of_label in zip(labels, plain, strict=True)
        for name, recorded in zip(label, of_label, strict=True)
        if name != recorded
    }
    return frame.with_columns(names.replace(plain_names)) if plain_names else frame


def _file(run: RunSummary, kind: str) -> Artifact | None:
    return next((artifact for artifact in run.artifacts if artifact.kind == kind), None)
