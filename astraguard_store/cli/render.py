"""Tables, lines and progress for people: the only module that knows rich.

On a terminal a table is drawn, or, where it is too narrow for that, turned into
one `name  value` line a field. In a pipe the same table comes without frame,
colour or folding, so that `grep` and `awk` see whole lines.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import click
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from astraguard_store.cli.outcome import printable
from astraguard_store.model import AtLeast

_UNFOLDED = 100_000  # columns that no terminal has
_MARKS = re.compile(r"([\\|*`<\[])")


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


def print_fields(fields: Sequence[tuple[str, str]], *, markdown: bool = False) -> None:
    """Print one line for each (name, value)."""
    width = max((len(name) for name, _ in fields), default=0)
    for name, value in fields:
        if markdown:
            print_line(f"- {name}: {_in_markdown(printable(value))}")
        else:
            print_line(f"{name:<{width}} {value}")


def print_table(
    columns: Sequence[Column], rows: Sequence[Sequence[str | Text]], *, markdown: bool = False
) -> None:
    """Print the rows in the form that the output has room for, or as Markdown."""
    if markdown:
        _print_markdown(columns, rows)
        return
    console = _console()
    cells = [[_cell(value) for value in row] for row in rows]
    if not console.is_terminal:
        _print_plain(console, columns, cells)
        return
    table = _table(columns, cells)
    unfolded = console.options.update(width=_UNFOLDED)
    if Measurement.get(console, unfolded, table).maximum <= console.width:
        console.print(table)
    else:
        _print_stacked(console, columns, cells)


def shows_arrows() -> bool:
    """Return whether the output is a terminal that shows colour, and has the arrows."""
    console = _console()
    shows_colour = not console.no_color and console.color_system is not None
    return shows_colour and _is_terminal_with(console, "▲▼")


def at_least_sign() -> str:
    """Return what stands before a lower bound: ``>=`` in a pipe, which stays ASCII."""
    return "≥" if _is_terminal_with(_console(), "≥") else ">="


def _is_terminal_with(console: Console, characters: str) -> bool:
    try:
        characters.encode(console.encoding)
    except UnicodeEncodeError:
        return False
    return console.is_terminal


def change_text(text: str, *, difference: float | AtLeast | None, arrow: bool) -> Text:
    """Return *text*, coloured by whether the candidate is slower or quicker.

    Args:
        text: What changed.
        difference: Candidate - baseline; None or 0 is neither. A lower bound is the worst:
            a percentile fell among the missed events.
        arrow: Whether to say it by an arrow too, for those who don't see red and green.
    """
    if isinstance(difference, AtLeast):
        sign, style = "▲ ", "bold red"
    elif not difference:
        return Text(text)
    else:
        sign, style = ("▲ ", "red") if difference > 0 else ("▼ ", "green")
    return Text(f"{sign if arrow else ''}{text}", style=style)


def size(number_of_bytes: int) -> str:
    """Return a number of bytes for people, as ``12.3 MB``."""
    for power, unit in ((9, "GB"), (6, "MB"), (3, "kB")):
        if number_of_bytes >= 10**power:
            return f"{number_of_bytes / 10**power:.1f} {unit}"
    return counted(number_of_bytes, "byte")


def counted(number: int, noun: str) -> str:
    """Return ``1 run``, ``2 runs``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def milliseconds(value: float | None) -> str:
    """Return a duration to a tenth of a microsecond; the clocks give no more."""
    return "-" if value is None else f"{value:.4f}"


def duration_text(value: float | AtLeast | None) -> str:
    """Return a duration in milliseconds, of a lower bound as ``above 5000.0000``."""
    return f"{'above ' * isinstance(value, AtLeast)}{milliseconds(value)}"


def difference_text(difference: float | AtLeast | None, at_least: str = "≥") -> str:
    """Return a difference in milliseconds, of a lower bound as ``≥ +4901 ms``."""
    if isinstance(difference, AtLeast):
        return f"{at_least} {_signed(difference)} ms"
    return milliseconds(difference)


def percentage(relative_change: float | AtLeast | None, at_least: str = "≥") -> str:
    """Return a relative change as ``+12.3 %``, of a lower bound as ``≥ +4966 %``."""
    if relative_change is None:
        return "-"
    if isinstance(relative_change, AtLeast):
        return f"{at_least} {_signed(float(relative_change) * 100)} %"
    text = f"{relative_change * 100:+.1f} %"
    return "0.0 %" if text in ("+0.0 %", "-0.0 %") else text


def _signed(value: float) -> str:
    """Return a number with its sign and some four digits."""
    return f"{value:+.0f}" if abs(value) >= 1000 else f"{value:+.4g}"


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
    return _PipeConsole(markup=False, highlight=False, emoji=False)


def _cell(value: str | Text) -> Text:
    return value if isinstance(value, Text) else Text(printable(value))


def _print_plain(
    console: Console, columns: Sequence[Column], rows: Sequence[Sequence[Text]]
) -> None:
    """Print what a pipe gets: rich would take 5 s for 20,000 rows, and pad the last column."""
    lines = [[column.title for column in columns], *([cell.plain for cell in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    padded = ("  ".join(map(_padded, columns, widths, line)).rstrip() for line in lines)
    # Not by click, which takes an ASCII output for one of UTF-8.
    console.file.writelines(f"{line}\n" for line in padded)
    console.file.flush()


def _padded(column: Column, width: int, text: str) -> str:
    spaces = " " * (width - cell_len(text))
    return spaces + text if column.numeric else text + spaces


def _table(columns: Sequence[Column], rows: Sequence[Sequence[Text]]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
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


def _print_markdown(columns: Sequence[Column], rows: Sequence[Sequence[str | Text]]) -> None:
    titles = [_in_markdown(column.title) for column in columns]
    rulers = ["---:" if column.numeric else "---" for column in columns]
    cells = [[_in_markdown(_cell(value).plain) for value in row] for row in rows]
    for line in (titles, rulers, *cells):
        print_line(f"| {' | '.join(line)} |")


def _in_markdown(text: str) -> str:
    """Return *text* with what Markdown would take for its own marks escaped."""
    return _MARKS.sub(r"\\\1", text)
