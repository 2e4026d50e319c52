"""What a command line says of runs: their scenario, tags and age, and limits."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

__all__ = ["metric_limit", "named_value", "scenario_filters", "span", "tag_filter", "time"]

Command = TypeVar("Command", bound=Callable[..., Any])

_SPAN = re.compile(r"(\d{1,9})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def span(text: str) -> timedelta:
    """Return how long ``90d``, ``12h`` or ``2w`` is.

    Raises:
        click.BadParameter: It is no such thing.
    """
    found = _span(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is no span of time such as 12h, 90d or 2w.")
    return found


def time(text: str) -> datetime:
    """Return an ISO date or time, or the time a span back from now; aware.

    Raises:
        click.BadParameter: It is neither.
    """
    try:
        back = _span(text)
        found = datetime.fromisoformat(text) if back is None else datetime.now(UTC) - back
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is neither a time such as 2026-03-01 or 2026-03-01T12:00+01:00, "
            "nor a span such as 12h, 7d or 2w."
        ) from None
    # The lists show UTC, so that is meant where no zone is given.
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def named_value(text: str) -> tuple[str, str]:
    """Return (name, value) of ``name=value``; the value is empty where it has none."""
    name, _, value = text.partition("=")
    return name, value


def tag_filter(text: str) -> str | tuple[str, str]:
    """Return the pair of ``name=value``, or the name where it says no value."""
    return named_value(text) if "=" in text else text


def metric_limit(text: str) -> tuple[str, str, float]:
    """Return (metric type, statistic, limit in ms) of ``fault_detection.p95_ms=100``.

    Raises:
        click.BadParameter: It is no such thing.
    """
    # From the right: the name of a metric type may hold both signs.
    measured, _, number = text.rpartition("=")
    metric_type, _, statistic = measured.rpartition(".")
    try:
        limit_ms = float(number)
    except ValueError:
        metric_type = ""
    if not metric_type:
        raise click.BadParameter(
            f"{text!r} is no METRIC.STATISTIC=MS such as fault_detection.p95_ms=100."
        )
    return metric_type, statistic, limit_ms


def scenario_filters(command: Command) -> Command:
    """Add `--scenario`, `--tag` and `--since`."""
    for option in (
        click.option(
            "--since",
            type=time,
            metavar="TIME",
            help="Only runs recorded since: an ISO date or time (UTC, if it has no zone), "
            "or a span back from now such as 12h, 7d or 2w.",
        ),
        click.option(
            "--tag",
            type=tag_filter,
            metavar="NAME[=VALUE]",
            help="Only runs with this tag (and value).",
        ),
        click.option("--scenario", metavar="NAME", help="Only runs of this scenario."),
    ):
        command = option(command)
    return command


def _span(text: str) -> timedelta | None:
    """Return how long ``90d``, ``12h`` or ``2w`` is; None if *text* is no such thing."""
    found = _SPAN.fullmatch(text)
    try:
        return int(found[1]) * _UNITS[found[2]] if found else None
    except OverflowError:
        return None
