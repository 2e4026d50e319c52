"""What a fresh process imports on its way: a runner that saves once pays for no more.

The imports are most of what a first save takes. `test_public_names.py` has the import
of the package alone.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from observing import in_child
from recordings import recorded

from astraguard_store import RunRepository

HEAVY = frozenset({"alembic", "polars", "numpy", "click", "rich", "astraguard_store.cli"})

# Three measurements a step; polars formats runs from 4,000 on.
SMALL = 1_333
LARGE = 1_334


def imported_by(program: str, results: Path) -> set[str]:
    """Return the heavy modules that a fresh process has imported when *program* is done."""
    beginning = "import sys\nfrom astraguard_store import *\nresults = sys.argv[1]\n"
    ending = "\nprint(*sys.modules)\n"
    return set(in_child(beginning + program + ending, results).split()) & HEAVY


@pytest.fixture
def store(results: Path) -> Path:
    """Give a store with the runs `a` and `b`."""
    with RunRepository.open(results) as repository:
        repository.save_many([("a", recorded(3)), ("b", recorded(4))])
    return results


class TestSaving:
    """Statistics need NumPy, large runs polars, and only a store that is new Alembic."""

    @staticmethod
    def saving(steps: int) -> str:
        return (
            "from recordings import recorded\n"
            f'MetricsStorage("run", results).save_latency_stats(recorded({steps}))\n'
        )

    def test_a_small_run_into_a_store_needs_numpy_alone(self, store: Path) -> None:
        assert imported_by(self.saving(SMALL), store) == {"numpy"}

    def test_a_large_run_needs_polars_too(self, store: Path) -> None:
        assert imported_by(self.saving(LARGE), store) == {"numpy", "polars"}

    def test_a_new_store_needs_alembic_too(self, results: Path) -> None:
        assert imported_by(self.saving(SMALL), results) == {"numpy", "alembic"}

    def test_a_small_run_with_all_that_can_be_said_of_it_needs_no_more(self, store: Path) -> None:
        saving = """
from recordings import recorded
with RunRepository.open(results, compression="gzip", keep_measurements="database") as repository:
    repository.save("run", recorded(3), provenance=Provenance(seed=7), tags={"pinned": ""})
    repository.save_many([("c", recorded(3)), ("d", recorded(3))])
"""
        assert imported_by(saving, store) == {"numpy"}


class TestReading:
    """Answers come from the database's rows as they are: no NumPy, no polars."""

    def test_get_recent_and_compare_need_none(self, store: Path) -> None:
        reading = """
with RunRepository.open(results) as repository:
    assert repository.get("a").satellites["SAT001"]["fault_detection"].count == 2
    assert len(repository.recent()) == 2
    assert repository.compare("a", "b").changes
    assert repository.compare("a", "b", by_satellite=True).changes
"""
        assert imported_by(reading, store) == set()

    def test_nor_do_they_of_metrics_storage(self, store: Path) -> None:
        reading = """
assert MetricsStorage.get_recent_runs(results) == ["b", "a"]
assert MetricsStorage("a", results).get_run_metrics()
assert MetricsStorage("a", results).compare_runs("b")["metrics"]
"""
        assert imported_by(reading, store) == set()


def test_recording_imports_nothing(results: Path) -> None:
    recording = """
collector = LatencyCollector()
before = set(sys.modules)
for i in range(5_000):
    collector.record_fault_detection("SAT001", i, 1.0)
    collector.record_missed("recovery_action", "SAT001", i, 1.0)
assert len(collector.measurements) == 10_000
assert set(sys.modules) == before, set(sys.modules) - before
"""
    assert imported_by(recording, results) == set()


@pytest.mark.parametrize(
    ("program", "unwanted"),
    [
        ("import astraguard_store", {"asyncio", "sqlalchemy", "numpy", "polars", "alembic"}),
        (
            "import astraguard_store as a; a.LatencyCollector().record_fault_detection('S', 0, 1)",
            {"sqlalchemy", "polars", "alembic"},
        ),
    ],
    ids=["the package", "the collector"],
)
def test_a_part_imports_no_more_than_it_needs(
    program: str, unwanted: set[str], results: Path
) -> None:
    imported = set(in_child(f"{program}\nimport sys\nprint(*sys.modules)", results).split())

    assert imported & unwanted == set()
