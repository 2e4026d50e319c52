"""How a command ends: exit codes, and one line on standard error instead of a traceback.

```
0    done; the answer is yes, or there is one
1    the answer is no: no such run, a folder the import refused, a schema not at head, a
     fault that a check found
2    a usage error or a store error; the line says what to do
130  interrupted (Ctrl-C)
141  whoever read the output went away, as `head` does
```
"""

import io
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import click

from astraguard_store.exceptions import RunNotFoundError, StoreError

OK = 0
ANSWER_IS_NO = 1
ERROR = 2
INTERRUPTED = 130
READER_WENT_AWAY = 141

PROGRAM = "astraguard-store"


class StoreCommands(click.Group):
    """A group whose commands end as this module's docstring says."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line, and exit unless *standalone_mode* is off."""

        def run() -> object:
            return super(StoreCommands, self).main(
                args, prog_name or PROGRAM, complete_var, standalone_mode=False, **extra
            )

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


def _exit_code_of(run: Callable[[], object]) -> int:
    try:
        _escape_what_the_terminal_lacks()
        result = run()
        if sys.stdout:
            sys.stdout.flush()  # here, where a closed pipe can still be caught
    except BrokenPipeError:
        _silence_stdout()
        return READER_WENT_AWAY
    except click.Abort:
        complain("interrupted; what was not finished is as it was before")
        return INTERRUPTED
    except (click.ClickException, StoreError, OSError) as error:
        if isinstance(error, OSError):
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
    click.echo(f"{PROGRAM}: {printable(' '.join(message.split()))}", err=True)


def printable(text: str) -> str:
    """Return *text* with control characters escaped: names come from files, not from us."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


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
