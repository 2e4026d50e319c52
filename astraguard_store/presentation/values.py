"""Any public value as JSON has it: what the command line says of it."""

from __future__ import annotations

from typing import Any

from astraguard_store.comparison import Comparison, MetricChange, ValueChange
from astraguard_store.history import History
from astraguard_store.model import RunSummary
from astraguard_store.presentation import shapes
from astraguard_store.presentation.verdict_shapes import calibration_shape, gate_shape
from astraguard_store.reports import CheckReport, ImportReport, MergeReport, PruneReport
from astraguard_store.verdict.values import Calibration, GateReport

__all__ = ["value_shape"]


def value_shape(value: Any) -> shapes.Shape:
    """Return the JSON of any public value; one without a shape of its own by its fields."""
    match value:
        case RunSummary():
            return shapes.run_shape(value)
        case Comparison():
            by_satellite = any(change.satellite_id is not None for change in value.changes)
            return shapes.comparison_shape(value, by_satellite=by_satellite)
        case MetricChange():
            return shapes.change_shape(value)
        case ValueChange():
            return shapes.sides_shape(value)
        case History():
            return shapes.history_shape(value, "p95")
    return _report_shape(value)


def _report_shape(value: Any) -> shapes.Shape:
    match value:
        case CheckReport() | ImportReport() | MergeReport() | PruneReport():
            return shapes.report_shape(value)
        case GateReport():
            return gate_shape(value)
        case Calibration():
            return calibration_shape(value)
    return shapes.shape_of(value)
