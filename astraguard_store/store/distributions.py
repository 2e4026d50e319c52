"""What many runs measured together: percentiles of their buckets, by group."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from astraguard_store.buckets import quantile
from astraguard_store.checks import check_name, check_number, check_run_id
from astraguard_store.database.percentiles import (
    GROUPINGS,
    Group,
    MergedBuckets,
    grouped_buckets,
)
from astraguard_store.database.run_database import RunDatabase
from astraguard_store.exceptions import InvalidRunError, RunNotFoundError
from astraguard_store.reports import Percentile, Percentiles
from astraguard_store.store.open_repository import OpenRepository

__all__ = ["Distributions"]


class Distributions(OpenRepository):
    """The part of `RunRepository` that merges what runs measured."""

    def percentiles(
        self,
        quantiles: Iterable[float],
        *,
        metric_type: str,
        runs: Iterable[str] | None = None,
        satellite_id: str | None = None,
    ) -> Percentiles:
        """Return percentiles of all events of many runs, each within 1 %.

        They come from the sums of the runs' buckets, never from percentiles of
        runs. Some 40 µs a run; other queries of this process wait meanwhile.

        Args:
            quantiles: Which ones, from 0 to 1.
            metric_type: Of what.
            runs: Ids of the runs; None for all that are stored.
            satellite_id: On which satellite; None for all together.

        Returns:
            The percentiles, and which runs could not be in them.

        Raises:
            InvalidRunError: A quantile, an id or a name can't be; or buckets of
                single satellites are asked for, and none of the runs keeps them.
            RunNotFoundError: There is no such run.
            StoreNotFoundError: Run folders answer, and they have no buckets.
        """
        return self._merged(_Asked((), quantiles, metric_type, runs, satellite_id))[()]

    def grouped_percentiles(
        self,
        by: Iterable[str],
        quantiles: Iterable[float],
        *,
        metric_type: str,
        runs: Iterable[str] | None = None,
        satellite_id: str | None = None,
    ) -> dict[tuple[str | None, ...], Percentiles]:
        """Return `percentiles` of each group of runs, such as each scenario in each week.

        Some 100 µs a run, 0.6 ms where each run is a group of its own.

        Args:
            by: What the runs of a group have in common: ``run``, ``satellite``
                (of the runs that keep buckets of satellites), ``scenario``,
                ``host``, ``rig``, ``firmware``, ``software_version``,
                ``git_branch``, ``git_commit``, ``platform``, ``python``, or,
                of the recording time in UTC, ``day`` (``2026-11-20``), ``week``
                (of ISO 8601: ``2026-W47``) or ``month`` (``2026-11``).
            quantiles: Which ones, from 0 to 1.
            metric_type: Of what.
            runs: Ids of the runs; None for all that are stored.
            satellite_id: On which satellite; None for all together.

        Returns:
            {a value for each name in *by*, None where it isn't known: the
            percentiles}, in ascending order, None first; only groups in which
            a run measured it. Where *by* has a satellite, so have the percentiles.

        Raises:
            InvalidRunError: A name in *by*, a quantile, an id or a name can't be;
                or buckets of single satellites are asked for, and none of the
                runs keeps them.
            RunNotFoundError: There is no such run.
            StoreNotFoundError: Run folders answer, and they have no buckets.
        """
        return self._merged(_Asked(_checked_by(by), quantiles, metric_type, runs, satellite_id))

    def _merged(self, asked: _Asked) -> dict[Group, Percentiles]:
        if self._folders:
            self._check_open()
            raise self._needs_database("merging buckets")
        return asked.answer(self._store().database)


class _Asked:
    """Which percentiles of what; see `Distributions.grouped_percentiles`.

    Raises:
        InvalidRunError: A quantile, an id or a name can't be.
    """

    def __init__(
        self,
        by: tuple[str, ...],
        quantiles: Iterable[float],
        metric_type: str,
        runs: Iterable[str] | None,
        satellite_id: str | None,
    ) -> None:
        self._by = by
        if not isinstance(quantiles, Iterable):
            raise InvalidRunError(
                f"Invalid quantiles {quantiles!r}: several are needed, such as [0.5, 0.99]"
            )
        self._quantiles = [check_number(q, "quantile") for q in quantiles]
        self._metric_type = check_name(metric_type, "metric_type")
        self._satellite_id = (
            None if satellite_id is None else check_name(satellite_id, "satellite_id")
        )
        self._run_ids = None if runs is None else _checked_ids(runs)
        self._fit(None, MergedBuckets((), 0, ()))  # refuses a quantile below 0 or above 1

    def answer(self, database: RunDatabase) -> dict[Group, Percentiles]:
        """Return them, by group.

        Raises:
            InvalidRunError: Buckets of single satellites are asked for, and none
                of the runs keeps them.
            RunNotFoundError: There is no such run.
        """
        found = database.read(
            lambda connection: grouped_buckets(
                connection, self._by, self._metric_type, self._satellite_id, self._run_ids
            )
        )
        if found.unknown is not None:
            raise RunNotFoundError(found.unknown, str(database.path or "the database in memory"))
        self._check_satellites(found.groups.values())
        return {
            group: self._fit(self._satellite_of(group), merged)
            for group, merged in found.groups.items()
        }

    def _check_satellites(self, groups: Collection[MergedBuckets]) -> None:
        if self._satellite_id is None and "satellite" not in self._by:
            return
        if any(group.without for group in groups) and not any(group.runs for group in groups):
            which = (
                "satellites" if self._satellite_id is None else f"satellite {self._satellite_id!r}"
            )
            raise InvalidRunError(
                f"No run keeps buckets of {which}: they are kept by "
                "save(…, satellite_buckets=True)"
            )

    def _satellite_of(self, group: Group) -> str | None:
        return (
            group[self._by.index("satellite")] if "satellite" in self._by else self._satellite_id
        )

    def _fit(self, satellite_id: str | None, found: MergedBuckets) -> Percentiles:
        missed = sum(bucket.missed for bucket in found.buckets)
        return Percentiles(
            self._metric_type,
            satellite_id,
            tuple([Percentile(q, *quantile(found.buckets, q)) for q in self._quantiles]),
            sum(bucket.count for bucket in found.buckets) + missed,
            missed,
            found.runs,
            found.without,
        )


def _checked_ids(runs: Iterable[str]) -> Collection[str]:
    if isinstance(runs, str):
        raise InvalidRunError(f"Invalid runs {runs!r}: several ids are needed, such as a list")
    return dict.fromkeys(check_run_id(run_id) for run_id in runs)


def _checked_by(by: Iterable[str]) -> tuple[str, ...]:
    if isinstance(by, str):
        raise InvalidRunError(f"Invalid by {by!r}: several names are needed, such as a list")
    names = tuple(by)
    for place, name in enumerate(names):
        if name not in GROUPINGS:
            raise InvalidRunError(f"Invalid by {name!r}: one of {', '.join(GROUPINGS)} is needed")
        if name in names[:place]:
            raise InvalidRunError(f"Invalid by {name!r}: it is there twice")
    return names
