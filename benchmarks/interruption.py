"""Ctrl-C and SIGTERM: they end the measuring, and what was measured is kept."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Handler = Callable[..., object] | signal.Handlers

SIGNALS = (signal.SIGINT, signal.SIGTERM)

RAISE: Handler = signal.default_int_handler
"""The signal raises `KeyboardInterrupt`."""

IGNORE: Handler = signal.SIG_IGN


@contextmanager
def on_interruption(handler: Handler) -> Iterator[None]:
    """Call *handler* for both signals inside the block; on the main thread only."""
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
