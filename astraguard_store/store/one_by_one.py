"""Several runs from a source that has them at hand, so that one question each costs little."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from astraguard_store.exceptions import RunNotFoundError
from astraguard_store.model import RunSummary

__all__ = ["one_by_one"]


def one_by_one(get: Callable[[str], RunSummary], run_ids: Sequence[str]) -> dict[str, RunSummary]:
    """Return those of the runs that are there, by id."""
    found: dict[str, RunSummary] = {}
    for run_id in run_ids:
        with suppress(RunNotFoundError):
            found[run_id] = get(run_id)
    return found
