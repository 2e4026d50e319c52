"""How often a verdict is wrong, and what it finds: drawn runs of which the truth is known.

The seeds are fixed, so the counts are always the same; the bounds are those that are
promised, and leave room for another seed.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from verdict_runs import drawn, drifting, slowed

from astraguard_store import Limits
from astraguard_store.verdict.calibration import calibrate_pool, largest_rate
from astraguard_store.verdict.change_points import HistoryPoint, find_change_points
from astraguard_store.verdict.gate import judge_sides
from astraguard_store.verdict.missed import Counts, judge_missed
from astraguard_store.verdict.sides import Sides, by_start

DRAWS = 150


def verdicts(
    k: int, m: int, factor: float, *, reference: bool = True, bursts: float = 0.0
) -> Counter[str]:
    """Count the verdicts on so many draws."""
    draw = random.Random(f"{k} {m} {factor} {reference} {bursts}")
    return Counter(
        judge_sides(
            drawn(draw, k, m, factor, reference=reference, bursts=bursts), Limits()
        ).verdict
        for _ in range(DRAWS)
    )


@pytest.mark.parametrize("bursts", [0.0, 0.1], ids=["", "bursts"])
@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize(("k", "m"), [(5, 1), (10, 1), (5, 3), (10, 3), (10, 5)])
def test_unchanged_runs_are_rarely_called_anything_else(
    k: int, m: int, reference: bool, bursts: float
) -> None:
    found = verdicts(k, m, 1.0, reference=reference, bursts=bursts)

    # 5 % and 1 %, and what 150 draws of such a share may give.
    assert found["regressed"] <= 12
    assert found["improved"] <= 3


@pytest.mark.parametrize("factor", [1.06, 1.1, 1.2])
@pytest.mark.parametrize(("k", "m"), [(5, 1), (5, 3), (10, 3), (10, 5)])
def test_runs_that_look_faster_by_chance_are_not_equivalent(k: int, m: int, factor: float) -> None:
    found = verdicts(k, m, factor, reference=False, bursts=0.1)

    assert found["equivalent"] + found["improved"] <= 1


@pytest.mark.parametrize(
    ("factor", "least"), [(1.1, 0.40), (1.2, 0.80), (1.5, 0.97)], ids=["10 %", "20 %", "50 %"]
)
@pytest.mark.parametrize(("k", "m"), [(5, 3), (10, 3), (10, 5)])
def test_with_a_reference_slowdowns_are_found(k: int, m: int, factor: float, least: float) -> None:
    found = verdicts(k, m, factor)

    assert found["regressed"] >= least * DRAWS
    assert found["equivalent"] == 0


def test_without_a_reference_half_as_slow_again_is_found() -> None:
    assert verdicts(10, 5, 1.5, reference=False)["regressed"] >= 0.8 * DRAWS


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize(("k", "m"), [(5, 1), (5, 3), (10, 3)])
def test_what_is_found_with_80_percent_is_found_so_often(k: int, m: int, reference: bool) -> None:
    draw = random.Random(f"{k} {m} {reference}")
    limits = Limits(statistics=("p50",))
    found = 0
    for _ in range(DRAWS):
        drawn_sides = drawn(draw, k, m, 1.0, reference=reference, bursts=0.1)
        size = calibrate_pool(replace(drawn_sides, candidate=()), limits, m)
        assert size.detectable is not None
        candidate = tuple(slowed(one, 1 + size.detectable) for one in drawn_sides.candidate)
        report = judge_sides(replace(drawn_sides, candidate=candidate), limits)
        found += report.cell(size.cells[0].metric_type, "p50").verdict == "regressed"

    assert 0.7 * DRAWS <= found <= 0.9 * DRAWS


def test_ten_times_the_missed_events_are_found_and_as_many_are_not() -> None:
    draw = random.Random(3)

    def counts(runs: int, share: float) -> list[Counts]:
        found = []
        for _ in range(runs):
            of_run = share * draw.gammavariate(4, 0.25)
            found.append(Counts(sum(draw.random() < of_run for _ in range(600)), 600))
        return found

    def regressed(share: float) -> int:
        return sum(
            judge_missed(
                "fault_detection", None, counts(10, 0.005), counts(3, share), allowed=0, tail=0.025
            ).verdict
            == "regressed"
            for _ in range(40)
        )

    assert regressed(0.05) >= 36
    assert regressed(0.005) <= 3


def test_leaving_one_out_of_quiet_runs_gives_few_false_alarms_and_their_bound() -> None:
    pool = Sides(by_start(drifting(random.Random(2), 20)), ())

    found = calibrate_pool(pool, Limits(), 3)

    assert found.tries == 20
    assert found.false_alarms <= 3
    assert found.false_alarm_bound == largest_rate(found.false_alarms, 20)
    assert all(cell.detectable_with_reference is None for cell in found.cells)


def test_none_of_20_leaves_14_percent() -> None:
    assert largest_rate(0, 20) == pytest.approx(0.139, abs=0.001)
    assert largest_rate(20, 20) == 1.0


def test_a_calibration_says_what_a_reference_would_bring() -> None:
    pool = Sides(by_start(drifting(random.Random(2), 10)), ())

    found = calibrate_pool(replace(pool, reference=None), Limits(), 3)

    assert all(
        cell.detectable_with_reference is not None
        and cell.detectable_with_reference < cell.detectable
        for cell in found.cells
    )


def test_a_reference_that_is_there_is_not_asked_for() -> None:
    runs = by_start(drifting(random.Random(2), 6, drift=0.3))
    few = Sides(runs[:5], ())

    size = calibrate_pool(few, Limits(), 1)
    report = judge_sides(replace(few, candidate=runs[5:]), Limits())

    # Five runs and one are too few for a slope; it is not for want of a reference.
    assert all(cell.detectable_with_reference is None for cell in size.cells)
    settling = [cell.settling for cell in report.cells if cell.settling]
    assert [one.with_reference for one in settling] == [None] * len(settling) != []


class TestChangePoints:
    """Steps in a history."""

    @staticmethod
    def history(draw: random.Random, levels: list[float], noise: float) -> list[HistoryPoint]:
        return [
            HistoryPoint(f"run_{n:03}", n * 1_000_000, level * draw.lognormvariate(0, noise))
            for n, level in enumerate(levels)
        ]

    def test_a_history_without_a_step_has_none(self) -> None:
        draw = random.Random(4)
        histories = [self.history(draw, [1.0] * 60, 0.1) for _ in range(40)]

        assert sum(len(find_change_points(history)) for history in histories) <= 2

    def test_a_step_of_20_percent_is_found_where_it_is(self) -> None:
        draw = random.Random(5)
        for _ in range(20):
            history = self.history(draw, [1.0] * 30 + [1.2] * 30, 0.03)

            (point,) = find_change_points(history)

            assert abs(int(point.run_id[4:]) - 30) <= 1
            assert point.change == pytest.approx(0.2, abs=0.05)
            assert (point.runs_before + point.runs_after, point.p_value < 1e-4) == (60, True)

    def test_a_step_shows_once_it_has_four_runs(self) -> None:
        draw = random.Random(6)
        history = self.history(draw, [1.0] * 30 + [1.5] * 4, 0.02)

        assert find_change_points(history[:31]) == ()
        assert [point.run_id for point in find_change_points(history)] == ["run_030"]

    def test_single_outliers_are_no_step(self) -> None:
        draw = random.Random(7)
        levels = [5.0 if n in (9, 20, 33) else 1.0 for n in range(40)]

        assert find_change_points(self.history(draw, levels, 0.03)) == ()

    def test_a_step_below_5_percent_is_not_told(self) -> None:
        draw = random.Random(8)

        assert find_change_points(self.history(draw, [1.0] * 40 + [1.04] * 40, 0.005)) == ()
