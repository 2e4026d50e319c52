"""Histories and distributions, from what every source answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from astraguard_store.checks import check_name, check_run_id
from astraguard_store.exceptions import ArtifactReadError, InvalidRunError

if TYPE_CHECKING:
    import polars as pl

    from astraguard_store.buckets import BucketColumns
    from astraguard_store.distributions import Distribution
    from astraguard_store.history import History
    from astraguard_store.model import RunHeader, RunSummary
    from astraguard_store.verdict.values import Baseline

# How many runs a distribution shows where none are named: what a reader can tell apart.
_SHOWN = 10
# How many runs are had at once: on a server in one round trip.
_AT_ONCE = 256


class Answers(Protocol):
    """What is asked of a `RunRepository` here."""

    def get(self, run_id: str) -> RunSummary:
        """Return a run."""

    def _get_all(self, run_ids: Sequence[str]) -> dict[str, RunSummary]:
        """Return those of the runs that are there, by id."""

    def recent(self, limit: int) -> list[RunHeader]:
        """Return the newest runs."""

    def measurements(self, run_id: str) -> pl.DataFrame:
        """Return a run's measurements."""


def summaries(repository: Answers, headers: Iterable[RunHeader]) -> Iterator[RunSummary]:
    """Return the listed runs; one that was deleted since is left out."""
    return _runs(repository, (header.run_id for header in headers))


def _runs(repository: Answers, run_ids: Iterable[str]) -> Iterator[RunSummary]:
    rest = iter(run_ids)
    while some := list(islice(rest, _AT_ONCE)):
        found = repository._get_all(some)
        yield from (found[run_id] for run_id in some if run_id in found)


def history(
    repository: Answers,
    headers: Iterable[RunHeader],
    metric_type: str,
    by: str | None,
    satellite_id: str | None,
    baseline: Baseline | None,
    scenario: str | None,
) -> History:
    """Return the history of the listed runs; see `RunRepository.history`.

    Args:
        repository: What is asked.
        headers: Of the runs.
        metric_type: Of what.
        by: What it is taken apart by.
        satellite_id: On which satellite; None for all together.
        baseline: What it is held against, if anything.
        scenario: Of which scenario the baseline's runs have to be; None for any.
    """
    from astraguard_store.history import GROUPS, history_of, points_of

    check_name(metric_type, "metric_type")
    if satellite_id is not None:
        check_name(satellite_id, "satellite_id")
    if by is not None and by not in GROUPS:
        raise InvalidRunError(f"Invalid by {by!r}: one of {', '.join(GROUPS)} is needed")
    headers = list(headers)
    listed = [header.run_id for header in headers if header.state == "finished"]
    left_out = {header.run_id for header in headers if header.state != "finished"}
    held_against = () if baseline is None else baseline.run_ids
    # Together, for one round trip to a server.
    runs = {run.run_id: run for run in _runs(repository, dict.fromkeys((*listed, *held_against)))}
    found = history_of(_those(runs, listed), metric_type, by, satellite_id)
    same = (
        run
        for run in _those(runs, held_against)
        if run.state == "finished" and scenario in (None, run.provenance.scenario)
    )
    return replace(
        found,
        unfinished=tuple(sorted(left_out)),
        baseline_name=None if baseline is None else baseline.name,
        baseline_points=points_of(same, metric_type, by, satellite_id),
    )


def _those(runs: Mapping[str, RunSummary], run_ids: Iterable[str]) -> list[RunSummary]:
    """Return those of the runs that are there."""
    return [runs[run_id] for run_id in run_ids if run_id in runs]


def distribution(
    repository: Answers,
    metric_type: str,
    runs: Iterable[str] | None,
    satellite_id: str | None,
    buckets: Callable[[str, list[str], str | None], dict[str, BucketColumns]],
) -> Distribution:
    """Return distributions; see `RunRepository.distribution`.

    Args:
        repository: What is asked.
        metric_type: Of what.
        runs: Ids of the runs; None for the newest.
        satellite_id: On which satellite; None for all together.
        buckets: What its source keeps of them.
    """
    from astraguard_store.distributions import Bucket, Distribution, RunDistribution

    check_name(metric_type, "metric_type")
    if isinstance(runs, str):
        raise InvalidRunError(f"Invalid runs {runs!r}: several ids are needed, such as a list")
    if runs is None:
        run_ids = [header.run_id for header in repository.recent(_SHOWN)]
    else:
        run_ids = list(dict.fromkeys(check_run_id(run_id) for run_id in runs))
    kept = buckets(metric_type, run_ids, satellite_id)
    found, without = [], []
    if runs is None:
        listed = repository._get_all(run_ids)
    else:
        listed = {run_id: repository.get(run_id) for run_id in run_ids}
    for run_id, run in listed.items():
        metrics = run.metrics if satellite_id is None else run.satellites.get(satellite_id, {})
        if metric_type not in metrics:
            continue
        counted = kept.get(run_id) or _counted(repository, run_id, metric_type, satellite_id)
        if counted.buckets:
            summary = metrics[metric_type]
            found.append(RunDistribution(run_id, tuple(map(Bucket, *counted)), summary))
        else:
            without.append(run_id)
    return Distribution(metric_type, satellite_id, tuple(found), tuple(without))


def _counted(
    repository: Answers, run_id: str, metric_type: str, satellite_id: str | None
) -> BucketColumns:
    """Return the buckets of a run's measurements; none where these aren't kept."""
    from astraguard_store.buckets import BucketColumns, count_by_bucket

    try:
        frame = repository.measurements(run_id)
    except ArtifactReadError:
        return BucketColumns([], [], [])
    frame = frame.filter(frame["metric_type"] == metric_type)
    if satellite_id is not None:
        frame = frame.filter(frame["satellite_id"] == satellite_id)
    frame = frame.sort("duration_ms")
    durations = frame["duration_ms"].to_list()
    waits = frame.filter(frame["missed"])["duration_ms"].to_list()
    return count_by_bucket(durations, waits)
