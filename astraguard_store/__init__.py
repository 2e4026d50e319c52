"""Embedded SQLite store for the latency measurements of hardware-in-the-loop test runs.

A name is loaded when it is first used, so importing the package costs little.
"""

from __future__ import annotations

from importlib import import_module

# As in `typing`, whose import takes 4 ms, in which Ctrl-C would end in a traceback.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from astraguard_store.async_repository import AsyncRunRepository as AsyncRunRepository
    from astraguard_store.comparison import Comparison as Comparison
    from astraguard_store.comparison import MetricChange as MetricChange
    from astraguard_store.comparison import ValueChange as ValueChange
    from astraguard_store.distributions import Distribution as Distribution
    from astraguard_store.distributions import RunDistribution as RunDistribution
    from astraguard_store.exceptions import ArtifactError as ArtifactError
    from astraguard_store.exceptions import ArtifactReadError as ArtifactReadError
    from astraguard_store.exceptions import ArtifactWriteError as ArtifactWriteError
    from astraguard_store.exceptions import ClosedStoreError as ClosedStoreError
    from astraguard_store.exceptions import CommitOutcomeUnknownError as CommitOutcomeUnknownError
    from astraguard_store.exceptions import DatabaseBusyError as DatabaseBusyError
    from astraguard_store.exceptions import DatabaseDamagedError as DatabaseDamagedError
    from astraguard_store.exceptions import DatabaseError as DatabaseError
    from astraguard_store.exceptions import GateError as GateError
    from astraguard_store.exceptions import InvalidRunError as InvalidRunError
    from astraguard_store.exceptions import MissingExtraError as MissingExtraError
    from astraguard_store.exceptions import QueryError as QueryError
    from astraguard_store.exceptions import ReadOnlyStoreError as ReadOnlyStoreError
    from astraguard_store.exceptions import RunIsRunningError as RunIsRunningError
    from astraguard_store.exceptions import RunNotFoundError as RunNotFoundError
    from astraguard_store.exceptions import SchemaVersionError as SchemaVersionError
    from astraguard_store.exceptions import StoreError as StoreError
    from astraguard_store.exceptions import StoreMismatchError as StoreMismatchError
    from astraguard_store.exceptions import StoreNotFoundError as StoreNotFoundError
    from astraguard_store.history import History as History
    from astraguard_store.history import HistoryPoint as HistoryPoint
    from astraguard_store.latency import LatencyCollector as LatencyCollector
    from astraguard_store.metrics_storage import MetricsStorage as MetricsStorage
    from astraguard_store.model import Artifact as Artifact
    from astraguard_store.model import AtLeast as AtLeast
    from astraguard_store.model import Attachment as Attachment
    from astraguard_store.model import LatencyMeasurement as LatencyMeasurement
    from astraguard_store.model import MetricSummary as MetricSummary
    from astraguard_store.model import RunHeader as RunHeader
    from astraguard_store.model import RunHeaders as RunHeaders
    from astraguard_store.model import RunSummary as RunSummary
    from astraguard_store.noise import MachineNoise as MachineNoise
    from astraguard_store.provenance import Provenance as Provenance
    from astraguard_store.provenance import ProvenanceChange as ProvenanceChange
    from astraguard_store.provenance import Unit as Unit
    from astraguard_store.reference import ReferenceWorkload as ReferenceWorkload
    from astraguard_store.reports import CacheInfo as CacheInfo
    from astraguard_store.reports import CheckReport as CheckReport
    from astraguard_store.reports import ExportReport as ExportReport
    from astraguard_store.reports import Finding as Finding
    from astraguard_store.reports import ImportReport as ImportReport
    from astraguard_store.reports import MergeReport as MergeReport
    from astraguard_store.reports import Percentile as Percentile
    from astraguard_store.reports import Percentiles as Percentiles
    from astraguard_store.reports import PruneReport as PruneReport
    from astraguard_store.reports import PushReport as PushReport
    from astraguard_store.reports import QueryResult as QueryResult
    from astraguard_store.repository import RunRepository as RunRepository
    from astraguard_store.store.live_run import LiveRun as LiveRun
    from astraguard_store.verdict.limits import Limits as Limits
    from astraguard_store.verdict.values import Baseline as Baseline
    from astraguard_store.verdict.values import Calibration as Calibration
    from astraguard_store.verdict.values import CalibrationCell as CalibrationCell
    from astraguard_store.verdict.values import CellVerdict as CellVerdict
    from astraguard_store.verdict.values import ChangePoint as ChangePoint
    from astraguard_store.verdict.values import GateReport as GateReport
    from astraguard_store.verdict.values import NotJudged as NotJudged
    from astraguard_store.verdict.values import PercentileInterval as PercentileInterval
    from astraguard_store.verdict.values import Settling as Settling
    from astraguard_store.verdict.values import SlowEvents as SlowEvents

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
__all__ = sorted(_MODULE_OF)


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
