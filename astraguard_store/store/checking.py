"""A store held against what it promises; with ``fix``, what can be mended is.

Other processes may save and delete meanwhile: whatever looks wrong is looked at
again, until rows and files are seen of one moment.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from astraguard_store.artifacts.attachments import attachment_path, attachment_state
from astraguard_store.artifacts.reader import has_summary
from astraguard_store.artifacts.scanner import folder_names, linked_runs
from astraguard_store.artifacts.staging import staged_names, staged_of
from astraguard_store.artifacts.verification import (
    LeftOver,
    file_state,
    has_files,
    is_left_over,
    left_overs,
    size_of,
    summary_state,
    unpacked_summary,
    why_changed,
)
from astraguard_store.checks import check_run_id
from astraguard_store.database.lists import run_ids
from astraguard_store.database.run_database import RunDatabase
from astraguard_store.database.run_files import FilesOfRun
from astraguard_store.database.runs import run_exists
from astraguard_store.database.sqlite.connections import FileReader
from astraguard_store.database.sqlite.errors import translated_os_errors
from astraguard_store.database.sqlite.integrity import (
    dangling_rows,
    has_wal_reset_bug,
    structural_problems,
    wal_reset_note,
)
from astraguard_store.exceptions import (
    ArtifactReadError,
    DatabaseDamagedError,
    DatabaseError,
    InvalidRunError,
    RunNotFoundError,
    SchemaVersionError,
    StoreError,
    StoreNotFoundError,
)
from astraguard_store.formats.layout import DELETION_SUFFIX, RAW_NAME, STAGING_NAME, SUMMARY_NAME
from astraguard_store.model import Artifact, Attachment
from astraguard_store.options import DATABASE_NAME, StoreOptions
from astraguard_store.reports import CheckReport, Finding, FindingKind, Progress
from astraguard_store.store.rebuilding import needs_summary
from astraguard_store.store.row_checks import (
    RowsOfRun,
    rows_of_run,
    rows_of_runs,
    why_csv_differs,
    why_rows_differ,
)
from astraguard_store.store.store import (
    FolderStore,
    Store,
    existing_root,
    folder_store,
    holds_folders,
)
from astraguard_store.system.mounts import network_file_system

if TYPE_CHECKING:
    from astraguard_store.store.mending import Mender

_FIX = "`astraguard-store check --fix`"
# A save publishes within milliseconds; one that hangs is waited for 5 s.
_LOOKS = 100
_PAUSE_S = 0.05

_ADVICE_ROWS = (
    "another program changed its rows, or the disk did; nothing is made from them, and the files "
    "are as they were saved. Restore a backup of the database; or copy the run's folder "
    "elsewhere, `astraguard-store delete` the run, put the folder back and `astraguard-store "
    "import` it (provenance and tags are then to be set again)"
)
_ADVICE_CSV = "restore it from a backup; the run's statistics are in the database"
_ADVICE_COPY = "restore it from a backup; the CSV has the same measurements"


def check_folder(
    results_dir: str | os.PathLike[str],
    *,
    fix: bool = False,
    deep: bool = False,
    satellite_buckets: bool = False,
    progress: Progress | None = None,
    options: StoreOptions | None = None,
) -> CheckReport:
    """Check the store in a folder, also one that can't be opened.

    Args:
        results_dir: The results folder.
        fix: Mend what can be; a missing database is made from the run folders.
        deep: Compute all rows anew from the CSVs, and compare them.
        satellite_buckets: Make the buckets of satellites, where it mends.
        progress: Called with (runs checked, runs in all).
        options: How to write, and how long to wait for others.

    Raises:
        StoreNotFoundError: There is no such folder, or neither a database nor a
            run in it.
        DatabaseError: The database can't be opened, and not because of damage.
    """
    options = options or StoreOptions()
    root = existing_root(results_dir, create=False)
    tally = Tally()
    is_missing = not os.path.lexists(root / DATABASE_NAME)
    if is_missing and not holds_folders(root):
        raise StoreNotFoundError(
            f"{root} holds neither a database nor a run; check the folder's name"
        )
    try:
        store = folder_store(root, options, create=fix and is_missing)
    except FileNotFoundError:
        _report_missing(root, tally)
    except SchemaVersionError as error:
        _report_schema(root, tally, error)
    except DatabaseDamagedError as error:
        _report_damage(root / DATABASE_NAME, tally, error)
    else:
        try:
            if is_missing:
                where, what = str(root / DATABASE_NAME), "there was no database"
                tally.mended("missing_database", where, what, "made")
            return check_files(
                store,
                fix=fix,
                deep=deep,
                satellite_buckets=satellite_buckets,
                progress=progress,
                tally=tally,
            )
        finally:
            store.shared.release()
    _check_surroundings(root, tally)
    check_staging(root, tally, [])
    return tally.report()


def check_rows(store: Store) -> CheckReport:
    """Check a store in memory, which has no files; raises as `RunRepository.check`."""
    tally = Tally()
    if _check_structure(store.database, store.where, tally):
        for found in rows_of_runs(store.database, store.database.read(run_ids)):
            if found.fault:
                run_id = found.files.run_id
                tally.fault("rows_disagree", run_id, found.fault, "save the run again")
    _note_sqlite(store.where, tally)
    return tally.report()


def check_files(
    store: FolderStore,
    *,
    fix: bool = False,
    deep: bool = False,
    satellite_buckets: bool = False,
    progress: Progress | None = None,
    tally: Tally | None = None,
) -> CheckReport:
    """Check an open store and its folder; raises as `RunRepository.check`."""
    tally = tally or Tally()
    path = store.root / DATABASE_NAME
    mender = None
    if fix:
        from astraguard_store.store.mending import Mender

        mender = Mender(store)
    # Nothing is written to a database that is damaged, and nothing after its word.
    if _check_structure(store.database, str(path), tally, mender):
        try:
            FileCheck(store.root, store.database, tally, mender, progress, deep=deep).run()
            if mender and satellite_buckets:
                _make_satellite_buckets(store, mender, tally)
        except DatabaseDamagedError as error:
            _report_damage(path, tally, error)
    else:
        check_staging(store.root, tally, [])
    _check_surroundings(store.root, tally)
    return tally.report()


def _make_satellite_buckets(store: FolderStore, mender: Mender, tally: Tally) -> None:
    """Compute the buckets of satellites from the CSVs of the runs that keep none."""
    made = 0
    for run_id in store.database.read(run_ids):
        try:
            made += mender.make_satellite_buckets(run_id)
        except (StoreError, OSError) as error:
            what = f"the buckets of its satellites could not be computed: {error}"
            tally.note("missing_buckets", run_id, what, "a CSV that agrees with its row is needed")
    if made:
        what = f"{_have(made)} no buckets of satellites"
        tally.mended("missing_buckets", DATABASE_NAME, what, "computed from the CSVs")


def _check_structure(
    database: RunDatabase | FileReader, where: str, tally: Tally, mender: Mender | None = None
) -> bool:
    """Ask SQLite for damage; return whether the rows can be believed."""
    try:
        problems = database.read(structural_problems)
        dangling = database.read(dangling_rows)
    except DatabaseDamagedError as error:
        problems, dangling = [error.reason], {}
    _report_dangling(dangling, where, tally, None if problems else mender)
    if problems:
        tally.fault("damaged_database", where, "; ".join(problems), _rebuild(Path(where)))
    return not problems


def _report_dangling(
    dangling: Mapping[str, int], where: str, tally: Tally, mender: Mender | None
) -> None:
    """Report rows without a run, by table; they may be in the way of saves and adoptions."""
    deleted: Mapping[str, int] = {}
    failure = ""
    if dangling and mender:
        try:
            deleted = mender.delete_dangling()
        except StoreError as error:
            failure = f"they could not be deleted: {error}; "
    for table, number in dangling.items():
        what = f"{number} row{'s' if number > 1 else ''} of {table} belong to no run"
        if table in deleted:
            tally.mended("foreign_key", where, what, "deleted")
        else:
            advice = f"{failure}another program left them; {_FIX} deletes those of the store's own"
            tally.fault("foreign_key", where, what, f"{advice} tables; or `DELETE` them")


def _report_damage(path: Path, tally: Tally, error: DatabaseError) -> None:
    what = error.reason if isinstance(error, DatabaseDamagedError) else str(error)
    tally.fault("damaged_database", str(path), what, _rebuild(path))


def _report_missing(root: Path, tally: Tally) -> None:
    advice = f"`astraguard-store import --results {_quoted(root)}` makes one from the run folders"
    where = str(root / DATABASE_NAME)
    tally.fault("missing_database", where, "there is no database", advice)


def _report_schema(root: Path, tally: Tally, error: SchemaVersionError) -> None:
    path = root / DATABASE_NAME
    reader = FileReader(path, busy_timeout_s=30.0)
    try:
        _check_structure(reader, str(path), tally)
    finally:
        reader.close()
    found = f"schema {error.found}" if error.found else "no schema of this store"
    tally.fault(
        "schema_version", str(path), f"it has {found}, {error.needed} is needed", str(error)
    )


def _check_surroundings(root: Path, tally: Tally) -> None:
    where = str(root / DATABASE_NAME)
    kind = network_file_system(root)
    if kind:
        what = f"it lies on a network file system ({kind}), where locks and logs can't be trusted"
        advice = "keep the store on a local disk, and copy backups to the network"
        tally.fault("network_file_system", where, what, advice)
    _note_sqlite(where, tally)


def _note_sqlite(where: str, tally: Tally) -> None:
    if has_wal_reset_bug():
        advice = "use a newer SQLite when there is one for this Python"
        tally.note("sqlite_version", where, wal_reset_note(), advice)


def _rebuild(path: Path) -> str:
    return (
        f"nothing is written to it: move {path.name}, {path.name}-wal and {path.name}-shm away; "
        f"then restore a backup, or `astraguard-store import --results {_quoted(path.parent)}` "
        "makes a new one from the run folders"
    )


def _quoted(root: Path) -> str:
    return shlex.quote(str(root))


@dataclass(frozen=True, slots=True)
class _FileFault:
    kind: Literal["missing_file", "changed_file"]
    noted: Artifact
    what: str
    is_forbidden: bool = False


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look at a run found.

    Attributes:
        found: Its rows.
        faults: What is wrong with its files.
        sound: The files that are as they were noted.
        contradiction: How its rows contradict files or each other; None if they don't.
    """

    found: RowsOfRun
    faults: Sequence[_FileFault] = ()
    sound: Sequence[Artifact] = ()
    contradiction: str | None = None

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.faults or self.contradiction)


class FileCheck:
    """One walk over the runs of one results folder.

    Args:
        root: The folder.
        database: Its rows, sound and of this version's schema.
        tally: Takes what is found.
        mender: Mends it; None to write nothing.
        progress: Called with (runs done, runs in all).
        deep: Whether rows are computed anew from the CSVs.
    """

    def __init__(
        self,
        root: Path,
        database: RunDatabase,
        tally: Tally,
        mender: Mender | None,
        progress: Progress | None,
        *,
        deep: bool,
    ) -> None:
        self._root = root
        self._database = database
        self._tally = tally
        self._mender = mender
        self._progress = progress
        self._deep = deep
        self._completion = Completion(tally, mender)

    def run(self) -> None:
        """Check everything, and mend what can be.

        Raises:
            DatabaseError: The database can't be read, or the results folder not be listed.
        """
        before = left_overs(self._root) if self._mender else []
        if before and self._mender:
            self._mender.recover()
        with translated_os_errors(self._root):
            self._check_folders()
        self._check_runs()
        self._completion.report()
        check_staging(self._root, self._tally, before)

    def _check_folders(self) -> None:
        """Look for folders of runs that have no row."""
        known = set(self._database.read(run_ids))
        names = [name for name in sorted(folder_names(self._root)) if name not in known]
        names = [name for name in names if self._lacks_row_for_good(name)]
        reasons = {name: _why_not_adopted(self._root, name) for name in names}
        if names and self._mender:
            try:
                reasons.update(self._mender.adopt())
            except (StoreError, OSError) as error:
                reasons.update((name, str(error)) for name in names if not reasons[name])
        for name in names:
            what = "a run folder that the database does not know"
            if self._mender and not self._lacks_row(name):
                self._tally.mended("missing_row", name, what, "adopted")
            else:
                advice = reasons[name] or f"`astraguard-store import` or {_FIX} adopts it"
                self._tally.fault("missing_row", name, what, advice)
        for name in filter(self._lacks_row, linked_runs(self._root)):
            what = "a symbolic link to a run's folder, which is not taken for a run"
            self._tally.note("missing_row", name, what, "move the folder itself there")

    def _lacks_row(self, name: str) -> bool:
        return not self._database.read(partial(run_exists, run_id=name))

    def _lacks_row_for_good(self, name: str) -> bool:
        """Look again: the row of a run that is being deleted goes before its folder."""
        deleted = {n.run_id for n in staged_names(self._root) if n.suffix == DELETION_SUFFIX}
        return name not in deleted and has_files(self._root, name) and self._lacks_row(name)

    def _check_runs(self) -> None:
        names = self._database.read(run_ids)
        for done, found in enumerate(rows_of_runs(self._database, names), start=1):
            look = self._settled(found)
            if look:
                self._report(look)
                self._tally.runs += 1
            if self._progress:
                self._progress(done, len(names))

    def _report(self, look: _Look) -> None:
        run = look.found.files
        if not (run.artifacts or look.contradiction or run.may_have_none):
            advice = "save the run again, or restore its folder from a backup and `import` it"
            self._tally.fault("missing_file", run.run_id, "its row names no file", advice)
        for fault in look.faults:
            self._report_file(run, fault)
        for attached in run.attachments:
            self._check_attachment(run, attached)
        self._tally.files += len(look.sound)
        self._tally.bytes += sum(noted.bytes for noted in look.sound)
        if look.contradiction:
            # Nothing is made from rows that are doubted: files that have their hashes decide.
            self._tally.fault("rows_disagree", run.run_id, look.contradiction, _ADVICE_ROWS)
        else:
            self._completion.look_at(run, look.sound)

    def _check_attachment(self, run: FilesOfRun, noted: Attachment) -> None:
        """Hold a file that was attached against its row; nothing can mend it."""
        try:
            path = attachment_path(run.run_id, noted.name)
        except InvalidRunError:
            return  # which is a contradiction within its rows
        advice = "restore it from a backup; nothing else has its content"
        try:
            found = attachment_state(self._root, run.run_id, noted.name)
        except FileNotFoundError:
            what = "it was attached to the run, but is not there"
            self._tally.fault("missing_file", path, what, advice)
        except ArtifactReadError as error:
            self._tally.fault("changed_file", path, str(error), advice)
        else:
            if found == noted:
                self._tally.files += 1
                self._tally.bytes += noted.bytes
            else:
                what = "its content is not the one that was attached"
                self._tally.fault("changed_file", path, what, advice)

    def _settled(self, found: RowsOfRun) -> _Look | None:
        """Return what is found of a run, its rows and files of one save; None if it is gone.

        *found* was read together with others, and may be older than what a file has.
        """
        look = self._look(found)
        return look if look.is_clean else self._settled_alone(found.files.run_id)

    def _settled_alone(self, run_id: str) -> _Look | None:
        for _ in range(_LOOKS):
            found = rows_of_run(self._database, run_id)
            if found is None:
                return None
            # In this order: what was staged before the look may be published after it.
            token = found.files.staging_token
            staged = staged_of(self._root, run_id, token) if token else ()
            if any(is_left_over(self._root, name) for name in staged):
                return _Look(found)  # reported as such
            look = self._look(found)
            if look.is_clean:
                return look
            now = rows_of_run(self._database, run_id)
            if now == found and not staged:
                return look
            time.sleep(_PAUSE_S)
        return look

    def _look(self, found: RowsOfRun) -> _Look:
        faults: list[_FileFault] = []
        sound: list[Artifact] = []
        summary = None
        for noted in found.files.artifacts:
            fault, content = self._looked_at(noted)
            if fault:
                faults.append(fault)
            else:
                sound.append(noted)
                summary = summary if content is None else (noted.path, content)
        try:
            reason = why_rows_differ(self._root, found, summary and unpacked_summary(*summary))
            csv = next((file for file in sound if file.kind == "raw_csv" and file.sha256), None)
            if self._deep and csv and not reason:
                reason = why_csv_differs(self._root, csv, self._database, found)
        except (ArtifactReadError, FileNotFoundError) as error:
            reason = str(error)
        return _Look(found, faults, sound, reason)

    def _looked_at(self, noted: Artifact) -> tuple[_FileFault | None, bytes | None]:
        """Return what is wrong with a file, and what lies in that of a hashed summary."""
        content, is_forbidden = None, False
        try:
            if noted.sha256 is None:
                size = size_of(self._root, noted.path)
                what = why_changed(size, None, noted)
            elif noted.kind == "summary_json":
                found, content = summary_state(self._root, noted.path)
                what = why_changed(*found, noted)
            else:
                what = why_changed(*file_state(self._root, noted.path), noted)
        except FileNotFoundError:
            what = "it is in the database, but not there"
            return _FileFault("missing_file", noted, what), None
        except ArtifactReadError as error:
            what, is_forbidden = str(error), isinstance(error.__cause__, PermissionError)
        if what:
            return _FileFault("changed_file", noted, what, is_forbidden), None
        return None, content

    def _report_file(self, run: FilesOfRun, fault: _FileFault) -> None:
        path = fault.noted.path
        if fault.is_forbidden:
            self._tally.fault(fault.kind, path, fault.what, "let this user read it")
        elif fault.noted.kind != "summary_json":
            advice = _ADVICE_CSV if fault.noted.kind == "raw_csv" else _ADVICE_COPY
            self._tally.fault(fault.kind, path, fault.what, advice)
        elif self._mender is None:
            advice = f"{_FIX} writes it anew from its row, and keeps a changed one beside it"
            self._tally.fault(fault.kind, path, fault.what, advice)
        else:
            try:
                done = self._mender.restore_summary(run, fault.noted)
            except (StoreError, OSError) as error:
                advice = f"it could not be written anew: {error}; restore it from a backup"
                self._tally.fault(fault.kind, path, fault.what, advice)
            else:
                self._tally.mended(fault.kind, path, fault.what, done)


def check_staging(root: Path, tally: Tally, before: list[LeftOver]) -> None:
    """Report what is left over in the staging folder, and what was there *before*."""
    after = left_overs(root)
    for left_over in before:
        if left_over not in after:
            where = f"{STAGING_NAME}/{left_over.name}"
            tally.mended("staging_left_over", where, left_over.what, "finished or undone")
    for left_over in after:
        where = f"{STAGING_NAME}/{left_over.name}"
        advice = f"the next opening for writing finishes or undoes it; so does {_FIX}"
        if not left_over.name:
            advice = "look at it and its rights; what lies in it may be the only copy of a save"
        elif not left_over.is_ours:
            advice = "look at it and remove it"
        tally.fault("staging_left_over", where, left_over.what, advice)


def _why_not_adopted(root: Path, name: str) -> str:
    """Return what keeps a folder from being adopted, as far as its name and files tell."""
    try:
        check_run_id(name)
    except InvalidRunError as error:
        return f"{error}; rename the folder"
    if needs_summary(root, name):
        return (
            f"its {SUMMARY_NAME} is missing or damaged; `astraguard-store import` or {_FIX} makes "
            "it anew from the CSV, and adopts the run"
        )
    if not has_summary(root, name):
        return (
            f"there is no {SUMMARY_NAME} in it, so it is no run yet. Its other files may be the "
            "only copy of the measurements: keep them, and put the summary back from a backup; "
            "then `astraguard-store import` adopts it"
        )
    return ""


class Completion:
    """Counts what is incomplete, and completes it.

    Args:
        tally: Takes what is found.
        mender: Completes it; None to write nothing.
    """

    def __init__(self, tally: Tally, mender: Mender | None) -> None:
        self._tally = tally
        self._mender = mender
        self._unhashed = 0
        self._hashed = 0
        self._without_buckets = 0
        self._filled = 0
        self._wrong: list[FilesOfRun] = []
        self._to_renew: list[str] = []

    def look_at(self, run: FilesOfRun, sound: Sequence[Artifact]) -> None:
        """Look at a run, of whose files those in *sound* are as they were noted."""
        unhashed = [noted for noted in sound if noted.sha256 is None]
        csv = next((noted for noted in sound if noted.kind == "raw_csv"), None)
        self._unhashed += bool(unhashed)
        self._without_buckets += run.lacks_buckets
        if run.document == "wrong":
            self._wrong.append(run)
        elif run.document == "missing":
            self._to_renew.append(run.run_id)
        if self._mender is None or csv is None or not (unhashed or run.lacks_buckets):
            return
        try:
            is_noted = self._mender.complete(run, csv, unhashed)
        except (RunNotFoundError, FileNotFoundError):
            return  # deleted meanwhile, or saved with other files
        except ArtifactReadError as error:
            advice = "one of both was changed: keep the one that is right; the row has the summary"
            self._tally.fault("csv_disagrees", csv.path, str(error), advice)
        else:
            self._hashed += is_noted and bool(unhashed)
            self._filled += is_noted and run.lacks_buckets

    def report(self) -> None:
        """Tell the tally what was incomplete."""
        self._report_unhashed()
        self._report_buckets()
        self._report_documents()

    def _report_unhashed(self) -> None:
        if self._unhashed and self._mender is None:
            what = f"{_never_read(self._unhashed)}: a change can't be seen"
            advice = f"{_FIX} hashes and counts them, and notes what only they tell"
            self._tally.note("unhashed_csv", RAW_NAME, what, advice)
        if self._hashed:
            done = "hashed, counted, and each satellite's p99 and minimum noted"
            self._tally.mended("unhashed_csv", RAW_NAME, _never_read(self._hashed), done)

    def _report_buckets(self) -> None:
        left = self._without_buckets - self._filled
        if left:
            what = f"{_have(left)} no buckets: percentiles over several runs leave them out"
            advice = f"{_FIX} computes them from the CSVs"
            if self._mender:
                advice = "a CSV that is there and agrees with its row is needed"
            self._tally.note("missing_buckets", DATABASE_NAME, what, advice)
        if self._filled:
            what, done = f"{_have(self._filled)} no buckets", "computed from the CSVs"
            self._tally.mended("missing_buckets", DATABASE_NAME, what, done)

    def _report_documents(self) -> None:
        """Tell of wrong ones; missing ones are no fault, and are written where it is mended."""
        if self._mender:
            self._mender.renew_documents(self._to_renew)
        for run in self._wrong:
            what = "the copy of its rows that is read instead of them says something else"
            if self._mender and self._mender.renew_wrong_document(run):
                done = "written anew from its rows, which its CSV confirms"
                self._tally.mended("wrong_document", run.run_id, what, done)
            elif self._mender:
                advice = f"no CSV confirms its rows, so it is left. {_ADVICE_ROWS}"
                self._tally.fault("wrong_document", run.run_id, what, advice)
            else:
                advice = f"{_FIX} writes it anew if the run's CSV confirms its rows"
                self._tally.fault("wrong_document", run.run_id, what, advice)


def _never_read(count: int) -> str:
    if count == 1:
        return "the CSV of one adopted run was never read"
    return f"the CSVs of {count} adopted runs were never read"


def _have(count: int) -> str:
    return "one run has" if count == 1 else f"{count} runs have"


@dataclass(slots=True)
class Tally:
    """Counts and findings of one check; one thread uses it.

    Attributes:
        runs: Runs that were looked at.
        files: Files of theirs that were found.
        bytes: What these hold together.
    """

    runs: int = 0
    files: int = 0
    bytes: int = 0
    _findings: list[Finding] = field(default_factory=list)
    _mended: list[Finding] = field(default_factory=list)

    def fault(self, kind: FindingKind, where: str, what: str, advice: str) -> None:
        """Add what is not as the store promises."""
        self._findings.append(Finding(kind, "fault", where, what, advice))

    def note(self, kind: FindingKind, where: str, what: str, advice: str) -> None:
        """Add what is worth knowing."""
        self._findings.append(Finding(kind, "note", where, what, advice))

    def mended(self, kind: FindingKind, where: str, what: str, done: str) -> None:
        """Add a fault that is none any more."""
        self._mended.append(Finding(kind, "fault", where, what, done))

    def report(self) -> CheckReport:
        """Return all of it, faults before notes."""
        findings = sorted(self._findings, key=lambda finding: finding.severity == "note")
        return CheckReport(self.runs, self.files, self.bytes, tuple(findings), tuple(self._mended))
