"""The rule: hand-computed cases, what it must not depend on, and what is never said."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from verdict_runs import KEY, WAS, drifting, of_medians, run, sides, slowed, summary

from astraguard_store import AtLeast, GateError, GateReport, Limits, Provenance
from astraguard_store.model import rank_of, with_bounds
from astraguard_store.verdict.cells import df_of_test
from astraguard_store.verdict.deadlines import Violations, effective_trials, judge_deadline
from astraguard_store.verdict.gate import judge_sides
from astraguard_store.verdict.missed import Counts, judge_missed
from astraguard_store.verdict.noise import (
    Group,
    Noise,
    Slope,
    as_of_a_single_run,
    autocorrelation,
    noise_of,
)
from astraguard_store.verdict.order_statistics import interval_quantiles
from astraguard_store.verdict.sides import Sides, by_start, history_groups
from astraguard_store.verdict.values import NoiseSource

MEDIANS_ONLY = Limits(statistics=("p50",))
EIGHTS = [1.0, 1.1, 0.9, 1.05, 0.95, 1.02, 0.98, 1.0]
medians = st.lists(st.floats(0.5, 2.0), min_size=2, max_size=6)


def judged(baseline: list[float], candidate: list[float]) -> GateReport:
    """Judge medians whose runs take turns."""
    return judge_sides(
        sides(of_medians(0, baseline, step=2), of_medians(1, candidate, step=2)), MEDIANS_ONLY
    )


class TestByHand:
    """Formulas of docs/verdicts.md, worked out with SciPy."""

    def test_an_interval_is_that_of_students_t(self) -> None:
        baseline, candidate = [1.0, 1.1, 0.9, 1.05], [1.3, 1.2, 1.25]
        b, c = ([math.log(v) for v in side] for side in (baseline, candidate))
        squares = sum((v - sum(s) / len(s)) ** 2 for s in (b, c) for v in s)
        delta = sum(c) / 3 - sum(b) / 4
        half = stats.t.ppf(1 - 0.05 / 2, 5) * math.sqrt(squares / 5 * (1 / 4 + 1 / 3))

        cell = judged(baseline, candidate).cell(KEY[0], "p50")

        assert cell.change == pytest.approx(math.expm1(delta))
        assert cell.low == pytest.approx(math.expm1(delta - half))
        assert cell.high == pytest.approx(math.expm1(delta + half))
        assert (cell.df, cell.noise_source, cell.verdict) == (5, "measured", "regressed")

    def test_older_runs_moderate_the_variance(self) -> None:
        side, history = Group([0.0, 0.2]), Group([0.0, 0.1, 0.0, 0.1])

        noise = noise_of([side], [history], reference=False)

        assert noise is not None
        # d = 1, and of three degrees of freedom all count: min(3, max(4, 8 − 1)).
        assert noise.variance == pytest.approx((3 * (0.01 / 3) + 0.02) / 4)
        assert (noise.df, noise.source) == (4, "history")

    @pytest.mark.parametrize(
        ("source", "runs", "tail", "df"),
        [
            ("measured", (10, 3), 0.004, 10),
            ("measured", (10, 1), 0.004, 4),
            ("history", (10, 1), 0.004, 5),
            ("measured", (10, 3), 0.0004, 5),
            ("history", (10, 1), 0.0004, 5),
        ],
    )
    def test_heavy_tails_bound_the_degrees_of_freedom(
        self, source: NoiseSource, runs: tuple[int, int], tail: float, df: int
    ) -> None:
        noise = Noise(0.01, 20, source)

        assert df_of_test(noise, 20, tail, runs) == df
        assert df_of_test(noise, 3, tail, runs) == 3

    def test_a_single_run_is_held_against_what_noise_is_usual_too(self) -> None:
        measured = Noise(0.01, 4, "measured")

        found = as_of_a_single_run(measured, "p95")

        assert found == Noise((4 * 0.25**2 + 4 * 0.01) / 8, 8, "measured")

    @pytest.mark.parametrize("known", [{"source": "history"}, {"slope": Slope(1.0, 0.1)}])
    def test_older_runs_or_a_reference_tell_more_than_what_is_usual(
        self, known: dict[str, Any]
    ) -> None:
        noise = replace(Noise(0.01, 20, "measured"), **known)

        assert as_of_a_single_run(noise, "p50") == noise

    def test_beside_a_reference_a_single_run_has_three_degrees_of_freedom(self) -> None:
        noise = Noise(0.01, 20, "measured", Slope(1.0, 0.1))

        assert df_of_test(noise, 20, 0.004, (10, 1)) == 3
        assert df_of_test(noise, 20, 0.004, (10, 3)) == 10

    def test_the_reference_takes_off_what_it_explains(self) -> None:
        x = [0.0, 0.1, 0.2, 0.3, 0.1, 0.0, 0.2]
        group = Group([0.8 * value for value in x], x)

        noise = noise_of([group], [], reference=True)

        assert noise is not None
        assert noise.slope is not None
        assert noise.slope.beta == pytest.approx(0.8)
        assert noise.sd == pytest.approx(0.01)
        assert noise.df == 6

    def test_a_slope_is_kept_between_0_and_2(self) -> None:
        x = [0.0, 0.1, 0.2, 0.3, 0.1, 0.0, 0.2]
        slopes = [
            noise.slope.beta
            for factor in (-1.0, 5.0)
            if (noise := noise_of([Group([factor * v for v in x], x)], [], reference=True))
            and noise.slope
        ]

        assert slopes == [0.0, 2.0]

    def test_an_autocorrelation_is_corrected_for_its_bias(self) -> None:
        y = [0.0, 0.1, 0.2, 0.1, 0.0, 0.2, 0.3, 0.3]
        centred = [v - 0.15 for v in y]
        raw = sum(a * b for a, b in pairwise(centred)) / sum(v * v for v in centred)

        assert autocorrelation([Group(y)], None) == pytest.approx((raw + 1 / 8) / (1 - 3 / 8))
        assert autocorrelation([Group(y[:7])], None) == 0.0

    def test_missed_events_are_compared_by_their_arcs(self) -> None:
        baseline, candidate = [Counts(2, 600)] * 3, [Counts(30, 600)] * 2
        z = [math.asin(math.sqrt((x + 0.375) / 600.75)) for x in (2, 30)]
        phi = max(1.0, 4 * (1 + 600 * (2 / 600) * 0.25) / 7)
        se = math.sqrt(phi / 2400 * (1 / 3 + 1 / 2))
        low = z[1] - z[0] - stats.t.ppf(0.975, 7) * se

        cell = judge_missed(*KEY, baseline, candidate, allowed=0.0, tail=0.025)

        assert cell.noise == pytest.approx(phi)
        assert cell.low == pytest.approx(math.sin(z[0] + low) ** 2 - math.sin(z[0]) ** 2)
        assert cell.verdict == "regressed"

    def test_a_deadline_is_held_against_clopper_and_pearson(self) -> None:
        late = [number % 50 == 0 for number in range(600)]

        cell = judge_deadline(*KEY, [Violations(late, 600)], at_most=0.05)

        # The variance of so many single events is that of n − 1.
        assert effective_trials(Violations(late, 600)) == pytest.approx(599)
        assert cell.high == pytest.approx(stats.beta.ppf(0.95, 0.02 * 599 + 1, 0.98 * 599))
        assert cell.verdict == "equivalent"

    def test_late_events_in_a_row_tell_less(self) -> None:
        in_a_row = [100 <= number < 112 for number in range(600)]

        assert effective_trials(Violations(in_a_row, 600)) < 120
        assert effective_trials(Violations([False] * 600, 60)) == 60

    def test_nothing_late_leaves_three_in_so_many_ticks(self) -> None:
        cell = judge_deadline(*KEY, [Violations([False] * 600, 300)], at_most=0.02)

        assert cell.high == 3 / 300
        assert cell.verdict == "equivalent"

    @pytest.mark.parametrize("q", [0.5, 0.95, 0.99])
    @pytest.mark.parametrize("events", [20, 59, 103, 218, 368, 600, 5000])
    def test_ranks_of_an_interval_are_binomial(self, q: float, events: int) -> None:
        low, high = interval_quantiles(events, q)

        if low is not None:
            below = rank_of(events, low) + 1
            assert (
                stats.binom.cdf(below - 1, events, q) <= 0.025 < stats.binom.cdf(below, events, q)
            )
        if high is not None:
            above = rank_of(events, high) + 1
            assert stats.binom.sf(above - 1, events, q) <= 0.025
        assert (high is None) == (stats.binom.sf(events - 1, events, q) > 0.025)


class TestProperties:
    """What a verdict doesn't depend on."""

    @given(medians, medians, st.floats(0.01, 100.0))
    def test_a_shift_of_the_candidate_shifts_the_interval(
        self, baseline: list[float], candidate: list[float], factor: float
    ) -> None:
        cell = judged(baseline, candidate).cell(KEY[0], "p50")
        shifted = judged(baseline, [v * factor for v in candidate]).cell(KEY[0], "p50")

        for end in ("low", "change", "high"):
            before, after = (1 + getattr(one, end) for one in (cell, shifted))
            assert after == pytest.approx(before * factor, rel=1e-6)

    @given(medians, medians, st.randoms(use_true_random=False))
    def test_the_order_in_which_runs_are_named_does_not_matter(
        self, baseline: list[float], candidate: list[float], shuffle: random.Random
    ) -> None:
        before, after = of_medians(0, baseline), of_medians(100, candidate)
        report = judge_sides(sides(before, after), Limits())
        shuffle.shuffle(before)
        shuffle.shuffle(after)

        assert judge_sides(sides(before, after), Limits()) == report

    @given(medians, medians)
    def test_swapped_sides_are_the_mirror(
        self, baseline: list[float], candidate: list[float]
    ) -> None:
        one = judged(baseline, candidate).cell(KEY[0], "p50")
        other = judged(candidate, baseline).cell(KEY[0], "p50")

        assert one.low is not None
        assert other.high is not None
        assert 1 + one.low == pytest.approx(1 / (1 + other.high), rel=1e-6)
        mirrored = {"regressed": "improved", "improved": "regressed"}
        assert other.verdict == mirrored.get(one.verdict, one.verdict)

    @given(medians, medians, st.floats(0.0, 0.5))
    def test_no_cell_is_regressed_below_its_limit(
        self, baseline: list[float], candidate: list[float], relative: float
    ) -> None:
        limits = Limits(relative=relative)
        report = judge_sides(sides(of_medians(0, baseline), of_medians(50, candidate)), limits)

        assert all(c.change is not None and c.change >= relative for c in report.regressed)
        assert all(c.low is not None and c.low > 0 for c in report.regressed)


class TestWhole:
    """The verdict on all cells together."""

    def test_quiet_runs_that_do_not_differ_are_equivalent(self) -> None:
        baseline = [1.0 + 0.001 * (number % 3) for number in range(10)]

        report = judged(baseline, baseline[:5])

        assert report.verdict == "equivalent"
        assert all(cell.excludes_regression for cell in report.cells)

    def test_a_cell_that_may_have_regressed_leaves_the_whole_open(self) -> None:
        report = judged(EIGHTS, [1.0, 1.3])

        assert report.verdict == "inconclusive"
        settling = report.cells[0].settling
        assert settling is not None
        assert (settling.candidate_runs or 0) > 0

    def test_more_runs_settle_it_as_was_said(self) -> None:
        new = [1.05, 1.11, 1.01]  # as noisy as the others
        settling = judged(EIGHTS * 3, new).cells[0].settling
        assert settling is not None
        assert settling.candidate_runs is not None

        more = new * (1 + math.ceil(settling.candidate_runs / 3))

        assert judged(EIGHTS * 3, new).verdict == "inconclusive"
        assert judged(EIGHTS * 3, more).verdict == "regressed"

    def test_more_runs_settle_missed_events_as_was_said(self) -> None:
        before, after = [Counts(6, 600)] * 10, [Counts(10, 600)]
        open_one = judge_missed(*KEY, before, after, allowed=0.0, tail=0.025)
        settling = open_one.settling
        assert settling is not None
        assert settling.candidate_runs is not None

        enough = judge_missed(
            *KEY, before, after * (1 + settling.candidate_runs), allowed=0.0, tail=0.025
        )

        assert (open_one.verdict, enough.verdict) == ("inconclusive", "regressed")
        assert enough.settling is None

    def test_more_runs_settle_a_deadline_as_was_said(self) -> None:
        run_of = Violations([number % 100 == 0 for number in range(600)], 600)
        open_one = judge_deadline(*KEY, [run_of], at_most=0.012)
        settling = open_one.settling
        assert settling is not None
        assert settling.candidate_runs is not None

        def with_more(more: int) -> str:
            return judge_deadline(*KEY, [run_of] * (1 + more), at_most=0.012).verdict

        assert with_more(settling.candidate_runs - 1) == "inconclusive"
        assert with_more(settling.candidate_runs) == "equivalent"

    def test_a_share_at_its_limit_is_settled_by_no_number_of_runs(self) -> None:
        run_of = Violations([number % 100 == 0 for number in range(600)], 600)

        settling = judge_deadline(*KEY, [run_of], at_most=0.01).settling

        assert settling == (None, None, None)

    def test_the_whole_is_settled_by_what_takes_longest_where_nothing_looks_slower(self) -> None:
        report = judge_sides(
            sides(of_medians(0, EIGHTS, step=2), of_medians(1, EIGHTS[:3], step=2)), Limits()
        )

        of_cells = [c.settling.runs_of_both or 0 for c in report.cells if c.settling]
        assert len(of_cells) > 0
        assert report.settling is not None
        assert report.settling.runs_of_both == max(of_cells)

    def test_the_whole_is_settled_by_the_first_regression_that_is_proven(self) -> None:
        baseline, candidate = (
            [
                run(2 * n + odd, {KEY[0]: summary(v), "agent_decision": summary(v**slope)})
                for n, v in enumerate(values)
            ]
            for odd, values, slope in ((0, EIGHTS, 1), (1, [1.1, 1.25, 1.0], 0.8))
        )

        report = judge_sides(sides(baseline, candidate), MEDIANS_ONLY)

        of_cells = [c.settling.candidate_runs or 999 for c in report.cells if c.settling]
        assert len(of_cells) == 2
        assert report.settling is not None
        assert report.settling.candidate_runs == min(of_cells)

    def test_what_the_candidate_lost_leaves_it_open(self) -> None:
        quiet = [1.0, 1.001, 1.0, 1.001, 1.0]
        baseline = [
            run(2 * place, {KEY[0]: summary(v), "agent_decision": summary(v)})
            for place, v in enumerate(quiet)
        ]

        report = judge_sides(sides(baseline, of_medians(1, quiet, step=2)), MEDIANS_ONLY)

        assert report.verdict == "inconclusive"
        assert report.warnings[0] == "agent_decision was measured by no candidate run"

    def test_too_few_events_are_not_judged_and_said(self) -> None:
        few = [run(place, {KEY[0]: summary(1.0, count=40)}, ticks=40) for place in range(4)]

        report = judge_sides(sides(few[::2], few[1::2]), Limits())

        assert [one.statistic for one in report.not_judged] == ["p95", "p99"]
        assert "40 effective events, and 59 are needed" in report.not_judged[0].reason

    def test_ten_satellites_of_a_tick_are_one_event(self) -> None:
        runs = [run(place, {KEY[0]: summary(1.0, count=500)}, ticks=50) for place in range(4)]

        report = judge_sides(sides(runs[::2], runs[1::2]), Limits())

        assert [one.statistic for one in report.not_judged] == ["p95", "p99"]

    def test_sides_without_anything_to_judge_are_refused(self) -> None:
        few = [run(place, {KEY[0]: summary(1.0, count=4)}, ticks=4) for place in range(4)]

        with pytest.raises(GateError, match="nothing can be judged: run_000 has 4 effective"):
            judge_sides(sides(few[::2], few[1::2]), Limits())

    def test_a_reference_is_never_judged(self) -> None:
        pool = drifting(random.Random(1), 6)

        for name in ("reference", None):
            report = judge_sides(
                Sides(tuple(pool[::2]), tuple(pool[1::2]), reference=name), Limits()
            )
            assert {cell.metric_type for cell in report.cells} == {
                "fault_detection",
                "agent_decision",
            }

    def test_references_of_another_kind_are_not_used(self) -> None:
        pool = drifting(random.Random(1), 12)
        other = [one._replace(reference="py2x32") for one in pool[1::2]]

        report = judge_sides(sides(pool[::2], other), Limits())

        assert report.reference_change is None
        assert any("aren't the same work (py1, py2)" in warning for warning in report.warnings)

    def test_twice_the_units_of_a_reference_are_not_a_slower_machine(self) -> None:
        metrics = {KEY[0]: summary(1.0)}
        once = [run(2 * n, metrics, reference_ms=0.03 + n / 1e4) for n in range(5)]
        twice = [
            run(2 * n + 1, metrics, reference_ms=0.06 + n / 5e3, version="py1x64")
            for n in range(5)
        ]

        report = judge_sides(sides(once, twice), Limits())

        assert report.reference_change == pytest.approx(0.0, abs=1e-9)

    def test_a_percentile_among_the_missed_may_prove_a_regression_only(self) -> None:
        quiet = of_medians(0, [1.0, 1.01, 0.99, 1.0], step=2)
        lost = with_bounds(summary(1.0, count=600, missed=60))
        slow = [
            run(2 * place + 1, {KEY[0]: lost._replace(p95_above_ms=50.0, p99_above_ms=80.0)})
            for place in range(4)
        ]
        assert isinstance(slow[0].cells[KEY].p95, AtLeast)

        worse = judge_sides(sides(quiet, slow), Limits()).cell(KEY[0], "p95")
        better = judge_sides(sides(slow, quiet), Limits()).cell(KEY[0], "p95")

        assert (worse.verdict, worse.high) == ("regressed", math.inf)
        assert (better.verdict, better.change) == ("inconclusive", None)

    def test_one_against_one_rests_on_assumed_noise(self) -> None:
        report = judged([1.0], [3.0])

        assert (report.verdict, report.noise_source) == ("regressed", "assumed")
        assert report.rests_on_assumed_noise
        assert judged([1.0], [1.7]).verdict == "inconclusive"

    def test_one_against_one_with_a_history_rests_on_that(self) -> None:
        older = of_medians(0, [1.0, 1.02, 0.98] * 4)
        baseline, candidate = of_medians(50, [1.0]), of_medians(60, [1.3])
        groups = history_groups(older, [*baseline, *candidate])

        report = judge_sides(Sides(tuple(baseline), tuple(candidate), groups), MEDIANS_ONLY)

        assert (report.verdict, report.noise_source, report.history) == (
            "regressed",
            "history",
            12,
        )


class TestSides:
    """Which runs may be compared, and which show their noise."""

    @pytest.mark.parametrize("name", ["scenario", "rig"])
    def test_another_set_up_is_not_comparable(self, name: str) -> None:
        elsewhere = Provenance(**{**dict(WAS.known()), name: "another"})  # type: ignore[arg-type]
        other = run(9, {KEY[0]: summary(1.0)}, was=elsewhere)

        with pytest.raises(GateError, match=f"not comparable: {name} is"):
            judge_sides(sides(of_medians(0, [1.0, 1.0]), [other]), Limits())

    def test_a_run_is_not_on_both_sides(self) -> None:
        pool = of_medians(0, [1.0, 1.0])

        with pytest.raises(GateError, match="'run_000' can't be baseline and candidate at once"):
            judge_sides(sides(pool, pool[:1]), Limits())

    def test_history_is_of_the_same_set_up_clean_and_older(self) -> None:
        def older(first: int, **changed: object) -> list[object]:
            was = Provenance(**{**dict(WAS.known()), **changed})  # type: ignore[arg-type]
            return [run(first + n, {KEY[0]: summary(1.0)}, was=was) for n in range(2)]

        newest = run(50, {KEY[0]: summary(1.0)})
        fit = older(0) + older(2, git_commit="def")
        unfit = [
            *older(10, scenario="another"),
            *older(12, git_dirty=True),
            *older(14, git_commit=None),
            *older(16, firmware="9"),
            *older(60),
        ]
        excluded = [one._replace(tags={"gate:exclude": ""}) for one in older(20)]  # type: ignore[attr-defined]

        groups = history_groups([*fit, *unfit, *excluded], [newest])  # type: ignore[list-item]

        assert [one for group in groups for one in group] == fit

    def test_unknown_provenance_has_no_history(self) -> None:
        unknown = [run(n, {KEY[0]: summary(1.0)}, was=Provenance(host="rig-7")) for n in range(12)]

        assert history_groups(unknown[:10], unknown[10:]) == []

    def test_sides_take_turns_or_do_not(self) -> None:
        pool = of_medians(0, [1.0] * 8)

        assert sides(pool[::2], pool[1::2]).interleaved
        assert not sides(pool[:4], pool[4:]).interleaved
        report = judge_sides(sides(pool[:4], pool[4:]), Limits())
        assert "didn't take turns" in report.warnings[0]

    def test_a_run_with_few_of_the_usual_events_is_named(self) -> None:
        pool = of_medians(0, [1.0] * 4)
        short = run(9, {KEY[0]: summary(1.0, count=900)})

        report = judge_sides(sides(pool, [short]), Limits())

        assert "run_009 has 15 % of the usual events: was it finished?" in report.warnings


def test_a_slower_machine_is_no_slower_software() -> None:
    pool = drifting(random.Random(5), 20)
    fast, slow = pool[::2], [slowed(one, 1.5) for one in pool[1::2]]
    slower_machine = [
        one._replace(cells={**one.cells, ("reference", None): summary(0.045 * n, count=600)})
        for one in slow
        for n in [one.cells["reference", None].p50_ms / 0.03]  # type: ignore[operator]
    ]

    with_it = judge_sides(sides(by_start(fast), by_start(slower_machine)), Limits())
    without = judge_sides(sides(fast, slower_machine, reference=False), Limits())

    assert (with_it.verdict != "regressed", without.verdict) == (True, "regressed")
