"""README and docs/ do what they say: their blocks run, and what they name is there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from readme_sample import PICTURE, drawn_sample, printed_sample, sample_in_readme, save_sample_runs

from astraguard_store.cli import main
from astraguard_store.database.schema import metadata

PROJECT = Path(__file__).parent.parent
DOCS = PROJECT / "docs"
README = (PROJECT / "README.md").read_text(encoding="utf-8")

# Whose Python blocks are one program each. The recipes have a test of their own, which also
# compares what they print, and so have those for engines, and the page that needs a server.
PAGES = {
    page.name: page.read_text(encoding="utf-8")
    for page in sorted(DOCS.glob("*.md"))
    if page.name not in {"recipes.md", "fleet.md", "lake.md"}
}
# The server that the documents name; the tests put a real one in its place.
SERVER = "postgresql://rig@server/runs"
BLOCKS = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def python_blocks(text: str) -> list[str]:
    return [body for language, body in BLOCKS.findall(text) if language == "python"]


def commands(text: str) -> list[str]:
    return [
        line.removeprefix("$ ")
        for language, body in BLOCKS.findall(text)
        if language == "console"
        for line in body.splitlines()
        if line.startswith("$ ") and not line.startswith("$ export ")
    ]


COMMANDS = commands(README)
EXPORTED = dict(re.findall(r"^\$ export (\w+)=(\S+)$", README, flags=re.MULTILINE))


def run_python(text: str, folder: Path) -> str:
    """Run all Python blocks in one program in *folder*; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(python_blocks(text))],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def complaint(command: str, folder: Path, server_url: str) -> str:
    """Run a command in *folder*; give what is wrong with how it went, nothing if it went well."""
    program, *words = shlex.split(command.replace(SERVER, server_url))
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


@pytest.fixture(scope="module")
def after_the_code(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run the README's Python blocks; return their folder and what they printed."""
    folder = tmp_path_factory.mktemp("readme")
    return folder, run_python(README, folder)


class TestReadme:
    """The page that a stranger reads first."""

    def test_its_python_blocks_print_what_the_text_says(
        self, after_the_code: tuple[Path, str]
    ) -> None:
        _, printed = after_the_code

        assert printed.strip()
        assert f"This prints `{printed.strip()}`" in README

    def test_twelve_lines_are_twelve(self) -> None:
        first = python_blocks(README)[0]

        assert len([line for line in first.splitlines() if line.strip()]) == 12

    def test_its_commands_run_one_after_the_other(
        self, after_the_code: tuple[Path, str], server_url: str
    ) -> None:
        folder, _ = after_the_code

        wrong = {
            command: told
            for command in COMMANDS
            if (told := complaint(command, folder, server_url))
        }

        assert wrong == {}

    def test_its_sample_is_what_the_command_prints(self, tmp_path: Path) -> None:
        save_sample_runs(tmp_path)

        printed = printed_sample(tmp_path)

        assert sample_in_readme() == printed, "write it anew: python tests/readme_sample.py"

    def test_its_picture_is_of_the_same_runs(self, tmp_path: Path) -> None:
        save_sample_runs(tmp_path)

        drawn = drawn_sample(tmp_path)

        assert f"(docs/{PICTURE.name})" in README
        assert PICTURE.read_text(encoding="utf-8") == drawn, "python tests/readme_sample.py"

    def test_its_sample_fits_into_eighty_columns(self) -> None:
        assert max(map(len, sample_in_readme().splitlines())) <= 80

    def test_ten_questions_are_ten(self) -> None:
        section = README.split("## Ten questions")[1].split("\n## ")[0]

        assert section.count("\n# ") == 10
        assert section.count("\n$ astraguard-store ") == 10

    def test_it_has_every_command(self) -> None:
        names = {f"astraguard-store {name}" for name in main.commands if name != "db"}
        names |= {f"astraguard-store db {name}" for name in main.commands["db"].commands}  # type: ignore[attr-defined]

        assert {n for n in names if not any(c.startswith(n) for c in COMMANDS)} == set()

    def test_every_make_target_that_it_names_is_one(self) -> None:
        targets = set(re.findall(r"^(\w+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))

        assert set(re.findall(r"`?make (\w+)", README)) <= targets

    def test_it_is_read_in_a_few_minutes(self) -> None:
        assert len(README.splitlines()) <= 200

    def test_its_sections_come_in_the_readers_order(self) -> None:
        assert re.findall(r"^## (.*)$", README, re.MULTILINE) == [
            "Two commands",
            "Twelve lines of code",
            "The drop-in, and old results",
            "The command line",
            "Ten questions",
            "What is stored where",
            "Promises and limits",
            "More",
        ]

    def test_every_column_is_in_the_page_that_it_links_to(self) -> None:
        sections = dict(part.split("\n", 1) for part in PAGES["schema.md"].split("\n### ")[1:])

        assert "(docs/schema.md)" in README
        for table in metadata.sorted_tables:
            for column in table.columns:
                assert f"| `{column.name}` |" in sections[table.name], f"{table.name}.{column}"


@pytest.mark.parametrize("page", [name for name, text in PAGES.items() if python_blocks(text)])
def test_the_python_blocks_of_a_page_run(page: str, tmp_path: Path) -> None:
    run_python(PAGES[page], tmp_path)


def test_no_page_has_commands_that_no_test_runs() -> None:
    assert {name: commands(text) for name, text in PAGES.items() if commands(text)} == {}


@pytest.mark.parametrize("path", [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md"])
def test_every_page_that_is_linked_to_is_there(path: Path) -> None:
    # mkdocs checks the links between the pages of docs/.
    pages = re.findall(r"\]\((?!http)([^)#]+)", path.read_text(encoding="utf-8"))

    assert pages
    assert [page for page in pages if not (PROJECT / page).is_file()] == []


def test_every_test_that_holds_a_promise_is_there() -> None:
    named = re.findall(r"`((?:torture/)?test_\w+\.py)`", PAGES["promises.md"])

    assert named
    assert [test for test in named if not (PROJECT / "tests" / test).is_file()] == []
