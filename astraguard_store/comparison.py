"""Two runs side by side; frozen values like those of `model`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from astraguard_store.model import AtLeast, MetricSummary, RunState, RunSummary
from astraguard_store.noise import WORST_FIELDS, Worst
from astraguard_store.provenance import ProvenanceChange, provenance_changes
from astraguard_store.shown import Plotted, asked_of, dict_of, html_of, printable

if TYPE_CHECKING:
    import altair

# A repr is one line in a notebook.
_SHOWN: Final = 3
_UNFINISHED: Final[Mapping[RunState, str]] = {
    "running": "is still being recorded",
    "failed": "ended with an error",
    "interrupted": "was interrupted, and is kept as far as it came",
}


class ValueChange(NamedTuple):
    """One statistic in two runs.

    A percentile that fell among the missed events of the candidate has a lower bound of
    the difference: from 98.7 ms to `AtLeast` 5000 ms, at least 4901.3 ms more. With such a
    baseline nothing is known of the difference that a gate could rely on.

    Attributes:
        baseline: Its value in the baseline, `AtLeast` where that has only a lower bound;
            None where that run doesn't have it.
        candidate: The same of the candidate.
    """

    baseline: float | AtLeast | None
    candidate: float | AtLeast | None

    @property
    def difference(self) -> float | AtLeast | None:
        """Candidate − baseline; None where a side is missing or the baseline is a bound."""
        if self.baseline is None or self.candidate is None:
            return None
        return self.candidate - self.baseline

    @property
    def relative_change(self) -> float | AtLeast | None:
        """Difference / baseline, 0.1 for 10 % more; None as `difference`, or if it is zero."""
        if self.difference is None or not self.baseline:
            return None
        return self.difference / self.baseline

    def __repr__(self) -> str:
        difference, relative = self.difference, self.relative_change
        at_least = "at least " if isinstance(difference, AtLeast) else ""
        change = f", {at_least}{difference:+.5g}" if at_least else ""
        change += "" if relative is None else f", {at_least}{relative:+.1%}"
        return f"<{self.baseline} -> {self.candidate}{change}>"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, for JSON; nothing is rounded."""
        return dict_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)


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
        return self._change("p50")

    @property
    def p95_ms(self) -> ValueChange:
        """95th percentile, ms."""
        return self._change("p95")

    @property
    def p99_ms(self) -> ValueChange:
        """99th percentile, ms."""
        return self._change("p99")

    @property
    def missed(self) -> ValueChange:
        """Number of events that were missed."""
        return self._change("missed")

    @property
    def min_ms(self) -> ValueChange:
        """Smallest, ms."""
        return self._change("min_ms")

    @property
    def max_ms(self) -> ValueChange:
        """Largest, ms."""
        return self._change("max_ms")

    def __repr__(self) -> str:
        where = f" on {self.satellite_id}" if self.satellite_id else ""
        if self.baseline is None or self.candidate is None:
            side = "candidate" if self.baseline is None else "baseline"
            return printable(f"<MetricChange {self.metric_type}{where}: only in the {side}>")
        mean = _in_ms(self.mean_ms)
        return printable(f"<MetricChange {self.metric_type}{where}: mean {mean}>")

    def _change(self, statistic: str) -> ValueChange:
        return ValueChange(
            getattr(self.baseline, statistic, None), getattr(self.candidate, statistic, None)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, for JSON; nothing is rounded."""
        return dict_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)


def _in_ms(change: ValueChange) -> str:
    """Return the change of a duration, rounded for people."""
    relative = change.relative_change
    percent = "" if relative is None else f" ({relative:+.1%})"
    return f"{change.baseline:.4g} -> {change.candidate:.4g} ms{percent}"


@dataclass(frozen=True, slots=True, repr=False)
class Comparison(Plotted):
    """What changed from one run to another.

    Attributes:
        baseline: Run id of the one compared against.
        candidate: Run id of the other; differences are candidate − baseline.
        changes: One per metric type, or, asked for by satellite, one per
            satellite and metric type; in the order of these names.
        provenance_changes: What differs between what the two runs were.
        baseline_state: How far the baseline came; see `RunHeader`.
        candidate_state: The same of the candidate.
        baseline_steal: Worst share of its processors' time that went to other machines,
            0 to 1; None where that isn't known.
        candidate_steal: The same of the candidate.
        baseline_pressure: Worst share of 10 s in which a thread of its machine waited for a
            processor, 0 to 1; None where that isn't known.
        candidate_pressure: The same of the candidate.
        baseline_load: Worst load average for each processor; None where that isn't known.
        candidate_load: The same of the candidate.
    """

    baseline: str
    candidate: str
    changes: tuple[MetricChange, ...]
    provenance_changes: tuple[ProvenanceChange, ...] = ()
    baseline_state: RunState = "finished"
    candidate_state: RunState = "finished"
    baseline_steal: float | None = None
    candidate_steal: float | None = None
    baseline_pressure: float | None = None
    candidate_pressure: float | None = None
    baseline_load: float | None = None
    candidate_load: float | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Why the runs' numbers can't be compared, a sentence each; empty if they can."""
        return (*self._differences(), *self._doubts())

    def _doubts(self) -> Iterator[str]:
        for side, run_id, state in (
            ("baseline", self.baseline, self.baseline_state),
            ("candidate", self.candidate, self.candidate_state),
        ):
            if state != "finished":
                yield f"the {side} is not finished: {run_id!r} {_UNFINISHED[state]}"
        for side in ("baseline", "candidate"):
            worst = Worst(*(getattr(self, f"{side}_{name}") for name in WORST_FIELDS))
            for doubt in worst.doubts():
                yield f"the {side} ran with {doubt}"

    def _differences(self) -> tuple[str, ...]:
        return tuple(
            f"not comparable: {change.name} is {change.baseline!r} in {self.baseline!r} "
            f"and {change.candidate!r} in {self.candidate!r}"
            for change in self.provenance_changes
            if change.forbids_comparison
        )

    def __repr__(self) -> str:
        parts = [f"{self.baseline!r} -> {self.candidate!r}"]
        shown = [
            f"{change.metric_type} mean {_in_ms(change.mean_ms)}"
            for change in self.changes
            if change.satellite_id is None and change.baseline and change.candidate
        ]
        parts.append(", ".join(shown) if shown else f"{len(self.changes)} changes")
        parts += [
            f"only in {run_id!r}: {names}"
            for run_id, names in (
                (self.baseline, _names(c for c in self.changes if c.candidate is None)),
                (self.candidate, _names(c for c in self.changes if c.baseline is None)),
            )
            if names
        ]
        differing = ", ".join(change.name for change in self.provenance_changes)
        parts += [f"another {differing}"] if differing else []
        parts += ["not comparable"] if self._differences() else []
        return printable(f"<Comparison {'; '.join(parts)}>")

    def plot(self) -> altair.VConcatChart:
        """Return the percentiles of both runs and the difference by quantile, in Vega-Altair.

        With its 95 % interval, of the events within the two runs, by order statistics: see
        `RunRepository.percentile_intervals`. It comes from the runs' buckets: where there are
        none, as by satellite or after the repository was closed, there are the changes of
        p50, p95 and p99, and the chart says why.

        Raises:
            MissingExtraError: Altair isn't installed.
        """
        from astraguard_store.presentation.charts import comparison_chart

        return comparison_chart(self, asked_of(self))

    def change(self, metric_type: str, satellite_id: str | None = None) -> MetricChange:
        """Return the change of *metric_type* (on *satellite_id*).

        Raises:
            KeyError: Neither run has it.
        """
        for change in self.changes:
            if (change.metric_type, change.satellite_id) == (metric_type, satellite_id):
                return change
        of = f" of satellite {satellite_id!r}" if satellite_id else ""
        there = ", ".join(sorted({repr(change.metric_type) for change in self.changes}))
        raise KeyError(f"no change of {metric_type!r}{of} is compared; there are: {there}")


def compare(baseline: RunSummary, candidate: RunSummary, by_satellite: bool = False) -> Comparison:
    """Return what changed from *baseline* to *candidate*.

    This defines a comparison; the database answers the same by one join of two runs.

    Args:
        baseline: The run compared against.
        candidate: The other.
        by_satellite: Whether to compare each satellite by itself, instead of all together.
    """
    worst = (Worst.of(run.noise) for run in (baseline, candidate))
    before, after = (_by_key(run, by_satellite=by_satellite) for run in (baseline, candidate))
    return Comparison(
        baseline.run_id,
        candidate.run_id,
        tuple(
            MetricChange(metric_type, satellite_id or None, before.get(key), after.get(key))
            for key in sorted(before.keys() | after.keys())
            for satellite_id, metric_type in [key]
        ),
        provenance_changes(baseline.provenance, candidate.provenance),
        baseline.state,
        candidate.state,
        *(value for values in zip(*worst, strict=True) for value in values),
    )


def _by_key(run: RunSummary, *, by_satellite: bool) -> dict[tuple[str, str], MetricSummary]:
    """Return {(satellite, metric type): statistics}, the satellite empty for all together."""
    parts = run.satellites if by_satellite else {"": run.metrics}
    return {
        (satellite_id, metric_type): summary
        for satellite_id, metrics in parts.items()
        for metric_type, summary in metrics.items()
    }


def _names(changes: Iterable[MetricChange]) -> str:
    names = [
        f"{change.metric_type} on {change.satellite_id}"
        if change.satellite_id
        else change.metric_type
        for change in changes
    ]
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
