"""Signals that come while their handlers are taken away or put back."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest
from stepping import right_before

from astraguard_store.system.interrupts import interrupts_held_back

SIGNALS = (signal.SIGINT, signal.SIGUSR1, signal.SIGALRM)


class StoppedError(Exception):
    """Raised by a handler."""


def stop(number: int, frame: FrameType | None) -> None:
    raise StoppedError(number, frame)


@pytest.fixture
def handlers() -> Iterator[dict[signal.Signals, Any]]:
    """Install handlers that raise, and give those that are there now."""
    before = {number: signal.signal(number, stop) for number in SIGNALS[1:]}
    yield {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("sent", SIGNALS[1:])
@pytest.mark.parametrize("call", range(1, 2 * len(SIGNALS) + 1))
def test_whenever_one_strikes_all_handlers_are_back_after(
    handlers: dict[signal.Signals, Any], sent: signal.Signals, call: int
) -> None:
    with (
        pytest.raises(StoppedError),
        right_before("signal", lambda: signal.raise_signal(sent), call),
        interrupts_held_back(),
    ):
        pass

    assert {number: signal.getsignal(number) for number in SIGNALS} == handlers


def test_one_that_comes_inside_waits_for_the_end(handlers: dict[signal.Signals, Any]) -> None:
    reached: list[bool] = []

    def block() -> None:
        with interrupts_held_back():
            signal.raise_signal(signal.SIGALRM)
            reached.append(True)

    with pytest.raises(StoppedError):
        block()

    assert reached
    assert {number: signal.getsignal(number) for number in SIGNALS} == handlers
