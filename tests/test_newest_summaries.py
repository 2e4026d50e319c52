"""The scan of many run folders: in batches, and what it does without statx."""

import ctypes
import os
import random
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import reference
from observing import FILE_SYSTEM_CALLS, in_child, profiled

from astraguard_store.artifacts import newest_summaries as scan
from astraguard_store.artifacts.file_times import BATCH, FileTimes
from astraguard_store.artifacts.scanner import newest_runs

MANY = 3 * BATCH + 7
NS = 1_000_000_000


def no_statx(*_: object, **__: object) -> None:
    raise OSError("no such library")


@pytest.fixture
def in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask even a few folders in batches."""
    monkeypatch.setattr(scan, "FEW", 0)


@pytest.fixture(params=["one by one", "in batches", "without statx"])
def each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scan in each of the ways there are."""
    monkeypatch.setattr(scan, "FEW", 1_000_000 if request.param == "one by one" else 0)
    if request.param == "without statx":
        monkeypatch.setattr(ctypes, "CDLL", no_statx)


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


def file_times(folder: int) -> FileTimes:
    times = FileTimes.of(folder)
    assert times is not None
    return times


class TestFileTimes:
    """The times that statx gives are those of `os.stat`."""

    @pytest.mark.parametrize(
        "modified_ns",
        [0, 1, NS - 1, -1, -NS - 1, 1_700_000_000_123_456_789, 2**31 * NS, 2**33 * NS + 7],
    )
    def test_a_time_is_exact(self, results: Path, folder: int, modified_ns: int) -> None:
        add_file(results / "run" / "file", modified_ns)

        found, failed = file_times(folder).not_before(-(2**63), ["run"], "file")

        assert {name: ns for ns, name in found} == by_stat(results, "file")
        assert failed == []

    def test_only_regular_files_have_one(self, results: Path, folder: int) -> None:
        add_file(results / "file" / "it", NS)
        (results / "folder" / "it").mkdir(parents=True)
        (results / "nothing").mkdir()
        (results / "link").mkdir()
        (results / "link" / "it").symlink_to(results / "file" / "it")
        (results / "dangling").mkdir()
        (results / "dangling" / "it").symlink_to("nowhere")
        (results / "pipe").mkdir()
        os.mkfifo(results / "pipe" / "it")
        (results / "no folder").touch()
        names = sorted(os.listdir(results))

        found, failed = file_times(folder).not_before(-(2**63), [*names, "not there"], "it")

        assert found == [(NS, "file")]
        assert failed == ["no folder", "nothing", "not there"]

    @pytest.mark.parametrize("name", [b"caf\xe9", "Läufe\n ☃".encode(), b" ", b"%s"])
    def test_a_name_is_any_bytes(self, results: Path, folder: int, name: bytes) -> None:
        add_file(results / os.fsdecode(name) / "it", NS)

        found, failed = file_times(folder).not_before(0, os.listdir(folder), "it")

        assert (found, failed) == ([(NS, os.fsdecode(name))], [])

    def test_an_answer_before_is_not_given_again(self, results: Path, folder: int) -> None:
        add_file(results / "run" / "it", NS)
        times = file_times(folder)

        assert times.not_before(0, ["run"], "it") == ([(NS, "run")], [])
        assert times.not_before(0, ["gone"], "it") == ([], ["gone"])
        assert times.not_before(0, [], "it") == ([], [])

    def test_older_files_are_left_out(self, results: Path, folder: int) -> None:
        for second in range(10):
            add_file(results / str(second) / "it", second * NS + 5)

        found, failed = file_times(folder).not_before(7 * NS + 5, [*"0123456789"], "it")

        assert (found, failed) == ([(second * NS + 5, str(second)) for second in (7, 8, 9)], [])

    def test_a_sandbox_that_forbids_statx_is_noticed(
        self, folder: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Library:
            def __init__(self, _: None) -> None:
                self.statx: Callable[..., int] = lambda *_: -1

        monkeypatch.setattr(ctypes, "CDLL", Library)

        assert FileTimes.of(folder) is None


class TestEachWay:
    """However the folders are asked, the answer is the same."""

    @pytest.mark.usefixtures("each_way")
    @pytest.mark.parametrize("limit", [1, 10, MANY - 1, MANY, 2 * MANY])
    def test_the_newest_are_those_of_stat(self, tree: Path, folder: int, limit: int) -> None:
        expected = sorted(((ns, name) for name, ns in by_stat(tree).items()), reverse=True)

        newest, seen = scan.newest_summaries(folder, limit)

        assert sorted(newest, reverse=True) == expected[:limit]
        assert seen == MANY

    @pytest.mark.usefixtures("each_way")
    def test_times_a_nanosecond_apart_are_told_apart(self, results: Path) -> None:
        base = 1_700_000_000 * NS
        for i in random.Random(2).sample(range(500), 500):
            add_file(results / f"run_{i:03}" / reference.SUMMARY, base + i)

        found = [name for _, name in newest_runs(results, 5)]

        assert found == ["run_499", "run_498", "run_497", "run_496", "run_495"]

    @pytest.mark.usefixtures("each_way")
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

        _, seen = scan.newest_summaries(folder, 10)
        found = [name for _, name in newest_runs(results, 4)]

        assert found == ["run_299", "run_298", "run_297", "run_296"]
        # The links to files: they are looked at, as the link to a folder without a plain one.
        assert seen == 300 + 5 + 1


class TestManyFolders:
    """What it costs."""

    @pytest.mark.usefixtures("in_batches")
    def test_one_question_a_folder(
        self, tree: Path, folder: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: Counter[bytes] = Counter()
        ask = FileTimes._ask

        def counted(times: FileTimes, paths: Sequence[bytes], flags: int) -> list[int]:
            asked.update(paths)
            return ask(times, paths, flags)

        monkeypatch.setattr(FileTimes, "_ask", counted)

        with profiled() as calls:
            scan.newest_summaries(folder, 10)

        # The empty path: whether there is statx.
        summaries = {os.fsencode(f"{name}/{reference.SUMMARY}") for name in os.listdir(tree)}
        assert asked == Counter({b"", *summaries})
        assert {name: n for name, n in calls.items() if name in FILE_SYSTEM_CALLS} == {
            "listdir": 1
        }

    def test_ctypes_is_imported_only_for_many(self, results: Path) -> None:
        add_file(results / "run" / reference.SUMMARY, NS)

        printed = in_child(
            """
            import sys
            from astraguard_store import MetricsStorage
            print(MetricsStorage.get_recent_runs(sys.argv[1]), "ctypes" in sys.modules)
            """,
            results,
        )

        assert printed.split() == ["['run']", "False"]
