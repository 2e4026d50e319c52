"""Groups of commands: late imports, and how a command ends.

A command ends with an exit code, and with one line on standard error instead of a traceback:

```
0    done; the answer is yes, or there is one
1    the answer is no: no such run, a folder the import refused, a schema not at head, a
     fault that a check found
2    a usage error or a store error; the line says what to do
3    of `gate` alone: not settled, or settled on assumed noise only
130  interrupted (Ctrl-C)
141  whoever read the output went away, as `head` does
```
"""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from typing import Any

import click

from astraguard_store.exceptions import RunNotFoundError, StoreError, without_passwords
from astraguard_store.shown import printable

OK = 0
ANSWER_IS_NO = 1
ERROR = 2
INTERRUPTED = 130
READER_WENT_AWAY = 141

PROGRAM = "astraguard-store"

_WHOLE = 1_000  # characters that no first sentence has
# `import` is no name for a module.
_MODULES = {"import": "import_runs"}


class LateCommands(Mapping[str, click.Command]):
    """Commands by name, each imported from the module of its name when it is asked for."""

    def __init__(self, package: str, sections: Mapping[str, Mapping[str, str]]) -> None:
        """Take {section: {name: first sentence of the help}}, in the order of the group's help."""
        self.sections = sections
        self.summaries = {n: said for names in sections.values() for n, said in names.items()}
        self._package = package

    def __getitem__(self, name: str) -> click.Command:
        if name not in self.summaries:
            raise KeyError(name)
        module = _MODULES.get(name, name)
        command: click.Command = getattr(import_module(f"{self._package}.{module}"), module)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(self.summaries)

    def __len__(self) -> int:
        return len(self.summaries)


class StoreGroup(click.Group):
    """A group whose commands end as this module's docstring says; help lists them in order.

    A command returns its exit code, or None for 0.
    """

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run the command line, and exit unless *standalone_mode* is off."""
        extra = {"prog_name": PROGRAM, **extra, "standalone_mode": False}
        run = partial(super().main, *args, **extra)
        if not standalone_mode:
            return run()
        with _warnings_on_stderr():
            code = _exit_code_of(run)
        sys.exit(code)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command; a reader that went away is no error."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # click would exit with 1, which means something else here.
            _silence_stdout()
            ctx.exit(READER_WENT_AWAY)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """Return the names in the order in which the commands were added, not by alphabet."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command's first sentence, whole and without importing the command."""
        if isinstance(self.commands, LateCommands):
            sections = self.commands.sections
        else:
            names = self.list_commands(ctx)
            sections = {
                "Commands": {n: self.commands[n].get_short_help_str(_WHOLE) for n in names}
            }
        # One column of names for all sections.
        width = max(len(name) for summaries in sections.values() for name in summaries)
        for title, summaries in sections.items():
            with formatter.section(title):
                padded = [(name.ljust(width), said) for name, said in summaries.items()]
                formatter.write_dl(padded)


def _exit_code_of(run: Callable[[], object]) -> int:
    try:
        _escape_what_the_terminal_lacks()
        result = run()
        if sys.stdout:
            sys.stdout.flush()  # here, where a closed pipe can still be caught
    except BrokenPipeError:
        _silence_stdout()
        return READER_WENT_AWAY
    except (click.Abort, KeyboardInterrupt):
        complain("interrupted; what was not finished is as it was before")
        return INTERRUPTED
    except (click.ClickException, StoreError, OSError) as error:
        if isinstance(error, OSError) and not isinstance(error, StoreError):
            _silence_stdout()
        message, code = _explained(error)
        complain(message)
        return code
    return result if isinstance(result, int) else OK


def _explained(error: click.ClickException | StoreError | OSError) -> tuple[str, int]:
    """Return what to say of *error*, with what to do about it, and the exit code."""
    if isinstance(error, RunNotFoundError):
        return f"{error}; `{PROGRAM} recent` lists the runs", ANSWER_IS_NO
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else PROGRAM
        return f"{error.format_message()} See `{command} --help`", ERROR
    if isinstance(error, (click.ClickException, StoreError)):
        return str(error), ERROR
    mend = "check the results folder, its permissions and the space on its disk"
    return f"{error}; {mend}", ERROR


@contextmanager
def _warnings_on_stderr() -> Iterator[None]:
    """Show the store's log from warnings up, such as that folders have to answer and why."""
    log = logging.getLogger("astraguard_store")
    handler = _Complaints(logging.WARNING)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


class _Complaints(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        context = click.get_current_context(silent=True)
        if context is None or context.resilient_parsing:
            return  # the shell asks for completions
        complain(f"warning: {record.getMessage()}")


def complain(message: str) -> None:
    """Say *message* on standard error, in one line and under the program's name."""
    told = without_passwords(" ".join(message.split()))
    click.echo(f"{PROGRAM}: {printable(told)}", err=True)


def _silence_stdout() -> None:
    """Let the interpreter's own flush at exit go nowhere; it would fail again, loudly."""
    if not sys.stdout:
        return
    with suppress(OSError):  # a stream without a descriptor
        descriptor = sys.stdout.fileno()
        with open(os.devnull, "wb") as null:
            os.dup2(null.fileno(), descriptor)


def _escape_what_the_terminal_lacks() -> None:
    """Let names in any script be printed, escaped where the encoding can't hold them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
