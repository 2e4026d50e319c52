"""Verdicts where people look: comparisons, reports, CI formats and pages."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from command_line import on_terminal, run, run_json
from judged_stores import NEW, saved, with_both_sides

from astraguard_store import RunNotFoundError, RunRepository
from astraguard_store.judging import find_standard, judge

HOSTILE = "nightly <script>alert(1)</script>"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give ten runs, which are two baselines, and three that are 30 % slower."""
    results = tmp_path_factory.mktemp("judged") / "results"
    with RunRepository.open(results) as repository:
        with_both_sides(repository)
        repository.set_baseline(HOSTILE, [f"old_{number}" for number in range(10)])
        repository.set_tags("new_7", {"green": ""})
    return results


class TestStandard:
    """What a name stands for."""

    @pytest.mark.parametrize(
        ("name", "found"),
        [
            ("nightly", ("nightly", 10, "old_9")),
            ("old_3", (None, 1, "old_3")),
            ("old_3,old_5", (None, 2, "old_5")),
            ("@green", (None, 1, "new_7")),
            ("old_3, @green", (None, 2, "new_7")),
        ],
    )
    def test_it_is_a_baseline_or_runs(
        self, store: Path, name: str, found: tuple[str | None, int, str]
    ) -> None:
        with RunRepository.open(store, read_only=True) as repository:
            standard = find_standard(repository, name)

        assert (standard.name, len(standard.run_ids), standard.newest) == found

    def test_a_run_that_is_judged_is_not_the_newest(self, store: Path) -> None:
        with RunRepository.open(store, read_only=True) as repository:
            standard = find_standard(repository, "nightly", without=["old_9"])

        assert standard.newest == "old_8"

    @pytest.mark.parametrize("name", ["missing", "old_3,missing", "@none"])
    def test_no_such_run_is_said(self, store: Path, name: str) -> None:
        with (
            RunRepository.open(store, read_only=True) as repository,
            pytest.raises(RunNotFoundError, match=r"missing|@none"),
        ):
            find_standard(repository, name)


class TestJudge:
    """When there is a verdict."""

    def test_a_guess_of_the_noise_is_no_verdict_to_show_unasked(self, results: Path) -> None:
        with RunRepository.open(results) as repository:
            saved(repository, ["old"])
            saved(repository, ["new"], was=NEW, factor=3.0)

            assert judge(repository, ["new"], find_standard(repository, "old")) == (None, None)

    def test_older_runs_make_one_also_against_a_single_run(self, store: Path) -> None:
        with RunRepository.open(store, read_only=True) as repository:
            report, _ = judge(repository, ["new_7"], find_standard(repository, "old_9"))

        assert report is not None
        assert report.noise_source == "history"

    def test_what_can_not_be_judged_says_why(self, store: Path) -> None:
        with RunRepository.open(store, read_only=True) as repository:
            report, why_not = judge(repository, ["old_1"], find_standard(repository, "nightly"))

        assert report is None
        assert why_not is not None
        assert "baseline and candidate at once" in why_not


class TestCompare:
    """The comparison of two runs, of which one stands for a baseline."""

    def test_the_verdict_comes_first_and_beside_each_metric_type(self, store: Path) -> None:
        result = run("compare", "nightly", "new_7", "--results", store)

        assert result.exit_code == 0
        lines = result.stdout.splitlines()
        assert lines[0].startswith("REGRESSED: fault_detection p50 is ")
        assert "baseline  old_9, the newest of nightly" in lines
        (line,) = [line for line in lines if line.startswith("fault_detection ")]
        assert {"worse"} & {*line.split()}
        assert max(map(len, lines)) <= 80

    def test_it_fits_a_terminal_of_eighty_columns(self, store: Path) -> None:
        shown = on_terminal(80, "compare", "nightly", "new_7", "--results", store, NO_COLOR="1")

        assert "verdict" in shown
        assert max(len(re.sub(r"\x1b\[\d*m", "", line)) for line in shown.splitlines()) <= 80

    def test_json_has_the_verdict_of_a_baseline_and_none_of_a_run(self, store: Path) -> None:
        of_baseline = run_json("compare", "nightly", "new_7", "--results", store)
        of_run = run_json("compare", "old_6", "new_7", "--results", store)

        assert of_baseline["verdict"]["baseline_name"] == "nightly"
        assert of_baseline["baseline"] == "old_9"
        assert "verdict" not in of_run

    def test_markdown_has_it_too(self, store: Path) -> None:
        result = run("compare", HOSTILE, "new_7", "--markdown", "--results", store)

        assert result.stdout.startswith("**")
        assert re.search(r"(?<!\\)<script", result.stdout) is None

    def test_why_there_is_none_is_said(self, store: Path) -> None:
        result = run("compare", "nightly", "old_1", "--results", store)

        assert result.exit_code == 0
        assert "no verdict: run 'old_1' can't be baseline" in result.stderr

    def test_junit_fails_what_regressed(self, results: Path) -> None:
        with RunRepository.open(results) as repository:
            with_both_sides(repository, factor=3.0)

        result = run("compare", "nightly", "new_7", "--format", "junit", "--results", results)

        suite = ET.fromstring(result.stdout)[0]
        failures = suite.findall(".//failure")
        assert suite.attrib["failures"] == str(len(failures)) == "1"
        assert "fault_detection p50: +" in failures[0].attrib["message"]

    def test_github_gets_an_error_of_what_regressed(self, results: Path) -> None:
        with RunRepository.open(results) as repository:
            with_both_sides(repository, factor=3.0)

        result = run("compare", "nightly", "new_7", "--format", "github", "--results", results)

        assert result.stdout.startswith("::error title=new_7 against old_9::REGRESSED: ")


class TestReport:
    """A report against a baseline."""

    @pytest.mark.parametrize("suffix", ["html", "md"])
    def test_the_verdict_and_its_reasons_are_on_top(
        self, store: Path, tmp_path: Path, suffix: str
    ) -> None:
        target = tmp_path / f"report.{suffix}"

        names = ["new_1", "new_4", "new_7"]
        result = run("report", *names, "--baseline", HOSTILE, "--to", target, "--results", store)

        assert result.exit_code == 0, result.stderr
        page = target.read_text(encoding="utf-8")
        assert page.index("REGRESSED") < page.index("What changed in new_1")
        assert "fewer than 1 of 20 checks" in page
        assert "astraguard-store gate new_1 new_4 new_7 --baseline" in page
        # In Markdown the commands are code, and elsewhere it is escaped.
        assert re.search(r"(?<!\\)<script", page.split("How to see it again")[0]) is None

    def test_why_there_is_no_verdict_is_said(self, store: Path, tmp_path: Path) -> None:
        target = tmp_path / "report.html"

        result = run(
            *("report", "old_1", "--baseline", "nightly"), "--to", target, "--results", store
        )
        assert result.exit_code == 0

        assert "No verdict: run" in target.read_text(encoding="utf-8")


class TestNames:
    """`latest` and `@tag` where verdicts are asked for."""

    def test_gate_knows_them_on_both_sides(self, store: Path) -> None:
        words = ["@green", "--baseline", "old_0,old_1,old_2,old_3"]

        shape = run("gate", *words, "--json", "--results", store)

        assert '"candidates": [\n    "new_7"\n  ]' in shape.stdout

    def test_a_baseline_is_set_by_them(self, results: Path) -> None:
        with RunRepository.open(results) as repository:
            saved(repository, ["one", "two"])

        shape = run_json("baseline", "set", "newest", "latest", "latest~1", "--results", results)

        assert shape["run_ids"] == ["one", "two"]
