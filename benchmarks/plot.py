"""Draws the growth curves of a result, log-log: time over stored runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.results import OURS, OURS_NORMAL, SEQUENTIAL, THREADED

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.results import Result

OPERATIONS = ("get", "recent", "compare", "save", "scan")
CURVES = {OURS: "#1f6fb4", OURS_NORMAL: "#1f6fb4", SEQUENTIAL: "#c8781e", THREADED: "#8a8a8a"}


class PlotUnavailableError(Exception):
    """The library that draws isn't installed, or can't write the format."""


def require_format(path: Path) -> None:
    """Check that the curves can be drawn in the format of *path*'s suffix.

    Raises:
        PlotUnavailableError: They can't; the message says what can be done.
    """
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError as error:
        raise PlotUnavailableError(
            f"--plot needs matplotlib, which can't be imported ({error}): "
            "run pip install 'astraguard-store[bench]'"
        ) from None
    formats = FigureCanvasBase.get_supported_filetypes()
    if path.suffix.removeprefix(".").lower() not in formats:
        raise PlotUnavailableError(
            f"--plot {path}: the suffix says the format, and is one of {', '.join(formats)}"
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
    """Write the curves of the operations to *path*; its suffix says the format."""
    from matplotlib.figure import Figure  # an extra: only who plots has it

    figure = Figure(figsize=(13, 7), layout="constrained")
    # One scale for all: what is flat looks flat.
    panels = figure.subplots(2, 3, sharex=True, sharey=True)
    *panels_of_operations, panel_of_names = panels.flat
    for panel, operation in zip(panels_of_operations, OPERATIONS, strict=True):
        for side, colour in CURVES.items():
            runs, seconds = growth_curve(result, operation, side)
            if runs:
                milliseconds = [1e3 * second for second in seconds]
                panel.plot(runs, milliseconds, "o-", color=colour, label=side)
        panel.set(xscale="log", yscale="log", title=operation, ylabel="median, ms")
        panel.grid(visible=True, alpha=0.3)
    for panel in panels[1]:
        panel.set_xlabel("stored runs")
    panel_of_names.set_axis_off()
    panel_of_names.legend(*panels[0][0].get_legend_handles_labels(), loc="center")
    figure.suptitle(f"{result.machine['cpu']}, {result.machine['date']}")
    figure.savefig(path)
