"""Run by check_wheel.sh with only the wheel installed: save, read, list, compare, delete."""

import tempfile
from importlib.metadata import files
from pathlib import Path

import astraguard_store
from astraguard_store import LatencyCollector, MetricsStorage, RunRepository


def check_nothing_else_is_packed() -> None:
    """The wheel holds the package with its migrations, and neither tests nor benchmarks."""
    tops = {Path(str(file)).parts[0] for file in files("astraguard-store") or []}
    assert {top for top in tops if not top.startswith(("astraguard_store", ".."))} == set(), tops
    package = Path(astraguard_store.__file__).parent
    assert (package / "py.typed").is_file()
    assert (package / "migrations" / "versions" / "0001_runs.py").is_file()


def check_a_run_comes_back(results: Path) -> None:
    """A store is created by the packed migrations, and answers."""
    collector = LatencyCollector()
    for tick in range(5_000):
        collector.record_fault_detection("SAT001", tick / 10, 1.0 + tick % 7)
    with RunRepository.open(results) as repository:
        saved = repository.save("run_001", collector)
        repository.save("run_002", collector)
        assert repository.get("run_001") == saved
        assert [run.run_id for run in repository.recent()] == ["run_002", "run_001"]
        change = repository.compare("run_001", "run_002").change("fault_detection")
        assert change.mean_ms.difference == 0.0
        repository.delete("run_002")
    metrics = MetricsStorage("run_001", results).get_run_metrics()
    assert metrics is not None
    assert metrics["total_measurements"] == 5_000


check_nothing_else_is_packed()
with tempfile.TemporaryDirectory() as folder:
    check_a_run_comes_back(Path(folder) / "results")
