"""`gate`, `gate calibrate`, `baseline` and `changes`."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from command_line import assert_one_line, run, run_json
from judged_stores import flown, saved, with_both_sides

from astraguard_store import LatencyCollector, Provenance, RunRepository
from astraguard_store.presentation.ci import gate_junit
from astraguard_store.presentation.verdict_texts import percent, why

SLOW = ("new_1", "new_4", "new_7")
UNCHANGED = ("old_1", "old_4", "old_7")
OTHERS = "old_0,old_2,old_3,old_5,old_6,old_8,old_9"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store whose candidate is 30 % slower; tests only read it."""
    results = tmp_path_factory.mktemp("judged")
    with RunRepository.open(results) as repository:
        with_both_sides(repository)
        saved(repository, ["lone"], was=Provenance(scenario="other", rig="rig-7"))
        saved(repository, ["lone_slow"], was=Provenance(scenario="other", rig="rig-7"), factor=4.0)
    return results


class TestExitCodes:
    """What a pipeline sees."""

    def test_1_where_something_regressed(self, store: Path) -> None:
        result = run("gate", *SLOW, "--baseline", "nightly", "--results", store)

        assert result.exit_code == 1
        assert result.stdout.startswith("REGRESSED: fault_detection p")

    def test_3_where_it_is_not_settled_unless_that_is_allowed(self, store: Path) -> None:
        words = ("gate", "old_1", "--baseline", "old_0", "--results", store)

        assert run(*words).exit_code == 3
        assert run(*words, "--allow-inconclusive").exit_code == 0

    def test_3_on_assumed_noise_unless_that_is_trusted(self, store: Path) -> None:
        words = ("gate", "lone_slow", "--baseline", "lone", "--results", store)

        result = run(*words)

        assert result.exit_code == 3
        headline = " ".join(result.stdout.split("\n\n")[0].split())
        assert headline.startswith("REGRESSED: ")
        assert headline.endswith("(on assumed noise)")
        assert run(*words, "--trust-assumed").exit_code == 1

    def test_0_where_a_regression_is_excluded(self, store: Path, tmp_path: Path) -> None:
        limits = tmp_path / "limits.toml"
        limits.write_text("relative = 0.9", encoding="utf-8")

        result = run(
            *("gate", *UNCHANGED, "--baseline", OTHERS, "--limits", limits, "--results", store)
        )

        assert result.exit_code == 0
        assert result.stdout.startswith("EQUIVALENT: nothing got slower or faster by 90 % or more")

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("missing", "--baseline", "nightly"), "no run 'missing'"),
            (("new_1", "--baseline", "nigtly"), "no baseline 'nigtly'"),
            (("lone", "--baseline", "nightly"), "not comparable: scenario"),
            (("new_1", "--baseline", "nightly", "--limits", "none.toml"), "none.toml"),
        ],
    )
    def test_2_where_no_verdict_can_be_given(
        self, store: Path, words: tuple[str, ...], said: str
    ) -> None:
        result = run("gate", *words, "--results", store)

        assert result.exit_code == 2
        assert_one_line(result, said)

    def test_2_for_a_limit_that_matches_nothing(self, store: Path, tmp_path: Path) -> None:
        limits = tmp_path / "limits.toml"
        limits.write_text("[metrics.fault]\nrelative = 0.1", encoding="utf-8")

        result = run(
            *("gate", "new_1", "--baseline", "nightly", "--limits", limits, "--results", store)
        )

        assert result.exit_code == 2
        assert_one_line(result, "'metrics.fault' matches nothing")


class TestOutput:
    """What a person reads."""

    def test_it_fits_into_eighty_columns(self, store: Path) -> None:
        of_lone = {SLOW: "nightly", ("lone_slow",): "lone"}
        for words in (SLOW, UNCHANGED, ("new_1",), ("lone_slow",)):
            for more in ([], ["--all"]):
                baseline = of_lone.get(words, OTHERS)
                printed = run("gate", *words, "--baseline", baseline, *more, "--results", store)

                lines = printed.stdout.splitlines()
                assert [line for line in lines if len(line) > 80] == []

    def test_markdown_has_the_headline_in_one_line(self, store: Path) -> None:
        words = ("gate", "lone_slow", "--baseline", "lone", "--markdown", "--results", store)

        first = run(*words).stdout.splitlines()[0]

        assert first.startswith("**REGRESSED: ")
        assert first.endswith(" (on assumed noise)**")

    def test_it_says_why_what_differs_and_what_is_folded(self, store: Path) -> None:
        printed = run("gate", *SLOW, "--baseline", "nightly", "--results", store).stdout

        assert "why        noise explains up to " in printed
        assert "(95 % confidence), and this is " in printed
        assert "firmware   4.1 -> 4.2" in printed
        assert "noise " in printed
        assert "machine " in printed

    def test_the_slow_satellite_has_a_row(self, store: Path) -> None:
        printed = run(
            *("gate", *SLOW, "--baseline", "nightly", "--by-satellite", "--results", store)
        ).stdout

        assert "fault_detection p50 SAT002" in printed

    def test_markdown_folds_the_rest(self, store: Path) -> None:
        printed = run(
            *("gate", *UNCHANGED, "--baseline", "nightly", "--markdown", "--results", store)
        )
        assert printed.exit_code == 2  # they are in the baseline
        printed = run(
            *("gate", "old_1", "old_4", "--baseline", OTHERS, "--markdown", "--results", store)
        )

        assert printed.stdout.startswith("**")
        assert "| what | baseline | candidate |" in printed.stdout

    def test_json_has_each_cell_and_the_exit_code(self, store: Path) -> None:
        shape = run_json("gate", *SLOW, "--baseline", "nightly", "--results", store)

        assert (shape["verdict"], shape["exit_code"]) == ("regressed", 1)
        assert shape["candidates"] == list(SLOW)
        assert shape["cells"][0]["verdict"] == "regressed"
        assert set(shape["cells"][0]) >= {"low", "high", "noise", "noise_source", "settling"}

    def test_junit_has_a_test_for_each_cell(self, store: Path, tmp_path: Path) -> None:
        path = tmp_path / "gate.xml"

        run("gate", *SLOW, "--baseline", "nightly", "--junit", path, "--results", store)

        suite = ET.parse(path).getroot()
        assert len(suite.findall("testcase")) == int(suite.attrib["tests"])
        assert len(suite.findall("testcase/failure")) == int(suite.attrib["failures"]) > 0

    def test_junit_takes_any_name_that_a_satellite_may_have(self) -> None:
        with RunRepository.in_memory() as repository:
            for run_id in ("old", "new"):
                collector = LatencyCollector()
                for tick in range(30):
                    collector.record_fault_detection("SAT\x07<&'\"", tick / 10, 5.0)
                repository.save(run_id, collector)
            report = repository.gate("new", "old", by_satellite=True)

        cases = ET.fromstring(gate_junit(report)).findall("testcase")

        assert cases[0].attrib["classname"] == "fault_detection on SAT\\x07<&'\""

    def test_explained_limits_are_those_of_each_cell(self, store: Path, tmp_path: Path) -> None:
        limits = tmp_path / "limits.toml"
        limits.write_text(
            "relative = {p95 = 0.2}\nabsolute_ms = 0.5\ndeadline_ms = 9\nat_most = 0.1",
            encoding="utf-8",
        )

        result = run(
            *("gate", *SLOW, "--baseline", "nightly", "--limits", limits),
            *("--explain-limits", "--results", store),
        )

        assert result.exit_code == 0
        rows = {" ".join(line.split()) for line in result.stdout.splitlines()}
        assert "fault_detection p95 20 % 0.5 - -" in rows
        assert "fault_detection deadline - - 9 10 %" in rows

    def test_a_recorded_verdict_is_in_the_view(self, results: Path) -> None:
        with RunRepository.open(results) as repository:
            with_both_sides(repository)

        run("gate", *SLOW, "--baseline", "nightly", "--record", "--results", results)

        shape = run_json("query", "SELECT run_id, verdict FROM v_verdicts", "--results", results)
        assert shape["rows"] == [[name, "regressed"] for name in SLOW]


class TestCalibrate:
    """`gate calibrate`."""

    def test_it_says_how_often_it_is_wrong_and_what_it_finds(self, store: Path) -> None:
        result = run("gate", "calibrate", "--baseline", "nightly", "--results", store)

        assert result.exit_code == 0
        assert "of 10 runs, each judged against the others" in " ".join(result.stdout.split())
        assert "fault_detection p50" in result.stdout

    def test_json_has_the_bound(self, store: Path) -> None:
        shape = run_json("gate", "calibrate", "--baseline", "nightly", "--results", store)

        assert 0.2 < shape["false_alarm_bound"] < 0.5
        assert shape["detectable"] == shape["cells"][0]["detectable"]

    def test_its_help_is_its_own(self) -> None:
        assert "--candidate-runs" in run("gate", "calibrate", "--help").stdout
        assert "--candidate-runs" not in run("gate", "--help").stdout


class TestBaseline:
    """`baseline set`, `show`, `list` and `delete`."""

    def test_one_is_set_shown_listed_and_deleted(self, results: Path) -> None:
        with RunRepository.open(results) as repository:
            saved(repository, ["a", "b"], ticks=3)

        assert run("baseline", "set", "nightly", "b", "a", "--results", results).exit_code == 0
        shown = run_json("baseline", "show", "nightly", "--results", results)
        assert (shown["name"], shown["run_ids"]) == ("nightly", ["a", "b"])
        assert "nightly" in run("baseline", "list", "--results", results).stdout
        assert run("baseline", "delete", "nightly", "--results", results).exit_code == 0
        assert run_json("baseline", "list", "--results", results)["baselines"] == []
        assert run("baseline", "show", "nightly", "--results", results).exit_code == 2

    def test_a_run_that_is_not_there_is_a_no(self, results: Path) -> None:
        RunRepository.open(results).close()

        assert run("baseline", "set", "nightly", "a", "--results", results).exit_code == 1


class TestChanges:
    """`changes`."""

    def test_a_step_has_a_row(self, results: Path) -> None:
        with RunRepository.open(results) as repository:
            for number in range(16):
                factor = 2.0 if number >= 8 else 1.0
                collector = flown(f"{number}", factor=factor, ticks=30)
                was = Provenance(scenario="swarm", rig="rig-7")
                repository.save(f"run_{number:02}", collector, provenance=was)

        shape = run_json("changes", "fault_detection", "--results", results)
        printed = run("changes", "fault_detection", "--results", results).stdout

        assert [one["run_id"] for one in shape["changes"]] == ["run_08"]
        assert "run_08" in printed

    def test_no_step_is_said(self, store: Path) -> None:
        result = run("changes", "reference", "--scenario", "none", "--results", store)

        assert result.exit_code == 0
        assert "has no step" in result.stdout

    def test_a_metric_type_that_no_run_has_is_a_no(self, store: Path) -> None:
        result = run("changes", "fault", "--results", store)

        assert result.exit_code == 1
        assert_one_line(result, "fault_detection")


def test_show_says_how_sure_a_percentile_is(store: Path) -> None:
    printed = run("show", "old_0", "--results", store).stdout
    shape = run_json("show", "old_0", "--results", store)

    assert "95 % interval" in printed
    assert json.dumps(shape["intervals"]["fault_detection"]["p50"]["is_enough"]) == "true"


def test_an_interval_has_the_unit_of_its_statistics(store: Path) -> None:
    printed = run("show", "old_0", "--results", store).stdout

    statistics, interval, *_ = [
        line.split() for line in printed.splitlines() if line.startswith("reference ")
    ]
    assert statistics[1] == interval[1] == "µs"
    low, high = map(float, interval[2].split("-"))
    assert low < float(statistics[4]) < high


def test_a_percentage_of_thousands_is_a_factor_or_has_a_comma() -> None:
    assert percent(31.36) == "3,136 %"
    assert percent(31.36, sign=True) == "+31×"


def test_why_it_regressed_names_a_large_change_as_a_factor(results: Path) -> None:
    with RunRepository.open(results) as repository:
        saved(repository, ["before"])
        saved(repository, ["after"], factor=40.0)
        report = repository.gate("after", "before")

    assert re.search(r"and this is \+\d\d×$", why(report))
