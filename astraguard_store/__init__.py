"""Embedded SQLite store for the latency measurements of hardware-in-the-loop test runs.

A name is loaded when it is first used, so importing the package costs little.
"""

from __future__ import annotations

from importlib import import_module

# As in `typing`, whose import takes 4 ms, in which Ctrl-C would end in a traceback.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from astraguard_store.async_repository import AsyncRunRepository
    from astraguard_store.comparison import Comparison, MetricChange, ValueChange
    from astraguard_store.distributions import Distribution, RunDistribution
    from astraguard_store.exceptions import (
        ArtifactError,
        ArtifactReadError,
        ArtifactWriteError,
        ClosedStoreError,
        CommitOutcomeUnknownError,
        DatabaseBusyError,
        DatabaseDamagedError,
        DatabaseError,
        GateError,
        InvalidRunError,
        MissingExtraError,
        QueryError,
        ReadOnlyStoreError,
        RunIsRunningError,
        RunNotFoundError,
        SchemaVersionError,
        StoreError,
        StoreMismatchError,
        StoreNotFoundError,
    )
    from astraguard_store.history import History, HistoryPoint
    from astraguard_store.latency import LatencyCollector
    from astraguard_store.metrics_storage import MetricsStorage
    from astraguard_store.model import (
        Artifact,
        AtLeast,
        Attachment,
        LatencyMeasurement,
        MetricSummary,
        RunHeader,
        RunHeaders,
        RunSummary,
    )
    from astraguard_store.noise import MachineNoise
    from astraguard_store.provenance import Provenance, ProvenanceChange, Unit
    from astraguard_store.reference import ReferenceWorkload
    from astraguard_store.reports import (
        CacheInfo,
        CheckReport,
        ExportReport,
        Finding,
        ImportReport,
        MergeReport,
        Percentile,
        Percentiles,
        PruneReport,
        PushReport,
        QueryResult,
    )
    from astraguard_store.repository import RunRepository
    from astraguard_store.store.live_run import LiveRun
    from astraguard_store.verdict.limits import Limits
    from astraguard_store.verdict.values import (
        Baseline,
        Calibration,
        CalibrationCell,
        CellVerdict,
        ChangePoint,
        GateReport,
        NotJudged,
        PercentileInterval,
        Settling,
        SlowEvents,
    )

__all__ = [
    "Artifact",
    "ArtifactError",
    "ArtifactReadError",
    "ArtifactWriteError",
    "AsyncRunRepository",
    "AtLeast",
    "Attachment",
    "Baseline",
    "CacheInfo",
    "Calibration",
    "CalibrationCell",
    "CellVerdict",
    "ChangePoint",
    "CheckReport",
    "ClosedStoreError",
    "CommitOutcomeUnknownError",
    "Comparison",
    "DatabaseBusyError",
    "DatabaseDamagedError",
    "DatabaseError",
    "Distribution",
    "ExportReport",
    "Finding",
    "GateError",
    "GateReport",
    "History",
    "HistoryPoint",
    "ImportReport",
    "InvalidRunError",
    "LatencyCollector",
    "LatencyMeasurement",
    "Limits",
    "LiveRun",
    "MachineNoise",
    "MergeReport",
    "MetricChange",
    "MetricSummary",
    "MetricsStorage",
    "MissingExtraError",
    "NotJudged",
    "Percentile",
    "PercentileInterval",
    "Percentiles",
    "Provenance",
    "ProvenanceChange",
    "PruneReport",
    "PushReport",
    "QueryError",
    "QueryResult",
    "ReadOnlyStoreError",
    "ReferenceWorkload",
    "RunDistribution",
    "RunHeader",
    "RunHeaders",
    "RunIsRunningError",
    "RunNotFoundError",
    "RunRepository",
    "RunSummary",
    "SchemaVersionError",
    "Settling",
    "SlowEvents",
    "StoreError",
    "StoreMismatchError",
    "StoreNotFoundError",
    "Unit",
    "ValueChange",
]

__version__ = "0.2.0"

_MODULES = {
    "async_repository": ("AsyncRunRepository",),
    "comparison": ("Comparison", "MetricChange", "ValueChange"),
    "exceptions": (
        "ArtifactError",
        "ArtifactReadError",
        "ArtifactWriteError",
        "ClosedStoreError",
        "CommitOutcomeUnknownError",
        "DatabaseBusyError",
        "DatabaseDamagedError",
        "DatabaseError",
        "GateError",
        "InvalidRunError",
        "MissingExtraError",
        "QueryError",
        "ReadOnlyStoreError",
        "RunIsRunningError",
        "RunNotFoundError",
        "SchemaVersionError",
        "StoreError",
        "StoreMismatchError",
        "StoreNotFoundError",
    ),
    "distributions": ("Distribution", "RunDistribution"),
    "history": ("History", "HistoryPoint"),
    "latency": ("LatencyCollector",),
    "metrics_storage": ("MetricsStorage",),
    "model": (
        "Artifact",
        "AtLeast",
        "Attachment",
        "LatencyMeasurement",
        "MetricSummary",
        "RunHeader",
        "RunHeaders",
        "RunSummary",
    ),
    "noise": ("MachineNoise",),
    "provenance": ("Provenance", "ProvenanceChange", "Unit"),
    "reports": (
        "CacheInfo",
        "CheckReport",
        "ExportReport",
        "Finding",
        "ImportReport",
        "MergeReport",
        "Percentile",
        "Percentiles",
        "PruneReport",
        "PushReport",
        "QueryResult",
    ),
    "reference": ("ReferenceWorkload",),
    "repository": ("RunRepository",),
    "store.live_run": ("LiveRun",),
    "verdict.limits": ("Limits",),
    "verdict.values": (
        "Baseline",
        "Calibration",
        "CalibrationCell",
        "CellVerdict",
        "ChangePoint",
        "GateReport",
        "NotJudged",
        "PercentileInterval",
        "Settling",
        "SlowEvents",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{module}"), name)
    # Found without this function from now on.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
