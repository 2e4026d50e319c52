"""The values that leave the store: frozen, slotted, safe to share between threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import sub, truediv
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple

from astraguard_store.frozen import FrozenMapping as FrozenMapping
from astraguard_store.noise import MachineNoise
from astraguard_store.provenance import UNKNOWN_PROVENANCE, Provenance
from astraguard_store.shown import Plotted, Shown, Tabular, asked_of, dict_of, html_of, printable

if TYPE_CHECKING:
    import altair

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ArtifactKind = Literal["summary_json", "raw_csv", "raw_parquet"]
RunState = Literal["running", "finished", "failed", "interrupted"]
"""How far a run came: see `LiveRun`. What was saved at once is ``finished``."""


def utc_from_epoch_us(epoch_us: int) -> datetime:
    """Return the aware UTC time of *epoch_us* microseconds since 1970; exact."""
    return _EPOCH + timedelta(0, 0, epoch_us)


def epoch_us(time: datetime) -> int:
    """Return the microseconds from 1970 to the aware *time*; exact."""
    return (time - _EPOCH) // timedelta(microseconds=1)


NO_TAGS: Final[FrozenMapping[str, str]] = FrozenMapping({})


@dataclass(frozen=True, init=False)
class LatencyMeasurement(Shown):
    """One measured latency: five fields, for `asdict`, `astuple` and `vars`, as in the old class.

    Attributes:
        timestamp: When it was recorded, seconds since 1970, UTC.
        metric_type: What was measured, such as ``fault_detection``.
        satellite_id: On which satellite.
        duration_ms: How long it took, milliseconds.
        scenario_time_s: Where in the scenario, seconds since its start.
        missed: Whether the event never came; `duration_ms` is then what was waited. It
            is no field, but two that differ in it are not equal.
    """

    timestamp: float
    metric_type: str
    satellite_id: str
    duration_ms: float
    scenario_time_s: float
    missed: ClassVar[bool] = False

    def __init__(
        self,
        timestamp: float,
        metric_type: str,
        satellite_id: str,
        duration_ms: float,
        scenario_time_s: float,
        missed: bool | None = None,
    ) -> None:
        """Take the values; *missed* None keeps what the class says, as `replace` needs it."""
        vars(self).update(
            timestamp=timestamp,
            metric_type=metric_type,
            satellite_id=satellite_id,
            duration_ms=duration_ms,
            scenario_time_s=scenario_time_s,
        )
        if missed is not None and missed != self.missed:
            # In the class, where `vars` doesn't see it.
            kind = _MissedMeasurement if missed else LatencyMeasurement
            object.__setattr__(self, "__class__", kind)

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"LatencyMeasurement({values}{', missed=True' if self.missed else ''})"


class _MissedMeasurement(LatencyMeasurement):
    """A measurement whose event never came."""

    missed = True


class AtLeast(float):
    """A number of which only a lower bound is known, such as a percentile among missed events.

    It is ordered as its bound, so that ``change.p99_ms.relative_change > 0.1`` holds for a
    percentile that fell among the missed. It equals another `AtLeast` of the same bound, and
    no plain number. ``AtLeast - number`` and ``AtLeast / positive number`` are `AtLeast`;
    ``number - AtLeast`` and ``number / AtLeast`` are None, because these are upper bounds.
    ``float(…)`` gives the bound, and any other arithmetic counts with it.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"AtLeast({float(self)!r})"

    def __str__(self) -> str:
        return f"at least {float(self)!r}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AtLeast) and float(self) == float(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((AtLeast, float(self)))

    def __sub__(self, other: float) -> float | AtLeast | None:  # type: ignore[override]
        return _combined(sub, self, other)

    def __rsub__(self, other: float) -> float | AtLeast | None:  # type: ignore[override, misc]
        return _combined(sub, other, self)

    def __truediv__(self, other: float) -> float | AtLeast | None:  # type: ignore[override]
        return _combined(truediv, self, other)

    def __rtruediv__(self, other: float) -> float | AtLeast | None:  # type: ignore[override, misc]
        return _combined(truediv, other, self)


def _combined(
    operation: Callable[[Any, Any], float], left: float, right: float
) -> float | AtLeast | None:
    """Return *left* − *right* or *left* / *right*, of which at least one is `AtLeast`.

    Returns:
        `AtLeast` where only *left* is; None where *right* is, for which only an upper
        bound could be given, or where dividing by a negative number makes it one.
    """
    if isinstance(right, AtLeast) or (operation is truediv and right < 0):
        return None
    return AtLeast(operation(float(left), right))


PERCENTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
"""What part of a run's events lies below each percentile of `MetricSummary`."""


def rank_of(count: int, q: float) -> int:
    """Return the place of the percentile *q*, from 0 to 1, among *count* sorted durations."""
    return min(int(count * q), count - 1)


class MetricSummary(NamedTuple):
    """The statistics of one metric type, of a whole run or of one satellite in it.

    Percentiles are order statistics of the n sorted durations s:
    p50 = s[n // 2], p95 = s[int(n * 0.95)], p99 = s[int(n * 0.99)].

    An event that was missed has no duration, only the time that was waited for
    it. It counts as that time in the mean, the smallest and the largest, which
    are then lower bounds. In the order it comes last, for nobody knows how long
    it would have taken: a percentile that falls among the missed is None, and
    its ``_above_ms`` is its lower bound. `p50`, `p95` and `p99` have either.

    Attributes:
        count: Number of events, at least 1, the missed ones among them.
        mean_ms: Their sum in recording order over their number.
        p50_ms: The median as defined above, ms; None if it falls among the missed.
        p95_ms: ms; None if it falls among the missed.
        p99_ms: ms; None if it falls among the missed, and for a satellite of a
            run adopted from an old summary file, which doesn't say.
        min_ms: ms; None for a satellite of such an adopted run.
        max_ms: ms.
        missed: How many of the events were missed.
        p50_above_ms: The median's lower bound where it falls among the missed:
            the order statistic with each missed event at what was waited; else None.
        p95_above_ms: The same for the 95th percentile.
        p99_above_ms: The same for the 99th percentile.
    """

    count: int  # type: ignore[assignment]  # shadows tuple.count
    mean_ms: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    min_ms: float | None
    max_ms: float
    missed: int = 0
    p50_above_ms: float | None = None
    p95_above_ms: float | None = None
    p99_above_ms: float | None = None

    @property
    def p50(self) -> float | AtLeast | None:
        """Median, ms, or its lower bound; None if it isn't known."""
        return _number_or_bound(self.p50_ms, self.p50_above_ms)

    @property
    def p95(self) -> float | AtLeast | None:
        """95th percentile, ms, or its lower bound; None if it isn't known."""
        return _number_or_bound(self.p95_ms, self.p95_above_ms)

    @property
    def p99(self) -> float | AtLeast | None:
        """99th percentile, ms, or its lower bound; None if it isn't known."""
        return _number_or_bound(self.p99_ms, self.p99_above_ms)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, for JSON; nothing is rounded."""
        return dict_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)


def _number_or_bound(number: float | None, bound: float | None) -> float | AtLeast | None:
    return number if bound is None else AtLeast(bound)


def with_bounds(summary: MetricSummary) -> MetricSummary:
    """Return *summary*, whose percentiles are numbers, with bounds for those among the missed."""
    measured = summary.count - summary.missed
    bounds: dict[str, Any] = {}
    for name, q in PERCENTILES.items():
        if rank_of(summary.count, q) >= measured:
            bounds[f"{name}_above_ms"] = getattr(summary, f"{name}_ms")
            bounds[f"{name}_ms"] = None
    return summary._replace(**bounds)


class Artifact(NamedTuple):
    """A file of a run.

    Attributes:
        kind: ``summary_json``, ``raw_csv`` or ``raw_parquet``.
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

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, for JSON; nothing is rounded."""
        return dict_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)


class Attachment(NamedTuple):
    """Any file that belongs to a run, such as the rig's console log.

    Attributes:
        name: Below ``attachments`` in the run's folder.
        bytes: Size.
        sha256: Of the content, hex.
    """

    name: str
    bytes: int
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, for JSON; nothing is rounded."""
        return dict_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)


class RunHeader(NamedTuple):
    """What a list of runs shows.

    Attributes:
        run_id: The run.
        revision: 1 when first saved, one more for each save after; 0 in an
            answer from the folders, which don't say.
        recorded_at: When it was saved, aware UTC, whole microseconds; for an
            adopted run the time of its last measurement.
        total_measurements: Number of measurements; of a running run those that its
            recorder had told of, which it does every 10 s.
        state: ``finished``, also of a run that was saved at once; ``running``,
            ``failed``, or ``interrupted`` if its recorder died.
        last_written_at: When its recorder last wrote, aware UTC; None if it had none.
    """

    run_id: str
    revision: int
    recorded_at: datetime
    total_measurements: int
    state: RunState = "finished"
    last_written_at: datetime | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, for JSON; nothing is rounded."""
        return dict_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)


class RunHeaders(list[RunHeader], Tabular):
    """The list that `recent` gives: a list, which notebooks show as a table."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the runs as plain values, for JSON; nothing is rounded."""
        return {"runs": [header.to_dict() for header in self]}


@dataclass(frozen=True, slots=True, repr=False)
class RunSummary(Plotted):
    """A run: its header, its statistics and its files.

    Attributes:
        run_id: The run.
        revision: As in `RunHeader`.
        recorded_at: As in `RunHeader`.
        total_measurements: Number of measurements.
        metrics: {metric type: statistics over all satellites}.
        satellites: {satellite: {metric type: statistics}}.
        artifacts: The run's files; empty for a store in memory.
        provenance: What the run was: its scenario, software and machine.
        tags: {tag: value}, as they were set; they may be changed later.
        state: As in `RunHeader`.
        last_written_at: As in `RunHeader`.
        error: Type and message of the exception that ended a failed run, else None.
        attachments: The files that were attached to it, by name.
        noise: What else its machine did meanwhile; None if it was saved at once.
        save_id: What the caller named the save; None where it has no name.
    """

    run_id: str
    revision: int
    recorded_at: datetime
    total_measurements: int
    metrics: Mapping[str, MetricSummary]
    satellites: Mapping[str, Mapping[str, MetricSummary]]
    artifacts: tuple[Artifact, ...] = ()
    provenance: Provenance = UNKNOWN_PROVENANCE
    tags: Mapping[str, str] = NO_TAGS
    state: RunState = "finished"
    last_written_at: datetime | None = None
    error: str | None = None
    attachments: tuple[Attachment, ...] = ()
    noise: MachineNoise | None = None
    save_id: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.metrics, FrozenMapping):
            object.__setattr__(self, "metrics", FrozenMapping(self.metrics))
        if not isinstance(self.satellites, FrozenMapping):
            by_type = {satellite: FrozenMapping(m) for satellite, m in self.satellites.items()}
            object.__setattr__(self, "satellites", FrozenMapping(by_type))
        if not isinstance(self.tags, FrozenMapping):
            object.__setattr__(self, "tags", FrozenMapping(self.tags))

    def __repr__(self) -> str:
        means = ", ".join(f"{name} {m.mean_ms:.3g} ms" for name, m in self.metrics.items())
        state = "" if self.state == "finished" else f"{self.state}, "
        return printable(
            f"<RunSummary {self.run_id!r} revision {self.revision}, {state}"
            f"{self.recorded_at:%Y-%m-%d %H:%M:%S} UTC, "
            f"measurements: {self.total_measurements}, satellites: {len(self.satellites)}; "
            f"mean: {means}>"
        )

    def plot(self) -> altair.VConcatChart:
        """Return a Vega-Altair chart: percentiles, satellites, and latencies over the run's time.

        The satellites are a heat map. The time comes from the measurements, so it is there
        while the repository is open that gave the run, and if they are kept: else the chart
        says why not.

        Raises:
            MissingExtraError: Altair isn't installed.
        """
        from astraguard_store.presentation.charts import run_chart

        return run_chart(self, asked_of(self))

    @property
    def header(self) -> RunHeader:
        """The run as a list shows it."""
        return RunHeader(
            self.run_id,
            self.revision,
            self.recorded_at,
            self.total_measurements,
            self.state,
            self.last_written_at,
        )
