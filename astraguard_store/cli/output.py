"""Tables, lines, progress and JSON on the terminal: the only module that knows rich.

On a terminal a table is drawn, or, where it is too narrow for that, turned into
one `name  value` line a field. In a pipe the same table comes without frame,
colour or folding, so that `grep` and `awk` see whole lines; rich isn't imported then.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from textwrap import wrap
from typing import TYPE_CHECKING, NamedTuple

import click
import msgspec
from rich.cells import cell_len

from astraguard_store.presentation import markdown as as_markdown
from astraguard_store.shown import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from astraguard_store.presentation.shapes import Shape
    from astraguard_store.presentation.text import Column

_UNFOLDED = 100_000  # columns that no terminal has
_PIPE_COLUMNS = 80


class Coloured(NamedTuple):
    """Text of a cell in a colour."""

    text: str
    colour: str


Cell = str | Coloured


def print_json(shape: Shape) -> None:
    """Write one JSON document, in ASCII so that any terminal and any pipe takes it."""
    # What json writes with indent=2, but in C: a tenth of the time.
    click.echo(msgspec.json.format(json.dumps(shape, allow_nan=False), indent=2))


def print_line(text: str = "") -> None:
    """Print one line as it is, whatever the width."""
    click.echo(printable(text))


def print_folded(text: str, *, markdown: bool = False) -> None:
    """Print a sentence in lines of up to 79 columns, the second one on indented.

    In Markdown it is an item of a list, of which no name makes anything else.
    """
    if markdown:
        print_line(f"- {as_markdown.escaped(text)}")
        return
    for line in wrap(printable(text), 79, subsequent_indent="  ") or [""]:
        click.echo(line)


def print_fields(fields: Sequence[tuple[str, str]], *, markdown: bool = False) -> None:
    """Print one line for each (name, value)."""
    width = max((len(name) for name, _ in fields), default=0)
    plain = (f"{name:<{width}} {value}" for name, value in fields)
    for line in as_markdown.field_lines(fields) if markdown else plain:
        print_line(line)


def print_table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    *,
    markdown: bool = False,
    gap: int = 2,
) -> None:
    """Print the rows in the form that the output has room for, or as Markdown.

    Args:
        columns: Their titles.
        rows: Their cells.
        markdown: As Markdown.
        gap: Spaces between columns, one at least.
    """
    console = None if markdown else _terminal()
    if console:
        _draw(console, columns, rows, gap)
        return
    texts = [[cell if isinstance(cell, str) else cell.text for cell in row] for row in rows]
    write_lines(
        as_markdown.table_lines(columns, texts) if markdown else _aligned(columns, texts, gap)
    )


def write_lines(lines: Iterable[str]) -> None:
    """Write many lines: click would flush each, and takes an ASCII output for one of UTF-8."""
    if sys.stdout:
        sys.stdout.writelines(f"{line}\n" for line in lines)
        sys.stdout.flush()


def has(characters: str) -> bool:
    """Return whether the output, a terminal or a pipe, has these characters."""
    return _encodes(characters, getattr(sys.stdout, "encoding", None) or "ascii")


def sign(character: str, in_ascii: str) -> str:
    """Return a sign, or what stands for it where the output lacks it."""
    return character if has(character) else in_ascii


def is_terminal() -> bool:
    """Return whether the output is a terminal, where what is too wide folds."""
    return _terminal() is not None


def width() -> int:
    """Return how many columns a line may have: those of the terminal, or 80 in a pipe."""
    console = _terminal()
    return console.width if console else _PIPE_COLUMNS


@contextmanager
def paged() -> Iterator[None]:
    """Show what the block prints in a pager, if that is a terminal and it has more lines."""
    console = _terminal()
    if console is None or not sys.stdin.isatty():
        yield
        return
    stdout, page = sys.stdout, _Page(sys.stdout.encoding)
    sys.stdout = page
    try:
        yield
    finally:
        sys.stdout = stdout
    text = page.getvalue()
    if text.count("\n") < console.height:
        stdout.write(text)
    else:
        # -R shows colours; what the user has set stays.
        os.environ.setdefault("LESS", "-R")
        click.echo_via_pager(text, color=True)


class _Page(io.StringIO):
    """What a pager will show: taken for the terminal, so that tables are drawn for it."""

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The terminal's."""
        return self._encoding

    def isatty(self) -> bool:
        """Return True: it will be shown on one."""
        return True


def shows_arrows() -> bool:
    """Return whether the output is a terminal that shows colour, and has the arrows."""
    console = _terminal()
    if console is None or console.no_color or console.color_system is None:
        return False
    return _encodes("▲▼", console.encoding)


def _encodes(characters: str, encoding: str) -> bool:
    try:
        characters.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


@contextmanager
def progress_bar(
    description: str, *, hidden: bool = False
) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on standard error while the block runs, if that is a terminal.

    Yields:
        To be called with what is done and what there is in all.
    """
    console = None if hidden else _terminal(stderr=True)
    if console is None:
        yield lambda _done, _total: None
        return
    from rich import progress

    with progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _terminal(*, stderr: bool = False) -> Console | None:
    """Return the terminal behind an output; None for a pipe or a file, without importing rich."""
    stream = sys.stderr if stderr else sys.stdout
    # Variables by which a pipe may ask to be taken for a terminal.
    is_asked = "FORCE_COLOR" in os.environ or "TTY_COMPATIBLE" in os.environ
    if not is_asked and not (stream and stream.isatty()):
        return None
    from rich.console import Console

    class _PipeConsole(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would exit with 1 by itself

    console = _PipeConsole(stderr=stderr, markup=False, highlight=False, emoji=False)
    return console if console.is_terminal else None


def _aligned(columns: Sequence[Column], rows: Sequence[Sequence[str]], gap: int) -> Iterator[str]:
    """Yield a pipe's lines: rich would take 5 s for 20,000 rows, and pad the last column."""
    lines = [list(map(printable, row)) for row in ([c.title for c in columns], *rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = zip(line, widths, columns, strict=True)
        shown = (padded(text, width, right=column.numeric) for text, width, column in cells)
        yield (" " * gap).join(shown).rstrip()


def padded(text: str, width: int, *, right: bool) -> str:
    """Return a text with spaces up to so many columns, before it if it stands at the right."""
    spaces = " " * (width - cell_len(text))
    return spaces + text if right else text + spaces


def _draw(
    console: Console, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], gap: int
) -> None:
    from rich import box
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    cells = [
        [
            Text(printable(c)) if isinstance(c, str) else Text(printable(c.text), c.colour)
            for c in row
        ]
        for row in rows
    ]
    table = Table(
        box=box.SIMPLE_HEAD,
        # With the box's own space as many between columns as in a pipe.
        padding=(0, gap - 1, 0, 0),
        pad_edge=False,
        header_style="bold",
        show_edge=False,
    )
    for column in columns:
        title = Text(printable(column.title))
        table.add_column(title, justify="right" if column.numeric else "left", no_wrap=True)
    for row in cells:
        table.add_row(*row)
    unfolded = console.options.update(width=_UNFOLDED)
    if Measurement.get(console, unfolded, table).maximum <= console.width:
        console.print(table)
    else:
        _stack(console, columns, cells)


def _stack(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[Text]]) -> None:
    """Print one line a field, for a terminal too narrow for the table."""
    titles = [printable(column.title) for column in columns]
    width = max(map(len, titles))
    for number, row in enumerate(rows):
        if number:
            console.print()
        for title, value in zip(titles, row, strict=True):
            console.print(title.ljust(width), style="bold", end="  ")
            console.print(value, soft_wrap=True)
