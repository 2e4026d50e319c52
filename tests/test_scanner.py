"""The scan of many run folders: the newest by file time, one question a folder."""

import os
import random
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import reference
from observing import FILE_SYSTEM_CALLS, profiled

from astraguard_store.artifacts.scanner import _newest_summaries, newest_runs

MANY = 775
NS = 1_000_000_000


@pytest.fixture
def tree(results: Path) -> Path:
    """Give 775 run folders that hold an empty summary, their times in no order."""
    times = random.Random(1).sample(range(10**15, 2 * 10**15), MANY)
    for i, modified_us in enumerate(times):
        add_file(results / f"run_{i}" / reference.SUMMARY, modified_us * 1000)
    return results


@pytest.fixture
def folder(results: Path) -> Iterator[int]:
    """Give a descriptor of the results folder."""
    results.mkdir(exist_ok=True)
    descriptor = os.open(results, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def add_file(path: Path, modified_ns: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, ns=(modified_ns, modified_ns))


def by_stat(results: Path, file_name: str = reference.SUMMARY) -> dict[str, int]:
    """Return {name: time in ns} of the regular files at *name*/*file_name*."""
    found = {}
    for name in os.listdir(results):
        try:
            status = os.lstat(results / name / file_name)
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            found[name] = status.st_mtime_ns
    return found


class TestNewest:
    """Which are the newest, and how many there are."""

    @pytest.mark.parametrize("limit", [1, 10, MANY - 1, MANY, 2 * MANY])
    def test_the_newest_are_those_of_stat(self, tree: Path, folder: int, limit: int) -> None:
        expected = sorted(((ns, name) for name, ns in by_stat(tree).items()), reverse=True)

        newest, seen = _newest_summaries(folder, limit)

        assert sorted(newest, reverse=True) == expected[:limit]
        assert seen == MANY

    def test_times_a_nanosecond_apart_are_told_apart(self, results: Path) -> None:
        base = 1_700_000_000 * NS
        for i in random.Random(2).sample(range(500), 500):
            add_file(results / f"run_{i:03}" / reference.SUMMARY, base + i)

        found = [name for _, name in newest_runs(results, 5)]

        assert found == ["run_499", "run_498", "run_497", "run_496", "run_495"]

    def test_compressed_summaries_count_and_links_do_not(self, results: Path, folder: int) -> None:
        for i in range(300):
            name = reference.SUMMARY + ("", ".gz", ".zst")[i % 3]
            add_file(results / f"run_{i}" / name, (1_000_000 + i) * NS + 1_000)
        for i in range(5):
            (results / f"empty_{i}").mkdir()
            (results / f"link_{i}").mkdir()
            (results / f"link_{i}" / reference.SUMMARY).symlink_to("../run_0/" + reference.SUMMARY)
            (results / f"file_{i}").touch()
        (results / "latest").symlink_to("run_299")

        _, seen = _newest_summaries(folder, 10)
        found = [name for _, name in newest_runs(results, 4)]

        assert found == ["run_299", "run_298", "run_297", "run_296"]
        # The links to files: they are looked at, as the link to a folder without a plain one.
        assert seen == 300 + 5 + 1


def test_the_file_system_is_asked_once_a_folder(tree: Path, folder: int) -> None:
    with profiled() as calls:
        _newest_summaries(folder, 10)

    asked = Counter({name: n for name, n in calls.items() if name in FILE_SYSTEM_CALLS})
    assert asked == Counter({"listdir": 1, "stat": len(os.listdir(tree))})
