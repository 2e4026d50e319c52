"""Ctrl-C, SIGTERM and the like wait for a write to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Any

__all__ = ["ctrl_c_kept_from_children", "interrupts_held_back"]

Handler = Callable[[int, FrameType | None], Any]

_SIGNALS = tuple(map(int, signal.valid_signals()))
# The function below `signal.getsignal`, which makes an enum of each question and answer:
# 4 µs instead of 120 for all of them.
_getsignal: Callable[[int], Any] = import_module("_signal").getsignal


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Run Python's signal handlers after the block instead of in its middle; 10 µs.

    An exception out of a handler may strike between any two steps, and leave a
    lock or a file that nobody knows of. A second signal of the same number
    doesn't wait: somebody means it. Only the main thread runs handlers, so
    elsewhere there is nothing to hold back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers: dict[int, Handler] = {}
    came: dict[int, FrameType | None] = {}

    def wait(number: int, frame: FrameType | None) -> None:
        if number in came:
            handlers[number](number, frame)
        came[number] = frame

    try:
        # In here: a handler that isn't held back yet may strike between two.
        for held in _SIGNALS:
            handler = _getsignal(held)
            if callable(handler):
                handlers[held] = handler
                signal.signal(held, wait)
        yield
    finally:
        _put_back(handlers)
        for number, frame in came.items():
            handlers[number](number, frame)


def _put_back(handlers: dict[int, Handler]) -> None:
    """Install all *handlers* again; one that strikes meanwhile raises after that."""
    raised: BaseException | None = None
    for number, handler in handlers.items():
        while _getsignal(number) is not handler:
            try:
                signal.signal(number, handler)
            except BaseException as error:  # noqa: BLE001 - raised below
                raised = error
    if raised is not None:
        raise raised


@contextmanager
def ctrl_c_kept_from_children() -> Iterator[None]:
    """Start processes inside to which Ctrl-C, which all of a terminal get, means nothing."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
