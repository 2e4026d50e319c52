"""What charts show: one shape, whoever draws it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astraguard_store import LatencyCollector, RunRepository
from astraguard_store.distributions import Distribution
from astraguard_store.frozen import FrozenMapping
from astraguard_store.history import History, HistoryPoint
from astraguard_store.model import AtLeast, MetricSummary
from astraguard_store.over_time import TimeSlice
from astraguard_store.presentation.chart_shapes import (
    Curve,
    Event,
    Mark,
    distribution_shape,
    history_shape,
    label_rows,
    label_start,
    log_ticks,
    nines,
    tick_text,
)
from astraguard_store.presentation.numbers import MILLISECONDS, in_unit
from astraguard_store.presentation.svg import distribution_svg, history_svg, times_svg

METRIC = "fault_detection"


@pytest.fixture
def distribution() -> Distribution:
    """Return that of two runs, one of which missed an event."""
    with RunRepository.in_memory() as repository:
        for run_id, missed in (("whole", 0), ("missing", 1)):
            collector = LatencyCollector()
            for tick in range(500):
                collector.record_fault_detection("SAT1", tick / 10, 3.0 + tick % 97 * 0.37)
            for _ in range(missed):
                collector.record_missed(METRIC, "SAT1", 51.0, 5_000.0)
            repository.save(run_id, collector)
        return repository.distribution(METRIC, ["whole", "missing"])


def history(news: dict[int, str], levels: list[float]) -> History:
    points = tuple(
        HistoryPoint(
            f"run_{number:02}",
            datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number),
            None,
            f"{number:07x}",
            MetricSummary(9, level, level, level, level, level, level),
        )
        for number, level in enumerate(levels)
    )
    named = {points[number].run_id: said for number, said in news.items()}
    return History(METRIC, None, points, news=FrozenMapping(named))


def layers(value: Any) -> list[dict[str, Any]]:
    pytest.importorskip("altair", reason="the extra `plots` isn't installed")
    found: list[dict[str, Any]] = value.plot().to_dict()["layer"]
    return found


class TestNumbers:
    """What is said of percentiles."""

    def test_of_one_run_the_exact_ones_are_said(self, distribution: Distribution) -> None:
        whole, missing = distribution.runs
        assert whole.summary is not None

        legend = distribution_svg(distribution)

        p50, p95, p99 = (
            in_unit(getattr(whole.summary, name), MILLISECONDS) for name in ("p50", "p95", "p99")
        )
        assert f"whole: p50 {p50}, p95 {p95}, p99 {p99} ms<" in legend
        assert "≈" not in legend
        assert missing.percentile(0.5) == missing.summary.p50  # type: ignore[union-attr]

    def test_from_buckets_alone_they_are_about(self, distribution: Distribution) -> None:
        run = distribution.runs[0]._replace(summary=None)
        shape = distribution_shape(Distribution(METRIC, None, (run,)), 300)
        assert not isinstance(shape, str)

        assert shape.legend[0].count("≈ ") == 3
        assert run.percentile(0.95) == run.quantile(0.95)

    def test_a_quantile_that_no_run_keeps_is_of_the_buckets(
        self, distribution: Distribution
    ) -> None:
        run = distribution.runs[0]

        assert run.percentile(0.9) == run.quantile(0.9)

    @given(st.floats(1e-5, 1e5), st.floats(1.0001, 1e8))
    def test_ticks_are_round_ascending_and_inside(self, low: float, factor: float) -> None:
        ticks = log_ticks(low, low * factor)

        assert ticks == sorted(ticks)
        assert all(not re.search(r"\.\d*0$", tick_text(tick)) for tick in ticks)
        assert all(low * 0.99 <= tick <= low * factor * 1.01 for tick in ticks)

    def test_shares_lie_by_their_nines(self) -> None:
        shares = (0.0, 0.9, 0.99, 0.999, 1.0)

        assert [round(nines(share), 9) for share in shares] == [0, 1, 2, 3, 3]


class TestZeros:
    """0 ms came, although a log axis has no place for it."""

    def test_where_all_took_no_time_each_chart_says_so(self) -> None:
        collector = LatencyCollector()
        for tick in range(50):
            collector.record_fault_detection("SAT1", tick / 10, 0.0)
        with RunRepository.in_memory() as repository:
            repository.save("run", collector)
            distribution = repository.distribution(METRIC, ["run"])
        zeros = (TimeSlice(0, 0.0, 1.0, 0, 0.0, 0.0),)

        for chart in (
            distribution_svg(distribution),
            history_svg(history({}, [0.0, 0.0])),
            times_svg(METRIC, [("run", zeros)]),
        ):
            assert "took 0 ms each time that it came" in chart

    def test_among_others_they_lie_at_the_end_of_the_axis(self) -> None:
        slices = [TimeSlice(at, at, at + 1.0, 0, took, 8.0) for at, took in ((0, 0.0), (1, 4.0))]
        missed = TimeSlice(2, 2.0, 3.0, 9, AtLeast(5.0), AtLeast(5.0))

        chart = times_svg(METRIC, [("run", [*slices, missed])])

        median = next(path for path in chart.split("<path ") if 'stroke-dasharray="4 3"' in path)
        assert [place.split()[1] for place in median.split('"')[1][1:].split("L")] == [
            "294.0",
            "266.0",
        ]


class TestDrawers:
    """SVG and Vega-Altair have the same title, points and words."""

    def test_of_a_distribution(self, distribution: Distribution) -> None:
        shape = distribution_shape(distribution, 10_000)
        assert not isinstance(shape, str)

        svg, drawn = distribution_svg(distribution), layers(distribution)

        assert f">{shape.title}<" in svg
        rows = [row for layer in drawn for row in layer["data"]["values"]]
        for number, legend in enumerate(shape.legend):
            assert f">{legend}<" in svg
            mine = [row for row in rows if row["run"] == legend]
            parts = [part for part in shape.parts if part.series == number]
            points = {(p.x, p.y) for part in parts if isinstance(part, Curve) for p in part.points}
            assert {(row["time"], nines(row["share"])) for row in mine if "share" in row} == points
            said = {part.said for part in parts if isinstance(part, Mark)}
            assert said
            assert {row["said"] for row in mine if "said" in row} >= said
        assert "1 never came<" in svg
        assert "1 never came" in {row.get("said") for row in rows}

    def test_of_a_history(self) -> None:
        levels = [10.0, 10.1, 9.9, 10.2, 10.0, 10.1, 30.0, 30.1, 29.9, 30.2, 30.0, 30.1]
        found = history({6: "firmware 4.2"}, levels)
        shape = history_shape(found, "p95")
        assert not isinstance(shape, str)

        svg, drawn = history_svg(found), json.dumps(layers(found))

        events = {part.event for part in shape.parts if isinstance(part, Event)}
        assert events == {"changed at 0000006", "firmware 4.2"}
        for event in events:
            assert f">{event}</text>" in svg
            assert f'"label": "{event}"' in drawn
        assert f">{shape.title}<" in svg

    def test_what_nobody_measured_is_said_by_both(self) -> None:
        pytest.importorskip("altair", reason="the extra `plots` isn't installed")
        nothing = Distribution(METRIC, None, ())

        assert "No event of it was measured" in distribution_svg(nothing)
        assert "No event of it was measured" in json.dumps(nothing.plot().to_dict())


class TestLabels:
    """What is said of neighbours."""

    @given(
        st.lists(st.tuples(st.floats(0, 700), st.text("abc 4.2", min_size=1, max_size=60))),
        st.just(716.0),
    )
    def test_none_lies_on_another(self, labels: list[tuple[float, str]], right: float) -> None:
        rows = label_rows(labels, right)

        placed = [
            (row, label_start(x, said, right), len(said) * 6.8)
            for (x, said), row in zip(labels, rows, strict=True)
            if row is not None
        ]
        assert all(
            one[0] != other[0] or one[1] + one[2] <= other[1] or other[1] + other[2] <= one[1]
            for one, other in combinations(placed, 2)
        )
        assert all(start + width <= right + 1e-6 for _, start, width in placed)

    def test_neighbours_stand_below_one_another(self) -> None:
        news = {number: f"firmware 4.{number}" for number in (3, 4, 5)}

        svg = history_svg(history(news, [10.0 + number / 9 for number in range(30)]))

        places = re.findall(r'y="([\d.]+)" text-anchor="start">firmware 4\.', svg)
        assert len(places) == len(set(places)) == 3

    def test_where_there_is_no_room_only_the_tooltip_tells(self) -> None:
        news = {number: f"firmware 4.{number}, host rig-{number}" for number in range(1, 40)}

        svg = history_svg(history(news, [10.0] * 40))

        assert svg.count("<title>firmware 4.") == 39
        assert 6 <= len(re.findall(r'text-anchor="start">firmware', svg)) < 39


@pytest.mark.parametrize("name", ["a" * 300, "漢" * 200])
def test_a_long_name_leaves_room_for_the_numbers(name: str, distribution: Distribution) -> None:
    runs = tuple(run._replace(run_id=name) for run in distribution.runs[:1])

    svg = distribution_svg(Distribution(name, None, runs))

    said = re.findall(r">([^<]+)</text>", svg)
    assert max(map(len, said)) <= 130
    assert any("…" in one and "p99 " in one for one in said)
