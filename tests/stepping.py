"""A step of somebody else's, at one exact moment of ours."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def right_before(name: str, step: Callable[[], object], call: int = 1) -> Iterator[None]:
    """Run *step* right before the *call*-th call of the function *name* in this thread.

    What it raises is raised there. 0 is every call. The test fails if there is no such call.
    """
    with _at(("call", "c_call"), name, step, call):
        yield


@contextmanager
def right_after(name: str, step: Callable[[], object], call: int = 1) -> Iterator[None]:
    """Run *step* as the *call*-th call of *name* returns; what it raises comes instead of that."""
    with _at(("return", "c_return"), name, step, call):
        yield


@contextmanager
def _at(
    events: tuple[str, str], name: str, step: Callable[[], object], call: int
) -> Iterator[None]:
    calls = 0
    python, c = events

    def look(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        called = {python: frame.f_code.co_name, c: getattr(argument, "__name__", "")}
        if called.get(event) == name:
            calls += 1
            if call in {0, calls}:
                step()

    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(None)
    assert calls >= max(call, 1), f"{name} was called {calls} times"


@contextmanager
def where_handlers_run(step: Callable[[], object], point: int) -> Iterator[list[int]]:
    """Run *step* at the *point*-th place in this thread where a signal's handler could run.

    These are where a function of Python begins, and where any call has returned. Gives a list
    that is empty if there is no such place.
    """
    points = 0
    reached: list[int] = []

    def look(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal points
        points += event in {"call", "c_return"}
        if points == point and not reached:
            reached.append(point)
            step()

    sys.setprofile(look)
    try:
        yield reached
    finally:
        sys.setprofile(None)
