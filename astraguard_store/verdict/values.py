"""What goes into a verdict, and what comes out: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from astraguard_store.model import MetricSummary
from astraguard_store.noise import Worst
from astraguard_store.provenance import Provenance, ProvenanceChange
from astraguard_store.shown import Shown, Tabular, dict_of, html_of

Verdict = Literal["regressed", "improved", "equivalent", "inconclusive"]
NoiseSource = Literal["measured", "history", "assumed"]

Cells = Mapping[tuple[str, str | None], MetricSummary]
"""{(metric type, satellite or None for all together): statistics}."""


class JudgedRun(NamedTuple):
    """A run as the rule sees it.

    Attributes:
        run_id: The run.
        started_us: When it started, µs since 1970, UTC; when it was recorded where
            that isn't known.
        provenance: What it was.
        tags: {tag: value}.
        cells: Its statistics.
        ticks: The most events of one metric type on one satellite: how often the
            satellites were served. Events of one tick share what the machine does then.
        reference: The version of the workload behind its metric type ``reference``;
            None where it has none.
        worst: What its machine did.
    """

    run_id: str
    started_us: int
    provenance: Provenance
    tags: Mapping[str, str]
    cells: Cells
    ticks: int
    reference: str | None = None
    worst: Worst = Worst()


class Settling(NamedTuple):
    """What it would take to settle an inconclusive cell, if the runs go on as they are.

    Attributes:
        candidate_runs: So many more candidate runs; None where more than 200 are
            needed, or none would do, because the baseline has too few.
        runs_of_both: So many more of both sides; None where more than 200 are needed.
        with_reference: The same of candidate runs, had all runs a reference; None
            where they have one, or it wouldn't do.
    """

    candidate_runs: int | None
    runs_of_both: int | None
    with_reference: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, for JSON; nothing is rounded."""
        return dict_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)


@dataclass(frozen=True, slots=True)
class CellVerdict(Shown):
    """What is said of one statistic of one metric type, on all satellites or on one.

    Attributes:
        metric_type: What was measured.
        satellite_id: On which satellite; None for all together.
        statistic: ``p50``, ``p95`` or ``p99``; ``missed``: the share of missed events;
            ``deadline``: the share of events later than the deadline, or missed.
        verdict: ``regressed``, ``improved``, ``equivalent`` or ``inconclusive``.
        baseline: Geometric mean of the baseline's runs, ms; for ``missed`` a share of
            events, 0 to 1; for ``deadline`` None.
        candidate: The same of the candidate's; for ``deadline`` the share of events.
        change: candidate/baseline − 1, with what the reference explains taken off; for
            ``missed`` the difference of the shares; for ``deadline`` the share itself.
            None where a percentile among missed events leaves nothing to say.
        low: The lower end of the interval of `change`, at 1 − α over all cells.
        high: The upper end; infinite where a percentile falls among missed events.
        limit: From which `change` on it counts; for ``deadline`` the share allowed.
        excludes_regression: Whether `limit` isn't reached: by the one-sided 95 % bound of
            an equivalent cell, by `high` of another, which may look faster by chance.
        noise: Standard deviation between runs that the change was held against,
            relative (0.1 is 10 %); for ``missed`` the variance over that of independent
            events; None for ``deadline``.
        noise_source: ``measured`` of these runs, ``history`` where older runs of the
            same set-up are in it, or ``assumed``.
        df: Degrees of freedom behind it; None for ``deadline``. The test takes 10 of
            them at most; 4 where a side is a single run, 5 with older runs, 3 with a
            reference alone; 5 of more than 25 cells; and one less beside a reference.
        reference_slope: By how much the logarithm of a run follows that of its
            reference, 0 to 2; None where no reference was used.
        settling: What would settle it; None unless it leaves a regression open, and where
            a percentile falls among missed events.
    """

    metric_type: str
    satellite_id: str | None
    statistic: str
    verdict: Verdict
    baseline: float | None
    candidate: float | None
    change: float | None
    low: float | None
    high: float | None
    limit: float
    excludes_regression: bool
    noise: float | None
    noise_source: NoiseSource
    df: float | None
    reference_slope: float | None = None
    settling: Settling | None = None


class NotJudged(NamedTuple):
    """A statistic that wasn't judged, and why.

    Attributes:
        metric_type: What was measured.
        satellite_id: On which satellite; None for all together.
        statistic: ``p50``, ``p95`` or ``p99``.
        reason: In words.
    """

    metric_type: str
    satellite_id: str | None
    statistic: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, for JSON; nothing is rounded."""
        return dict_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)


class SlowEvents(NamedTuple):
    """Events above the baseline's p99.9, which show stalls that no percentile sees.

    Attributes:
        metric_type: What was measured.
        above_ms: The baseline's p99.9, within 1 %.
        baseline: How many of the baseline's events were above it, or missed.
        baseline_events: Of how many.
        candidate: How many of the candidate's.
        candidate_events: Of how many.
    """

    metric_type: str
    above_ms: float
    baseline: int
    baseline_events: int
    candidate: int
    candidate_events: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, for JSON; nothing is rounded."""
        return dict_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)


@dataclass(frozen=True, slots=True, repr=False)
class GateReport(Tabular):
    """A verdict on runs, and what it is made of.

    Attributes:
        verdict: ``regressed`` if any cell is; else ``inconclusive`` if a cell may be;
            else ``improved`` if any is; else ``equivalent``.
        baseline_name: The name of the baseline; None where its runs were named.
        baseline: Ids of its runs, by their start.
        candidates: Ids of the candidate's runs, by their start.
        by_satellite: Whether each satellite was judged by itself.
        alpha: Probability of a false alarm over all cells.
        cells: What was judged: the worst first.
        not_judged: What wasn't, and why.
        noise_source: The weakest of the cells': ``assumed`` before ``history`` before
            ``measured``.
        history: How many older runs of the same set-up the noise comes from, too.
        interleaved: Whether the sides took turns in time.
        reference_change: By how much slower the reference was for the candidate,
            relative, which is taken off as far as the latencies follow it; None where
            none was used.
        slow_events: Stalls beside the percentiles; reported, never judged.
        provenance_changes: What differs between what the sides were.
        warnings: What weakens the verdict, a sentence each.
        settling: What would settle the whole: the first regression to be proven, or, where
            nothing looks like one, all that may be; None unless it is inconclusive, and
            where no number of runs is known.
    """

    verdict: Verdict
    baseline_name: str | None
    baseline: tuple[str, ...]
    candidates: tuple[str, ...]
    by_satellite: bool
    alpha: float
    cells: tuple[CellVerdict, ...]
    not_judged: tuple[NotJudged, ...]
    noise_source: NoiseSource
    history: int
    interleaved: bool
    reference_change: float | None
    slow_events: tuple[SlowEvents, ...]
    provenance_changes: tuple[ProvenanceChange, ...]
    warnings: tuple[str, ...]
    settling: Settling | None = None

    def cell(
        self, metric_type: str, statistic: str, satellite_id: str | None = None
    ) -> CellVerdict:
        """Return what is said of one statistic of a metric type (on a satellite).

        Args:
            metric_type: What was measured.
            statistic: ``p50``, ``p95``, ``p99``, ``missed`` or ``deadline``.
            satellite_id: On which satellite; None for all together.

        Raises:
            KeyError: It wasn't judged.
        """
        key = (metric_type, statistic, satellite_id)
        for cell in self.cells:
            if (cell.metric_type, cell.statistic, cell.satellite_id) == key:
                return cell
        raise KeyError(key)

    @property
    def regressed(self) -> tuple[CellVerdict, ...]:
        """The cells that regressed, the worst first."""
        return tuple(cell for cell in self.cells if cell.verdict == "regressed")

    @property
    def rests_on_assumed_noise(self) -> bool:
        """Whether the noise is a guess, because there are too few runs to measure it."""
        return self.noise_source == "assumed"

    def __repr__(self) -> str:
        return (
            f"<GateReport {self.verdict}: {len(self.candidates)} v {len(self.baseline)} runs, "
            f"{len(self.regressed)} of {len(self.cells)} cells regressed, "
            f"noise {self.noise_source}>"
        )


class PercentileInterval(NamedTuple):
    """How sure a percentile of one run is.

    Attributes:
        effective_events: How many independent events those of the run are worth: a tick
            counts once, however many satellites are served in it.
        is_enough: Whether these are enough for this percentile: 20 for a median, 59 for
            p95, 299 for p99. With fewer it says little more than the largest does.
        low_ms: Lower end of its 95 % interval by order statistics, ms, at the lower edge of
            its bucket, 1 % below; None where so few events have none, or the run keeps no
            buckets.
        high_ms: Upper end, ms, at the upper edge, 1 % above; None also where it falls among
            the missed events.
    """

    effective_events: int
    is_enough: bool
    low_ms: float | None
    high_ms: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, for JSON; nothing is rounded."""
        return dict_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)


class CalibrationCell(NamedTuple):
    """What a baseline can find in one statistic.

    Attributes:
        metric_type: What was measured.
        satellite_id: None: all together.
        statistic: ``p50``, ``p95`` or ``p99``.
        noise: Standard deviation between runs, relative.
        detectable: The smallest relative change that is called regressed with
            probability 80 %.
        detectable_with_reference: The same, had the runs an in-run reference; None
            where they have one.
        false_alarms: How often it was called regressed in the leave-one-out.
    """

    metric_type: str
    satellite_id: str | None
    statistic: str
    noise: float
    detectable: float
    detectable_with_reference: float | None
    false_alarms: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, for JSON; nothing is rounded."""
        return dict_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)


@dataclass(frozen=True, slots=True, repr=False)
class Calibration(Tabular):
    """What a baseline's own runs say of the gate.

    Each run is judged against the others, as if it were a candidate: whatever is called
    regressed or improved then is a false alarm.

    Attributes:
        baseline: Ids of its runs, by their start.
        candidate_runs: For how many candidate runs `cells` hold.
        tries: How many runs were left out and judged, one after the other.
        false_alarms: How many of them were called regressed.
        false_improvements: How many were called improved.
        false_alarm_bound: The largest probability of a false alarm that so few tries
            leave possible, with 95 % confidence (Clopper and Pearson 1934).
        cells: What can be found in each statistic, the smallest change first.
        noise_source: As in `GateReport`.
        warnings: What weakens it, a sentence each.
    """

    baseline: tuple[str, ...]
    candidate_runs: int
    tries: int
    false_alarms: int
    false_improvements: int
    false_alarm_bound: float
    cells: tuple[CalibrationCell, ...]
    noise_source: NoiseSource
    warnings: tuple[str, ...]

    @property
    def detectable(self) -> float | None:
        """The smallest relative change that is found with 80 %; None if nothing was judged."""
        return self.cells[0].detectable if self.cells else None

    def __repr__(self) -> str:
        found = "nothing" if self.detectable is None else f"{self.detectable:+.0%}"
        return (
            f"<Calibration of {len(self.baseline)} runs: {self.false_alarms} of {self.tries} "
            f"false alarms, {found} found with 80 %>"
        )


class ChangePoint(NamedTuple):
    """A step in the history of a statistic.

    Attributes:
        run_id: The first run after it.
        started_at: When that run started, aware UTC.
        before_ms: Geometric mean of the runs since the step before, ms.
        after_ms: Geometric mean of the runs up to the next step, ms.
        change: after/before − 1.
        runs_before: How many runs `before_ms` is of.
        runs_after: How many runs `after_ms` is of.
        p_value: Of the step, against the noise of the history.
    """

    run_id: str
    started_at: datetime
    before_ms: float
    after_ms: float
    change: float
    runs_before: int
    runs_after: int
    p_value: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, for JSON; nothing is rounded."""
        return dict_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)


@dataclass(frozen=True, slots=True)
class Baseline(Shown):
    """A name for runs to judge others against; they aren't pruned.

    A run that is deleted by hand is in no baseline any more.

    Attributes:
        name: Its name.
        run_ids: Its runs, in the order of their ids.
        set_at: When it was set, aware UTC.
    """

    name: str
    run_ids: tuple[str, ...]
    set_at: datetime


class RecordedVerdict(NamedTuple):
    """A verdict that was written down for one of its candidate runs.

    Attributes:
        judged_at_us: When, µs since 1970, UTC.
        verdict: On all its candidate runs together.
        baseline: The baseline's name; None where its runs were named.
        noise_source: As in `GateReport`.
        report: The whole report, as JSON.
    """

    judged_at_us: int
    verdict: Verdict
    baseline: str | None
    noise_source: NoiseSource
    report: str


class Judgements(NamedTuple):
    """What goes with a run to another store: its baselines, and what was said of it.

    Attributes:
        baselines: (name, when it was set, µs since 1970) of each baseline that has it.
        verdicts: As recorded, by time.
    """

    baselines: tuple[tuple[str, int], ...] = ()
    verdicts: tuple[RecordedVerdict, ...] = ()
