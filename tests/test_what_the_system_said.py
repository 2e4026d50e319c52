"""What the system refuses is told as such: what, with its number, and no advice that harms."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import run
from recordings import recorded

from astraguard_store import (
    ArtifactWriteError,
    DatabaseDamagedError,
    DatabaseError,
    MetricsStorage,
    RunRepository,
    StoreError,
)

TOO_LONG = "x" * 300


@pytest.fixture
def store(results: Path) -> Path:
    with RunRepository.open(results) as repository:
        repository.save("run", recorded(20))
    return results


@pytest.mark.parametrize("read_only", [False, True])
def test_a_folder_that_cannot_be_looked_at_is_told_by_its_number(
    read_only: bool, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="File name too long") as raised:
        RunRepository.open(tmp_path / TOO_LONG, read_only=read_only)

    assert isinstance(raised.value, OSError)
    assert raised.value.errno == errno.ENAMETOOLONG


def test_so_is_a_store_that_is_to_be_merged(store: Path) -> None:
    with (
        RunRepository.open(store) as repository,
        pytest.raises(DatabaseError, match="File name too long") as raised,
    ):
        repository.merge(store / TOO_LONG)

    assert raised.value.errno == errno.ENAMETOOLONG


@pytest.mark.parametrize(
    "ask",
    [
        lambda results: MetricsStorage("run", str(results)).get_run_metrics(),
        lambda results: MetricsStorage.get_recent_runs(str(results)),
    ],
    ids=["get_run_metrics", "get_recent_runs"],
)
def test_the_drop_in_asks_the_folders_where_the_id_cannot_be_read(
    ask: Callable[[Path], object], store: Path
) -> None:
    answer = ask(store)
    identity = store / "astraguard.db.id"
    identity.unlink()
    identity.symlink_to(identity)

    assert ask(store) == answer


def test_an_id_that_cannot_be_read_is_told_by_its_number(store: Path) -> None:
    identity = store / "astraguard.db.id"
    identity.unlink()
    identity.symlink_to(identity)

    with pytest.raises(DatabaseError, match=r"astraguard\.db\.id can't be read") as raised:
        RunRepository.open(store)

    assert raised.value.errno == errno.ELOOP


def test_a_recording_that_cannot_begin_says_why(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(number: int) -> Callable[..., None]:
        def refuse(*_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        return refuse

    with RunRepository.open(store) as repository:
        # What has happened to the disk also keeps what was made from being removed.
        monkeypatch.setattr(os, "fsync", fails(errno.EIO))
        monkeypatch.setattr(os, "fdatasync", fails(errno.EIO))
        monkeypatch.setattr(os, "unlink", fails(errno.EROFS))
        with pytest.raises(ArtifactWriteError, match="nothing is recorded") as raised:
            repository.run("live").__enter__()
        monkeypatch.undo()

    assert raised.value.errno == errno.EIO


def test_a_save_is_no_failure_where_only_its_lock_is_not_given_back(
    store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    flock = fcntl.flock

    def refuses_to_unlock(descriptor: int, operation: int) -> None:
        if operation == fcntl.LOCK_UN and os.readlink(f"/proc/self/fd/{descriptor}").endswith(
            ".lock"
        ):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        flock(descriptor, operation)

    with RunRepository.open(store) as repository:
        monkeypatch.setattr(fcntl, "flock", refuses_to_unlock)
        with caplog.at_level(logging.WARNING, "astraguard_store"):
            repository.save("another", recorded(3))
        monkeypatch.undo()

        assert repository.get("another").total_measurements == 9
    assert "wasn't given back" in caplog.text
    with RunRepository.open(store, busy_timeout_s=0.5) as repository:
        repository.save("next", recorded(3))


@pytest.fixture
def overwritten(store: Path) -> Path:
    """Give a database whose pages after the header are none."""
    database = store / "astraguard.db"
    size = database.stat().st_size
    with database.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (size - 100))
    return store


def test_a_disk_that_cannot_be_read_is_not_called_damage(
    overwritten: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite says of both that the file is malformed."""

    def fails(descriptor: int, size: int, offset: int) -> bytes:
        del descriptor, size
        if offset or not overwritten.exists():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return b"\xff"

    monkeypatch.setattr(os, "pread", fails)
    with pytest.raises(DatabaseError, match="check the disk") as raised:
        RunRepository.open(overwritten)

    assert not isinstance(raised.value, DatabaseDamagedError)
    assert raised.value.errno == errno.EIO


def test_what_can_be_read_and_is_no_database_is_damage(overwritten: Path) -> None:
    with pytest.raises(DatabaseDamagedError, match="malformed"):
        RunRepository.open(overwritten)


@pytest.mark.parametrize("fix", [False, True])
def test_check_asks_for_the_right_to_a_file_and_not_for_a_backup(
    fix: bool, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_file = os.open

    def forbids(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path in {"latency_raw.csv", "latency_summary.json"}:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return open_file(path, flags, mode, dir_fd=dir_fd)

    with RunRepository.open(store) as repository:
        monkeypatch.setattr(os, "open", forbids)
        report = repository.check(fix=fix)
        monkeypatch.undo()

    advice = {finding.advice for finding in report.findings if finding.severity == "fault"}
    assert advice == {"let this user read it"}


def test_check_advises_nobody_to_remove_what_may_hold_a_save(store: Path) -> None:
    (store / ".staging").rmdir()
    (store / ".staging").symlink_to(store)

    with RunRepository.open(store, read_only=True) as repository:
        report = repository.check()

    (left,) = [finding for finding in report.findings if finding.kind == "staging_left_over"]
    assert "may be the only copy" in left.advice
    assert "remove" not in left.advice


@pytest.mark.parametrize("command", [("db", "restore"), ("merge",)])
def test_a_file_that_is_no_database_is_not_to_be_moved_away(
    command: tuple[str, ...], store: Path
) -> None:
    measurements = store / "run" / "latency_raw.csv"

    result = run(*command, measurements, "--results", store)

    assert result.exit_code == 2
    assert "file is not a database" in result.stderr
    assert "Name a" in result.stderr
    assert "Move it" not in result.stderr
