"""Several runs from a source that has them at hand, so that one question each costs little."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from astraguard_store.exceptions import DatabaseError, RunNotFoundError
from astraguard_store.model import RunSummary

__all__ = ["one_by_one"]

logger = logging.getLogger("astraguard_store")


def one_by_one(get: Callable[[str], RunSummary], run_ids: Sequence[str]) -> dict[str, RunSummary]:
    """Return those of the runs that are there, by id; one that can't be read is logged."""
    found: dict[str, RunSummary] = {}
    for run_id in run_ids:
        try:
            found[run_id] = get(run_id)
        except RunNotFoundError:
            continue
        except DatabaseError as error:
            if not isinstance(error.__cause__, OverflowError):
                raise
            # A time of no calendar in its row, which another program wrote there.
            logger.warning("left out of a list: %s", error)
    return found
