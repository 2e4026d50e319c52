"""Runs `docs/recipes.md`, and gives it back with what its recipes print.

`python tests/recipes.py` writes that into the page; `test_recipes.py` holds it against
the page. All Python blocks are one program; a block that prints has a block `text` after
it. The lines of a `console` block that begin with ``$`` are run by a shell.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import duckdb_extension_sqlite_scanner

PAGE = Path(__file__).parent.parent / "docs" / "recipes.md"

_BLOCK = re.compile(
    r"^```(python|console)\n(.*?)^```\n(\n```text\n.*?^```\n)?", re.MULTILINE | re.DOTALL
)
_MARK = "~ the end of a block ~"


def printed_page(page: str, folder: Path) -> str:
    """Return *page* with what its recipes print in *folder*, which is empty."""
    environment = {**os.environ, "HOME": str(home_with_extension(folder)), "PYTHONUTF8": "1"}
    blocks = [match[2] for match in _BLOCK.finditer(page) if match[1] == "python"]
    program = "".join(f"{block}\nprint({_MARK!r})\n" for block in blocks)
    said = _said([sys.executable, "-W", "error", "-c", program], folder, environment)
    outputs = iter(said.split(_MARK + "\n"))

    def render(match: re.Match[str]) -> str:
        if match[1] == "python":
            printed = next(outputs)
            shown = f"\n```text\n{_trimmed(printed)}```\n" if printed else ""
            return f"```python\n{match[2]}```\n{shown}"
        commands = [line for line in match[2].splitlines() if line.startswith("$ ")]
        steps = [
            f"{line}\n{_trimmed(_said(['sh', '-c', line[2:]], folder, environment))}"
            for line in commands
        ]
        return f"```console\n{''.join(steps)}```\n"

    return _BLOCK.sub(render, page)


def home_with_extension(folder: Path) -> Path:
    """Make a home in *folder* that has DuckDB's extension, as if it had been downloaded."""
    ((platform,),) = duckdb.sql("PRAGMA platform").fetchall()
    version = f"v{duckdb.__version__}"
    (package,) = duckdb_extension_sqlite_scanner.__path__
    carried = Path(package) / "extensions" / version / "sqlite_scanner.duckdb_extension"
    extensions = folder / "home" / ".duckdb" / "extensions" / version / platform
    extensions.mkdir(parents=True)
    shutil.copy(carried, extensions)
    return folder / "home"


def _said(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def _trimmed(printed: str) -> str:
    """Return it without the spaces and empty lines at ends, which no editor keeps."""
    lines = [line.rstrip() for line in printed.strip("\r\n").splitlines()]
    return "\n".join(lines).rstrip("\n") + "\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        PAGE.write_text(printed_page(PAGE.read_text("utf-8"), Path(scratch)), "utf-8")
