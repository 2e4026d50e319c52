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
    from astraguard_store.exceptions import (
        ArtifactError,
        ArtifactReadError,
        ArtifactWriteError,
        ClosedStoreError,
        CommitOutcomeUnknownError,
        DatabaseBusyError,
        DatabaseDamagedError,
        DatabaseError,
        InvalidRunError,
        QueryError,
        ReadOnlyStoreError,
        RunNotFoundError,
        SchemaVersionError,
        StoreError,
        StoreMismatchError,
        StoreNotFoundError,
    )
    from astraguard_store.latency import LatencyCollector
    from astraguard_store.metrics_storage import MetricsStorage
    from astraguard_store.model import (
        Artifact,
        AtLeast,
        LatencyMeasurement,
        MetricSummary,
        RunHeader,
        RunSummary,
    )
    from astraguard_store.provenance import Provenance, ProvenanceChange
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

__all__ = [
    "Artifact",
    "ArtifactError",
    "ArtifactReadError",
    "ArtifactWriteError",
    "AsyncRunRepository",
    "AtLeast",
    "CacheInfo",
    "CheckReport",
    "ClosedStoreError",
    "CommitOutcomeUnknownError",
    "Comparison",
    "DatabaseBusyError",
    "DatabaseDamagedError",
    "DatabaseError",
    "ExportReport",
    "Finding",
    "ImportReport",
    "InvalidRunError",
    "LatencyCollector",
    "LatencyMeasurement",
    "MergeReport",
    "MetricChange",
    "MetricSummary",
    "MetricsStorage",
    "Percentile",
    "Percentiles",
    "Provenance",
    "ProvenanceChange",
    "PruneReport",
    "PushReport",
    "QueryError",
    "QueryResult",
    "ReadOnlyStoreError",
    "RunHeader",
    "RunNotFoundError",
    "RunRepository",
    "RunSummary",
    "SchemaVersionError",
    "StoreError",
    "StoreMismatchError",
    "StoreNotFoundError",
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
        "InvalidRunError",
        "QueryError",
        "ReadOnlyStoreError",
        "RunNotFoundError",
        "SchemaVersionError",
        "StoreError",
        "StoreMismatchError",
        "StoreNotFoundError",
    ),
    "latency": ("LatencyCollector",),
    "metrics_storage": ("MetricsStorage",),
    "model": (
        "Artifact",
        "AtLeast",
        "LatencyMeasurement",
        "MetricSummary",
        "RunHeader",
        "RunSummary",
    ),
    "provenance": ("Provenance", "ProvenanceChange"),
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
    "repository": ("RunRepository",),
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
