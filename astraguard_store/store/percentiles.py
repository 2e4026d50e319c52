"""Percentiles over many runs: what is asked, checked, and the answer made of merged buckets."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import lru_cache, partial

from astraguard_store.buckets import quantiles as quantiles_of
from astraguard_store.checks import check_name, check_number, check_run_id
from astraguard_store.database.backend import Answering
from astraguard_store.database.percentiles import (
    GROUPINGS,
    NO_RUNS,
    OF_SATELLITES,
    Group,
    MergedBuckets,
    grouped_buckets,
)
from astraguard_store.exceptions import InvalidRunError, RunNotFoundError
from astraguard_store.model import AtLeast
from astraguard_store.reports import Percentile, Percentiles


class PercentilesQuestion:
    """Which percentiles of what; see `RunRepository.grouped_percentiles`.

    Raises:
        InvalidRunError: A quantile, an id or a name can't be.
    """

    def __init__(
        self,
        by: Iterable[str],
        quantiles: Iterable[float],
        metric_type: str,
        runs: Iterable[str] | None,
        satellite_id: str | None,
    ) -> None:
        self._by = _checked_by(by)
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
        quantiles_of(NO_RUNS.buckets, self._quantiles)  # refuses one below 0 or above 1
        # Shared by groups whose buckets are the same ones: of 200,000 groups 55 MB less.
        self._values = lru_cache(maxsize=16_384)(partial(_percentiles, self._quantiles))

    def answer(self, database: Answering) -> dict[Group, Percentiles]:
        """Return them, by group.

        Raises:
            InvalidRunError: Buckets of single satellites are asked for, and none
                of the runs keeps them.
            RunNotFoundError: There is no such run.
        """
        found = database.read(
            lambda connection: grouped_buckets(
                connection,
                self._by,
                self._metric_type,
                self._satellite_id,
                self._run_ids,
                self._fit,
            )
        )
        if found.unknown is not None:
            raise RunNotFoundError(found.unknown, str(database.path or "the database in memory"))
        self._check_satellites(found.groups.values())
        if not found.unfinished:
            return found.groups
        return {
            group: replace(answer, unfinished=found.unfinished)
            for group, answer in found.groups.items()
        }

    def _check_satellites(self, groups: Collection[Percentiles]) -> None:
        if self._satellite_id is None and OF_SATELLITES.isdisjoint(self._by):
            return
        if any(group.runs_without_buckets for group in groups) and not any(
            group.runs for group in groups
        ):
            which = (
                "satellites" if self._satellite_id is None else f"satellite {self._satellite_id!r}"
            )
            raise InvalidRunError(
                f"No run keeps buckets of {which}: they are kept by "
                "save(…, satellite_buckets=True), and made later by "
                "`astraguard-store check --fix --satellite-buckets`"
            )

    def _satellite_of(self, group: Group) -> str | None:
        return (
            group[self._by.index("satellite")] if "satellite" in self._by else self._satellite_id
        )

    def _fit(self, group: Group, found: MergedBuckets) -> Percentiles:
        missed = sum(found.buckets.missed)
        numbers = tuple(quantiles_of(found.buckets, self._quantiles))
        return Percentiles(
            self._metric_type,
            self._satellite_of(group),
            self._values(numbers),
            sum(found.buckets.counts) + missed,
            missed,
            found.runs,
            found.without,
        )


def _percentiles(
    quantiles: Iterable[float], numbers: Iterable[float | AtLeast | None]
) -> tuple[Percentile, ...]:
    return tuple(map(Percentile.of, quantiles, numbers))


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
