"""The commands `export` and `merge`, and what `import` says with several processes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import polars as pl
import pytest
import reference
from command_line import run, run_json
from recordings import recorded

from astraguard_store import Provenance, RunRepository


@pytest.fixture
def store(results: Path) -> Path:
    """Give a store with three runs, two of them of a scenario."""
    eclipse = Provenance(scenario="eclipse")
    with RunRepository.open(results) as repository:
        repository.save("a", recorded(4), provenance=eclipse)
        repository.save("b", recorded(5), provenance=eclipse, tags={"rig": "2"})
        repository.save("c", recorded(6))
    return results


@pytest.fixture
def rig(tmp_path: Path, store: Path) -> Path:
    """Give the store of another rig: one run of its own, one that both have, one in conflict."""
    with RunRepository.open(tmp_path / "rig") as repository:
        repository.merge(store)
        repository.delete("b")
        repository.save("c", recorded(7))
        repository.save("d", recorded(8))
    return tmp_path / "rig"


class TestExport:
    """`astraguard-store export`."""

    def test_it_says_what_it_made(self, store: Path, tmp_path: Path) -> None:
        result = run("export", "a", "c", "--to", tmp_path / "out.zip", "--results", store)

        assert result.exit_code == 0
        assert result.stdout.startswith(f"{tmp_path / 'out.zip'}: 2 runs, 4 files, ")
        assert zipfile.is_zipfile(tmp_path / "out.zip")

    def test_json(self, store: Path, tmp_path: Path) -> None:
        target = tmp_path / "out.parquet"

        shape = run_json("export", "a", "--to", target, "--results", store)

        assert shape == {
            "results_dir": str(store),
            "answers_from": "database",
            "target": str(target),
            "runs": 1,
            "files": 1,
            "bytes": target.stat().st_size,
        }

    @pytest.mark.parametrize(
        ("chosen", "expected"),
        [
            (["--all"], ["a", "b", "c"]),
            (["--scenario", "eclipse"], ["a", "b"]),
            (["--scenario", "eclipse", "--tag", "rig=2"], ["b"]),
            (["--since", "1d"], ["a", "b", "c"]),
        ],
        ids=str,
    )
    def test_runs_are_chosen_by_filters(
        self, store: Path, tmp_path: Path, chosen: list[str], expected: list[str]
    ) -> None:
        result = run("export", *chosen, "--to", tmp_path / "out.parquet", "--results", store)

        assert result.exit_code == 0
        found = pl.read_parquet(tmp_path / "out.parquet")["run_id"].unique().sort()
        assert found.to_list() == expected

    @pytest.mark.parametrize("chosen", [[], ["a", "--all"], ["--all", "--tag", "rig"]], ids=str)
    def test_what_to_export_is_said_in_one_way(
        self, store: Path, tmp_path: Path, chosen: list[str]
    ) -> None:
        result = run("export", *chosen, "--to", tmp_path / "out", "--results", store)

        assert result.exit_code == 2
        assert "one of the three" in result.stderr

    def test_filters_that_no_run_passes_are_answered_with_1(
        self, store: Path, tmp_path: Path
    ) -> None:
        result = run("export", "--tag", "x", "--to", tmp_path / "out", "--results", store)

        assert result.exit_code == 1
        assert "there are no such runs" in result.stderr
        assert not (tmp_path / "out").exists()

    def test_a_run_that_is_not_there_is_answered_with_1(self, store: Path, tmp_path: Path) -> None:
        result = run("export", "nobody", "--to", tmp_path / "out", "--results", store)

        assert result.exit_code == 1
        assert "nobody" in result.stderr

    def test_a_target_that_is_there_is_an_error(self, store: Path, tmp_path: Path) -> None:
        result = run("export", "--all", "--to", tmp_path, "--results", store)

        assert result.exit_code == 2
        assert "is there already" in result.stderr

    @pytest.mark.parametrize("name", ["x.tar.gz", "x.csv", "x.TGZ"])
    def test_a_kind_that_it_cannot_make_is_an_error(
        self, store: Path, tmp_path: Path, name: str
    ) -> None:
        result = run("export", "--all", "--to", tmp_path / name, "--results", store)

        assert result.exit_code == 2
        assert "a folder, FILE.zip or FILE.parquet" in result.stderr
        assert not (tmp_path / name).exists()

    def test_a_folder_may_have_a_dot_in_its_name(self, store: Path, tmp_path: Path) -> None:
        result = run("export", "--all", "--to", tmp_path / "runs.2026-03", "--results", store)

        assert result.exit_code == 0
        assert (tmp_path / "runs.2026-03" / "a").is_dir()


class TestMerge:
    """`astraguard-store merge`."""

    def test_it_says_what_it_did_and_why_not(self, store: Path, rig: Path) -> None:
        result = run("merge", rig, "--results", store)

        assert result.exit_code == 1
        lines = [line.split()[:3] for line in result.stdout.splitlines()]
        assert lines[:4] == [
            ["merged", "1"],
            ["skipped", "1", "(here"],
            ["conflicts", "1", "(another"],
            ["refused", "0"],
        ]
        assert ["c", "conflict", "another"] in lines

    def test_json(self, store: Path, rig: Path) -> None:
        shape = run_json("merge", rig, "--results", store)

        ((conflict,), shape["conflicts"]) = shape["conflicts"], []
        assert conflict["run_id"] == "c"
        assert set(conflict) == {"run_id", "reason"}
        assert shape == {
            "results_dir": str(store),
            "database": str(store / "astraguard.db"),
            "other": str(rig),
            "merged": ["d"],
            "skipped": ["a"],
            "conflicts": [],
            "refused": [],
            "without_files": [],
        }

    def test_without_a_conflict_it_ends_with_0(self, rig: Path, tmp_path: Path) -> None:
        result = run("merge", rig, "--results", tmp_path / "all_rigs")

        assert result.exit_code == 0
        assert "merged    3" in result.stdout

    def test_it_says_that_it_made_a_store(self, rig: Path, tmp_path: Path) -> None:
        first = run("merge", rig, "--results", tmp_path / "all_rigs")
        second = run("merge", rig, "--results", tmp_path / "all_rigs")

        assert f"there was no store in {tmp_path / 'all_rigs'}" in first.stderr
        assert second.stderr == ""

    def test_a_refused_run_ends_it_with_1(self, rig: Path, tmp_path: Path) -> None:
        (rig / "d" / reference.RAW).write_text("torn")

        result = run("merge", rig, "--results", tmp_path / "all_rigs")

        assert result.exit_code == 1
        assert "d/latency_raw.csv was changed" in result.stdout

    def test_it_names_the_runs_that_came_without_files(self, rig: Path, tmp_path: Path) -> None:
        with RunRepository.open(rig) as repository:
            repository.back_up(tmp_path / "rig.db")

        result = run("merge", tmp_path / "rig.db", "--results", tmp_path / "all_rigs")

        assert result.exit_code == 0
        assert "3 runs came without measurements" in result.stdout
        assert "a, c, d" in result.stdout

    def test_a_store_that_is_not_there_makes_nothing(self, tmp_path: Path) -> None:
        result = run("merge", tmp_path / "typo", "--results", tmp_path / "all_rigs")

        assert result.exit_code == 2
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_without_a_store_makes_nothing_either(self, tmp_path: Path) -> None:
        (tmp_path / "plots").mkdir()

        result = run("merge", tmp_path / "plots", "--results", tmp_path / "all_rigs")

        assert result.exit_code == 2
        assert "astraguard-store import" in result.stderr
        assert not (tmp_path / "all_rigs").exists()

    def test_a_zip_is_to_be_unpacked_and_imported(self, store: Path, tmp_path: Path) -> None:
        run("export", "--all", "--to", tmp_path / "runs.zip", "--results", store)

        result = run("merge", tmp_path / "runs.zip", "--results", tmp_path / "all_rigs")

        assert result.exit_code == 2
        assert "unpack it into a new folder, `astraguard-store import" in result.stderr
        assert not (tmp_path / "all_rigs").exists()

    def test_itself_is_an_error(self, store: Path) -> None:
        result = run("merge", store, "--results", store)

        assert result.exit_code == 2
        assert "this store itself" in result.stderr


class TestImport:
    """`astraguard-store import --jobs`."""

    def test_it_says_how_many_folders_are_no_runs(self, old_tree: Path) -> None:
        (old_tree / "plots").mkdir()

        result = run("import", "--results", old_tree, "--jobs", "2")

        assert result.exit_code == 0
        assert "ignored  1  (folders without a summary)" in result.stdout

    def test_json_says_so_too(self, old_tree: Path) -> None:
        (old_tree / "plots").mkdir()

        assert run_json("import", "--results", old_tree)["ignored"] == 1

    def test_no_jobs_are_a_usage_error(self, old_tree: Path) -> None:
        assert run("import", "--results", old_tree, "--jobs", "0").exit_code == 2
