"""What `check` mends: from rows that are sound, and never over a file that isn't kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from astraguard_store.artifacts.reader import read_columns, read_noted
from astraguard_store.artifacts.restoring import publish_summary, stage_summary
from astraguard_store.artifacts.verification import file_state
from astraguard_store.columns import Columns
from astraguard_store.database.run_files import FilesOfRun
from astraguard_store.database.runs import StoredRun, keeps_satellite_buckets, load_run_of_rows
from astraguard_store.exceptions import ArtifactReadError, ArtifactWriteError, RunNotFoundError
from astraguard_store.formats.compression import compressed
from astraguard_store.formats.csv import plain_labels
from astraguard_store.formats.layout import compression_of
from astraguard_store.formats.parquet import frame_of, parse_parquet
from astraguard_store.formats.summary import render_document, summary_document
from astraguard_store.model import Artifact, epoch_us
from astraguard_store.statistics import summarize
from astraguard_store.store.adoption import adopt_folders
from astraguard_store.store.identity import disagreement
from astraguard_store.store.recovery import finish_first_adoption, recover
from astraguard_store.store.row_checks import rows_of_run, why_csv_differs
from astraguard_store.store.store import FolderStore
from astraguard_store.system.files import Digest

# In one transaction: others wait for some 0.1 s.
_AT_A_TIME = 500
_QUARTER_OF_AN_HOUR_S = 900
_ALL_ZONES = range(-12 * 3600, 14 * 3600 + 1, _QUARTER_OF_AN_HOUR_S)


class Mender:
    """Mends one store, one finding at a time; each call raises if it can't."""

    def __init__(self, store: FolderStore) -> None:
        self._store = store

    def recover(self) -> None:
        """Finish or undo what dead processes left; what it can't, it logs."""
        if not self._store.database.adopted():
            self.adopt()
        recover(self._store)

    def delete_dangling(self) -> dict[str, int]:
        """Delete the rows whose run is missing; return {table: how many there were}.

        Raises:
            StoreError: The database can't be written.
        """
        with self._store.write("deleting rows that belong to no run") as transaction:
            return transaction.delete_dangling()

    def adopt(self) -> dict[str, str]:
        """Adopt the folders without rows; return {folder: reason} of those refused.

        Raises:
            StoreError: The database can't be written.
            OSError: The results folder can't be listed.
        """
        refused = dict(adopt_folders(self._store, rebuild=True).refused)
        finish_first_adoption(self._store)
        return refused

    def restore_summary(self, run: FilesOfRun, noted: Artifact) -> str:
        """Write a run's summary file anew, byte for byte, and keep what lies in its place.

        Returns:
            What was done.

        Raises:
            StoreError: It can't be done; the message says why.
            OSError: A file can't be written.
        """
        root = self._store.root
        stored = self._of_rows(run.run_id)
        content, is_as_noted = _rendered(stored, noted)
        if not (is_as_noted or self._is_right(run)):
            raise ArtifactWriteError(
                "its row has numbers that no other file of the run vouches for"
            )
        staged = stage_summary(
            root,
            noted,
            content,
            epoch_us(stored.summary.recorded_at),
            durable=self._store.options.sync,
        )
        try:
            with self._store.turn(f"mending run {run.run_id!r}"):
                if self._is_as_noted(noted):
                    staged.discard()
                    return "another process has written it anew"
                self._note_again(run, noted, staged.artifacts[0])
                kept = publish_summary(root, staged)
        except BaseException:
            staged.discard()
            raise
        beside = f"; what was there is kept beside it as {', '.join(kept)}" if kept else ""
        return f"written anew from its row{beside}"

    def _of_rows(self, run_id: str) -> StoredRun:
        """Return what the rows say, since a document that is wrong would be spread."""
        stored = self._store.database.read(partial(load_run_of_rows, run_id=run_id))
        if stored is None:
            raise RunNotFoundError(run_id, str(self._store.root))
        return stored

    def _is_as_noted(self, noted: Artifact) -> bool:
        try:
            found = file_state(self._store.root, noted.path)
        except (FileNotFoundError, ArtifactReadError):
            return False
        return found.sha256 == noted.sha256

    def _is_right(self, run: FilesOfRun) -> bool:
        """Return whether the run's CSV, as it was noted, has the numbers of its rows."""
        found = rows_of_run(self._store.database, run.run_id)
        csv = next((file for file in run.artifacts if file.kind == "raw_csv"), None)
        if found is None or csv is None or csv.sha256 is None:
            return False
        try:
            return why_csv_differs(self._store.root, csv, self._store.database, found) is None
        except (ArtifactReadError, FileNotFoundError):
            return False

    def _note_again(self, run: FilesOfRun, noted: Artifact, written: Artifact) -> None:
        """Note the bytes that today's compressor makes, if they are others; the ticket is held.

        Before they are published, so that a crash in between leaves a file that
        the next check finds changed, and mends.
        """
        found = rows_of_run(self._store.database, run.run_id)
        if found is None or found.files != run:
            raise ArtifactWriteError(f"run {run.run_id!r} was saved again meanwhile")
        if written.sha256 != noted.sha256:
            with self._store.write(f"mending run {run.run_id!r}") as transaction:
                transaction.note_file(run.run_id, written._replace(rows=noted.rows))

    def complete(self, run: FilesOfRun, csv: Artifact, unhashed: Sequence[Artifact]) -> bool:
        """Note what only the CSV of a run tells.

        Of an adopted run that is the files' hashes and rows, and each satellite's
        p99 and minimum, which old summaries lack; and buckets where there are none.

        Args:
            run: The run.
            csv: Its CSV.
            unhashed: Those of its files whose content nobody has hashed.

        Returns:
            Whether it was noted: not if the run was deleted, or saved again, meanwhile.

        Raises:
            ArtifactReadError: It can't be read, or says something else than the
                summary or the parquet file.
            StoreError: The database can't be written.
            OSError: It can't be read.
        """
        root = self._store.root
        summary = self._of_rows(run.run_id).summary
        states = {noted: file_state(root, noted.path) for noted in unhashed}
        columns = read_columns(root / csv.path, csv)
        columns = plain_labels(columns, summary.metrics, summary.satellites)
        told = summarize(columns)
        difference = _changed_meanwhile(states) or disagreement(told, summary, "it")
        if difference:
            raise ArtifactReadError(difference)
        for noted in unhashed:
            if noted.kind == "raw_parquet":
                _check_parquet(root, noted, columns)
        with self._store.write(f"noting the CSV of run {run.run_id!r}") as transaction:
            now = transaction.load(run.run_id)
            if now is None or now.summary.artifacts != summary.artifacts:
                return False
            for noted, found in states.items():
                complete = noted._replace(sha256=found.sha256, rows=columns.rows)
                satellites = told.satellites if noted.kind == "raw_csv" else {}
                transaction.note_csv(run.run_id, complete, satellites)
            if run.lacks_buckets:
                transaction.add_buckets(run.run_id, told)
        return True

    def make_satellite_buckets(self, run_id: str) -> bool:
        """Compute the buckets of a run's satellites from its CSV; return whether it had none.

        Raises:
            ArtifactReadError: The CSV can't be read, or says something else than its row.
            StoreError: The database can't be written.
        """
        if self._store.database.read(partial(keeps_satellite_buckets, run_id=run_id)):
            return False
        summary = self._of_rows(run_id).summary
        csv = next((noted for noted in summary.artifacts if noted.kind == "raw_csv"), None)
        if csv is None:
            return False
        try:
            columns = read_columns(self._store.root / csv.path, csv)
        except FileNotFoundError as error:
            raise ArtifactReadError(f"{csv.path} is missing") from error
        columns = plain_labels(columns, summary.metrics, summary.satellites)
        told = summarize(columns, satellite_buckets=True)
        difference = disagreement(told, summary, "it")
        if difference:
            raise ArtifactReadError(difference)
        purpose = f"adding buckets of satellites to run {run_id!r}"
        with self._store.write(purpose) as transaction:
            now = transaction.load(run_id)
            if now is None or now.summary.artifacts != summary.artifacts:
                return False
            transaction.add_satellite_buckets(run_id, told)
        return True

    def renew_wrong_document(self, run: FilesOfRun) -> bool:
        """Write a run's document anew if its CSV vouches for its rows; return whether it does.

        Raises:
            StoreError: The database can't be written.
        """
        if not self._is_right(run):
            return False
        self.renew_documents([run.run_id])
        return True

    def renew_documents(self, run_ids: Sequence[str]) -> None:
        """Write the copies of these runs' rows anew that are read instead of them.

        Raises:
            StoreError: The database can't be written.
        """
        for start in range(0, len(run_ids), _AT_A_TIME):
            with self._store.write("writing documents") as transaction:
                for run_id in run_ids[start : start + _AT_A_TIME]:
                    if transaction.load(run_id) is not None:
                        transaction.renew_document(run_id)


def _check_parquet(root: Path, noted: Artifact, columns: Columns) -> None:
    frame = parse_parquet(read_noted(root / noted.path, noted), columns.rows)
    if not frame.equals(frame_of(columns)):
        raise ArtifactReadError(f"it has other measurements than {noted.path}")


def _rendered(stored: StoredRun, noted: Artifact) -> tuple[bytes, bool]:
    """Return the document of a run's summary file, unpacked, and if it's surely what was saved.

    Of an adopted run the time zone isn't known, so all are tried. A compressed
    file may have another hash only because the compressor is another version;
    the document of a run that this store saved is the same all the same.
    """
    compression = compression_of(noted.path)
    zones = _ALL_ZONES if stored.utc_offset_s is None else (stored.utc_offset_s,)
    for utc_offset_s in zones:
        content = render_document(summary_document(stored.summary, utc_offset_s))
        written = b"".join(compressed([content], compression))
        if hashlib.sha256(written).hexdigest() == noted.sha256:
            return content, True
    if compression and stored.utc_offset_s is not None:
        return content, False
    raise ArtifactWriteError(
        "its row has the numbers, but not the way they were written: another program made the file"
    )


def _changed_meanwhile(states: Mapping[Artifact, Digest]) -> str | None:
    if all(found.bytes == noted.bytes for noted, found in states.items()):
        return None
    return "it is being written"
