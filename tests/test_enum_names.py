"""Members of a string enum name runs and satellites by their value, as csv and json write them."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import reference
from recordings import recorded

from astraguard_store import (
    InvalidRunError,
    LatencyCollector,
    LatencyMeasurement,
    MetricsStorage,
    RunRepository,
)


class Run(str, enum.Enum):  # noqa: UP042 - its str() is the matter
    """Runs of a test plan; str() of one is "Run.A"."""

    A = "run_a"
    B = "run_b"


class Satellite(str, enum.Enum):  # noqa: UP042 - as above
    """Satellites of a rig."""

    ONE = "SAT001"


CALLS: dict[str, Callable[[RunRepository, str], object]] = {
    "get": lambda repository, run: repository.get(run),
    "compare": lambda repository, run: repository.compare(run, run),
    "read_document": lambda repository, run: repository.read_document(run),
    "measurements": lambda repository, run: repository.measurements(run).rows(),
    "set_tags": lambda repository, run: repository.set_tags(run, {"pinned": ""}),
    "purge_measurements": lambda repository, run: repository.purge_measurements(run),
}


def test_a_run_has_its_value_for_a_name_and_a_folder(results: Path) -> None:
    with RunRepository.open(results) as repository:
        saved = repository.save(Run.A, recorded(3))

        assert type(saved.run_id) is str
        assert saved == repository.get("run_a")
        assert repository.check().is_sound
    assert "run_a" in os.listdir(results)
    assert "Run.A" not in os.listdir(results)


@pytest.mark.parametrize("call", CALLS)
def test_a_call_takes_it_for_its_value(results: Path, call: str) -> None:
    with RunRepository.open(results, keep_measurements="database") as repository:
        repository.save("run_a", recorded(3))

        by_member = CALLS[call](repository, Run.A)
        if call == "purge_measurements":
            repository.save("run_a", recorded(3))

        assert by_member == CALLS[call](repository, "run_a")


def test_a_deletion_takes_its_folder(results: Path) -> None:
    with RunRepository.open(results) as repository:
        repository.save("run_a", recorded(3))

        repository.delete(Run.A)

    assert not (results / "run_a").exists()


@pytest.mark.parametrize("call", ["get", "compare", "measurements"])
def test_run_folders_answer_for_it(old_tree: Path, call: str) -> None:
    class Old(str, enum.Enum):  # noqa: UP042 - as above
        RUN = "wc-s2-60s"

    with RunRepository.open(old_tree, read_only=True) as repository:
        assert CALLS[call](repository, Old.RUN) == CALLS[call](repository, Old.RUN.value)


def test_a_member_and_its_value_name_one_run_twice(results: Path) -> None:
    with (
        RunRepository.open(results) as repository,
        pytest.raises(InvalidRunError, match="'run_a': it is named twice"),
    ):
        repository.save_many([("run_a", recorded(3)), (Run.A, recorded(3))])


def test_the_drop_in_has_its_value_for_a_folder(results: Path) -> None:
    storages = {run: MetricsStorage(run, results) for run in Run}
    for storage in storages.values():
        storage.save_latency_stats(recorded(3))

    assert storages[Run.A].metrics_dir == results / "run_a"
    assert set(storages[Run.A].compare_runs(Run.B)["metrics"]) > {"fault_detection"}
    assert sorted(name for name in os.listdir(results) if "un" in name) == ["run_a", "run_b"]


def test_a_satellite_has_its_value_for_a_name(results: Path) -> None:
    collector = LatencyCollector()
    collector.record_fault_detection(Satellite.ONE, 0.0, 1.0)
    collector.record_fault_detection("SAT001", 0.1, 1.0)
    measured = LatencyMeasurement(0.0, "fault_detection", Satellite.ONE, 1.0, 0.0)
    with RunRepository.open(results) as repository:
        repository.save("recorded", collector)
        repository.save("own", SimpleNamespace(measurements=[measured]))

        satellites = [list(repository.get(run).satellites) for run in ("recorded", "own")]

    assert satellites == [["SAT001"], ["SAT001"]]
    assert ",SAT001," in (results / "own" / reference.RAW).read_text(encoding="utf-8")
