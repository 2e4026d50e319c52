"""The values that leave the store: frozen, slotted, safe to share between threads."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, TypeVar

__all__ = [
    "Artifact",
    "ArtifactKind",
    "CacheInfo",
    "CheckReport",
    "Comparison",
    "Finding",
    "FrozenMapping",
    "ImportReport",
    "LatencyMeasurement",
    "MetricChange",
    "MetricSummary",
    "RunHeader",
    "RunSummary",
    "ValueChange",
    "epoch_us",
    "utc_from_epoch_us",
]

K = TypeVar("K")
V_co = TypeVar("V_co", covariant=True)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ArtifactKind = Literal["summary_json", "raw_csv"]
FindingKind = Literal[
    "changed_file",
    "csv_disagrees",
    "damaged_database",
    "foreign_key",
    "missing_database",
    "missing_file",
    "missing_row",
    "network_file_system",
    "schema_version",
    "sqlite_version",
    "staging_left_over",
    "unhashed_csv",
]


def utc_from_epoch_us(epoch_us: int) -> datetime:
    """Return the aware UTC time of *epoch_us* microseconds since 1970; exact."""
    return _EPOCH + timedelta(microseconds=epoch_us)


def epoch_us(time: datetime) -> int:
    """Return the microseconds from 1970 to the aware *time*; exact."""
    return (time - _EPOCH) // timedelta(microseconds=1)


class FrozenMapping(Mapping[K, V_co]):
    """A dict that can only be read; unlike `MappingProxyType` it pickles, copies and hashes."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[K, V_co]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: K) -> V_co:
        return self._items[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: object) -> bool:
        return key in self._items

    # The dict's own views: those of Mapping call __getitem__ for each key.
    def keys(self) -> KeysView[K]:
        """Return the keys, as a dict does."""
        return self._items.keys()

    def values(self) -> ValuesView[V_co]:
        """Return the values, as a dict does."""
        return self._items.values()

    def items(self) -> ItemsView[K, V_co]:
        """Return the (key, value) pairs, as a dict does."""
        return self._items.items()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, FrozenMapping):
            return self._items == other._items
        return self._items == other if isinstance(other, Mapping) else NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)

    def __reduce__(self) -> tuple[type[FrozenMapping[K, V_co]], tuple[dict[K, V_co]]]:
        return type(self), (dict(self._items),)


@dataclass(frozen=True, slots=True)
class LatencyMeasurement:
    """One measured latency.

    Attributes:
        timestamp: When it was recorded, seconds since 1970, UTC.
        metric_type: What was measured, such as ``fault_detection``.
        satellite_id: On which satellite.
        duration_ms: How long it took, milliseconds.
        scenario_time_s: Where in the scenario, seconds since its start.
    """

    timestamp: float
    metric_type: str
    satellite_id: str
    duration_ms: float
    scenario_time_s: float


class MetricSummary(NamedTuple):
    """The statistics of one metric type, of a whole run or of one satellite in it.

    Percentiles are order statistics of the n sorted durations s:
    p50 = s[n // 2], p95 = s[int(n * 0.95)], p99 = s[int(n * 0.99)].

    Attributes:
        count: Number of measurements, at least 1.
        mean_ms: Their sum in recording order over their number.
        p50_ms: The median as defined above, ms.
        p95_ms: ms.
        p99_ms: ms; None only for a satellite of a run adopted from an old
            summary file, which doesn't say.
        min_ms: ms; None where `p99_ms` is.
        max_ms: ms.
    """

    count: int  # type: ignore[assignment]  # shadows tuple.count
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float | None
    min_ms: float | None
    max_ms: float


class Artifact(NamedTuple):
    """A file of a run.

    Attributes:
        kind: ``summary_json`` or ``raw_csv``.
        path: Relative to the results folder, with forward slashes.
        bytes: Size.
        sha256: Of the content, hex; None where an adopted file wasn't hashed.
        rows: Measurements in it; None where an adopted file wasn't counted.
    """

    kind: ArtifactKind
    path: str
    bytes: int
    sha256: str | None
    rows: int | None


class RunHeader(NamedTuple):
    """What a list of runs shows.

    Attributes:
        run_id: The run.
        revision: 1 when first saved, one more for each save after; 0 in an
            answer from the folders, which don't say.
        recorded_at: When it was saved, aware UTC, whole microseconds; for an
            adopted run the time of its last measurement.
        total_measurements: Number of measurements.
    """

    run_id: str
    revision: int
    recorded_at: datetime
    total_measurements: int


@dataclass(frozen=True, slots=True, repr=False)
class RunSummary:
    """A run: its header, its statistics and its files.

    Attributes:
        run_id: The run.
        revision: As in `RunHeader`.
        recorded_at: As in `RunHeader`.
        total_measurements: Number of measurements.
        metrics: {metric type: statistics over all satellites}.
        satellites: {satellite: {metric type: statistics}}.
        artifacts: The run's files; empty for a store in memory.
    """

    run_id: str
    revision: int
    recorded_at: datetime
    total_measurements: int
    metrics: Mapping[str, MetricSummary]
    satellites: Mapping[str, Mapping[str, MetricSummary]]
    artifacts: tuple[Artifact, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.metrics, FrozenMapping):
            object.__setattr__(self, "metrics", FrozenMapping(self.metrics))
        if not isinstance(self.satellites, FrozenMapping):
            by_type = {satellite: FrozenMapping(m) for satellite, m in self.satellites.items()}
            object.__setattr__(self, "satellites", FrozenMapping(by_type))

    def __repr__(self) -> str:
        means = ", ".join(f"{name} {m.mean_ms:.3g} ms" for name, m in self.metrics.items())
        return (
            f"<RunSummary {self.run_id!r} revision {self.revision}, "
            f"{self.recorded_at:%Y-%m-%d %H:%M:%S} UTC, "
            f"{self.total_measurements} measurements of {len(self.satellites)} satellites; "
            f"mean: {means}>"
        )

    @property
    def header(self) -> RunHeader:
        """The run as a list shows it."""
        return RunHeader(self.run_id, self.revision, self.recorded_at, self.total_measurements)


class ValueChange(NamedTuple):
    """One statistic in two runs.

    Attributes:
        baseline: Its value in the baseline; None where that run doesn't have it.
        candidate: Its value in the candidate; None where that run doesn't have it.
    """

    baseline: float | None
    candidate: float | None

    @property
    def difference(self) -> float | None:
        """Candidate − baseline; None where a side is missing."""
        if self.baseline is None or self.candidate is None:
            return None
        return self.candidate - self.baseline

    @property
    def relative_change(self) -> float | None:
        """Difference / baseline, 0.1 for 10 % more; None where a side is missing or zero."""
        if self.difference is None or not self.baseline:
            return None
        return self.difference / self.baseline

    def __repr__(self) -> str:
        relative = self.relative_change
        change = "" if relative is None else f", {relative:+.1%}"
        return f"<{self.baseline} -> {self.candidate}{change}>"


class MetricChange(NamedTuple):
    """The statistics of one metric type in two runs.

    Attributes:
        metric_type: What was measured.
        satellite_id: On which satellite; None for all together.
        baseline: Its statistics in the baseline; None where that run has none.
        candidate: Its statistics in the candidate; None where that run has none.
    """

    metric_type: str
    satellite_id: str | None
    baseline: MetricSummary | None
    candidate: MetricSummary | None

    @property
    def count(self) -> ValueChange:  # type: ignore[override]  # shadows tuple.count
        """Number of measurements."""
        return self._change("count")

    @property
    def mean_ms(self) -> ValueChange:
        """Mean, ms."""
        return self._change("mean_ms")

    @property
    def p50_ms(self) -> ValueChange:
        """Median, ms."""
        return self._change("p50_ms")

    @property
    def p95_ms(self) -> ValueChange:
        """95th percentile, ms."""
        return self._change("p95_ms")

    @property
    def p99_ms(self) -> ValueChange:
        """99th percentile, ms."""
        return self._change("p99_ms")

    @property
    def min_ms(self) -> ValueChange:
        """Smallest, ms."""
        return self._change("min_ms")

    @property
    def max_ms(self) -> ValueChange:
        """Largest, ms."""
        return self._change("max_ms")

    def _change(self, statistic: str) -> ValueChange:
        return ValueChange(
            getattr(self.baseline, statistic, None), getattr(self.candidate, statistic, None)
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed from one run to another.

    Attributes:
        baseline: Run id of the one compared against.
        candidate: Run id of the other; differences are candidate − baseline.
        changes: One per metric type, or, asked for by satellite, one per
            satellite and metric type; in the order of these names.
    """

    baseline: str
    candidate: str
    changes: tuple[MetricChange, ...]

    def change(self, metric_type: str, satellite_id: str | None = None) -> MetricChange:
        """Return the change of *metric_type* (on *satellite_id*).

        Raises:
            KeyError: Neither run has it.
        """
        for change in self.changes:
            if (change.metric_type, change.satellite_id) == (metric_type, satellite_id):
                return change
        raise KeyError((metric_type, satellite_id))


class CacheInfo(NamedTuple):
    """How the identity map did, since the store was opened in this process.

    Attributes:
        hits: Answers given from the map.
        misses: Answers read from the database.
        current_size: Runs and comparisons held.
        limit: Most that are held.
    """

    hits: int
    misses: int
    current_size: int
    limit: int


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import of run folders did.

    Attributes:
        adopted: Runs that are now in the database.
        skipped: Runs that were in it already.
        refused: (folder name, reason) of what could not be read; left as it was.
    """

    adopted: int
    skipped: int
    refused: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a check found, or mended.

    Attributes:
        kind: What it is, for programs.
        severity: ``fault`` for what is not as the store promises; ``note`` for
            what is worth knowing and harms nothing by itself.
        where: The file, relative to the results folder, or the database.
        what: What is wrong with it.
        advice: What to do about it; of a mended one, what was done.
    """

    kind: FindingKind
    severity: Literal["fault", "note"]
    where: str
    what: str
    advice: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check of a store found.

    Attributes:
        runs: Runs that were checked.
        files: Files of theirs that were read.
        bytes: What these hold together.
        findings: What is left to mend, or to know.
        mended: What ``fix`` has mended.
    """

    runs: int
    files: int
    bytes: int
    findings: tuple[Finding, ...]
    mended: tuple[Finding, ...]

    @property
    def is_sound(self) -> bool:
        """Whether no fault is left; notes may be."""
        return all(finding.severity == "note" for finding in self.findings)
