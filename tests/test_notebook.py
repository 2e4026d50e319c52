"""Public values in notebooks: HTML tables, dicts, frames and charts."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from recordings import recorded

import astraguard_store
from astraguard_store import (
    Comparison,
    Distribution,
    History,
    HistoryPoint,
    LatencyCollector,
    Limits,
    MachineNoise,
    MetricSummary,
    MissingExtraError,
    Provenance,
    RunRepository,
    RunSummary,
    Unit,
)
from astraguard_store.presentation.svg import history_svg

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def repository(results: Path) -> Any:
    """Give a repository of fifteen runs, one of them with hostile names."""
    with RunRepository.open(results) as repository:
        for number in range(14):
            provenance = Provenance(git_commit="aaaaaaa" if number < 7 else "bbbbbbb")
            scale = 1.0 if number < 7 else 2.0
            repository.save(f"run_{number}", recorded(60, scale=scale), provenance=provenance)
        collector = LatencyCollector()
        collector.record_fault_detection(HOSTILE, 0.0, 4.0)
        collector.record_missed("fault_detection", HOSTILE, 1.0, 500.0)
        repository.save("hostile", collector, tags={HOSTILE: HOSTILE})
        yield repository


def values(repository: RunRepository) -> dict[str, Any]:
    run = repository.get("hostile")
    comparison = repository.compare("run_0", "hostile")
    judged = repository.gate("run_13", [f"run_{number}" for number in range(7)])
    calibration = repository.calibrate([f"run_{number}" for number in range(7)])
    return {
        "GateReport": judged,
        "CellVerdict": judged.cells[0],
        "Calibration": calibration,
        "CalibrationCell": calibration.cells[0],
        "Baseline": repository.set_baseline(HOSTILE, ["run_0", "run_1"]),
        "PercentileInterval": repository.percentile_intervals("run_0")["fault_detection"]["p50"],
        "Limits": Limits(),
        "Unit": Unit(serial=HOSTILE),
        "MachineNoise": MachineNoise(steal_worst=0.1),
        "RunSummary": run,
        "RunHeader": run.header,
        "MetricSummary": run.metrics["fault_detection"],
        "Provenance": run.provenance,
        "Artifact": run.artifacts[0],
        "Comparison": comparison,
        "MetricChange": comparison.changes[0],
        "ValueChange": comparison.changes[0].p95_ms,
        "ProvenanceChange": comparison.provenance_changes[0],
        "Percentiles": repository.percentiles([0.5], metric_type="fault_detection"),
        "QueryResult": repository.query(f"SELECT '{HOSTILE}' AS name"),
        "CacheInfo": repository.cache_info(),
        "CheckReport": repository.check(),
        "Distribution": repository.distribution("fault_detection"),
        "RunDistribution": repository.distribution("fault_detection").runs[0],
        "History": repository.history("fault_detection"),
        "HistoryPoint": repository.history("fault_detection").points[0],
        "PruneReport": repository.prune(keep=1, dry_run=True),
        "Percentile": repository.percentiles([0.5], metric_type="fault_detection").values[0],
    }


def test_every_value_is_a_table_and_a_dict(repository: RunRepository) -> None:
    for name, value in values(repository).items():
        page = value._repr_html_()

        assert "<table" in page, name
        assert "<script" not in page, name
        assert json.loads(json.dumps(value.to_dict(), allow_nan=False)), name


def test_every_public_value_has_both() -> None:
    # What records and works isn't a value.
    exceptions = {"AtLeast", "LatencyCollector", "LiveRun", "MetricsStorage", "ReferenceWorkload"}
    found = {
        name: getattr(astraguard_store, name)
        for name in astraguard_store.__all__
        if not name.endswith(("Error", "Repository")) and name not in exceptions
    }

    assert [n for n, kind in found.items() if not hasattr(kind, "_repr_html_")] == []
    assert [n for n, kind in found.items() if not hasattr(kind, "to_dict")] == []


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("RunSummary", 2, {"satellite_id", "metric_type", "p95_ms", "missed"}),
        ("Comparison", 3, {"metric_type", "baseline_p95_ms", "relative_change_p99_ms"}),
        ("Percentiles", 1, {"quantile", "value_ms", "above_ms"}),
        ("QueryResult", 1, {"name"}),
        ("GateReport", 3, {"metric_type", "statistic", "change", "low", "high", "verdict"}),
        ("History", 15, {"run_id", "recorded_at", "git_commit", "p95_ms"}),
    ],
)
def test_what_is_tabular_is_a_frame(
    repository: RunRepository, name: str, rows: int, columns: set[str]
) -> None:
    frame = values(repository)[name].to_polars()

    assert frame.height == rows
    assert columns <= set(frame.columns)


def test_names_that_come_twice_are_told_apart(repository: RunRepository) -> None:
    frame = repository.query("SELECT 1 AS a, 2 AS a").to_polars()

    assert frame.rows() == [(1, 2)]


def long_history() -> History:
    """Return a history of 300 runs of 20 satellites."""
    points = [
        HistoryPoint(
            f"run_{number:03}",
            datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number),
            f"SAT{satellite:03}",
            None,
            MetricSummary(9, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
        )
        for satellite in range(20)
        for number in range(300)
    ]
    return History("fault_detection", "satellite", tuple(points))


class TestCharts:
    """Vega-Altair charts."""

    @staticmethod
    def drawn(repository: RunRepository) -> dict[str, Any]:
        pytest.importorskip("altair", reason="the extra `plots` isn't installed")
        named: dict[str, RunSummary | Comparison | History | Distribution] = {
            "run": repository.get("run_9"),
            "hostile": repository.get("hostile"),
            "comparison": repository.compare("run_0", "run_9"),
            "by satellite": repository.compare("run_0", "hostile", by_satellite=True),
            "history": repository.history("fault_detection"),
            "long history": long_history(),
            "distribution": repository.distribution("fault_detection"),
        }
        return {name: value.plot().to_dict() for name, value in named.items()}

    def test_they_have_titles_with_units(self, repository: RunRepository) -> None:
        for name, chart in self.drawn(repository).items():
            assert ", ms" in json.dumps(chart), name

    def test_none_has_more_marks_than_it_may(self, repository: RunRepository) -> None:
        for name, chart in self.drawn(repository).items():
            # Each row of data is drawn by each layer.
            layers = len(chart.get("layer", [1]))
            assert json.dumps(chart).count('"run"') * layers < 5_000, name

    def test_of_a_long_history_the_newest_runs_of_all_are_drawn(
        self, repository: RunRepository
    ) -> None:
        rows = self.drawn(repository)["long history"]["data"]["values"]

        assert {row["group"] for row in rows} == {f"SAT{n:03}" for n in range(20)}
        assert {row["run"] for row in rows} == {f"run_{n:03}" for n in range(238, 300)}

    def test_missed_events_are_in_the_legend(self, repository: RunRepository) -> None:
        chart = json.dumps(self.drawn(repository)["distribution"])

        assert re.search(r'"hostile: p50 [^"]+, 1 missed"', chart)
        assert '"said": "1 never came"' in chart

    def test_changes_are_marked(self, repository: RunRepository) -> None:
        assert '"event": "changed' in json.dumps(self.drawn(repository)["history"])

    def test_a_baseline_is_a_band_that_the_title_names(self, repository: RunRepository) -> None:
        pytest.importorskip("altair", reason="the extra `plots` isn't installed")
        repository.set_baseline("nightly", ["run_0", "run_9"])
        history = repository.history("fault_detection", baseline="nightly")

        chart, without = history.plot().to_dict(), self.drawn(repository)["history"]

        ((low, high),) = history.bands().values()
        assert chart["layer"][0]["data"]["values"] == [{"group": "all", "low": low, "high": high}]
        assert "baseline nightly" in chart["title"]["subtitle"]
        assert "rect" not in [layer["mark"]["type"] for layer in without["layer"]]

    def test_a_group_that_is_not_drawn_has_no_band(self) -> None:
        pytest.importorskip("altair", reason="the extra `plots` isn't installed")
        first, *_, last = long_history().points
        old = first._replace(group="old")
        history = replace(
            long_history(),
            points=(*long_history().points, old),
            baseline_name="nightly",
            baseline_points=(last, old),
        )

        drawn = history.plot().to_dict()["layer"][0]["data"]["values"]

        assert set(history.bands()) == {last.group, "old"}
        assert [band["group"] for band in drawn] == [last.group]

    def test_what_is_new_is_marked(self, results: Path) -> None:
        pytest.importorskip("altair", reason="the extra `plots` isn't installed")
        with RunRepository.open(results) as repository:
            for number, firmware in enumerate(("4.1", "4.1", "4.2")):
                was = Provenance(firmware=firmware, git_commit="aaaaaaa", scenario=str(number % 2))
                repository.save(f"run_{number}", recorded(10), provenance=was)
            history = repository.history("fault_detection")
            by_scenario = repository.history("fault_detection", by="scenario")

        assert dict(history.news) == {"run_2": "firmware 4.2"}
        assert dict(by_scenario.news) == {"run_2": "firmware 4.2"}
        assert '"event": "firmware 4.2"' in json.dumps(history.plot().to_dict())
        assert "firmware 4.2" in history_svg(history)

    def test_they_become_pictures_without_a_browser(self, repository: RunRepository) -> None:
        convert = pytest.importorskip("vl_convert", reason="the extra `plots` isn't installed")

        for name, chart in self.drawn(repository).items():
            assert convert.vegalite_to_svg(chart).startswith("<svg"), name

    def test_without_altair_the_error_names_the_extra(
        self, repository: RunRepository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "altair", None)

        with pytest.raises(MissingExtraError, match=r"astraguard-store\[plots\]"):
            repository.get("run_0").plot()
