"""Which runs to list; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, get_args

from astraguard_store.checks import check_name, check_number
from astraguard_store.exceptions import InvalidRunError
from astraguard_store.model import RunHeader, RunState
from astraguard_store.provenance import MAX_TEXT_CHARACTERS

Above = tuple[str, str, float]
"""(metric type, statistic, limit in ms)"""

LIMITED: Final = ("mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms")
"""The statistics whose runs above a limit can be listed."""


@dataclass(frozen=True, slots=True)
class RunFilters:
    """Filters of a list of runs; None filters nothing.

    Attributes:
        scenario: Of this scenario.
        tag: With a tag of this name, or, a pair, of this name and value.
        since: Flown then or later: by when it started, else by when it was recorded; aware.
        above: Whose statistic of a metric type is above a limit, ms. A percentile
            that falls among the missed events counts by its lower bound.
        before: Older than this one, in the order of the list.
        state: Of this state; see `RunHeader`.
        until: Flown before then; aware.
        recorded_since: Recorded then or later; aware.

    Raises:
        InvalidRunError: One of them can't be.
    """

    scenario: str | None = None
    tag: str | tuple[str, str] | None = None
    since: datetime | None = None
    above: Above | None = None
    before: RunHeader | None = None
    state: RunState | None = None
    until: datetime | None = None
    recorded_since: datetime | None = None

    def __post_init__(self) -> None:
        if self.scenario is not None:
            _check_text(self.scenario, "scenario")
        if self.tag is not None:
            _check_tag(self.tag)
        for name in ("since", "until", "recorded_since"):
            if getattr(self, name) is not None:
                _check_moment(getattr(self, name), name)
        if self.above is not None:
            _check_above(self.above)
        if self.state is not None:
            _check_state(self.state)
        if self.before is not None:
            _check_before(self.before)

    @property
    def in_folders(self) -> bool:
        """Whether the run folders can answer: they know times, and nothing of the rest."""
        filters = (self.scenario, self.tag, self.above, self.state)
        return all(wanted is None for wanted in filters)

    def holds_in_time(self, header: RunHeader) -> bool:
        """Return whether the filters on times let the run pass, of which no start is known."""
        for since in (self.since, self.recorded_since):
            if since is not None and header.recorded_at < since:
                return False
        if self.until is not None and header.recorded_at >= self.until:
            return False
        before = self.before
        return before is None or (header.recorded_at, header.run_id) < (
            before.recorded_at,
            before.run_id,
        )


def _check_state(state: object) -> None:
    if state not in get_args(RunState):
        names = ", ".join(get_args(RunState))
        raise InvalidRunError(f"Invalid state {state!r}: there are {names}")


def _check_before(before: object) -> None:
    if not isinstance(before, RunHeader):
        raise InvalidRunError(
            f"Invalid before {before!r}: the header of a run is needed, such as the last one of "
            "the page before"
        )
    _check_moment(before.recorded_at, "recorded_at of before")


def _check_text(value: object, parameter: str) -> None:
    if value != "":
        check_name(value, parameter, MAX_TEXT_CHARACTERS)


def _check_tag(tag: object) -> None:
    if isinstance(tag, tuple):
        if len(tag) != 2:
            raise InvalidRunError(f"Invalid tag {tag!r}: a name or (name, value) is needed")
        _check_text(tag[1], f"value of tag {tag[0]!r}")
        tag = tag[0]
    check_name(tag, "tag")


def _check_moment(value: object, parameter: str) -> None:
    if not isinstance(value, datetime):
        raise InvalidRunError(f"Invalid {parameter} {value!r}: a datetime is needed")
    if value.utcoffset() is None:
        raise InvalidRunError(
            f"Invalid {parameter} {value!r}: it has no time zone; datetime.now(UTC) has one"
        )


def _check_above(above: object) -> None:
    if not isinstance(above, tuple) or len(above) != 3:
        raise InvalidRunError(
            f"Invalid above {above!r}: (metric type, statistic, limit in ms) is needed"
        )
    metric_type, statistic, limit_ms = above
    check_name(metric_type, "metric type of above")
    if statistic not in LIMITED:
        names = ", ".join(LIMITED)
        raise InvalidRunError(f"Invalid statistic of above {statistic!r}: there are {names}")
    check_number(limit_ms, "limit of above")
