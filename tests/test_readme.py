"""The README does what it says: its blocks run, and its tables name what is there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from astraguard_store.cli import main
from astraguard_store.database.schema import metadata

PROJECT = Path(__file__).parent.parent
README = (PROJECT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
PYTHON_BLOCKS = [body for language, body in BLOCKS if language == "python"]
COMMANDS = [
    line.removeprefix("$ ")
    for language, body in BLOCKS
    if language == "console"
    for line in body.splitlines()
    if line.startswith("$ ") and not line.startswith("$ export ")
]
EXPORTED = dict(re.findall(r"^\$ export (\w+)=(\S+)$", README, flags=re.MULTILINE))


@pytest.fixture(scope="module")
def after_the_code(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run all Python blocks in one program; return its folder and what it printed."""
    folder = tmp_path_factory.mktemp("readme")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(PYTHON_BLOCKS)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_the_python_blocks_print_what_the_text_says(after_the_code: tuple[Path, str]) -> None:
    _, printed = after_the_code

    assert printed.strip()
    assert f"This prints `{printed.strip()}`" in README


def test_twelve_lines_are_twelve() -> None:
    assert len([line for line in PYTHON_BLOCKS[0].splitlines() if line.strip()]) == 12


def test_the_commands_run_one_after_the_other(after_the_code: tuple[Path, str]) -> None:
    folder, _ = after_the_code

    wrong = {command: told for command in COMMANDS if (told := complaint(command, folder))}

    assert wrong == {}


def complaint(command: str, folder: Path) -> str:
    """Run a command in *folder*; give what is wrong with how it went, nothing if it went well."""
    program, *words = shlex.split(command)
    if program != "astraguard-store":
        return "only this program's commands are run"
    done = subprocess.run(
        [sys.executable, "-m", "astraguard_store", *words],
        cwd=folder,
        env=os.environ | EXPORTED,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        return done.stderr
    return "" if done.stdout.strip() else "it printed nothing"


def test_ten_questions_are_ten() -> None:
    section = README.split("## Ten questions")[1].split("\n## ")[0]

    assert section.count("\n# ") == 10
    assert section.count("\n$ astraguard-store ") == 10


def test_every_command_is_in_the_readme() -> None:
    names = {f"astraguard-store {name}" for name in main.commands if name != "db"}
    names |= {f"astraguard-store db {name}" for name in main.commands["db"].commands}  # type: ignore[attr-defined]

    assert {name for name in names if not any(c.startswith(name) for c in COMMANDS)} == set()


def test_every_make_target_of_the_readme_is_one() -> None:
    targets = set(re.findall(r"^(\w+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"`?make (\w+)", README)) <= targets


def test_every_column_is_in_the_page_that_the_readme_links_to() -> None:
    page = (PROJECT / "docs" / "schema.md").read_text(encoding="utf-8")
    sections = dict(part.split("\n", 1) for part in page.split("\n### ")[1:])

    assert "(docs/schema.md)" in README
    for table in metadata.sorted_tables:
        for column in table.columns:
            assert f"| `{column.name}` |" in sections[table.name], f"{table.name}.{column.name}"


def test_every_page_that_it_links_to_is_there() -> None:
    pages = re.findall(r"\]\((?!http)([^)#]+)", README)

    assert pages
    assert [page for page in pages if not (PROJECT / page).is_file()] == []


def test_the_sections_come_in_the_readers_order() -> None:
    assert re.findall(r"^## (.*)$", README, re.MULTILINE) == [
        "Two commands",
        "Twelve lines of code",
        "The drop-in",
        "What a run was, and what never came",
        "Ten questions",
        "The command line",
        "What is stored where",
        "Guarantees and limits",
        "Architecture",
        "Numbers",
        "Upgrading",
    ]
