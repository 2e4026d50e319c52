"""The command line of the benchmarks: what it refuses, prints, stores and leaves behind."""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from bench_results import a_result, timed

from benchmarks import __main__ as command_line
from benchmarks import arguments
from benchmarks.harness import Progress
from benchmarks.plot import OPERATIONS
from benchmarks.questions import QUESTIONS
from benchmarks.results import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.harness import Bench
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


# What was measured is printed, then stored; the exit status says whether targets are met.


def run(*words: str | Path) -> int:
    return command_line.main([str(word) for word in words])


def answer(monkeypatch: pytest.MonkeyPatch, name: str, ratio: float) -> None:
    """Let a question answer with one section: ours takes 1 s, the sequential side *ratio*."""
    section = timed(name, ours=1.0, sequential=ratio)
    monkeypatch.setitem(QUESTIONS, name, lambda _: [section])


@pytest.mark.parametrize(("ratio", "status"), [(2.0, 0), (1.0, 1)])
def test_exit_status_is_1_where_a_target_is_missed(
    ratio: float, status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answer(monkeypatch, "record", ratio)

    assert run("record", "--folder", tmp_path) == status


def test_reduced_section_does_not_count_in_the_exit_status(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slow = replace(timed("record", ours=1.0, sequential=1.0), reduced=True)
    monkeypatch.setitem(QUESTIONS, "record", lambda _: [slow])

    assert run("record", "--folder", tmp_path) == 0


def test_stored_result_can_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answer(monkeypatch, "record", 2.0)
    stored = tmp_path / "result.json"

    run("record", "--durability", "full", "--folder", tmp_path, "--json", stored)

    result = Result.read(stored)
    assert result.sections == (timed("record", ours=1.0, sequential=2.0),)
    assert result.settings["questions"] == ["record"]
    assert result.settings["durability"] == "full"
    assert result.settings["complete"] is True
    assert list(tmp_path.iterdir()) == [stored]


def test_result_that_cannot_be_stored_was_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()

    def ask(_: object) -> list[Section]:
        parent.rmdir()
        return [timed("record", ours=1.0, sequential=2.0)]

    monkeypatch.setitem(QUESTIONS, "record", ask)

    status = run("record", "--folder", tmp_path, "--json", parent / "result.json")

    shown = capsys.readouterr()
    assert status == 2
    assert "1 targets met" in shown.out
    assert str(parent) in shown.err


def test_stored_result_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    stored = tmp_path / "result.json"
    stored.write_text("what was there")
    (tmp_path / "result.json.part").mkdir()

    with pytest.raises(OSError, match=re.escape("result.json.part")):
        a_result().write(stored)

    assert stored.read_text() == "what was there"


def test_curves_are_drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    measured = [timed(f"growth.{one}.100", ours=1.0) for one in OPERATIONS]
    monkeypatch.setitem(QUESTIONS, "growth", lambda _: measured)

    run("growth", "--folder", tmp_path, "--plot", tmp_path / "growth.svg")

    assert "</svg>" in (tmp_path / "growth.svg").read_text(encoding="utf-8")


def test_temporary_folder_is_removed_after_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def ask(bench: Bench) -> list[Section]:
        (bench.folder / "written").touch()
        raise LookupError("a question failed")

    monkeypatch.setitem(QUESTIONS, "record", ask)

    with pytest.raises(LookupError, match="a question failed"):
        run("record", "--folder", tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_cheapest_question_is_asked_end_to_end(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status = run("record", "--quick", "--folder", tmp_path)

    shown = capsys.readouterr().out
    # Which of them depends on the machine.
    assert status in (0, 1)
    assert "record one measurement" in shown
    assert "≥ 1.5×" in shown


# Ctrl-C and SIGTERM end the measuring, and nothing that was measured is lost.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_measured_before_a_signal_is_printed_and_stored(
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    def ask(bench: Bench) -> Iterator[Section]:
        (bench.folder / "written").touch()
        yield timed("save.1000", ours=1.0, sequential=9.0)
        os.kill(os.getpid(), number)
        yield timed("save.10000", ours=1.0, sequential=9.0)

    answer(monkeypatch, "record", 2.0)
    answer(monkeypatch, "batch", 2.0)
    monkeypatch.setitem(QUESTIONS, "save", ask)
    stored = tmp_path / "result.json"
    handlers = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]

    status = run("record", "save", "batch", "--folder", tmp_path, "--json", stored)

    result = Result.read(stored)
    lines = capsys.readouterr().out.splitlines()
    assert status == 130
    assert [section.key for section in result.sections] == ["record", "save.1000"]
    assert result.settings["complete"] is False
    assert "2 targets met, 0 missed" in lines
    assert lines[-1].startswith("INCOMPLETE")
    assert list(tmp_path.iterdir()) == [stored]
    assert handlers == [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]


def test_interrupted_growth_is_not_drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def ask(_: object) -> list[Section]:
        raise KeyboardInterrupt

    monkeypatch.setitem(QUESTIONS, "growth", ask)

    status = run("growth", "--folder", tmp_path, "--plot", tmp_path / "growth.svg")

    assert status == 130
    assert list(tmp_path.iterdir()) == []


def test_signal_after_the_measuring_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def say(_: object, text: str) -> None:
        if text.startswith("removing"):
            os.kill(os.getpid(), signal.SIGINT)

    answer(monkeypatch, "record", 2.0)
    monkeypatch.setattr(Progress, "say", say)

    status = run("record", "--folder", tmp_path)

    assert status == 0
    assert list(tmp_path.iterdir()) == []
