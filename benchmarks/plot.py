"""Draws the growth curves of a result, log-log: time over stored runs."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from benchmarks.results import OURS, OURS_NORMAL, SEQUENTIAL, THREADED

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.results import Result

OPERATIONS = ("get", "recent", "compare", "save")
CURVES = {OURS: "#1f6fb4", OURS_NORMAL: "#1f6fb4", SEQUENTIAL: "#c8781e", THREADED: "#8a8a8a"}


class PlotUnavailableError(Exception):
    """The library that draws isn't installed, or there is nothing to draw."""


def require_matplotlib() -> None:
    """Check that matplotlib can be imported, before minutes of measuring.

    Raises:
        PlotUnavailableError: It can't; the message names the extra that has it.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise PlotUnavailableError(
            "--plot needs matplotlib, which isn't installed: "
            "run pip install 'astraguard-store[bench]'"
        )


def growth_curve(result: Result, operation: str, side: str) -> tuple[list[int], list[float]]:
    """Return stored runs and median times (s) of one side, as far as it went."""
    runs, seconds = [], []
    for section in result.sections:
        prefix, _, size = section.key.rpartition(".")
        if prefix == f"growth.{operation}" and side in section.sides:
            runs.append(int(size))
            seconds.append(section.sides[side].median)
    return runs, seconds


def plot_growth(result: Result, path: Path) -> None:
    """Write the curves of the four operations to *path*; its suffix says the format.

    Raises:
        PlotUnavailableError: The result has no growth sections.
    """
    if not any(growth_curve(result, "get", side)[0] for side in (OURS, OURS_NORMAL)):
        raise PlotUnavailableError("--plot needs the question growth, which wasn't asked")
    from matplotlib.figure import Figure  # an extra: only who plots has it

    figure = Figure(figsize=(10, 7), layout="constrained")
    # One scale for all four: what is flat looks flat.
    panels = figure.subplots(2, 2, sharex=True, sharey=True)
    for panel, operation in zip(panels.flat, OPERATIONS, strict=True):
        for side, colour in CURVES.items():
            runs, seconds = growth_curve(result, operation, side)
            if runs:
                milliseconds = [1e3 * second for second in seconds]
                panel.plot(runs, milliseconds, "o-", color=colour, label=side)
        panel.set(xscale="log", yscale="log", title=operation, ylabel="median, ms")
        panel.grid(visible=True, alpha=0.3)
    for panel in panels[1]:
        panel.set_xlabel("stored runs")
    panels[0][0].legend()
    figure.suptitle(f"{result.machine['cpu']}, {result.machine['date']}")
    figure.savefig(path)
