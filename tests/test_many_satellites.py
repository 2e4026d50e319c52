"""Ten thousand satellites with odd names: in the rows, in both files, and back again."""

from __future__ import annotations

from pathlib import Path

import pytest
import reference
from recordings import rows_of

from astraguard_store import LatencyCollector, RunRepository

SATELLITES = 10_000
ODD = ["{}", "{},1", '"{}"', "=cmd({})", "{}\r\n", "{}\n", "'{}", "衛星{}", " {} ", "{}\\"]
NAMES = [ODD[number % len(ODD)].format(number) for number in range(SATELLITES)]


@pytest.fixture
def swarm() -> LatencyCollector:
    """Give a collector with two measurements of each satellite."""
    collector = LatencyCollector()
    for step in range(2):
        for number, name in enumerate(NAMES):
            collector.record_fault_detection(name, float(step), 1.0 + number % 97 + step)
    return collector


@pytest.mark.parametrize("safe_csv", [False, True])
def test_they_come_back_from_the_database_and_from_the_folders(
    results: Path, swarm: LatencyCollector, safe_csv: bool
) -> None:
    with RunRepository.open(results, safe_csv=safe_csv) as repository:
        saved = repository.save("swarm", swarm)
        by_satellite = repository.compare("swarm", "swarm", by_satellite=True)
    for path in results.glob("astraguard.db*"):
        path.unlink()
    with RunRepository.open(results, read_only=True) as folders:
        read = folders.get("swarm")

    assert list(saved.satellites) == NAMES
    assert {change.satellite_id for change in by_satellite.changes} == set(NAMES)
    assert list(read.satellites) == NAMES
    assert read.satellites[NAMES[-1]]["fault_detection"].max_ms == 1.0 + 9_999 % 97 + 1


def test_their_csv_is_what_csv_writer_gives(results: Path, swarm: LatencyCollector) -> None:
    with RunRepository.open(results) as repository:
        repository.save("swarm", swarm)

    written = (results / "swarm" / reference.RAW).read_bytes()

    assert written == reference.csv_bytes(rows_of(swarm))
