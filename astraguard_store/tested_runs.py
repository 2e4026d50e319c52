"""Live runs of tests, whichever framework runs them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING

from astraguard_store.exceptions import RunNotFoundError
from astraguard_store.provenance import Provenance

if TYPE_CHECKING:
    from astraguard_store.repository import RunRepository
    from astraguard_store.store.live_run import LiveRun

_NOT_IN_NAMES = re.compile(r"[^\w.=+-]+")
# `check_run_id` allows 128 characters and 200 bytes; a number is added.
_LONGEST, _LONGEST_BYTES = 100, 180
_LONGEST_SCENARIO = 1_000


def run_of_test(repository: RunRepository, test: str, tags: Mapping[str, str]) -> LiveRun:
    """Return a live run, not yet begun: named after a test, with the test's id as its scenario.

    Where a run of that name is there already, as of an earlier session, a number is added.
    """
    name = _name_of(test)
    provenance = Provenance(scenario=test[:_LONGEST_SCENARIO])
    return repository.run(_unused(repository, name), provenance=provenance, tags=tags)


def end_run(
    repository: RunRepository, run: LiveRun, outcome: str, error: BaseException | None
) -> bool:
    """End a run as its test ended; return whether it is kept, as it measured something.

    Args:
        repository: Where it is.
        run: The run, which was begun.
        outcome: For its tag ``outcome``.
        error: Why the test failed, as if the test had stood in the run's ``with``; or None.
    """
    told = (None, None, None) if error is None else (type(error), error, error.__traceback__)
    run.__exit__(*told)
    if not len(run):
        repository.delete(run.run_id)
        return False
    repository.set_tags(run.run_id, {"outcome": outcome})
    return True


def _name_of(test: str) -> str:
    """Return the end of a test's id, in characters that a run's id may have."""
    allowed = _NOT_IN_NAMES.sub("-", unicodedata.normalize("NFC", test))[-_LONGEST:]
    end = allowed.encode()[-_LONGEST_BYTES:].decode(errors="ignore")
    return end.strip("-.") or "test"


def _unused(repository: RunRepository, name: str) -> str:
    number, run_id = 1, name
    while True:
        try:
            repository.get(run_id)
        except RunNotFoundError:
            return run_id
        number += 1
        run_id = f"{name}-{number}"
