"""Embedded SQLite store for the latency measurements of hardware-in-the-loop test runs."""

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
    "QueryError",
    "QueryResult",
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

__version__ = "0.2.0"
