"""`docs/fleet.md`: its commands and its code, run against a real server."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_readme import PROJECT, SERVER, commands, complaint, python_blocks, run_python

PAGE = (PROJECT / "docs" / "fleet.md").read_text(encoding="utf-8")


@pytest.fixture
def reached(server_url: str, tmp_path: Path) -> Path:
    """Run the commands of the page, one after the other, in a folder."""
    wrong = {
        command: told
        for command in commands(PAGE)
        if (told := complaint(command, tmp_path, server_url))
    }
    assert wrong == {}
    return tmp_path


def test_its_code_lists_what_its_commands_pushed(reached: Path, server_url: str) -> None:
    assert len(python_blocks(PAGE)) == 1

    printed = run_python(PAGE.replace(SERVER, server_url), reached)

    assert printed == "['demo-slow', 'demo-09', 'demo-08']\n"
