"""Names that stand for runs: ``latest``, ``latest~3``, ``@tag`` and ``@tag=value``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from astraguard_store.checks import check_run_id
from astraguard_store.exceptions import InvalidRunError, RunNotFoundError

if TYPE_CHECKING:
    from astraguard_store.repository import RunRepository

_LATEST: Final = re.compile(r"latest(?:~(\d{1,9}))?")


def resolve_run(repository: RunRepository, name: str) -> str:
    """Return the id of the run that *name* stands for.

    ``latest`` is the newest run, ``latest~3`` the third before it, ``@tag`` the newest run
    with that tag, and ``@tag=value`` the newest with that value of it. A run whose id is
    written like that is found by its id. Any other name is an id, and is returned as it is.

    Raises:
        RunNotFoundError: There is no such run.
        InvalidRunError: The tag can't be.
    """
    found = _LATEST.fullmatch(name)
    if found is None and not name.startswith("@"):
        return name
    if _is_run(repository, name):
        return name
    if found is not None:
        back = int(found[1] or 0)
        headers = repository.recent(back + 1)[back:]
    else:
        tag, equals, value = name[1:].partition("=")
        headers = repository.recent(1, tag=(tag, value) if equals else tag)
    if not headers:
        raise RunNotFoundError(name, str(repository.results_dir or "memory"), _why_none(name))
    return headers[0].run_id


def _why_none(name: str) -> str:
    if not name.startswith("@"):
        return f"there are not so many runs as for {name!r}"
    tag, equals, value = name[1:].partition("=")
    return f"no run for {name!r}: none has the tag {tag!r}" + (
        f" with {value!r}" if equals else ""
    )


def _is_run(repository: RunRepository, name: str) -> bool:
    try:
        repository.get(check_run_id(name))
    except (InvalidRunError, RunNotFoundError):
        return False
    return True
