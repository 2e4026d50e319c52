"""Two runs side by side; frozen values like those of `model`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from astraguard_store.model import MetricSummary
from astraguard_store.provenance import ProvenanceChange

__all__ = ["Comparison", "MetricChange", "ValueChange"]


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
            return f"<MetricChange {self.metric_type}{where}: only in the {side}>"
        return f"<MetricChange {self.metric_type}{where}: mean {_in_ms(self.mean_ms)}>"

    def _change(self, statistic: str) -> ValueChange:
        return ValueChange(
            getattr(self.baseline, statistic, None), getattr(self.candidate, statistic, None)
        )


def _in_ms(change: ValueChange) -> str:
    """Return the change of a duration, rounded for people."""
    relative = change.relative_change
    percent = "" if relative is None else f" ({relative:+.1%})"
    return f"{change.baseline:.4g} -> {change.candidate:.4g} ms{percent}"


@dataclass(frozen=True, slots=True, repr=False)
class Comparison:
    """What changed from one run to another.

    Attributes:
        baseline: Run id of the one compared against.
        candidate: Run id of the other; differences are candidate − baseline.
        changes: One per metric type, or, asked for by satellite, one per
            satellite and metric type; in the order of these names.
        provenance_changes: What differs between what the two runs were.
    """

    baseline: str
    candidate: str
    changes: tuple[MetricChange, ...]
    provenance_changes: tuple[ProvenanceChange, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Why the runs' numbers can't be compared, a sentence each; empty if they can."""
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
        differing = ", ".join(change.name for change in self.provenance_changes)
        parts += [f"another {differing}"] if differing else []
        parts += ["not comparable"] if self.warnings else []
        return f"<Comparison {'; '.join(parts)}>"

    def change(self, metric_type: str, satellite_id: str | None = None) -> MetricChange:
        """Return the change of *metric_type* (on *satellite_id*).

        Raises:
            KeyError: Neither run has it.
        """
        for change in self.changes:
            if (change.metric_type, change.satellite_id) == (metric_type, satellite_id):
                return change
        raise KeyError((metric_type, satellite_id))
