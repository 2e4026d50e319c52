"""Histories and distributions, from what every source answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal, Protocol

from astraguard_store.buckets import count_by_bucket
from astraguard_store.checks import check_name, check_run_id
from astraguard_store.distributions import Bucket, Distribution, RunDistribution
from astraguard_store.exceptions import ArtifactReadError, InvalidRunError, RunNotFoundError
from astraguard_store.history import GROUPS, History, history_of
from astraguard_store.model import RunHeader, RunSummary

if TYPE_CHECKING:
    import polars as pl

    from astraguard_store.reports import QueryResult

__all__ = ["Answers", "distribution", "history", "over_time", "summaries"]

# How many runs a distribution shows where none are named: what a reader can tell apart.
_SHOWN = 10


class Answers(Protocol):
    """What is asked of a `RunRepository` here."""

    answers_from: Literal["database", "folders"]

    def get(self, run_id: str) -> RunSummary:
        """Return a run."""

    def recent(self, limit: int) -> list[RunHeader]:
        """Return the newest runs."""

    def query(self, sql: str, parameters: tuple[str | None, ...]) -> QueryResult:
        """Return the answer to SQL."""

    def measurements(self, run_id: str) -> pl.DataFrame:
        """Return a run's measurements."""


def summaries(repository: Answers, headers: Iterable[RunHeader]) -> Iterator[RunSummary]:
    """Yield the listed runs; one that was deleted since is left out."""
    for header in headers:
        try:
            yield repository.get(header.run_id)
        except RunNotFoundError:
            continue


def history(
    repository: Answers,
    headers: Iterable[RunHeader],
    metric_type: str,
    by: str | None,
    satellite_id: str | None,
) -> History:
    """Return the history of the listed runs; see `RunRepository.history`."""
    check_name(metric_type, "metric_type")
    if satellite_id is not None:
        check_name(satellite_id, "satellite_id")
    if by is not None and by not in GROUPS:
        raise InvalidRunError(f"Invalid by {by!r}: one of {', '.join(GROUPS)} is needed")
    return history_of(summaries(repository, headers), metric_type, by, satellite_id)


def distribution(
    repository: Answers,
    metric_type: str,
    runs: Iterable[str] | None,
    satellite_id: str | None,
) -> Distribution:
    """Return distributions; see `RunRepository.distribution`."""
    check_name(metric_type, "metric_type")
    if isinstance(runs, str):
        raise InvalidRunError(f"Invalid runs {runs!r}: several ids are needed, such as a list")
    if runs is None:
        run_ids = [header.run_id for header in repository.recent(_SHOWN)]
    else:
        run_ids = list(dict.fromkeys(check_run_id(run_id) for run_id in runs))
    kept = _kept(repository, metric_type, run_ids, satellite_id)
    found, without = [], []
    for run_id in run_ids:
        run = repository.get(run_id)
        metrics = run.metrics if satellite_id is None else run.satellites.get(satellite_id, {})
        if metric_type not in metrics:
            continue
        buckets = kept.get(run_id) or _counted(repository, run_id, metric_type, satellite_id)
        if buckets:
            found.append(RunDistribution(run_id, buckets))
        else:
            without.append(run_id)
    return Distribution(metric_type, satellite_id, tuple(found), tuple(without))


def _kept(
    repository: Answers, metric_type: str, run_ids: list[str], satellite_id: str | None
) -> dict[str, tuple[Bucket, ...]]:
    """Return the buckets that the database keeps, by run; run folders keep none."""
    if repository.answers_from == "folders":
        return {}
    sql = (  # noqa: S608
        "SELECT run_id, bucket, count, missed FROM v_buckets WHERE metric_type = ? "
        "AND coalesce(satellite_id, '') = ? AND run_id IN ({}) ORDER BY bucket"
    ).format(", ".join("?" * len(run_ids)))
    kept: dict[str, list[Bucket]] = {}
    for run_id, *row in repository.query(sql, (metric_type, satellite_id or "", *run_ids)).rows:
        kept.setdefault(run_id, []).append(Bucket(*row))
    return {run_id: tuple(buckets) for run_id, buckets in kept.items()}


def _counted(
    repository: Answers, run_id: str, metric_type: str, satellite_id: str | None
) -> tuple[Bucket, ...]:
    """Return the buckets of a run's measurements; none where these aren't kept."""
    try:
        frame = repository.measurements(run_id)
    except ArtifactReadError:
        return ()
    frame = frame.filter(frame["metric_type"] == metric_type)
    if satellite_id is not None:
        frame = frame.filter(frame["satellite_id"] == satellite_id)
    frame = frame.sort("duration_ms")
    durations = frame["duration_ms"].to_list()
    waits = frame.filter(frame["missed"])["duration_ms"].to_list()
    return tuple(map(Bucket, *count_by_bucket(durations, waits)))


def over_time(repository: Answers, run_id: str, slices: int) -> dict[str, list[float | None]]:
    """Return {metric type: its p95 in each of so many equally long parts of the run, ms}.

    A part without events has None; a missed event counts as what was waited for it. A run
    whose measurements aren't kept gives an empty dict.
    """
    import polars as pl

    try:
        frame = repository.measurements(run_id)
    except ArtifactReadError:
        return {}
    time = pl.col("scenario_time_s")
    span = time.max() - time.min()
    place = ((time - time.min()) / span * slices).floor().clip(0, slices - 1)
    parts = frame.with_columns(pl.when(span > 0).then(place).otherwise(0).alias("part"))
    p95 = pl.col("duration_ms").quantile(0.95, interpolation="higher")
    found: dict[str, list[float | None]] = {}
    for metric_type, part, value in parts.group_by("metric_type", "part").agg(p95).iter_rows():
        found.setdefault(metric_type, [None] * slices)[int(part)] = value
    return found
