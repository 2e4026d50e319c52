"""Differences by quantile and latencies over scenario time: their numbers and charts."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from command_line import run
from hypothesis import given
from hypothesis import strategies as st
from recordings import recorded

from astraguard_store import (
    AtLeast,
    Comparison,
    LatencyCollector,
    LatencyMeasurement,
    MissingExtraError,
    RunRepository,
    RunSummary,
)
from astraguard_store.columns import Columns
from astraguard_store.formats.parquet import frame_of
from astraguard_store.over_time import over_time
from astraguard_store.presentation.svg import changes_svg, distribution_svg, times_svg
from astraguard_store.quantile_changes import QuantileChanges, quantile_changes
from astraguard_store.shown import asked_of

METRIC = "fault_detection"


def flight(scale: float, *, events: int = 600, missed: int = 0, seed: int = 1) -> LatencyCollector:
    """Return a log-normal flight of ten events a second, whose last events never came."""
    draw = random.Random(seed)
    collector = LatencyCollector()
    for tick in range(events - missed):
        collector.record_fault_detection("SAT1", tick / 10, scale * draw.lognormvariate(3, 0.3))
    for tick in range(events - missed, events):
        collector.record_missed(METRIC, "SAT1", tick / 10, 5_000.0)
    return collector


@pytest.fixture
def repository(results: Path) -> Any:
    """Give a repository of some flights."""
    with RunRepository.open(results) as repository:
        repository.save("before", flight(1.0))
        repository.save("slower", flight(1.5, seed=2))
        repository.save("missing", flight(1.0, missed=12, seed=3))
        repository.save("short", flight(1.0, events=10))
        yield repository


def changes(repository: RunRepository, baseline: str, candidate: str) -> QuantileChanges:
    distribution = repository.distribution(METRIC, [baseline, candidate])
    [found] = quantile_changes(distribution, repository.get(baseline), [repository.get(candidate)])
    return found


class TestDifferenceByQuantile:
    """What differs at each quantile, and how sure that is."""

    def test_the_interval_encloses_what_is_true(self, repository: RunRepository) -> None:
        found = changes(repository, "before", "slower").changes

        # By chance one of them may miss it: they are drawn anew by a seed, so it doesn't.
        assert all((p.low or -1) < 0.5 < (p.high or 9) for p in found)
        assert all((p.low or -1) <= p.change <= (p.high or 9) for p in found)

    def test_a_quantile_of_0_ms_is_left_out(self, repository: RunRepository) -> None:
        collector = flight(1.0, events=500)
        for tick in range(100):
            collector.record_fault_detection("SAT1", tick / 10, 0.0)
        repository.save("zeros", collector)

        found = changes(repository, "before", "zeros").changes

        assert found
        assert min(point.quantile for point in found) > 100 / 600
        assert "<svg" in changes_svg(METRIC, "before", [changes(repository, "before", "zeros")])

    def test_it_is_wider_towards_the_tail(self, repository: RunRepository) -> None:
        width = {
            p.quantile: (p.high or 0) - (p.low or 0)
            for p in changes(repository, "before", "slower").changes
        }

        assert width[0.98] > 2 * width[0.5]

    def test_it_goes_as_far_into_the_tail_as_the_events_tell(
        self, repository: RunRepository
    ) -> None:
        # Of 600 events none may be above p99.9: 0.999**600 is 55 %.
        assert max(p.quantile for p in changes(repository, "before", "slower").changes) == 0.99

    def test_an_end_among_the_missed_is_open(self, repository: RunRepository) -> None:
        found = {p.quantile: p for p in changes(repository, "before", "missing").changes}

        assert found[0.5].high is not None
        assert found[0.97].high is None
        # With 2 % missed p98 is one of them.
        assert 0.98 not in found

    def test_of_ten_events_there_is_none(self, repository: RunRepository) -> None:
        assert changes(repository, "before", "short").changes == ()

    def test_two_runs_of_one_kind_differ_as_rarely_as_it_says(self) -> None:
        outside = total = 0
        with RunRepository.in_memory() as repository:
            repository.save_many((f"run_{n}", flight(1.0, events=200, seed=n)) for n in range(80))
            for n in range(0, 80, 2):
                points = changes(repository, f"run_{n}", f"run_{n + 1}").changes
                outside += sum(not (p.low or -1) <= 0 <= (p.high or 9) for p in points)
                total += len(points)

        assert total == 800
        assert outside <= 0.05 * total


class TestOverTime:
    """A run in slices of its scenario's time."""

    def test_each_slice_has_its_percentiles(self, results: Path) -> None:
        collector = LatencyCollector()
        for tick in range(100):
            collector.record_fault_detection("SAT1", tick / 10, 1.0 + tick)
        with RunRepository.open(results) as repository:
            repository.save("run", collector)

            first, second = over_time(repository, "run", 2)[METRIC]

        # 4.95 s lies in the middle of 0 to 9.9 s.
        assert (first.start_s, first.p50, first.p95) == (0.0, 26.0, 48.0)
        assert (second.start_s, second.p50, second.p95) == (4.95, 76.0, 98.0)

    def test_missed_events_are_counted_where_they_were(self, repository: RunRepository) -> None:
        slices = over_time(repository, "missing", 10)[METRIC]

        assert [one.missed for one in slices] == [0] * 9 + [12]
        assert slices[-1].p95 == AtLeast(5_000.0)
        assert isinstance(slices[-1].p95, AtLeast)
        assert not isinstance(slices[-1].p50, AtLeast)

    def test_events_at_one_time_are_one_slice(self, results: Path) -> None:
        collector = LatencyCollector()
        collector.record_fault_detection("SAT1", 7.0, 1.0)
        with RunRepository.open(results) as repository:
            repository.save("run", collector)

            [only] = over_time(repository, "run", 60)[METRIC]

        assert (only.start_s, only.p95, only.missed) == (7.0, 1.0, 0)

    @given(
        st.lists(
            st.tuples(st.sampled_from("ab"), st.floats(0, 50), st.floats(0, 1e6), st.booleans()),
            min_size=1,
            max_size=30,
        ),
        st.integers(1, 7),
    )
    def test_few_measurements_are_sliced_as_a_frame_is(
        self, rows: list[tuple[str, float, float, bool]], slices: int
    ) -> None:
        columns = Columns.of(
            LatencyMeasurement(0.0, metric, "SAT1", duration, time, missed)
            for metric, time, duration, missed in rows
        )

        class OfFrame:
            def measurements(self, run_id: str) -> pl.DataFrame:  # noqa: ARG002
                return frame_of(columns)

        class OfFew(OfFrame):
            def _few_measurements(self, run_id: str) -> Columns:  # noqa: ARG002
                return columns

        assert over_time(OfFew(), "run", slices) == over_time(OfFrame(), "run", slices)

    def test_without_measurements_there_are_none(self) -> None:
        with RunRepository.in_memory() as repository:
            repository.save("run", recorded(10))

            assert over_time(repository, "run", 60) == {}


class TestDrawn:
    """Charts for pages and reports."""

    def test_the_quantiles_lie_on_the_line_of_few_events(self, repository: RunRepository) -> None:
        chart = distribution_svg(repository.distribution(METRIC, ["short"]))

        path = chart.split(' d="M')[1].split('"')[0]
        places = [tuple(map(float, place.split())) for place in path.split("L")]
        steps = list(pairwise(places))
        for circle in chart.split("<circle ")[1:]:
            x, y = (float(circle.split(f'{name}="')[1].split('"')[0]) for name in ("cx", "cy"))
            assert any(
                abs(x - a[0]) < 0.06 and abs(x - b[0]) < 0.06 and b[1] - 0.1 <= y <= a[1] + 0.1
                for a, b in steps
            ), (x, y)

    def test_missed_events_are_marked_where_they_were(self, repository: RunRepository) -> None:
        chart = times_svg(METRIC, [("missing", over_time(repository, "missing", 60)[METRIC])])

        assert "12 never came (×)" in chart
        # Events 588 to 599 lie in the last two slices.
        assert chart.count("l8 8m0 -8l-8 8") == 2

    def test_where_nothing_is_kept_it_says_so(self) -> None:
        assert "the measurements aren&#x27;t kept" in times_svg(METRIC, [("run", ())])

    def test_too_few_events_say_so(self) -> None:
        assert "too few events" in changes_svg(METRIC, "before", [QuantileChanges("run", ())])

    def test_a_report_has_both(self, repository: RunRepository, tmp_path: Path) -> None:
        page = tmp_path / "report.html"

        done = run(
            *("report", "slower", "--baseline", "before", "--to", page),
            *("--results", str(repository.results_dir)),
        )

        assert done.exit_code == 0, done.stderr
        assert f"{METRIC}: against before, by quantile" in page.read_text()
        assert f"{METRIC}: p95 over the scenario&#x27;s time" in page.read_text()


def drawn(value: RunSummary | Comparison) -> dict[str, Any]:
    pytest.importorskip("altair", reason="the extra `plots` isn't installed")
    chart: dict[str, Any] = value.plot().to_dict()
    return chart


def marks(spec: Any, inherited: int = 0) -> int:
    """Return how many marks a specification draws at most: each row, in each layer."""
    rows = len(spec["data"]["values"]) if "data" in spec else inherited
    parts = [*spec.get("layer", ()), *spec.get("vconcat", ())]
    parts += [spec["spec"]] if "spec" in spec else []
    return sum(marks(part, rows) for part in parts) if parts else rows


class TestCharts:
    """The same in Vega-Altair."""

    def test_a_comparison_has_the_difference_with_its_interval(
        self, repository: RunRepository
    ) -> None:
        chart = json.dumps(drawn(repository.compare("before", "slower")))

        assert "difference by quantile, with 95 % interval" in chart
        assert '"low": ' in chart

    def test_a_run_has_its_time_and_what_was_missed(self, repository: RunRepository) -> None:
        chart = json.dumps(drawn(repository.get("missing")))

        assert "time in the scenario, s" in chart
        assert "12 never came (\\u00d7)" in chart

    def test_after_the_repository_was_closed_they_say_so(self, results: Path) -> None:
        with RunRepository.open(results) as repository:
            repository.save("a", recorded(60))
            repository.save("b", recorded(60))
            run, comparison = repository.get("a"), repository.compare("a", "b")

        assert "is closed" in json.dumps(drawn(run))
        assert "without intervals: " in json.dumps(drawn(comparison))

    def test_a_run_that_was_saved_anew_says_so(self, repository: RunRepository) -> None:
        run = repository.get("before")
        repository.save("before", flight(2.0))

        assert "it was saved anew since" in json.dumps(drawn(run))

    def test_a_run_without_measurements_says_so(self) -> None:
        with RunRepository.in_memory() as repository:
            repository.save("run", recorded(10))

            assert "the measurements aren't kept" in json.dumps(drawn(repository.get("run")))

    def test_one_whose_measurements_lie_elsewhere_has_none(self) -> None:
        class Elsewhere:
            def measurements(self, run_id: str) -> pl.DataFrame:
                raise MissingExtraError(run_id, "objects")

        assert over_time(Elsewhere(), "run", 10) == {}

    def test_a_run_asks_who_is_open_of_those_that_gave_it(self, results: Path) -> None:
        with RunRepository.open(results) as one:
            one.save("run", flight(1.0))
            run = one.get("run")
            with RunRepository.open(results) as other:
                assert other.get("run") is run

            assert asked_of(run) is one

    def test_many_metric_types_stay_below_the_bound(self, results: Path) -> None:
        collector = LatencyCollector()
        for number in range(60):
            for tick in range(150):
                collector.record(f"type_{number}", f"SAT{tick % 5}", tick / 10, 1.0 + tick % 7)
        with RunRepository.open(results) as repository:
            repository.save("a", collector)
            repository.save("b", collector)

            for value in (repository.get("a"), repository.compare("a", "b")):
                assert 900 < marks(drawn(value)) <= 5_000
