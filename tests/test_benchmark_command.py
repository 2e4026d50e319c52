"""The command line of the benchmarks."""

from __future__ import annotations

import sys

import pytest

from benchmarks import __main__ as command_line
from benchmarks.questions import QUESTIONS


def test_missing_matplotlib_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    status = command_line.main(["record", "--plot", "growth.svg"])

    assert status == 2
    assert "astraguard-store[bench]" in capsys.readouterr().err


def test_unknown_question_is_refused_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command_line.main(["recrod"])

    message = capsys.readouterr().err
    assert all(question in message for question in QUESTIONS)
