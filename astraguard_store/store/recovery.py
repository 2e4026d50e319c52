"""What a dead process left in the staging folder, finished or undone.

A save that was kept notes what it would have replaced. If that is still what is stored,
it is adopted; if another save came after it, it is removed. No clock decides: it may have
stepped back, and a copy loses the files' times. In doubt both stay.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from astraguard_store.artifacts.publishing import publish_files, remove_files
from astraguard_store.artifacts.reader import has_summary
from astraguard_store.artifacts.staging import StagedName, ensure_staging, staged_names
from astraguard_store.database.runs import StoredRun
from astraguard_store.database.transaction import Transaction
from astraguard_store.exceptions import RunNotFoundError, StoreError
from astraguard_store.formats.layout import DELETION_SUFFIX, FILES, STAGING_NAME
from astraguard_store.formats.notes import NO_NOTES
from astraguard_store.store.saving import identity_of
from astraguard_store.store.store import FolderStore
from astraguard_store.store.uncommitted import (
    KeptSave,
    is_complete,
    is_kept,
    read_kept,
    read_notes,
)
from astraguard_store.system.files import claim, sync_folder, unlock
from astraguard_store.system.interrupts import interrupts_held_back

logger = logging.getLogger("astraguard_store")

# Another user's file, or none that a save makes: trying again helps nobody.
_FOR_OTHERS = frozenset({errno.EACCES, errno.EPERM, errno.EINVAL, errno.ELOOP, errno.ENOTDIR})


def recover(store: FolderStore) -> None:
    """Settle all that lies in the staging folder and whose saver is gone.

    Any number of processes may do so at once. It is best effort: on a full disk
    it can't finish, and says so in the log; the next opening tries again.

    It waits until the folders that were there before the database are adopted:
    what was going on when a former database was lost can't be judged by the
    rows of an empty one.
    """
    if not store.database.adopted():
        return
    settled = True
    adopted: set[str] = set()
    for names in _staged_together(store.root):
        try:
            settle(store, names, adopted)
        except (OSError, StoreError) as error:
            # To try again at each save would cost a commit and a warning each.
            is_for_others = getattr(error, "errno", None) in _FOR_OTHERS
            settled &= is_for_others
            hint = "; the next opening by a user who may do it does it" if is_for_others else ""
            _warn(store, names, error, hint)
    from astraguard_store.store.recording import end_lost_recordings

    try:
        end_lost_recordings(store)
    except StoreError as error:
        settled = False
        logger.warning("%s: %s", store.root, error)
    store.shared.unsettled = not settled


def finish_first_adoption(store: FolderStore) -> None:
    """Note that the run folders from before the database are in it, if it isn't noted yet.

    What was staged when a former database was lost is kept before: this one is then an
    ordinary one. If that fails, which the log says, the next opening tries again.
    """
    if store.database.adopted():
        return
    with interrupts_held_back():
        if _keep_unjudged(store):
            with store.write("adopting old runs") as transaction:
                transaction.mark_adopted(time.time_ns() // 1000)


def _keep_unjudged(store: FolderStore) -> bool:
    """Keep what was staged when a former database was lost, which alone knew what to do with it.

    A save whose files are complete is kept, to be adopted like one that found
    the database busy: whether it was committed can't be known, and a run is
    never lost. A deletion that has not begun is forgotten. The rest is left to
    `recover`. Does nothing in a database that knows the folders already.

    Returns:
        Whether that was done; if not, the log says why, and the database must
        not be marked as one that knows.
    """
    done = True
    for names in _staged_together(store.root):
        try:
            _keep_if_complete(store, names)
        except (OSError, StoreError) as error:
            done &= getattr(error, "errno", None) in _FOR_OTHERS
            _warn(store, names, error)
    return done


def _keep_if_complete(store: FolderStore, names: tuple[StagedName, ...]) -> None:
    root = store.root
    is_deletion = names[0].suffix == DELETION_SUFFIX
    with _claimed(root, names) as claimed:
        if not claimed or not (is_deletion or is_complete(root, names)):
            return
        with store.turn("keeping what was staged"):
            # Meanwhile another process may have adopted the folders, and a saver
            # that began after that may have died here.
            if store.database.adopted():
                return
            if not is_deletion:
                _mark_kept(root, names)
            elif has_summary(root, names[0].run_id):
                # The summary is the first file that a deletion removes.
                _remove(root, names)
        if store.options.sync:
            sync_folder(root / STAGING_NAME)


def _mark_kept(root: Path, names: Iterable[StagedName]) -> None:
    for name in names:
        if name.file_name and not name.is_kept:
            kept = StagedName(name.run_id, name.token, FILES[name.file_name].kept)
            name.path(root).rename(kept.path(root))


def _staged_together(root: Path) -> Iterator[tuple[StagedName, ...]]:
    """Yield the staged files of one save or deletion after the other, deletions last.

    Of several kept saves of a run the last one comes last: it knew of those before.
    """
    groups = groupby(staged_names(root), key=lambda name: (name.run_id, name.token))
    together = [tuple(names) for _, names in groups]
    yield from sorted(together, key=lambda names: _order_of_saves(root, names))


def _order_of_saves(root: Path, names: tuple[StagedName, ...]) -> tuple[bool, str, int, int]:
    run_id = names[0].run_id
    if not is_kept(names):
        return names[0].suffix == DELETION_SUFFIX, run_id, 0, 0
    notes = read_notes(root, names)
    return False, run_id, len(notes.replaces), notes.recorded_at_us or 0


def _warn(
    store: FolderStore, names: tuple[StagedName, ...], error: Exception, hint: str = ""
) -> None:
    logger.warning(
        "%s: what was staged for run %r (%s) could not be settled: %s%s",
        store.root,
        names[0].run_id,
        names[0].token,
        error,
        hint,
    )


def settle(
    store: FolderStore, names: tuple[StagedName, ...], adopted: set[str] | None = None
) -> None:
    """Finish or undo a save or deletion, or adopt a journal, unless its process is alive.

    Args:
        store: The open store.
        names: Its staged files.
        adopted: Tokens of kept saves that were adopted just now; a kept one of the same run
            may replace them. Its own is added.

    Raises:
        StoreError: The database can't be asked.
        OSError: A file can't be moved or removed.
    """
    if names[0].is_journal:
        # Late, since mostly there is none.
        from astraguard_store.store.recording import adopt_journal

        adopt_journal(store, names[0])
    else:
        _settle_files(store, names, adopted)


def _settle_files(
    store: FolderStore, names: tuple[StagedName, ...], adopted: set[str] | None
) -> None:
    root = store.root
    run_id, token = names[0].run_id, names[0].token
    # The staged files' locks first, then the ticket: everybody's order.
    with _claimed(root, names) as claimed:
        if not claimed:
            return
        # Before the ticket: a million rows take seconds, and others want to save.
        kept = _read_if_kept(store, names)
        with store.turn(f"recovering run {run_id!r}"):
            # The transaction begins with a write, so its commit overwrites what a
            # failed commit may have left in the log, and only then is decided.
            with store.write(f"recovering run {run_id!r}") as transaction:
                transaction.fence()
                stored = transaction.load(run_id)
                is_retried = kept is not None and _is_named(kept, transaction)
                if kept and not is_retried and _may_replace(kept, stored, adopted or set()):
                    transaction.save(kept.run, kept.statistics, kept.measurements)
                    stored = kept.run
            if names[0].suffix == DELETION_SUFFIX:
                _finish_deletion(root, names[0], run_is_gone=stored is None)
            elif stored is not None and stored.staging_token == token:
                if adopted is not None:
                    adopted.add(token)
                artifacts = stored.summary.artifacts
                publish_files(root, run_id, token, artifacts, durable=store.options.sync)
                sync_folder(root / run_id)
                sync_folder(root)
                # After a power cut a file may have both names, and moving it then
                # leaves the old one.
                _remove(root, names)
                logger.info("%s: finished the save of run %r", root, run_id)
            elif kept and stored and not is_retried and not _is_surely_older(kept, stored):
                _warn_of_doubt(root, names)
            else:
                _remove(root, names)
                _tell_of_removed(root, run_id, kept, is_retried=is_retried)


def _tell_of_removed(root: Path, run_id: str, kept: KeptSave | None, *, is_retried: bool) -> None:
    if kept is None:
        logger.info("%s: undid an unfinished save of run %r", root, run_id)
    elif is_retried:
        logger.info("%s: removed a kept save of run %r that was made again", root, run_id)
    else:
        logger.warning(
            "%s: a save of run %r that the database could not take was removed: "
            "another save of the run came after it",
            root,
            run_id,
        )


@contextmanager
def _claimed(root: Path, names: Iterable[StagedName]) -> Iterator[bool]:
    """Hold the locks of all *names* inside; False if one is alive or gone."""
    descriptors: list[int] = []
    ensure_staging(root)
    try:
        for name in names:
            descriptor = claim(name.path(root))
            if descriptor is None:
                yield False
                return
            descriptors.append(descriptor)
        yield True
    finally:
        for descriptor in descriptors:
            unlock(descriptor)


def _finish_deletion(root: Path, marker: StagedName, *, run_is_gone: bool) -> None:
    if run_is_gone:
        remove_files(root, marker.run_id)
        # Else a power cut may leave the empty folder, and no marker to say whose it was.
        sync_folder(root)
        logger.info("%s: finished the deletion of run %r", root, marker.run_id)
    marker.path(root).unlink()


def _remove(root: Path, names: Iterable[StagedName]) -> None:
    for name in names:
        name.path(root).unlink(missing_ok=True)


def _read_if_kept(store: FolderStore, names: tuple[StagedName, ...]) -> KeptSave | None:
    """Return what a save could not commit; None if it was adopted already."""
    if not is_kept(names):
        return None
    try:
        if store.database.get(names[0].run_id).staging_token == names[0].token:
            return None
    except RunNotFoundError:
        pass
    return read_kept(store.root, names)


def _is_named(kept: KeptSave, transaction: Transaction) -> bool:
    """Return whether a kept save was made again under its name: that is the same save."""
    run = kept.run
    save_id = run.summary.save_id
    named = {} if save_id is None else dict(transaction.named_saves(save_id))
    return run.save_sha256 is not None and named.get(run.summary.run_id) == run.save_sha256


def _may_replace(kept: KeptSave, stored: StoredRun | None, adopted: set[str]) -> bool:
    """Return whether what is stored is what a kept save would have replaced."""
    if stored is None:
        return True
    known = identity_of(stored)
    own = identity_of(kept.run)
    if known & (kept.notes.replaces | adopted | own):
        return True
    # Its saver died before a former database was lost, or a full disk had no room for notes.
    return (
        kept.notes == NO_NOTES
        and _has_its_time(kept, stored)
        and kept.run.summary.recorded_at >= stored.summary.recorded_at
    )


def _is_surely_older(kept: KeptSave, stored: StoredRun) -> bool:
    """Return whether a kept save that may not replace what is stored came before it."""
    notes = kept.notes
    if notes.revision is not None and stored.summary.revision <= notes.revision:
        # An older copy of the database was put back: what is stored was not saved after it.
        return False
    return notes.is_sure or (notes == NO_NOTES and _has_its_time(kept, stored))


def _has_its_time(kept: KeptSave, stored: StoredRun) -> bool:
    """Return whether times are all there is to tell, and aren't those of a copy."""
    return stored.staging_token is None or kept.is_timed


def _warn_of_doubt(root: Path, names: tuple[StagedName, ...]) -> None:
    logger.warning(
        "%s: run %r is stored, and %s hold a save of it that the database could not take. Which "
        "of both is later can't be known, so both stay. To take the kept one, delete the run and "
        "open the store again; to drop it, remove these files",
        root,
        names[0].run_id,
        ", ".join(str(name.path(root)) for name in names),
    )
