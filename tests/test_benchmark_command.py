"""The command line of the benchmarks: what it refuses, prints, stores and leaves behind."""

from __future__ import annotations

import sys
import tempfile
from typing import TYPE_CHECKING

import pytest

from benchmarks import __main__ as command_line
from benchmarks import arguments
from benchmarks.questions import QUESTIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.results import Section

    Refusal = Callable[..., str]


def never_asked(*_: object) -> list[Section]:
    raise AssertionError("measured what should have been refused")


@pytest.fixture
def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refusal:
    """Return a function that gives the last line of a refused command's stderr."""
    for name in QUESTIONS:
        monkeypatch.setitem(QUESTIONS, name, never_asked)

    def of(*words: str | Path) -> str:
        with pytest.raises(SystemExit, match="2"):
            command_line.main([str(word) for word in words])
        return capsys.readouterr().err.splitlines()[-1]

    return of


# What can't be done is refused before anything is measured.


def test_unknown_question_is_refused_with_those_there_are(refusal: Refusal) -> None:
    message = refusal("recrod")

    assert all(question in message for question in QUESTIONS)


@pytest.mark.parametrize("option", ["--json", "--plot", "--folder"])
def test_missing_folder_is_refused(option: str, refusal: Refusal, tmp_path: Path) -> None:
    message = refusal("growth", option, tmp_path / "missing" / "growth.svg")

    assert option in message
    assert "missing" in message


@pytest.mark.parametrize("option", ["--json", "--plot", "--folder"])
def test_folder_that_cannot_be_written_is_refused(option: str, refusal: Refusal) -> None:
    message = refusal("growth", option, "/proc" if option == "--folder" else "/proc/growth.svg")

    assert f"{option}: can't write in /proc" in message


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_folder_instead_of_a_file_is_refused(
    option: str, refusal: Refusal, tmp_path: Path
) -> None:
    assert refusal("growth", option, tmp_path).endswith(f"{tmp_path}: that is no file")


def test_device_instead_of_a_file_is_refused(refusal: Refusal) -> None:
    assert "/dev/null" in refusal("record", "--json", "/dev/null")


def test_file_instead_of_a_folder_is_refused(refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert "--folder: can't write in" in refusal("record", "--folder", tmp_path / "file")


@pytest.mark.parametrize("name", ["growth.xyz", "growth"])
def test_plot_of_an_unknown_format_is_refused(name: str, refusal: Refusal, tmp_path: Path) -> None:
    assert "svg" in refusal("growth", "--plot", tmp_path / name)


def test_plot_without_the_growth_is_refused(refusal: Refusal, tmp_path: Path) -> None:
    assert "growth" in refusal("record", "--plot", tmp_path / "growth.svg")


def test_missing_matplotlib_names_the_extra(
    refusal: Refusal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.backend_bases", None)

    message = refusal("growth", "--plot", tmp_path / "growth.svg")

    assert "astraguard-store[bench]" in message


def test_temporary_folder_in_memory_is_refused_unless_it_is_named(
    refusal: Refusal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(arguments, "file_system", lambda _: "tmpfs")

    message = refusal("record")

    assert "--folder" in message
    assert "tmpfs" in message
    assert arguments.parse(["record", "--folder", str(tmp_path)]).folder == tmp_path
