"""Formats for CI services, and docs/ci.md, whose workflows are run as far as they run here."""

from __future__ import annotations

import re
import shlex
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import run
from recordings import recorded

from astraguard_store import Comparison, LatencyCollector, MetricChange, RunRepository
from astraguard_store.model import MetricSummary
from astraguard_store.presentation import ci
from astraguard_store.verdict.values import CellVerdict, GateReport

PAGE = (Path(__file__).parent.parent / "docs" / "ci.md").read_text(encoding="utf-8")
WORKFLOWS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
HOSTILE = "a\n::error::b %0A,:<\x00&\x1b[31m"


@pytest.fixture
def store(results: Path) -> Path:
    """Give two runs; the second is slower and missed an event."""
    with RunRepository.open(results) as repository:
        repository.save("old", recorded(100), tags={"baseline": ""})
        slow: LatencyCollector = recorded(100, scale=2.0)
        slow.record_missed("fault_detection", "SAT001", 50.0, 5_000.0)
        repository.save("new", slow)
    return results


def hostile() -> Comparison:
    summary = MetricSummary(1, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    slower = summary._replace(p99_ms=2.0)
    return Comparison(HOSTILE, HOSTILE, (MetricChange(HOSTILE, None, summary, slower),))


def cell(statistic: str, *, excludes_regression: bool) -> CellVerdict:
    """Give a cell of which it isn't settled whether it changed."""
    return CellVerdict(
        *("m", None, statistic, "inconclusive", 1.0, 1.02, 0.02, -0.05, 0.09, 0.05),
        *(excludes_regression, 0.02, "measured", 8.0),
    )


def judged(*cells: CellVerdict) -> GateReport:
    return GateReport(
        *("inconclusive", None, ("a",), ("b",), False, 0.05, cells, (), "measured", 0),
        *(False, None, (), (), ()),
    )


def test_junit_has_a_case_a_metric_type(store: Path) -> None:
    result = run("compare", "old", "new", "--format", "junit", "--results", store)

    suite = ET.fromstring(result.stdout)[0]
    assert suite.attrib["tests"] == "3"
    assert [case.attrib["name"] for case in suite] == [
        *("fault_detection", "agent_decision", "recovery_action")
    ]
    assert "missed 0 → 1" in (suite[0][0].text or "")
    assert suite.findall(".//failure") == []


def test_junit_has_a_line_for_each_warning() -> None:
    comparison = replace(hostile(), baseline_state="failed", candidate_state="interrupted")

    [said] = ET.fromstring(
        ci.junit(comparison, judged(cell("p50", excludes_regression=False)))
    ).iter("system-err")

    # A name's end of a line is none.
    assert len((said.text or "").split("\n")) == 3


def test_github_gets_a_warning_of_what_never_came(store: Path) -> None:
    result = run("compare", "old", "new", "--format", "github", "--results", store)

    first, *rest = result.stdout.splitlines()
    assert first.startswith("::warning title=new against old::fault_detection: +100 %25;")
    assert all(line.startswith("::notice ") for line in rest)


def test_a_missed_event_more_is_a_warning_and_one_fewer_a_notice() -> None:
    few = MetricSummary(2_000, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 999)
    more = few._replace(missed=1_000)

    kinds = [
        next(ci.github(Comparison("a", "b", (MetricChange("m", None, *sides),)))).split()[0]
        for sides in ((few, more), (more, few))
    ]

    assert kinds == ["::warning", "::notice"]


def test_what_may_be_better_but_is_no_worse_is_skipped_in_neither_file() -> None:
    summary = MetricSummary(100, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    comparison = Comparison("a", "b", (MetricChange("m", None, summary, summary),))
    report = judged(cell("p50", excludes_regression=True), cell("p95", excludes_regression=False))

    of_types = ET.fromstring(ci.junit(comparison, report))[0]
    of_cells = ET.fromstring(ci.gate_junit(report))

    assert of_types.attrib["skipped"] == of_cells.attrib["skipped"] == "1"
    assert [case.attrib["name"] for case in of_cells if len(case)] == ["p95"]
    [skipped] = of_types.findall("testcase/skipped")
    assert skipped.attrib["message"] == "inconclusive: m p95: +2.0 % (-5.0 to +9.0 %)"


def test_a_hostile_name_begins_no_command_of_its_own() -> None:
    lines = list(ci.github(hostile()))

    assert len(lines) == 1
    assert len(lines[0].splitlines()) == 1
    assert "\x1b" not in lines[0]


def test_a_hostile_name_is_text_in_junit() -> None:
    case = ET.fromstring(ci.junit(hostile()))[0][0]

    assert "::error::" in case.attrib["name"]


def test_two_forms_are_refused(store: Path) -> None:
    result = run("compare", "old", "new", "--format", "junit", "--json", "--results", store)

    assert result.exit_code == 2


def commands(workflow: str) -> list[str]:
    """Return the command lines of a workflow that call this package."""
    yaml = pytest.importorskip("yaml", reason="PyYAML comes with the extra `docs`")
    found: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)
        elif isinstance(value, str) and value.startswith("astraguard-store "):
            found.append(value)

    walk(yaml.safe_load(workflow))
    return found


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=["github", "gitlab"])
def test_the_commands_of_a_workflow_run(
    workflow: str, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = commands(workflow)

    assert len(lines) >= 2
    for line in lines:
        words = [word for word in re.split(r">+", line)[0].split() if word]
        result = run(*shlex.split(" ".join(words))[1:], "--results", store)
        assert result.exit_code == 0, f"{line}: {result.stderr}"
    assert (tmp_path / "report.html").is_file()
