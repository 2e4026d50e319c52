"""One notion of a results folder: what its path leads to at the moment of use."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
import reference
from recordings import recorded

from astraguard_store import MetricsStorage


def test_a_linked_folder_of_old_runs_is_listed(tmp_path: Path) -> None:
    for run_id in ("a", "b"):
        reference.write_old_run(tmp_path / "real", run_id)
    (tmp_path / "link").symlink_to(tmp_path / "real")

    direct = MetricsStorage.get_recent_runs(tmp_path / "real")

    assert MetricsStorage.get_recent_runs(tmp_path / "link") == direct
    assert sorted(direct) == ["a", "b"]


def test_a_linked_folder_whose_database_is_damaged_is_listed(tmp_path: Path) -> None:
    reference.write_old_run(tmp_path / "real", "a")
    (tmp_path / "real" / "astraguard.db").write_bytes(b"garbage" * 1000)
    (tmp_path / "link").symlink_to(tmp_path / "real")

    assert MetricsStorage.get_recent_runs(tmp_path / "link") == ["a"]


def test_a_link_that_is_pointed_elsewhere_is_followed_there(tmp_path: Path) -> None:
    link = tmp_path / "current"
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    link.symlink_to(tmp_path / "one")
    MetricsStorage("first", link).save_latency_stats(recorded(3))

    link.unlink()
    link.symlink_to(tmp_path / "two")
    MetricsStorage("second", link).save_latency_stats(recorded(3))

    assert MetricsStorage.get_recent_runs(link) == ["second"]
    assert MetricsStorage.get_recent_runs(tmp_path / "one") == ["first"]
    assert (tmp_path / "two" / "second" / "latency_raw.csv").exists()


def test_a_folder_that_was_removed_while_open_is_said_to_be_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    results = tmp_path / "results"
    storage = MetricsStorage("run", results)
    storage.save_latency_stats(recorded(3))
    shutil.rmtree(results)

    with caplog.at_level(logging.WARNING):
        storage.save_latency_stats(recorded(3))

    assert "removed while it was open" in caplog.text
    assert MetricsStorage.get_recent_runs(results) == ["run"]
