"""What has to happen around a fork.

SQLite's connections can't be carried into a child: it counts locks in the
process's memory, which the child gets a copy of, while the kernel gives it none
of them. A child that goes on with them, or opens others beside them, loses
commits. So they are closed before the fork, with nobody in the middle of
anything, and each side opens its own when it next needs one.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["Forkable", "around_forks"]


class Forkable(Protocol):
    """What takes part in a fork."""

    def before_fork(self) -> None:
        """Come to rest, take the locks, and let go of what can't be shared."""

    def after_fork(self, *, in_child: bool) -> None:
        """Give the locks back; a child makes new ones of those it didn't take."""


_members: weakref.WeakSet[Forkable] = weakref.WeakSet()
_at_rest: list[Forkable] = []


def around_forks(member: Forkable) -> None:
    """Let *member* take part in every fork for as long as it lives."""
    _members.add(member)


def _before() -> None:
    for member in tuple(_members):
        member.before_fork()
        _at_rest.append(member)


def _after(*, in_child: bool) -> None:
    while _at_rest:
        _at_rest.pop().after_fork(in_child=in_child)


os.register_at_fork(
    before=_before,
    after_in_parent=lambda: _after(in_child=False),
    after_in_child=lambda: _after(in_child=True),
)
