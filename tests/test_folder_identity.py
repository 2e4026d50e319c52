"""One notion of a results folder: what its path leads to at the moment of use."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
import reference
from recordings import recorded

from astraguard_store import MetricsStorage, RunRepository


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


@pytest.fixture
def with_linked_run(tmp_path: Path) -> Path:
    """Return a folder of old runs, of which one is a link to a folder elsewhere."""
    results = tmp_path / "results"
    reference.write_old_run(results, "here")
    reference.write_old_run(tmp_path / "other disk", "linked")
    (results / "linked").symlink_to(tmp_path / "other disk" / "linked")
    return results


def test_a_list_of_folders_names_a_linked_run_once(
    with_linked_run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listed = [MetricsStorage.get_recent_runs(with_linked_run) for _ in range(2)]

    assert listed == [["here"], ["here"]]
    assert caplog.text.count(f"{with_linked_run / 'linked'} is a symbolic link") == 1


def test_an_import_of_another_folder_counts_and_names_a_linked_run(
    with_linked_run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with RunRepository.open(tmp_path / "store") as repository:
        report = repository.import_runs([with_linked_run])

    assert (report.adopted, report.ignored) == (1, 1)
    assert f"{with_linked_run / 'linked'} is a symbolic link" in caplog.text


def test_check_names_a_linked_run(with_linked_run: Path) -> None:
    with RunRepository.open(with_linked_run) as repository:
        report = repository.check()

    named = [finding for finding in report.findings if finding.where == "linked"]
    assert [(finding.kind, finding.severity) for finding in named] == [("missing_row", "note")]
