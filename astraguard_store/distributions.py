"""How the durations of runs are distributed: cumulative, from buckets; pure.

A missed event never came: no duration is long enough for it. So a cumulative distribution
with missed events ends below 1, and what is left is their share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from astraguard_store.buckets import BucketColumns, bucket_value, quantiles
from astraguard_store.shown import Tabular, dict_of, html_of, printable

if TYPE_CHECKING:
    import altair

    from astraguard_store.model import AtLeast, MetricSummary

_KEPT: Final = {0.5: "p50", 0.95: "p95", 0.99: "p99"}


class Bucket(NamedTuple):
    """How many durations fall into one bucket; see `astraguard_store.buckets`.

    Attributes:
        bucket: Number of the bucket.
        count: Measured durations in it, without the missed events.
        missed: Missed events that were waited for so long.
    """

    bucket: int
    count: int  # type: ignore[assignment]  # shadows tuple.count
    missed: int


class RunDistribution(NamedTuple):
    """What one run measured of one metric type, in buckets.

    Attributes:
        run_id: The run.
        buckets: In ascending order.
        summary: The exact statistics that the run keeps; None where it isn't of a run.
    """

    run_id: str
    buckets: tuple[Bucket, ...]
    summary: MetricSummary | None = None

    @property
    def events(self) -> int:
        """Number of events, the missed ones among them."""
        return sum(bucket.count + bucket.missed for bucket in self.buckets)

    @property
    def missed(self) -> int:
        """How many of them never came."""
        return sum(bucket.missed for bucket in self.buckets)

    def quantile(self, q: float) -> float | AtLeast | None:
        """Return a percentile, ms, within 1 %; its lower bound among the missed.

        Args:
            q: Which one, from 0 to 1; by the rule of `MetricSummary`.

        Raises:
            InvalidRunError: *q* isn't from 0 to 1.
        """
        columns = BucketColumns(
            [bucket.bucket for bucket in self.buckets],
            [bucket.count for bucket in self.buckets],
            [bucket.missed for bucket in self.buckets],
        )
        return quantiles(columns, [q])[0]

    def percentile(self, q: float) -> float | AtLeast | None:
        """Return a percentile, ms: exactly the one that the run keeps, else as `quantile`."""
        name = _KEPT.get(q)
        if name is None or self.summary is None:
            return self.quantile(q)
        value: float | AtLeast | None = getattr(self.summary, name)
        return value

    def cumulative(self) -> list[tuple[float, float]]:
        """Return (duration in ms, share of all events that took no longer), ascending.

        The last share is below 1 if events were missed.
        """
        events, up_to, points = self.events, 0, []
        for bucket in self.buckets:
            if bucket.count:
                up_to += bucket.count
                points.append((bucket_value(bucket.bucket), up_to / events))
        return points

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, for JSON."""
        return dict_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)


@dataclass(frozen=True, slots=True, repr=False)
class Distribution(Tabular):
    """The distributions of one metric type in several runs.

    Attributes:
        metric_type: What was measured.
        satellite_id: On which satellite; None for all together.
        runs: One for each run that measured it, in the order in which they were asked for.
        runs_without_buckets: Ids of the runs that measured it too, but of which neither
            buckets nor measurements are kept.
    """

    metric_type: str
    satellite_id: str | None
    runs: tuple[RunDistribution, ...]
    runs_without_buckets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        where = f" on {self.satellite_id}" if self.satellite_id else ""
        names = ", ".join(run.run_id for run in self.runs)
        return printable(f"<Distribution {self.metric_type}{where}: {names or 'no runs'}>")

    def run(self, run_id: str) -> RunDistribution | None:
        """Return the distribution of one run; None if it isn't among them."""
        return next((run for run in self.runs if run.run_id == run_id), None)

    def plot(self) -> altair.LayerChart:
        """Return the cumulative distributions as a Vega-Altair chart, on a log axis.

        p50, p95 and p99 are marked, and missed events are what the curve lacks to 100 %.

        Raises:
            MissingExtraError: Altair isn't installed.
        """
        from astraguard_store.presentation.charts import distribution_chart

        return distribution_chart(self)
