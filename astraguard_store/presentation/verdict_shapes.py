"""The JSON of verdicts: what `gate`, `gate calibrate`, `baseline` and `changes` print."""

from __future__ import annotations

from collections.abc import Mapping
from math import isinf

from astraguard_store.presentation.shapes import Shape, shape_of
from astraguard_store.verdict.values import (
    Baseline,
    Calibration,
    CellVerdict,
    ChangePoint,
    GateReport,
    PercentileInterval,
)

__all__ = [
    "baseline_shape",
    "calibration_shape",
    "change_shape",
    "gate_shape",
    "intervals_shape",
]


def gate_shape(report: GateReport) -> Shape:
    """Return a report as JSON has it; an infinite end of an interval is null."""
    shape = shape_of(report)
    shape["rests_on_assumed_noise"] = report.rests_on_assumed_noise
    shape["cells"] = [_cell_shape(cell) for cell in report.cells]
    return shape


def _cell_shape(cell: CellVerdict) -> Shape:
    shape = shape_of(cell)
    for end in ("low", "high"):
        value = getattr(cell, end)
        if value is not None and (isinf(value) or (end == "low" and value == -1.0)):
            shape[end] = None
    return shape


def calibration_shape(calibration: Calibration) -> Shape:
    """Return a calibration as JSON has it."""
    return {**shape_of(calibration), "detectable": calibration.detectable}


def baseline_shape(baseline: Baseline) -> Shape:
    """Return a baseline as JSON has it."""
    return shape_of(baseline)


def intervals_shape(intervals: Mapping[str, Mapping[str, PercentileInterval]]) -> Shape:
    """Return {metric type: {statistic: INTERVAL}}."""
    return {
        metric_type: {statistic: shape_of(one) for statistic, one in of_one.items()}
        for metric_type, of_one in intervals.items()
    }


def change_shape(point: ChangePoint) -> Shape:
    """Return a change point as JSON has it."""
    return shape_of(point)
