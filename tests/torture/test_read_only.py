"""Reading as somebody who may not write: the right answers or a clear error, and no trace."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from astraguard_store import MetricsStorage, ReadOnlyStoreError, RunRepository, StoreError

from .cases import Case, new_case
from .children import Children, finish, is_stopped, wait_until
from .ledger import Ledger
from .mounts import mounted_tmpfs, remount_read_only
from .savers import AGAIN, DOOMED, KEPT, prepare, recording, save, stop_before_closing

NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")


@pytest.fixture
def case(children: Children) -> Iterator[Case]:
    """Give a store with three runs, in a folder that anybody may reach."""
    root = Path(tempfile.mkdtemp(prefix="astraguard-read-only-"))
    root.chmod(0o755)
    case = new_case(root / "case")
    assert children.run(prepare, case) == 0
    yield case
    shutil.rmtree(root)


def read_as_nobody(case: Case) -> None:
    """Read the store as a user who may write nowhere, and answer what came of it."""
    # What is imported on first use is imported now: nobody may not read all of it.
    with tempfile.TemporaryDirectory() as elsewhere:
        with RunRepository.open(elsewhere) as repository:
            repository.recent()
        MetricsStorage.get_recent_runs(elsewhere)
    answer = os.open(case.answer, os.O_WRONLY | os.O_CREAT, 0o644)
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    os.write(answer, json.dumps(read_everything(case)).encode())


def read_everything(case: Case) -> dict[str, object]:
    """Read the store read-only and through the facade."""
    seen: dict[str, object] = {}
    try:
        with RunRepository.open(case.results, read_only=True) as repository:
            seen["answers from"] = repository.answers_from
            seen["recent"] = [header.run_id for header in repository.recent()]
            seen["revision"] = repository.get(KEPT).revision
            try:
                repository.delete(KEPT)
            except ReadOnlyStoreError:
                seen["delete"] = "refused"
    except StoreError as error:
        seen["error"] = f"{type(error).__name__}: {error}"
    seen["facade"] = MetricsStorage.get_recent_runs(str(case.results))
    metrics = MetricsStorage(KEPT, str(case.results)).get_run_metrics()
    seen["metrics"] = metrics is not None and metrics["run_id"]
    return seen


def forbid_writing(folder: Path) -> None:
    """Take the right to write from a tree."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)


def state_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Describe a tree: size and time of every file."""
    stats = {str(path): path.stat() for path in folder.rglob("*") if path.is_file()}
    return {path: (stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()}


@as_root
def test_another_user_reads_a_closed_store(case: Case, children: Children) -> None:
    forbid_writing(case.disk)
    before = state_of(case.disk)

    code = children.run(read_as_nobody, case)

    assert code == 0
    seen = json.loads(case.answer.read_text())
    assert seen["recent"] == [KEPT, DOOMED, AGAIN]
    assert seen["delete"] == "refused"
    assert seen["facade"] == [KEPT, DOOMED, AGAIN]
    assert seen["metrics"] == KEPT
    assert state_of(case.disk) == before


@as_root
def test_another_user_reads_a_store_that_is_open(case: Case, children: Children) -> None:
    ledger = Ledger(case.ledger)
    with RunRepository.open(case.results) as repository:
        save(repository, ledger, KEPT)
        save(repository, ledger, "newest")

        code = children.run(read_as_nobody, case)

        seen = json.loads(case.answer.read_text())
        assert code == 0
        assert_right_or_clear(seen, ["newest", KEPT, DOOMED, AGAIN])
        assert repository.get("newest").revision == 1
        save(repository, ledger, "newest")
    assert case.audit() == []


@as_root
def test_another_user_reads_a_store_whose_saver_was_killed(case: Case, children: Children) -> None:
    saver = children.start(stop_before_closing, case, "newest")
    assert saver.pid is not None
    pid = saver.pid
    wait_until(lambda: is_stopped(pid), "the saver stops")
    saver.kill()
    finish(saver)
    assert (case.results / "astraguard.db-wal").stat().st_size > 0
    forbid_writing(case.disk)

    code = children.run(read_as_nobody, case)

    assert code == 0
    assert_right_or_clear(json.loads(case.answer.read_text()), ["newest", KEPT, DOOMED, AGAIN])


def assert_right_or_clear(seen: dict[str, object], expected: list[str]) -> None:
    """The database's answer is right, or there is an error; the facade answers either way."""
    if "error" in seen:
        assert "recent" not in seen
        assert "astraguard.db" in str(seen["error"])
    else:
        assert seen["recent"] == expected
    assert seen["facade"] == expected
    assert seen["metrics"] == KEPT


def test_a_store_on_a_read_only_mount_is_read(children: Children, tmp_path: Path) -> None:
    with mounted_tmpfs(tmp_path / "mount", "8m") as mount:
        on_mount = new_case(mount / "case")
        assert children.run(prepare, on_mount) == 0
        remount_read_only(mount)

        seen = read_everything(on_mount)

        assert seen["recent"] == [KEPT, DOOMED, AGAIN]
        assert seen["facade"] == [KEPT, DOOMED, AGAIN]
        with pytest.raises(StoreError), RunRepository.open(on_mount.results) as repository:
            repository.save("new", recording(1))


def test_reading_takes_no_lock_that_stops_a_writer(case: Case) -> None:
    ledger = Ledger(case.ledger)
    with (
        RunRepository.open(case.results, read_only=True) as reader,
        RunRepository.open(case.results, busy_timeout_s=1.0) as writer,
    ):
        for _ in range(5):
            reader.get(KEPT)
            saved = save(writer, ledger, KEPT)

            assert reader.get(KEPT) == saved
