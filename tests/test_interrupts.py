"""Ctrl-C and other signals that come while their handlers are taken away or put back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest
from stepping import right_before

from astraguard_store.system.interrupts import interrupts_held_back

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGHUP)


class StoppedError(Exception):
    """Raised by a handler."""


def stop(number: int, frame: FrameType | None) -> None:
    raise StoppedError(number, frame)


@pytest.fixture
def handlers() -> Iterator[dict[signal.Signals, Any]]:
    """Install handlers that raise, and give them."""
    before = {number: signal.signal(number, stop) for number in SIGNALS}
    yield {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        signal.signal(number, handler)


def installed() -> dict[signal.Signals, Any]:
    return {number: signal.getsignal(number) for number in SIGNALS}


@pytest.mark.parametrize("sent", SIGNALS)
@pytest.mark.parametrize("call", range(1, 4 * len(SIGNALS) + 1))
def test_whenever_one_strikes_all_handlers_are_back_after(
    handlers: dict[signal.Signals, Any], sent: signal.Signals, call: int
) -> None:
    # The module's function in Python, and the one in C that it calls, have one name.
    with (
        pytest.raises(StoppedError),
        right_before("signal", lambda: signal.raise_signal(sent), call),
        interrupts_held_back(),
    ):
        pass

    assert installed() == handlers


@pytest.mark.parametrize("sent", SIGNALS)
def test_one_that_comes_inside_waits_for_the_end(
    handlers: dict[signal.Signals, Any], sent: signal.Signals
) -> None:
    reached: list[bool] = []

    def block() -> None:
        with interrupts_held_back():
            signal.raise_signal(sent)
            reached.append(True)

    with pytest.raises(StoppedError):
        block()

    assert reached
    assert installed() == handlers


@pytest.mark.usefixtures("handlers")
def test_a_second_one_does_not_wait() -> None:
    reached: list[bool] = []

    def block() -> None:
        with interrupts_held_back():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            reached.append(True)

    with pytest.raises(StoppedError):
        block()

    assert reached == []


def test_a_signal_that_the_process_ignores_goes_on_being_ignored() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with interrupts_held_back():
            signal.raise_signal(signal.SIGTERM)

        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_signals_run_their_handlers_as_they_come() -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: came.append(number))
    try:
        with interrupts_held_back():
            signal.raise_signal(signal.SIGUSR1)
            inside = list(came)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert inside == [signal.SIGUSR1]


def test_in_another_thread_nothing_is_held_back(handlers: dict[signal.Signals, Any]) -> None:
    seen: list[dict[signal.Signals, Any]] = []

    def look() -> None:
        with interrupts_held_back():
            seen.append(installed())

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()

    assert seen == [handlers]
