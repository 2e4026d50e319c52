"""The peers of the benchmarks: each keeps what ours keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
from recordings import recorded

from astraguard_store import RunRepository
from benchmarks import peers

METRIC = "fault_detection"


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, peers.Peer]:
    """Give the peers that are installed here, each with two runs."""
    found = peers.installed_peers(tmp_path)
    for peer in found.values():
        peer.save("first", recorded(20))
        peer.save("second", recorded(40))
    return found


def test_those_that_need_nothing_more_are_always_there(installed: dict[str, peers.Peer]) -> None:
    assert {peers.PLAIN_SQLITE, peers.PARQUET, peers.DUCKDB} <= installed.keys()


def test_each_keeps_the_statistics_that_ours_keeps(installed: dict[str, peers.Peer]) -> None:
    with RunRepository.in_memory() as repository:
        repository.save("second", recorded(40))
        p95_ms = repository.get("second").metrics[METRIC].p95_ms

    for name, peer in installed.items():
        assert repr(p95_ms) in repr(peer.get("second")), name


def test_each_lists_the_newest_first(installed: dict[str, peers.Peer]) -> None:
    for name, peer in installed.items():
        listed = repr(peer.recent(10))

        assert 0 < listed.index("second") < listed.index("first"), name


def test_each_compares_what_both_runs_have(installed: dict[str, peers.Peer]) -> None:
    for name, peer in installed.items():
        assert METRIC in repr(peer.compare("first", "second")), name
