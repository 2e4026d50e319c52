"""Questions of the benchmarks that don't leave their measuring to the harness."""

from __future__ import annotations

import subprocess
import sys
from itertools import accumulate, chain, repeat
from pathlib import Path

import pytest

from astraguard_store import RunRepository
from benchmarks.children import ROOT, run_child
from benchmarks.harness import Bench
from benchmarks.questions import record
from benchmarks.results import OURS, SEQUENTIAL
from benchmarks.workloads import Latency


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Give a quick benchmark with a folder of its own."""
    return Bench(tmp_path, quick=True)


class TestSlowestRecording:
    """A sample is one call's time, so that a pause shows."""

    ROWS: tuple[Latency, ...] = tuple(("SAT001", i * 0.1, 2.0) for i in range(50))

    def test_it_is_the_time_of_the_slowest_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        took = chain(repeat(300, 20), [9_000], repeat(300))
        # Read before and after each call; between two calls no time goes by.
        clock = accumulate(chain.from_iterable(zip(repeat(0), took, strict=False)))
        monkeypatch.setattr(record, "perf_counter_ns", lambda: next(clock))

        slowest = record.slowest_call([lambda *_: None], list(self.ROWS))

        assert slowest == 9_000 / 1e9

    def test_the_records_take_turns_until_the_rows_are_done(self) -> None:
        calls: list[tuple[str, Latency]] = []

        record.slowest_call(
            [lambda *row: calls.append(("a", row)), lambda *row: calls.append(("b", row))],
            list(self.ROWS),
        )

        assert calls == list(zip("ab" * 25, self.ROWS, strict=True))

    def test_the_section_has_both_collectors_and_nothing(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(record, "MEASUREMENTS", 100)

        section = record.ask_slowest(bench)

        assert (section.key, section.title) == ("record.slowest", "record, the slowest of 100")
        assert list(section.sides) == [OURS, record.LIVE, SEQUENTIAL, record.NOTHING]
        assert {side.samples for side in section.sides.values()} == {15}


class TestChildren:
    """Scripts of their own: without a test they would fail in a full benchmark only."""

    def test_first_save_saves_the_run(self, results: Path) -> None:
        with RunRepository.open(results) as repository:
            # Not by `run_child`: that would compile every library, its folder being new.
            script = (sys.executable, "-m", "benchmarks.children.first_save")
            subprocess.run([*script, results, "r1", "1000"], cwd=ROOT, check=True)

            assert repository.get("r1").total_measurements == 1_000

    def test_import_modules_imports_what_it_is_told(self, bench: Bench) -> None:
        run_child(bench, "import_modules", "csv", "wave")

    def test_a_child_that_fails_fails_the_benchmark(
        self, bench: Bench, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(subprocess.CalledProcessError):
            run_child(bench, "import_modules", "no_such_module")

        assert "no_such_module" in capfd.readouterr().err
