"""The life of a run that is recorded: its row begins, tells of the recorder, and ends.

A recorder begins with its journal, locked, and then says in the run's row that it is at
work, with the journal's token. It ends with a save like any other, whose transaction
takes the token back; then the journal goes. In between, the lock tells that it lives.

Whoever finds a journal whose lock is free adopts it: reads it, and saves the run as
``interrupted``, or as its last frame says. If the row doesn't have the token any more,
the save was committed, and only the journal is left to be removed. Since the lock is
held meanwhile, a journal is adopted once, however many look.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from astraguard_store.artifacts.attachments import (
    attach,
    keep_attachments,
)
from astraguard_store.artifacts.journal import (
    JournalFile,
    journal_is_alive,
    journal_written_at_us,
    journals,
    load_journal,
)
from astraguard_store.artifacts.staging import StagedName, new_token
from astraguard_store.artifacts.writer import check_target
from astraguard_store.checks import check_attachment_name
from astraguard_store.columns import Columns
from astraguard_store.database.live import live_runs
from astraguard_store.database.runs import StoredRun
from astraguard_store.exceptions import (
    ArtifactReadError,
    RunNotFoundError,
    StoreError,
    StoreNotFoundError,
)
from astraguard_store.formats.journal import Journal, JournalHead, head_frame
from astraguard_store.formats.layout import JOURNAL_SUFFIX
from astraguard_store.model import (
    NO_TAGS,
    Attachment,
    RunHeader,
    RunState,
    RunSummary,
    epoch_us,
    utc_from_epoch_us,
)
from astraguard_store.noise import MachineNoise
from astraguard_store.options import StoreOptions
from astraguard_store.provenance import UNKNOWN_PROVENANCE
from astraguard_store.statistics import summarize
from astraguard_store.store.identity import disagreement
from astraguard_store.store.new_runs import Life, NewRun, times_of
from astraguard_store.store.saving import identity_of, save_rows, save_runs, told_of_life
from astraguard_store.store.store import FolderStore, Store
from astraguard_store.system.files import claim, is_claimed, unlock_visibly

logger = logging.getLogger("astraguard_store")

# A recorder doesn't wait for savers to say that it lives.
_BEAT_PATIENCE_S: Final = 0.05
# Of a journal that its disk damaged, for people: nothing reads it.
_DAMAGED_SUFFIX: Final = ".damaged"
# Who only asks whether a recorder lives holds the lock for microseconds.
_ASKED_AGAIN_AFTER_S: Final = 0.002
# A long journal takes some seconds; then its run is shown as if its recorder lived.
_WAITS_FOR_ADOPTION_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Ending:
    """How a recording ended, and what it has.

    Attributes:
        state: How far the run came.
        error: What ended a failed one.
        columns: What was measured, maybe nothing.
        attachments: The files that were attached.
        noise: The machine's.
        is_journalled: Whether all that is in the journal, if there is one.
    """

    state: RunState
    error: str | None
    columns: Columns
    attachments: tuple[Attachment, ...]
    noise: MachineNoise | None
    is_journalled: bool = True


class Recording:
    """A run in a store, from the beginning of its recording to the end.

    In a store without files it has no journal: what it has is lost with the process.
    """

    journal: JournalFile | None = None

    def __init__(
        self, store: Store, run_id: str, head: JournalHead, token: str | None = None
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._head = head = _beside_stored(head, _stored(store, run_id))
        self._token = token or new_token()
        self._last_written_at_us = head.began_at_us
        self._begin()

    def beat(self, measurements: int) -> None:
        """Note in the row that the recorder lives; skipped while others write."""
        self._last_written_at_us = time.time_ns() // 1000
        purpose = f"noting the recorder of run {self._run_id!r}"
        options = replace(self._store.options, busy_timeout_s=_BEAT_PATIENCE_S)
        try:
            with (
                self._store.shared.ticket.held(purpose, _BEAT_PATIENCE_S),
                self._store.database.transaction(options) as transaction,
            ):
                transaction.touch_live(
                    self._run_id, self._token, self._last_written_at_us, measurements
                )
        except StoreError as error:
            logger.debug("%s: %s", purpose, error)

    def attach(self, source: Path, name: str | None) -> Attachment:  # noqa: ARG002
        """Refuse: there is no folder.

        Raises:
            StoreNotFoundError: Always.
        """
        raise StoreNotFoundError("a store in memory has no folder, so no file can be attached")

    def end(self, ending: Ending) -> RunSummary:
        """Save the run; raises as `RunRepository.save`."""
        now_us = time.time_ns() // 1000
        return self._save(ended_run(self._run_id, self._token, self._head, ending, now_us, now_us))

    def _begin(self) -> None:
        purpose = f"beginning to record run {self._run_id!r}"
        began_at = utc_from_epoch_us(self._head.began_at_us)
        row = RunSummary(
            self._run_id,
            1,
            began_at,
            0,
            {},
            {},
            (),
            replace(
                self._head.provenance, started_at=self._head.provenance.started_at or began_at
            ),
            self._head.tags,
            "running",
            began_at,
        )
        with self._store.write(purpose) as transaction:
            transaction.begin_live(StoredRun(row, None, None, self._token))

    def _save(self, run: NewRun) -> RunSummary:
        options = options_of(self._store.options, self._head)
        if run.columns.rows:
            return save_rows(self._store, {run.run_id: run}, options)[0]
        end_empty(self._store, run, self._head)
        return self._store.database.get(run.run_id).summary


class FolderRecording(Recording):
    """A recording into a results folder, with a journal."""

    def __init__(self, store: FolderStore, run_id: str, head: JournalHead) -> None:
        self._folder = store
        check_target(store.root, run_id)
        head = _beside_stored(head, _stored(store, run_id))
        self._file = self.journal = JournalFile(
            store.root, run_id, head_frame(head), durable=store.options.sync
        )
        try:
            super().__init__(store, run_id, head, self._file.name.token)
        except BaseException:
            # If the commit failed and took place all the same, recovery finds the row alone.
            self._file.remove()
            raise

    def attach(self, source: Path, name: str | None) -> Attachment:
        """Copy a file to the run's attachments; raises as `attach`."""
        name = check_attachment_name(source.name if name is None else name)
        durable = self._folder.options.sync
        return attach(self._folder.root, self._run_id, source, name, durable=durable)

    def end(self, ending: Ending) -> RunSummary:
        """Save the run, and remove the journal; it stays where the save fails."""
        try:
            saved = super().end(ending)
        except StoreError as error:
            self._tell_of_journal(error, is_whole=ending.is_journalled)
            self._file.leave()
            raise
        except BaseException:
            self._file.leave()
            raise
        self._file.remove()
        return saved

    def _tell_of_journal(self, error: StoreError, *, is_whole: bool) -> None:
        """Say in the error of a save where the run is."""
        found_at = self._file.found_at
        if found_at and is_whole:
            error.kept = found_at
            return
        journal = f"The journal {self._file.path} "
        lacks = "could not be written to its end" if found_at else "was removed"
        note = f"{journal}{lacks}: only memory has all of it. Save the run into another store"
        error.add_note(note)
        logger.warning("run %r could not be saved. %s", self._run_id, note)

    def _save(self, run: NewRun) -> RunSummary:
        if run.columns.rows:
            options = options_of(self._store.options, self._head)
            return save_runs(self._folder, {run.run_id: run}, options)[0]
        return super()._save(run)


def options_of(options: StoreOptions, head: JournalHead) -> StoreOptions:
    """Return the options of a store with what a recorder wants kept of its run."""
    options = replace(options, satellite_buckets=head.satellite_buckets)
    if head.in_database and options.keep_measurements == "csv":
        return replace(options, keep_measurements="database")
    return options


def ended_run(
    run_id: str,
    token: str,
    head: JournalHead,
    ending: Ending,
    last_written_at_us: int,
    recorded_at_us: int,
) -> NewRun:
    """Return the run of a recording that is over."""
    started_at, finished_at = times_of(ending.columns) if ending.columns.rows else (None, None)
    learned = head.provenance.of_run(
        head.provenance.started_at or started_at or utc_from_epoch_us(head.began_at_us),
        head.provenance.finished_at or finished_at,
    )
    life = Life(
        ending.state,
        ending.error,
        token,
        last_written_at_us,
        recorded_at_us,
        ending.attachments,
        ending.noise,
    )
    return NewRun(run_id, ending.columns, learned, head.tags, life)


def end_empty(store: Store, run: NewRun, head: JournalHead) -> bool:
    """Note how a recording ended that measured nothing; what was stored before stays.

    Returns:
        Whether it hadn't ended before.
    """
    assert run.life is not None  # noqa: S101 - it was recorded
    told = told_of_life(run.life)
    with store.write(f"ending the recording of run {run.run_id!r}") as transaction:
        is_new = transaction.end_live(run.run_id, run.life.token)
        if is_new is None:
            return False
        if not is_new:
            # The numbers are those of the save before, and so is its state.
            told |= {"state": head.state_before or "finished", "error": head.error_before}
        recorded_at = utc_from_epoch_us(head.began_at_us)
        transaction.end_without_measurements(
            RunSummary(run.run_id, 1, recorded_at, 0, {}, {}, **told)
        )
    return True


def adopt_journal(store: FolderStore, name: StagedName) -> None:
    """Save the run of a journal whose recorder died, and remove it; one that lives is left.

    Raises:
        StoreError: The run can't be saved, or the journal can't be read; it stays.
        OSError: It can't be claimed or removed.
    """
    path = name.path(store.root)
    with _claimed(path) as is_claimed:
        if not is_claimed:
            return
        stored = _stored(store, name.run_id)
        journal = load_journal(path)
        if journal is None:
            if stored is not None and stored.live_token == name.token:
                raise ArtifactReadError(f"{path} was cut off: it doesn't say what the run is")
            # Its recorder died before its first frame, so nothing was recorded.
            path.unlink()
            return
        is_wanted = _is_to_be_adopted(stored, name.token, journal)
        if is_wanted is None:
            _warn_of_doubt(store, name)
            return
        if is_wanted:
            _save_adopted(store, name, journal)
        if journal.is_torn_within:
            kept = path.rename(path.with_suffix(_DAMAGED_SUFFIX))
            logger.warning("%s is damaged: what comes after is not in run %r", kept, name.run_id)
        else:
            path.unlink(missing_ok=True)


def _save_adopted(store: FolderStore, name: StagedName, journal: Journal) -> None:
    written_at_us = journal_written_at_us(store.root, name.run_id, name.token) or 0
    state, error = journal.end or ("interrupted", None)
    ending = Ending(state, error, journal.columns, journal.attachments, journal.noise)
    run = ended_run(name.run_id, name.token, journal.head, ending, written_at_us, written_at_us)
    if run.columns.rows:
        save_runs(store, {name.run_id: run}, options_of(store.options, journal.head))
    else:
        end_empty(store, run, journal.head)
        _tidy_folder(store, name.run_id, journal.attachments)
    logger.warning(
        "%s: run %r is %s: its recorder died, and what it had written is saved (%d measurements)",
        store.root,
        name.run_id,
        state,
        run.columns.rows,
    )


def _warn_of_doubt(store: FolderStore, name: StagedName) -> None:
    logger.warning(
        "%s: run %r is stored, and %s holds a recording of it that was not. Which of both is "
        "later can't be known, so both stay. To take the recording, delete the run and open the "
        "store again; to drop it, remove this file",
        store.root,
        name.run_id,
        name.path(store.root),
    )


def _tidy_folder(store: FolderStore, run_id: str, attached: tuple[Attachment, ...]) -> None:
    """Remove what a recorder copied that died before it noted it."""
    keep_attachments(store.root, run_id, {attachment.name for attachment in attached})
    # Not empty, or never made.
    with suppress(OSError):
        (store.root / run_id).rmdir()


def _is_to_be_adopted(stored: StoredRun | None, token: str, journal: Journal) -> bool | None:
    """Return whether a journal's run is to be saved: no if it was; None if it can't be known."""
    if stored is not None and stored.live_token == token:
        return True
    if not journal.columns.rows:
        return False
    if stored is None:
        return True
    # Its row went with a former database: with one that a backup has replaced, or with one that
    # was lost, and this one was made from an older folder.
    if identity_of(stored) & journal.head.replaces:
        return True
    if _is_saved_as(stored.summary, journal):
        return False
    is_older_folder = (
        stored.live_token is None
        and stored.staging_token is None
        and epoch_us(stored.summary.recorded_at) < journal.head.began_at_us
    )
    return True if is_older_folder else None


def _is_saved_as(stored: RunSummary, journal: Journal) -> bool:
    """Return whether a stored run has what was measured, as far as its row tells."""
    if disagreement(summarize(journal.columns), stored, "the journal"):
        return False
    # A run that was adopted from its folder knows no times.
    finished_at = stored.provenance.finished_at
    known_at = journal.head.provenance.finished_at or times_of(journal.columns)[1]
    return finished_at in {None, known_at}


@contextmanager
def _claimed(path: Path) -> Iterator[bool]:
    """Hold the lock of a journal inside; False if its recorder lives or it is gone.

    Another who adopts it is waited for: then the run is as the journal has it.
    """
    descriptor = claim(path, visibly=True)
    if descriptor is None:
        time.sleep(_ASKED_AGAIN_AFTER_S)
        descriptor = claim(path, visibly=True)
    waits_until = time.monotonic() + _WAITS_FOR_ADOPTION_S
    while descriptor is None and is_claimed(path) and time.monotonic() < waits_until:
        time.sleep(_ASKED_AGAIN_AFTER_S)
        descriptor = claim(path, visibly=True)
    if descriptor is None:
        yield False
        return
    try:
        yield True
    finally:
        unlock_visibly(descriptor)


def _beside_stored(head: JournalHead, stored: StoredRun | None) -> JournalHead:
    """Return what a recorder knows when a run of its name may be stored already."""
    if stored is None:
        return head
    summary = stored.summary
    return replace(
        head,
        state_before=summary.state,
        error_before=summary.error,
        replaces=frozenset(identity_of(stored)),
    )


def _stored(store: Store, run_id: str) -> StoredRun | None:
    try:
        return store.database.get(run_id)
    except RunNotFoundError:
        return None


def end_lost_recordings(store: FolderStore) -> None:
    """End the recordings whose journal is gone: somebody removed it, or a disk was lost.

    Raises:
        StoreError: The database can't be written.
    """
    for run_id, token in store.database.read(live_runs):
        if journal_written_at_us(store.root, run_id, token) is not None:
            continue
        # A recorder makes its journal before the row, and takes the token back before
        # the journal goes: so a row that has the token still is one without a recorder.
        now_us = time.time_ns() // 1000
        head = JournalHead(now_us, UNKNOWN_PROVENANCE, NO_TAGS)
        ending = Ending("interrupted", None, Columns([], []), (), None)
        if end_empty(store, ended_run(run_id, token, head, ending, now_us, now_us), head):
            logger.warning("%s: the journal of run %r is gone", store.root, run_id)


def seen_alive(root: Path, run: StoredRun) -> RunSummary:
    """Return a run that is being recorded as it is now; its recorder may have died."""
    assert run.live_token is not None  # noqa: S101 - the caller has looked
    if "\0" in run.live_token:
        # Another program may have written any token there.
        return replace(run.summary, state="interrupted")
    name = StagedName(run.summary.run_id, run.live_token, JOURNAL_SUFFIX)
    return replace(run.summary, **_life_now(root, name, run.summary.last_written_at))


def _life_now(root: Path, name: StagedName, last_written_at: datetime | None) -> dict[str, Any]:
    """Return state and last write of a run that is being recorded, as its journal tells."""
    written_at_us = journal_written_at_us(root, name.run_id, name.token)
    if written_at_us is not None:
        last_written_at = utc_from_epoch_us(written_at_us)
    is_alive = journal_is_alive(root, name.run_id, name.token)
    return {
        "state": "running" if is_alive else "interrupted",
        "last_written_at": last_written_at,
    }


def as_journalled(root: Path, run: RunSummary, token: str) -> RunSummary:
    """Return an interrupted run with what its journal tells, for who may not adopt it.

    A run that was saved before keeps the numbers of that save until then.
    """
    if run.metrics:
        return run
    try:
        journal = load_journal(StagedName(run.run_id, token, JOURNAL_SUFFIX).path(root))
    except (FileNotFoundError, ArtifactReadError):
        # Adopted meanwhile, or no journal.
        return run
    if journal is None:
        return run
    found = summarize(journal.columns)
    return replace(
        run,
        total_measurements=found.total_measurements,
        metrics=found.metrics,
        satellites=found.satellites,
        attachments=journal.attachments,
        noise=journal.noise,
    )


def seen_alive_headers(root: Path, headers: Sequence[RunHeader]) -> list[RunHeader]:
    """Return *headers*, those of runs that are being recorded as they are now."""
    found = journals(root)
    return [
        _seen_alive_header(root, header, found.get(header.run_id))
        if header.state == "running"
        else header
        for header in headers
    ]


def _seen_alive_header(root: Path, header: RunHeader, name: StagedName | None) -> RunHeader:
    if name is None:
        return header._replace(state="interrupted")
    return header._replace(**_life_now(root, name, header.last_written_at))
