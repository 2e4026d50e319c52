"""Tables, lines and progress for people: the only module that knows rich.

On a terminal a table is drawn, or, where it is too narrow for that, turned into
one `name  value` line a field. In a pipe the same table comes without frame,
colour or folding, so that `grep` and `awk` see whole lines.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import click
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from astraguard_store.cli.outcome import printable

_PIPE_WIDTH = 100_000  # a pipe has no width: nothing is folded


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table; numbers are set to the right."""

    title: str
    numeric: bool = True


class _PipeConsole(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # rich would exit with 1 by itself


def print_line(text: str = "") -> None:
    """Print one line as it is, whatever the width."""
    click.echo(printable(text))


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str | Text]]) -> None:
    """Print the rows in the form that the output has room for."""
    console = _console()
    cells = [[_cell(value) for value in row] for row in rows]
    table = _table(columns, cells, framed=console.is_terminal)
    unfolded = console.options.update(width=_PIPE_WIDTH)
    if Measurement.get(console, unfolded, table).maximum <= console.width:
        console.print(table)
    else:
        _print_stacked(console, columns, cells)


def change_text(text: str, *, difference: float | None, lower_is_better: bool = True) -> Text:
    """Return *text*, coloured by whether the candidate is slower or quicker."""
    if not lower_is_better or not difference:
        return Text(text)
    return Text(text, style="red" if difference > 0 else "green")


def milliseconds(value: float | None) -> str:
    """Return a duration to a tenth of a microsecond; the clocks give no more."""
    return "-" if value is None else f"{value:.4f}"


def percentage(relative_change: float | None) -> str:
    """Return a relative change as ``+12.3 %``."""
    if relative_change is None:
        return "-"
    text = f"{relative_change * 100:+.1f} %"
    return "0.0 %" if text in ("+0.0 %", "-0.0 %") else text


@contextmanager
def progress_bar(
    description: str, *, hidden: bool = False
) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on standard error while the block runs, if that is a terminal.

    Yields:
        To be called with what is done and what there is in all.
    """
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=hidden or not console.is_terminal,
    )
    with bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _console() -> Console:
    console = _PipeConsole(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console


def _cell(value: str | Text) -> Text:
    return value if isinstance(value, Text) else Text(printable(value))


def _table(columns: Sequence[Column], rows: Sequence[Sequence[Text]], *, framed: bool) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD if framed else None,
        pad_edge=False,
        header_style="bold",
        show_edge=False,
    )
    for column in columns:
        table.add_column(column.title, justify="right" if column.numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _print_stacked(
    console: Console, columns: Sequence[Column], rows: Sequence[Sequence[Text]]
) -> None:
    width = max(len(column.title) for column in columns)
    for number, row in enumerate(rows):
        if number:
            console.print()
        for column, value in zip(columns, row, strict=True):
            line = Text.assemble((column.title.ljust(width), "bold"), "  ", value)
            console.print(line, soft_wrap=True)
