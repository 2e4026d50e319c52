"""Which of two saves is the later one is told by what was stored, not by a clock."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from observing import assert_files_agree
from recordings import recorded

from astraguard_store import (
    DatabaseBusyError,
    DatabaseDamagedError,
    DatabaseError,
    InvalidRunError,
    MetricsStorage,
    RunRepository,
    SchemaVersionError,
)

NAME = "astraguard.db"
HOUR_NS = 3_600 * 10**9


@contextmanager
def clock_put_back() -> Iterator[None]:
    now = time.time_ns
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: now() - HOUR_NS)
        yield


def keep(results: Path, steps: int) -> None:
    """Save `run` while a tool has the write lock."""
    with (
        RunRepository.open(results, busy_timeout_s=0.2) as repository,
        closing(sqlite3.connect(results / NAME, isolation_level=None)) as tool,
    ):
        tool.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseBusyError, match="not lost"):
            repository.save("run", recorded(steps))


def staged(results: Path) -> list[str]:
    return sorted(path.name for path in (results / ".staging").iterdir())


def stored(results: Path) -> int:
    with RunRepository.open(results) as repository:
        return repository.get("run").total_measurements


def test_a_kept_save_is_adopted_though_the_clock_stepped_back(store: Path) -> None:
    with clock_put_back():
        keep(store, 20)

    assert stored(store) == 60
    assert assert_files_agree(store / "run") == 60


@pytest.mark.parametrize("age_s", [0, 1, 10**9])
def test_a_kept_save_is_adopted_though_file_times_are_whole_and_older(
    store: Path, age_s: int
) -> None:
    keep(store, 20)
    for path in (store / ".staging").iterdir():
        os.utime(path, (1_790_000_000 - age_s,) * 2)

    assert stored(store) == 60


def test_a_kept_save_is_adopted_in_a_copied_tree(store: Path, tmp_path: Path) -> None:
    keep(store, 20)
    shutil.copytree(store, tmp_path / "copy", copy_function=shutil.copyfile)

    assert stored(tmp_path / "copy") == 60


def test_its_time_is_that_of_the_save_and_not_of_the_copy(store: Path) -> None:
    before = time.time()
    keep(store, 20)
    after = time.time()
    for path in (store / ".staging").iterdir():
        os.utime(path, (1_600_000_000,) * 2)

    with RunRepository.open(store) as repository:
        assert before - 1 <= repository.get("run").recorded_at.timestamp() <= after


def test_a_kept_save_stays_beside_an_older_copy_of_the_database(
    store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copyfile(store / NAME, tmp_path / "older.db")
    with RunRepository.open(store) as repository:
        repository.save("run", recorded(15))
    keep(store, 20)
    kept = staged(store)
    (store / NAME).unlink()
    shutil.copyfile(tmp_path / "older.db", store / NAME)

    with caplog.at_level(logging.WARNING, "astraguard_store"):
        assert stored(store) == 30
    assert "so both stay" in caplog.text
    assert staged(store) == kept


def test_a_later_save_stays_and_what_it_superseded_is_removed_with_a_warning(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with RunRepository.open(store, busy_timeout_s=0.2) as repository:
        with closing(sqlite3.connect(store / NAME, isolation_level=None)) as tool:
            tool.execute("BEGIN IMMEDIATE")
            with pytest.raises(DatabaseBusyError):
                repository.save("run", recorded(20))
        with clock_put_back():
            repository.save("run", recorded(5))

    with caplog.at_level(logging.WARNING, "astraguard_store"):
        assert stored(store) == 15
    assert "another save of the run came after it" in caplog.text
    assert staged(store) == []


def test_a_kept_save_that_had_no_room_for_notes_is_adopted_if_it_is_clearly_newer(
    store: Path,
) -> None:
    keep(store, 20)
    next((store / ".staging").glob("*.kept.run")).unlink()

    assert stored(store) == 60


def lose_notes_and_times(store: Path) -> None:
    next((store / ".staging").glob("*.kept.run")).unlink()
    for path in (store / ".staging").iterdir():
        os.utime(path)


def test_one_without_notes_stays_if_its_files_have_the_time_of_a_copy(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep(store, 20)
    lose_notes_and_times(store)

    with caplog.at_level(logging.WARNING, "astraguard_store"):
        assert stored(store) == 30
    assert "both stay" in caplog.text
    assert len(staged(store)) == 2


def test_one_that_stayed_is_adopted_when_the_run_is_deleted(store: Path) -> None:
    keep(store, 20)
    lose_notes_and_times(store)
    with RunRepository.open(store) as repository:
        repository.delete("run")

    assert stored(store) == 60


def test_the_last_of_several_kept_saves_is_the_last_one_whatever_the_clock_says(
    store: Path,
) -> None:
    with (
        RunRepository.open(store, busy_timeout_s=0.2) as repository,
        closing(sqlite3.connect(store / NAME, isolation_level=None)) as tool,
    ):
        tool.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseBusyError):
            repository.save("run", recorded(20))
        with clock_put_back(), pytest.raises(DatabaseBusyError):
            repository.save("run", recorded(7))

    assert stored(store) == 21
    assert staged(store) == []


def damage(database: Path) -> None:
    database.write_bytes(b"no database" * 500)


def cut_to_nothing(database: Path) -> None:
    database.write_bytes(b"")


def age(database: Path) -> None:
    with closing(sqlite3.connect(database)) as tool, tool:
        tool.execute("UPDATE astraguard_schema_version SET version_num = '0001'")


def make_newer(database: Path) -> None:
    with closing(sqlite3.connect(database)) as tool, tool:
        tool.execute("UPDATE astraguard_schema_version SET version_num = '9999'")


BROKEN = [damage, cut_to_nothing, age, make_newer]


@pytest.mark.parametrize("spoil", BROKEN)
def test_the_facade_keeps_the_files_of_a_run_where_the_database_cannot_be_opened(
    store: Path, spoil: object
) -> None:
    assert callable(spoil)
    spoil(store / NAME)

    with pytest.raises((DatabaseError, SchemaVersionError), match="not lost") as caught:
        MetricsStorage("run", store).save_latency_stats(recorded(20))

    assert {path.suffix for path in caught.value.kept} == {".csv", ".json"}
    assert all(path.is_file() for path in caught.value.kept)


@pytest.mark.parametrize("spoil", BROKEN)
def test_the_opening_that_builds_the_database_anew_adopts_them(store: Path, spoil: object) -> None:
    assert callable(spoil)
    spoil(store / NAME)
    with clock_put_back(), pytest.raises((DatabaseError, SchemaVersionError)):
        MetricsStorage("run", store).save_latency_stats(recorded(20))
    with pytest.raises((DatabaseError, SchemaVersionError)):
        MetricsStorage("new", store).save_latency_stats(recorded(3))

    for path in store.glob(f"{NAME}*"):
        path.unlink()

    assert stored(store) == 60
    assert assert_files_agree(store / "new") == 9
    assert staged(store) == []


def test_what_cannot_be_stored_is_refused_and_not_kept(store: Path) -> None:
    damage(store / NAME)

    with pytest.raises(InvalidRunError, match="No measurements"):
        MetricsStorage("run", store).save_latency_stats(recorded(0))

    assert staged(store) == []


def test_an_open_store_whose_database_is_damaged_keeps_every_save(store: Path) -> None:
    with RunRepository.open(store) as repository:
        damage(store / NAME)

        for number in range(2):
            with pytest.raises(DatabaseDamagedError, match="not lost"):
                repository.save(f"new{number}", recorded(3))
