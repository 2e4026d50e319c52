"""Tags: set with a save, changed later, kept by a save that comes after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import assert_one_line, run, run_json
from recordings import recorded

from astraguard_store import RunRepository
from astraguard_store.exceptions import InvalidRunError, ReadOnlyStoreError, RunNotFoundError


@pytest.fixture
def store(results: Path) -> Iterator[RunRepository]:
    """Give a run with two tags."""
    with RunRepository.open(results) as repository:
        repository.save("run_001", recorded(4), tags={"nightly": "green", "bench": "2"})
        yield repository


class TestSetting:
    """`set_tags` changes what is named, and nothing else."""

    def test_a_tag_is_added_to_the_others(self, store: RunRepository) -> None:
        run = store.set_tags("run_001", {"pinned": ""})

        assert run.tags == {"bench": "2", "nightly": "green", "pinned": ""}

    def test_a_value_is_replaced(self, store: RunRepository) -> None:
        store.set_tags("run_001", {"nightly": "red"})

        assert store.get("run_001").tags["nightly"] == "red"

    def test_none_removes_a_tag(self, store: RunRepository) -> None:
        run = store.set_tags("run_001", {"nightly": None})

        assert run.tags == {"bench": "2"}

    def test_removing_what_is_not_there_is_no_error(self, store: RunRepository) -> None:
        assert len(store.set_tags("run_001", {"missing": None}).tags) == 2

    def test_the_revision_stays(self, store: RunRepository) -> None:
        assert store.set_tags("run_001", {"pinned": ""}).revision == 1

    def test_another_repository_sees_them(self, store: RunRepository, results: Path) -> None:
        with RunRepository.open(results, read_only=True) as reader:
            assert "pinned" not in reader.get("run_001").tags

            store.set_tags("run_001", {"pinned": ""})

            assert "pinned" in reader.get("run_001").tags


class TestSavingAgain:
    """A save replaces the run, and only sets the tags that it is given."""

    def test_tags_stay(self, store: RunRepository) -> None:
        run = store.save("run_001", recorded(5))

        assert run.tags == {"bench": "2", "nightly": "green"}

    def test_a_tag_of_the_save_is_set(self, store: RunRepository) -> None:
        run = store.save("run_001", recorded(5), tags={"nightly": "red"})

        assert run.tags == {"bench": "2", "nightly": "red"}
        assert store.get("run_001").tags == run.tags

    def test_a_deleted_run_leaves_no_tags_to_the_next_of_its_name(
        self, store: RunRepository
    ) -> None:
        store.delete("run_001")

        assert store.save("run_001", recorded(5)).tags == {}


class TestRefused:
    """What can't be stored changes nothing."""

    @pytest.mark.parametrize(
        "tags", [{"": "x"}, {"a": "\0"}, {"a": 3}, {"x" * 256: ""}, {"\ud800": None}], ids=repr
    )
    def test_a_tag_that_cannot_be_stored(self, store: RunRepository, tags: dict[str, Any]) -> None:
        with pytest.raises(InvalidRunError):
            store.set_tags("run_001", {"good": "1", **tags})

        assert "good" not in store.get("run_001").tags

    def test_a_run_that_is_not_there(self, store: RunRepository) -> None:
        with pytest.raises(RunNotFoundError):
            store.set_tags("missing", {"a": ""})

    def test_what_is_no_mapping_is_refused_by_name(self, store: RunRepository) -> None:
        tags: Any = ["a"]

        with pytest.raises(InvalidRunError, match=r"Invalid tags \['a'\]: a mapping"):
            store.set_tags("run_001", tags)
        with pytest.raises(InvalidRunError, match=r"Invalid tags \['a'\]: a mapping"):
            store.save("run_002", recorded(2), tags=tags)

    @pytest.mark.usefixtures("store")
    def test_a_repository_for_reading(self, results: Path) -> None:
        with (
            RunRepository.open(results, read_only=True) as reader,
            pytest.raises(ReadOnlyStoreError),
        ):
            reader.set_tags("run_001", {"a": ""})


@pytest.mark.usefixtures("store")
class TestCommand:
    """`astraguard-store tag`."""

    def test_without_changes_it_lists(self, results: Path) -> None:
        result = run("tag", "run_001", "--results", results)

        assert result.exit_code == 0
        assert result.stdout.splitlines() == ["bench=2", "nightly=green"]

    def test_it_sets_and_removes_at_a_time(self, results: Path) -> None:
        result = run(
            "tag", "run_001", "pinned", "url=a=b", "--remove", "bench", "--results", results
        )

        assert result.stdout.splitlines() == ["nightly=green", "pinned", "url=a=b"]

    def test_json_holds_the_tags(self, results: Path) -> None:
        shape = run_json("tag", "run_001", "pinned", "--results", results)

        assert set(shape) == {"results_dir", "answers_from", "run_id", "tags"}
        assert shape["tags"] == {"bench": "2", "nightly": "green", "pinned": ""}

    def test_a_run_without_tags_says_so(self, results: Path) -> None:
        result = run(
            "tag", "run_001", "--remove", "bench", "--remove", "nightly", "--results", results
        )

        assert result.stdout == "run_001 has no tags.\n"

    def test_a_tag_named_twice_is_refused(self, results: Path) -> None:
        result = run("tag", "run_001", "a=1", "--remove", "a", "--results", results)

        assert result.exit_code == 2
        assert_one_line(result, "'a'", "twice")

    def test_an_empty_name_is_refused(self, results: Path) -> None:
        result = run("tag", "run_001", "=1", "--results", results)

        assert result.exit_code == 2
        assert_one_line(result, "tag: must be non-empty string, not ''")

    @pytest.mark.parametrize("changes", [[], ["pinned"]])
    def test_a_run_that_is_not_there_is_a_no(self, results: Path, changes: list[str]) -> None:
        result = run("tag", "missing", *changes, "--results", results)

        assert result.exit_code == 1
        assert_one_line(result, "missing")


def test_setting_a_tag_makes_no_database_of_old_folders(old_tree: Path) -> None:
    result = run("tag", "wc-s2-60s", "pinned", "--results", old_tree)

    assert result.exit_code == 2
    assert_one_line(result, "astraguard-store import")
    assert not (old_tree / "astraguard.db").exists()
