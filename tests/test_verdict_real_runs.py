"""Real runs, one against one, without provenance: none false, what is beyond twice found.

`summaries/` are the summary files of 14 runs that the file-based storage wrote. Those
named a-… drew their durations from one distribution, whatever was flown; those named wc-…
are wall-clock times. heur-1 and heur-2 are one set-up, and iforest-1 a slower detector.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import combinations, permutations
from pathlib import Path

import pytest

from astraguard_store import GateReport, RunRepository

SUMMARIES = Path(__file__).with_name("summaries")
DRAWN = sorted(path.name for path in SUMMARIES.iterdir() if path.name.startswith(("a-", "2026")))
HEURISTIC = ("wc-s5-600s-heur-1", "wc-s5-600s-heur-2")
MEASURED = sorted(path.name for path in SUMMARIES.glob("wc-*"))


@pytest.fixture(scope="module")
def real_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunRepository]:
    """Adopt the runs."""
    results = tmp_path_factory.mktemp("real") / "results"
    shutil.copytree(SUMMARIES, results)
    with RunRepository.open(results) as repository:
        yield repository


def medians(report: GateReport) -> list[float]:
    """Give by which factor each median changed."""
    return [1 + (cell.change or 0.0) for cell in report.cells if cell.statistic == "p50"]


def test_runs_of_one_distribution_are_never_called_changed(real_runs: RunRepository) -> None:
    verdicts = {pair: real_runs.gate(pair[1], pair[0]).verdict for pair in permutations(DRAWN, 2)}

    assert len(verdicts) == 42
    assert {pair for pair, verdict in verdicts.items() if verdict != "inconclusive"} == set()


@pytest.mark.parametrize("pair", list(permutations(HEURISTIC)), ids="-".join)
def test_the_same_set_up_twice_is_not_called_changed(
    real_runs: RunRepository, pair: tuple[str, str]
) -> None:
    assert real_runs.gate(pair[1], pair[0]).verdict == "inconclusive"


@pytest.mark.parametrize("before", HEURISTIC)
def test_the_slower_detector_is_found(real_runs: RunRepository, before: str) -> None:
    report = real_runs.gate("wc-s5-600s-iforest-1", before)

    assert report.verdict == "regressed"
    assert report.cell("fault_detection", "p50") in report.regressed
    assert report.rests_on_assumed_noise


def test_whatever_is_beyond_the_bound_of_assumed_noise_is_found(
    real_runs: RunRepository,
) -> None:
    """It is a factor of 2.1 for the medians of two metric types."""
    pairs = list(permutations(MEASURED, 2))
    reports = {pair: real_runs.gate(pair[1], pair[0]) for pair in pairs}

    slower = {pair for pair in pairs if max(medians(reports[pair])) > 2.1}
    found = {pair for pair in pairs if reports[pair].verdict == "regressed"}

    assert len(slower) > len(list(combinations(MEASURED, 2))) / 2
    assert slower <= found
    assert all(max(medians(reports[pair])) > 2 for pair in found)
