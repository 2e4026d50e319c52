"""Embedded SQLite store for the latency measurements of hardware-in-the-loop test runs."""

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
    ReadOnlyStoreError,
    RunNotFoundError,
    SchemaVersionError,
    StoreError,
    StoreNotFoundError,
)
from astraguard_store.latency import LatencyCollector
from astraguard_store.metrics_storage import MetricsStorage
from astraguard_store.model import (
    Artifact,
    CacheInfo,
    CheckReport,
    Comparison,
    Finding,
    ImportReport,
    LatencyMeasurement,
    MetricChange,
    MetricSummary,
    RunHeader,
    RunSummary,
    ValueChange,
)
from astraguard_store.repository import RunRepository

__all__ = [
    "Artifact",
    "ArtifactError",
    "ArtifactReadError",
    "ArtifactWriteError",
    "CacheInfo",
    "CheckReport",
    "ClosedStoreError",
    "CommitOutcomeUnknownError",
    "Comparison",
    "DatabaseBusyError",
    "DatabaseDamagedError",
    "DatabaseError",
    "Finding",
    "ImportReport",
    "InvalidRunError",
    "LatencyCollector",
    "LatencyMeasurement",
    "MetricChange",
    "MetricSummary",
    "MetricsStorage",
    "ReadOnlyStoreError",
    "RunHeader",
    "RunNotFoundError",
    "RunRepository",
    "RunSummary",
    "SchemaVersionError",
    "StoreError",
    "StoreNotFoundError",
    "ValueChange",
]

__version__ = "0.1.0"
