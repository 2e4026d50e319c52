"""The drop-in asked for a run that isn't there, again and again, until it is."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from observing import FILE_SYSTEM_CALLS, SAVE_RUN_001, in_child, profiled
from recordings import recorded, save

from astraguard_store import MetricsStorage, RunRepository
from astraguard_store.formats.layout import SUMMARY_NAME


def asked_in_vain(results: Path, run_id: str) -> MetricsStorage:
    """Give a drop-in that has looked for a run often enough to know that it isn't there."""
    storage = MetricsStorage(run_id, results)
    # Longer than a tick of the clock that gives folders their times.
    time.sleep(0.05)
    assert [storage.get_run_metrics() for _ in range(4)] == [None] * 4
    return storage


@pytest.fixture
def store(results: Path) -> Path:
    """Give a store with one run, `other`."""
    save(results, "other", recorded(3))
    return results


class TestARunThatAppears:
    """Whoever makes it, the next question finds it."""

    def test_saved_by_this_process(self, store: Path) -> None:
        storage = asked_in_vain(store, "run_001")

        with RunRepository.open(store) as repository:
            repository.save("run_001", recorded(7))

        assert (storage.get_run_metrics() or {})["total_measurements"] == 21

    def test_saved_by_another_process(self, store: Path) -> None:
        storage = asked_in_vain(store, "run_001")

        in_child(SAVE_RUN_001, store)

        assert storage.get_run_metrics() is not None
        assert "error" not in storage.compare_runs("other")

    def test_copied_into_its_folder_by_hand(self, store: Path) -> None:
        storage = asked_in_vain(store, "copied")
        content = (store / "other" / SUMMARY_NAME).read_text(encoding="utf-8")

        text = content.replace('"other"', '"copied"')
        (store / "copied" / SUMMARY_NAME).write_text(text, encoding="utf-8")

        assert (storage.get_run_metrics() or {})["run_id"] == "copied"
        assert (storage.get_run_metrics(use_cache=False) or {})["run_id"] == "copied"

    def test_in_a_store_without_a_database(self, results: Path) -> None:
        storage = asked_in_vain(results, "run")

        (results / "run" / SUMMARY_NAME).write_text('{"run_id": "run"}', encoding="utf-8")

        assert storage.get_run_metrics() == {"run_id": "run"}

    def test_in_the_tick_of_the_last_question(self, store: Path) -> None:
        found: list[Any] = []
        for number in range(40):
            storage = MetricsStorage(f"run_{number}", store)
            for _ in range(4):
                storage.get_run_metrics()
            path = storage.metrics_dir / SUMMARY_NAME
            path.write_text(f'{{"run_id": "run_{number}"}}', encoding="utf-8")
            found.append(storage.get_run_metrics())

        assert found == [{"run_id": f"run_{number}"} for number in range(40)]

    def test_after_it_was_there_and_deleted(self, store: Path) -> None:
        storage = asked_in_vain(store, "run")
        save(store, "run", recorded(3))
        assert storage.get_run_metrics() is not None
        shutil.rmtree(store / "run")
        assert [storage.get_run_metrics() for _ in range(4)] == [None] * 4

        save(store, "run", recorded(5))

        assert (storage.get_run_metrics() or {})["total_measurements"] == 15


def test_a_summary_that_is_mended_in_place_is_read(store: Path) -> None:
    path = store / "other" / SUMMARY_NAME
    whole = path.read_bytes()
    path.write_bytes(whole[:20])
    storage = asked_in_vain(store, "other")

    path.write_bytes(whole)

    assert storage.get_run_metrics() is not None


def test_a_run_that_is_still_missing_takes_two_questions_to_the_file_system(store: Path) -> None:
    storage = asked_in_vain(store, "run")

    with profiled() as calls:
        storage.get_run_metrics()

    assert sum(calls[name] for name in FILE_SYSTEM_CALLS) == 2
    assert os.listdir(storage.metrics_dir) == []
