"""Preparing for a fork: the one module that registers with `os.register_at_fork`.

SQLite's connections can't be carried into a child: it counts locks in the
process's memory, which the child gets a copy of, while the kernel gives it none
of them. A child that goes on with them, or opens others beside them, loses
commits. So they are closed before the fork, with nobody in the middle of
anything, and each side opens its own when it next needs one.

The order: writers stop, members come to rest, threads end; after the fork the
same backwards. Then a child renews what it can't share: locks and the like.
"""

from __future__ import annotations

# Its own hook holds the lock that `submit` needs, and hooks run in the reverse order of
# their registration: registered after it, ours runs first, and pools can still come to rest.
import concurrent.futures.thread  # noqa: F401
import os
import sys
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import _bootstrap, import_module
from typing import Final, Protocol


class Forkable(Protocol):
    """What takes part in a fork."""

    def stop_writing(self) -> None:
        """Wait for transactions to end, and keep everybody from beginning one."""

    def before_fork(self) -> None:
        """Come to rest, take the other locks, and let go of what can't be shared."""

    def after_fork(self, *, in_child: bool) -> None:
        """Give these locks back; a child makes new ones of those it didn't take."""

    def go_on_writing(self) -> None:
        """Give back what `stop_writing` took."""


# Where a thread may be loading one of them, it waits for nobody.
_LATE_IMPORTS: Final = sys.stdlib_module_names | {
    "astraguard_store",
    "alembic",
    "msgspec",
    "numpy",
    "orjson",
    "polars",
    "psycopg",
    "sqlalchemy",
}

_LOCKS: Final[Mapping[str, object]] = _bootstrap._module_locks  # type: ignore[attr-defined]
"""By the names of modules that are being looked for or loaded; Python tells nowhere else of it."""

_MOST_LOOKS: Final = 100

_members: weakref.WeakSet[Forkable] = weakref.WeakSet()
_without_writers: list[Forkable] = []
_at_rest: list[Forkable] = []
_last_before: list[Callable[[], object]] = []
_first: list[Callable[[], object]] = []
_in_child: list[Callable[[], object]] = []
_in_parent: list[Callable[[], object]] = []


def around_forks(member: Forkable) -> None:
    """Let *member* take part in every fork for as long as it lives."""
    _members.add(member)


def before_forks(step: Callable[[], object]) -> None:
    """Call *step* before every fork, when all members are at rest."""
    _last_before.append(step)


def when_forks_begin(step: Callable[[], object]) -> None:
    """Call *step* before every fork, while members still write: to end a thread that writes."""
    _first.append(step)


def in_forking_parent(step: Callable[[], object]) -> None:
    """Call *step* in the parent after every fork, when all members are at work again."""
    _in_parent.append(step)


def in_forked_child(step: Callable[[], object]) -> None:
    """Call *step* in every forked child, to renew a lock or to forget what is the parent's."""
    _in_child.append(step)


def _before() -> None:
    for step in _first:
        step()
    members = tuple(_members)
    # All writers first: a merge reads one database in the middle of writing another.
    for member in members:
        member.stop_writing()
        _without_writers.append(member)
    for member in members:
        member.before_fork()
        _at_rest.append(member)
    for step in _last_before:
        step()
    _wait_for_imports()


def _wait_for_imports() -> None:
    """Wait for other threads that load, on its first use, a module which a child may need too.

    The lock that Python has for each module stays taken in a child for good. Not for anybody's
    modules: one of them may itself wait for this thread.
    """
    # One that is loaded may load the next.
    for _ in range(_MOST_LOOKS):
        loading = [name for name in tuple(_LOCKS) if name.partition(".")[0] in _LATE_IMPORTS]
        if not loading:
            return
        for name in loading:
            with suppress(Exception):  # whose import fails is told so itself
                import_module(name)


def _after(*, in_child: bool) -> None:
    while _at_rest:
        _at_rest.pop().after_fork(in_child=in_child)
    while _without_writers:
        _without_writers.pop().go_on_writing()
    for step in _in_child if in_child else _in_parent:
        step()


os.register_at_fork(
    before=_before,
    after_in_parent=lambda: _after(in_child=False),
    after_in_child=lambda: _after(in_child=True),
)
