"""`Limits`: what they say for each cell, and errors that name the key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from astraguard_store import GateError, Limits

TEXT = """
alpha = 0.01
relative = { p50 = 0.1 }
absolute_ms = 0.2

[metrics.fault_detection]
deadline_ms = 100
at_most = 0.01

[metrics.fault_detection.satellites.SAT001]
absolute_ms = 3.0

[satellites.SAT001]
missed = 0.02
absolute_ms = 1.0
"""


def test_without_any_a_change_counts_from_5_percent_on() -> None:
    of_cell = Limits().of("fault_detection")

    assert of_cell.relative == {"p50": 0.05, "p95": 0.05, "p99": 0.05}
    assert (of_cell.absolute_ms, of_cell.missed, of_cell.deadline_ms) == (0.0, 0.0, None)


def test_what_is_said_of_both_goes_before_metric_type_and_that_before_satellite() -> None:
    limits = Limits.of_toml(TEXT)

    both = limits.of("fault_detection", "SAT001")
    assert (both.absolute_ms, both.missed, both.deadline_ms) == (3.0, 0.02, 100.0)
    assert limits.of("agent_decision", "SAT001").absolute_ms == 1.0
    assert limits.of("fault_detection", "SAT002").absolute_ms == 0.2
    assert limits.of("fault_detection").at_most == 0.01
    assert limits.of("agent_decision").deadline_ms is None


def test_a_statistic_that_is_not_named_keeps_its_limit() -> None:
    assert Limits.of_toml(TEXT).of("any").relative == {"p50": 0.1, "p95": 0.05, "p99": 0.05}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alpha = 0", "'alpha' 0: a share above 0"),
        ("alpha = 'x'", "'alpha' 'x': a number is needed"),
        ("relativ = 0.1", "Unknown limit 'relativ'"),
        ("relative = -0.1", "'relative' -0.1: it can't be below 0"),
        ("relative = { p42 = 0.1 }", "Unknown limit 'relative.p42'"),
        ("statistics = 'p50'", "'statistics' 'p50': a list is needed"),
        ("statistics = ['p42']", "'statistics' 'p42'"),
        ("statistics = []", "each once, and at least one"),
        ("absolute_ms = true", "'absolute_ms' True: a number is needed"),
        ("absolute_ms = nan", "'absolute_ms' nan: a number is needed"),
        ("missed = 1.5", "'missed' 1.5: a share from 0 on"),
        ("deadline_ms = 3", "'deadline_ms': it needs 'at_most'"),
        ("[metrics.x]\nat_most = 0.1", "'metrics.x.at_most': it needs 'deadline_ms'"),
        ("[metrics.x]\nalpha = 0.1", "Unknown limit 'metrics.x.alpha'"),
        ("[metrics.reference]\nrelative = 1", "the reference is never judged"),
        ("metrics = 3", "'metrics' 3: a table of limits is needed"),
        ("[satellites.A]\nrelativ = 0", "Unknown limit 'satellites.A.relativ'"),
        ("[metrics.x.satellites.A]\nmissed = 'y'", "'metrics.x.satellites.A.missed' 'y'"),
        ("relative = ", "this is no TOML"),
    ],
)
def test_an_error_names_the_key(text: str, said: str) -> None:
    with pytest.raises(GateError) as e:
        Limits.of_toml(text, "limits.toml")

    assert str(e.value).startswith("limits.toml: ")
    assert said in str(e.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(GateError, match=r"no_such\.toml can't be read"):
        Limits.read(tmp_path / "no_such.toml")


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text(TEXT, encoding="utf-8")

    assert Limits.read(path) == Limits.of_toml(TEXT)
    assert Limits.read(path).alpha == 0.01


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(metrics={"fault": {}}), "'metrics.fault' matches nothing: both sides measured a"),
        (Limits(satellites={"S1": {}}), "'satellites.S1' matches nothing: satellites are judged"),
        (Limits(metrics={"a": {"satellites": {"S1": {}}}}), "'metrics.a.satellites.S1' matches"),
    ],
)
def test_a_limit_that_matches_nothing_is_an_error(limits: Limits, said: str) -> None:
    with pytest.raises(GateError) as e:
        limits.check_matches([("a", None)])

    assert said in str(e.value)


def test_a_satellite_that_is_not_there_is_an_error() -> None:
    with pytest.raises(GateError, match=r"'satellites\.S2' matches nothing: no such satellite"):
        Limits(satellites={"S2": {}}).check_matches([("a", "S1")])


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("statistics = ['p50']\nrelative = { p99 = 0.2 }", "relative.p99"),
        ("[metrics.a]\nstatistics = ['p50']\nrelative = { p95 = 0.2 }", "metrics.a.relative.p95"),
        (
            "[satellites.S1]\nstatistics = ['p99']\nrelative = { p50 = 0.2 }",
            "satellites.S1.relative.p50",
        ),
    ],
)
def test_a_relative_limit_of_a_statistic_that_is_not_judged_is_an_error(
    text: str, key: str
) -> None:
    with pytest.raises(GateError, match=f"'{re.escape(key)}' matches nothing"):
        Limits.of_toml(text).check_matches([("a", "S1")])


def test_a_relative_limit_matches_where_one_metric_type_judges_its_statistic() -> None:
    text = "statistics = ['p50']\nrelative = { p99 = 0.2 }\n[metrics.a]\nstatistics = ['p99']"

    Limits.of_toml(text).check_matches([("a", None), ("b", None)])
