"""The commands that delete: what they ask, what they say, and what is left."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest
from command_line import asked_on_terminal, assert_one_line, command_line, run, run_json
from recordings import recorded

from astraguard_store import RunRepository
from astraguard_store.database.sqlite import compaction

DAY_US = 86_400_000_000


@pytest.fixture
def store(results: Path) -> Path:
    """Return a store of four runs, r1 a day old, r4 four days; r3 is pinned."""
    with RunRepository.open(results) as repository:
        repository.save_many((f"r{number}", recorded(4)) for number in range(1, 5))
        repository.set_tags("r3", {"pinned": "for the review"})
    now_us = time.time_ns() // 1000
    with closing(sqlite3.connect(results / "astraguard.db")) as database, database:
        database.executemany(
            "UPDATE runs SET recorded_at_us = ? WHERE run_id = ?",
            [(now_us - number * DAY_US, f"r{number}") for number in range(1, 5)],
        )
    return results


def left(store: Path) -> list[str]:
    with RunRepository.open(store, read_only=True) as repository:
        return [header.run_id for header in repository.recent()]


class TestDelete:
    """`astraguard-store delete`."""

    def test_it_deletes_all_that_are_named(self, store: Path) -> None:
        result = run("delete", "r1", "r2", "r1", "--yes", "--results", store)

        assert result.exit_code == 0
        assert result.stdout == "deleted r1, r2\n"
        assert left(store) == ["r3", "r4"]
        assert not (store / "r1").exists()

    def test_json_names_them(self, store: Path) -> None:
        shape = run_json("delete", "r1", "--yes", "--results", store)

        assert set(shape) == {"results_dir", "database", "deleted"}
        assert shape["deleted"] == ["r1"]

    def test_if_one_is_not_there_none_is_deleted(self, store: Path) -> None:
        result = run("delete", "r1", "missing", "--yes", "--results", store)

        assert result.exit_code == 1
        assert_one_line(result, "missing")
        assert len(left(store)) == 4

    def test_without_a_terminal_it_needs_a_yes(self, store: Path) -> None:
        result = run("delete", "r1", "--results", store)

        assert result.exit_code == 2
        assert_one_line(result, "--yes")
        assert len(left(store)) == 4

    def test_a_yes_on_the_terminal_deletes(self, store: Path) -> None:
        code, written = asked_on_terminal("y", "delete", "r1", "--results", store)

        assert code == 0
        assert "Delete run 'r1' with all files? [y/N]" in written
        assert left(store) == ["r2", "r3", "r4"]

    @pytest.mark.parametrize("answer", ["n", ""])
    def test_a_no_on_the_terminal_does_not(self, store: Path, answer: str) -> None:
        code, written = asked_on_terminal(answer, "delete", "r1", "r2", "--results", store)

        assert code == 1
        assert "Delete 2 runs" in written
        assert "nothing is deleted" in written
        assert len(left(store)) == 4

    def test_old_folders_without_a_database_are_left_alone(self, old_tree: Path) -> None:
        result = run("delete", "wc-s2-60s", "--yes", "--results", old_tree)

        assert result.exit_code == 2
        assert_one_line(result, "astraguard-store import")
        assert (old_tree / "wc-s2-60s").is_dir()


class TestPrune:
    """`astraguard-store prune`."""

    def test_it_says_what_went_what_stayed_and_what_is_free(self, store: Path) -> None:
        result = run("prune", "--keep", "1", "--yes", "--results", store)

        assert result.exit_code == 0
        lines = result.stdout.splitlines()
        assert lines[:3] == ["gone     r4", "gone     r2", "pinned   r3"]
        assert lines[3].startswith("Deleted 2 runs and freed ")
        assert "1 pinned stays" in lines[3]
        assert left(store) == ["r1", "r3"]

    def test_both_limits_must_be_passed(self, store: Path) -> None:
        run("prune", "--keep", "1", "--older-than", "84h", "--yes", "--results", store)

        assert left(store) == ["r1", "r2", "r3"]

    def test_a_dry_run_changes_nothing_and_asks_nothing(self, store: Path) -> None:
        result = run("prune", "--older-than", "1d", "--dry-run", "--results", store)

        assert result.exit_code == 0
        assert result.stdout.startswith("would go r4\nwould go r2\nwould go r1\n")
        assert "Would delete 3 runs and free " in result.stdout
        assert len(left(store)) == 4

    @pytest.mark.parametrize("how", ["--dry-run", "--yes"])
    def test_json_holds_runs_and_bytes(self, store: Path, how: str) -> None:
        files = sum(path.stat().st_size for path in (store / "r4").iterdir())

        shape = run_json("prune", "--keep", "2", how, "--results", store)

        assert set(shape) == {
            "results_dir",
            "database",
            "dry_run",
            "deleted",
            "purged",
            "pinned",
            "unfinished",
            "file_bytes",
            "database_bytes",
            "freed_bytes",
            "not_compacted",
        }
        assert (shape["deleted"], shape["pinned"], shape["purged"]) == (["r4"], ["r3"], [])
        assert shape["file_bytes"] == files
        assert shape["freed_bytes"] == files + shape["database_bytes"]
        assert shape["dry_run"] == (how == "--dry-run")

    def test_only_measurements_are_deleted_when_asked(self, store: Path) -> None:
        with closing(sqlite3.connect(store / "astraguard.db")) as database, database:
            database.execute("INSERT INTO measurements VALUES ('r4', 0, 0, 1.7e9, 1.0, 0.0, 0)")

        result = run("prune", "--keep", "0", "--measurements-only", "--yes", "--results", store)

        assert "gone     measurements of r4" in result.stdout
        assert "Deleted measurements of 1 run and freed" in result.stdout
        assert len(left(store)) == 4

    def test_what_stays_must_be_said(self, store: Path) -> None:
        result = run("prune", "--yes", "--results", store)

        assert result.exit_code == 2
        assert_one_line(result, "--keep", "--older-than")

    @pytest.mark.parametrize("span", ["90", "d", "1.5d", "-3d", "9" * 9 + "w", "9" * 40 + "d"])
    def test_a_span_that_is_none_is_refused(self, store: Path, span: str) -> None:
        result = run("prune", f"--older-than={span}", "--yes", "--results", store)

        assert result.exit_code == 2
        assert_one_line(result, "--older-than", "90d")
        assert len(left(store)) == 4

    def test_without_a_terminal_it_needs_a_yes(self, store: Path) -> None:
        result = run("prune", "--keep", "0", "--results", store)

        assert result.exit_code == 2
        assert_one_line(result, "--yes")

    def test_it_asks_with_numbers(self, store: Path) -> None:
        code, written = asked_on_terminal("n", "prune", "--keep", "1", "--results", store)

        assert code == 1
        assert "Would delete 2 runs and free" in written
        assert "Do it? [y/N]" in written
        assert len(left(store)) == 4

    def test_a_yes_on_the_terminal_prunes(self, store: Path) -> None:
        code, written = asked_on_terminal("y", "prune", "--keep", "1", "--results", store)

        assert code == 0
        assert "Deleted 2 runs" in written
        assert left(store) == ["r1", "r3"]

    def test_interrupted_it_leaves_a_sound_store_with_the_newer_runs(self, results: Path) -> None:
        with RunRepository.open(results, durability="normal") as repository:
            repository.save_many((f"r{number:03}", recorded(2)) for number in range(400))
        pruning = command_line("prune", "--keep", "0", "--yes", "--results", results)

        with subprocess.Popen(pruning, stderr=subprocess.PIPE, text=True) as process:
            while (results / "r000").exists():
                time.sleep(0.001)
            process.send_signal(signal.SIGINT)
            _, complaint = process.communicate(timeout=60)

        with RunRepository.open(results, read_only=True) as repository:
            stayed = sorted(header.run_id for header in repository.recent(400))
            assert repository.check().is_sound
        assert process.returncode == 130
        assert "interrupted" in complaint
        assert "Traceback" not in complaint
        assert stayed == [f"r{number:03}" for number in range(400 - len(stayed), 400)]
        assert 0 < len(stayed) < 400

    def test_a_database_that_could_not_be_made_smaller_is_a_warning(
        self, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(compaction, "_WORTH_BYTES", -1)
        monkeypatch.setattr(compaction, "_PATIENCE_MS", 50)
        reader = sqlite3.connect(store / "astraguard.db", isolation_level=None)
        with closing(reader), RunRepository.open(store):
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM runs").fetchone()

            result = run("prune", "--keep", "0", "--yes", "--results", store)

        assert result.exit_code == 0
        assert result.stderr.startswith("astraguard-store: warning: the database was not made")
        assert result.stderr.count("\n") == 1
