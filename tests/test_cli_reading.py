"""The commands that ask about runs: filters and pages, what a run was, missed events."""

from __future__ import annotations

import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from command_line import assert_one_line, command_line, on_terminal, run, run_json

from astraguard_store import LatencyCollector, Provenance, RunRepository


def collector(*durations_ms: float, missed_ms: tuple[float, ...] = ()) -> LatencyCollector:
    measured = LatencyCollector()
    for number, duration_ms in enumerate(durations_ms):
        measured.record_fault_detection("SAT001", float(number), duration_ms)
    for number, waited_ms in enumerate(missed_ms):
        measured.record_missed("fault_detection", "SAT002", float(number), waited_ms)
    return measured


@pytest.fixture
def store(results: Path) -> Path:
    """Return five runs of two scenarios; r3 and r5 are of 100 ms, r5 missed most."""
    swarm = Provenance(scenario="swarm", seed=7, host="rig-a", git_dirty=True)
    with RunRepository.open(results) as repository:
        repository.save("r1", collector(1.0, 2.0), provenance=swarm, tags={"nightly": "green"})
        repository.save("r2", collector(1.0, 4.0), provenance=Provenance(scenario="solo"))
        repository.save("r3", collector(100.0), provenance=swarm, tags={"nightly": "red"})
        repository.save("r4", collector(3.0), provenance=swarm, satellite_buckets=True)
        repository.save("r5", collector(5.0, missed_ms=(100.0, 200.0)))
    return results


def listed(store: Path, *args: str) -> list[str]:
    shape = run_json("recent", *args, "--results", store)
    return [header["run_id"] for header in shape["runs"]]


class TestRecent:
    """Filters, pages and forms."""

    @pytest.mark.parametrize(
        ("filters", "runs"),
        [
            (["--scenario", "swarm"], ["r4", "r3", "r1"]),
            (["--tag", "nightly"], ["r3", "r1"]),
            (["--tag", "nightly=red"], ["r3"]),
            (["--tag", "nightly="], []),
            (["--since", "1h"], ["r5", "r4", "r3", "r2", "r1"]),
            (["--since", "2000-01-01"], ["r5", "r4", "r3", "r2", "r1"]),
            (["--since", "2999-01-01T12:00+01:00"], []),
            (["--above", "fault_detection.p95_ms=99"], ["r5", "r3"]),
            (["--above", "fault_detection.mean_ms=1e2"], ["r5"]),
            (["--before", "r2"], ["r1"]),
            (["--scenario", "swarm", "--tag", "nightly", "--before", "r3"], ["r1"]),
        ],
    )
    def test_a_filter_lists_what_passes(
        self, store: Path, filters: list[str], runs: list[str]
    ) -> None:
        assert listed(store, *filters) == runs

    def test_a_time_without_a_zone_is_utc(self, store: Path) -> None:
        soon = datetime.now(UTC).replace(tzinfo=None) + timedelta(minutes=10)

        assert listed(store, "--since", soon.isoformat()) == []
        assert listed(store, "--since", (soon - timedelta(hours=1)).isoformat())

    def test_next_leads_from_page_to_page(self, store: Path) -> None:
        first = run_json("recent", "--limit", "2", "--results", store)
        second = run_json("recent", "--limit", "3", "--before", first["next"], "--results", store)

        assert [header["run_id"] for header in first["runs"]] == ["r5", "r4"]
        assert [header["run_id"] for header in second["runs"]] == ["r3", "r2", "r1"]
        assert (first["next"], second["next"]) == ("r4", None)

    def test_the_table_says_how_to_get_the_next_page(self, store: Path) -> None:
        result = run("recent", "--limit", "2", "--results", store)

        assert "--before r4" in result.stderr
        assert result.stderr.count("\n") == 1
        assert len(result.stdout.splitlines()) == 3

    def test_no_such_runs_is_said(self, store: Path) -> None:
        result = run("recent", "--scenario", "none", "--results", store)

        assert result.exit_code == 0
        assert result.stdout.startswith("No such runs in ")

    def test_markdown_is_a_table(self, store: Path) -> None:
        result = run("recent", "--limit", "1", "--markdown", "--results", store)

        lines = result.stdout.splitlines()
        assert lines[:2] == [
            "| run | recorded (UTC) | scenario | state | tags | fault_detection p95 ms |",
            "| --- | --- | --- | --- | --- | ---: |",
        ]
        assert re.fullmatch(
            r"\| r5 \| \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \|.*\| above 200 \|", lines[2]
        )

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("--since", "yesterday"),
            ("--since", "2026-13-01"),
            ("--since", "9" * 9 + "w"),
            ("--since", "900000d"),
            ("--above", "fault_detection.p95_ms"),
            ("--above", "p95_ms=3"),
            ("--above", "fault_detection.p95_ms=fast"),
            ("--above", "fault_detection.p94_ms=3"),
            ("--above", "fault_detection.p95_ms=nan"),
            ("--tag", ""),
        ],
    )
    def test_a_wrong_filter_is_an_error(self, store: Path, option: str, value: str) -> None:
        result = run("recent", option, value, "--results", store)

        assert result.exit_code == 2
        assert_one_line(result, option.lstrip("-"))

    def test_a_metric_type_that_no_run_has_is_a_no(self, store: Path) -> None:
        result = run("recent", "--above", "typo.p95_ms=1", "--results", store)

        assert result.exit_code == 1
        assert_one_line(result, "'typo'", "there are: fault_detection")

    def test_a_metric_type_of_filtered_runs_may_be_missing(self, store: Path) -> None:
        result = run(
            *("recent", "--above", "fault_detection.p95_ms=1", "--scenario", "none"),
            *("--results", store),
        )

        assert result.exit_code == 0
        assert result.stdout.startswith("No such runs in ")

    def test_a_run_before_that_is_not_there_is_a_no(self, store: Path) -> None:
        result = run("recent", "--before", "missing", "--results", store)

        assert result.exit_code == 1
        assert_one_line(result, "missing")

    def test_both_forms_at_a_time_are_refused(self, store: Path) -> None:
        result = run("recent", "--json", "--markdown", "--results", store)

        assert result.exit_code == 2
        assert_one_line(result, "--json and --markdown")

    def test_folders_answer_times_and_say_what_they_cannot(self, old_tree: Path) -> None:
        known = run("recent", "--before", "wc-s2-60s", "--results", old_tree)
        unknown = run("recent", "--scenario", "swarm", "--results", old_tree)

        assert known.exit_code == 0
        assert "wc-s2-60s-10hz-1" in known.stdout
        assert unknown.exit_code == 2
        assert "astraguard-store import" in unknown.stderr


class TestShow:
    """What the run was, and what was missed."""

    def test_it_says_what_is_known_of_the_run(self, store: Path) -> None:
        result = run("show", "r1", "--results", store)

        assert re.search(r"^scenario +swarm$", result.stdout, re.MULTILINE)
        assert re.search(r"^git dirty +yes$", result.stdout, re.MULTILINE)
        assert re.search(r"^tags +nightly=green$", result.stdout, re.MULTILINE)
        assert "firmware" not in result.stdout

    def test_json_has_all_that_may_be_known(self, store: Path) -> None:
        shape = run_json("show", "r1", "--results", store)

        assert set(shape["provenance"]) == set(Provenance.__dataclass_fields__)
        assert shape["provenance"]["seed"] == 7
        assert shape["provenance"]["git_dirty"] is True
        assert shape["provenance"]["firmware"] is None
        assert shape["provenance"]["started_at"].endswith("+00:00")
        assert shape["tags"] == {"nightly": "green"}

    def test_a_percentile_among_the_missed_is_above_something(self, store: Path) -> None:
        result = run("show", "r5", "--results", store)

        row = next(line for line in result.stdout.splitlines() if "fault_detection" in line)
        assert re.split(r" {2,}", row.strip())[1:] == [
            *["ms", "3", "102", "above 100", "above 200", "above 200", "5.00", "200", "2"],
        ]

    def test_json_has_null_and_what_it_is_above_of(self, store: Path) -> None:
        shape = run_json("show", "r5", "--results", store)

        statistics = shape["metrics"]["fault_detection"]
        assert (statistics["p95_ms"], statistics["p95_above_ms"]) == (None, 200.0)
        assert statistics["missed"] == 2

    def test_markdown_has_all_of_it(self, store: Path) -> None:
        result = run("show", "r5", "--markdown", "--satellites", "--results", store)

        assert "- run: r5" in result.stdout
        assert "| fault_detection | ms | 3 | 102 | above 100 |" in result.stdout
        assert "| SAT002 | fault_detection | ms | 2 |" in result.stdout

    def test_markdown_escapes_its_own_marks(self, store: Path) -> None:
        named = LatencyCollector()
        named.record_fault_detection("SAT|1 <b>*[x]`", 0.0, 1.0)
        with RunRepository.open(store) as repository:
            repository.save("marks", named)

        result = run("show", "marks", "--satellites", "--markdown", "--results", store)

        assert r"| SAT\|1 \<b>\*\[x]\` | fault_detection |" in result.stdout


class TestCompare:
    """What differs between the runs themselves, and when not to compare them."""

    def test_what_differs_is_beside_the_numbers(self, store: Path) -> None:
        result = run("compare", "r1", "r2", "--results", store)

        assert re.search(r"^scenario +swarm +solo *$", result.stdout, re.MULTILINE)
        assert re.search(r"^seed +7 +- *$", result.stdout, re.MULTILINE)

    def test_what_is_not_comparable_is_a_warning(self, store: Path) -> None:
        result = run("compare", "r1", "r2", "--results", store)

        assert result.exit_code == 0
        first = result.stderr.splitlines()[0]
        assert first.startswith("astraguard-store: warning: not comparable: scenario is 'swarm'")

    def test_what_is_comparable_has_none(self, store: Path) -> None:
        result = run("compare", "r1", "r3", "--results", store)

        assert result.stderr == ""
        assert "what differs" not in result.stdout

    def test_json_holds_differences_and_warnings(self, store: Path) -> None:
        shape = run_json("compare", "r1", "r2", "--results", store)

        scenario = next(c for c in shape["provenance_changes"] if c["name"] == "scenario")
        assert scenario == {
            "name": "scenario",
            "baseline": "swarm",
            "candidate": "solo",
            "forbids_comparison": True,
        }
        assert shape["warnings"][0].startswith("not comparable: scenario")

    def test_a_percentile_among_the_missed_has_a_bound_of_its_change(self, store: Path) -> None:
        result = run("compare", "r4", "r5", "--statistics", "all", "--results", store)

        row = next(line for line in result.stdout.splitlines() if " p95 " in line)
        assert re.split(r" {2,}", row.strip())[1:] == [
            *["p95", "ms", "3.00", "above 200", "≥ +197", "≥ +66×"]
        ]
        assert re.search(r"^fault_detection +missed +0 +2 +2 ", result.stdout, re.MULTILINE)

    def test_in_markdown_a_bound_has_its_sign(self, store: Path) -> None:
        result = run(
            "compare", "r4", "r5", "--statistics", "all", "--markdown", "--results", store
        )

        assert re.search(r"above 200 \| ≥ \+197 \| ≥ \+66× \|", result.stdout)

    def test_from_a_bound_to_a_number_no_change_is_known(self, store: Path) -> None:
        result = run("compare", "r5", "r4", "--statistics", "all", "--results", store)

        row = next(line for line in result.stdout.splitlines() if " p95 " in line)
        assert re.split(r" {2,}", row.strip())[1:] == [
            *["p95", "ms", "above 200", "3.00", "-", "among the missed"]
        ]

    def test_json_says_what_a_side_is_above_of(self, store: Path) -> None:
        shape = run_json("compare", "r4", "r5", "--results", store)

        assert shape["changes"][0]["p95_ms"] == {
            "baseline": 3.0,
            "candidate": None,
            "difference": None,
            "relative_change": None,
            "baseline_above": None,
            "candidate_above": 200.0,
            "difference_at_least": 197.0,
            "relative_change_at_least": 197.0 / 3.0,
        }

    def test_without_missed_events_there_is_no_row_of_them(self, store: Path) -> None:
        result = run("compare", "r1", "r2", "--results", store)

        assert "missed" not in result.stdout

    def test_markdown_holds_the_warnings(self, store: Path) -> None:
        result = run("compare", "r1", "r2", "--markdown", "--results", store)

        warning = "- warning: not comparable: scenario is 'swarm' in 'r1' and 'solo' in 'r2'"
        assert warning in result.stdout.splitlines()

    def test_markdown_holds_both_tables_and_no_arrows(self, store: Path) -> None:
        result = run(
            "compare", "r1", "r2", "--statistics", "all", "--markdown", "--results", store
        )

        assert "- baseline: r1" in result.stdout
        assert "| scenario | swarm | solo |" in result.stdout
        row = "| fault_detection | max | ms | 2.00 | 4.00 | +2.00 | +100 % |"
        assert row in result.stdout.splitlines()


class TestPercentiles:
    """`astraguard-store percentiles`."""

    def test_they_are_of_all_runs(self, store: Path) -> None:
        result = run("percentiles", "fault_detection", "-q", "0", "-q", "0.5", "--results", store)

        assert result.exit_code == 0
        assert re.search(r"^runs +5$", result.stdout, re.MULTILINE)
        assert re.search(r"^events +9$", result.stdout, re.MULTILINE)
        assert re.search(r"^missed +2$", result.stdout, re.MULTILINE)
        assert re.search(r"^ +0 +≈ (0\.99\d|1\.0\d)$", result.stdout, re.MULTILINE)

    def test_among_the_missed_they_are_above_something(self, store: Path) -> None:
        result = run("percentiles", "fault_detection", "r5", "-q", "0.95", "--results", store)

        assert re.search(r"^ +0.95 +above (19[89]|20[012])$", result.stdout, re.MULTILINE)

    @pytest.mark.parametrize(
        ("chosen", "runs"),
        [(["r1", "r2"], 2), (["--scenario", "swarm"], 3), (["--tag", "nightly=red"], 1),
         (["--since", "1h"], 5), (["--scenario", "none"], 0),
         (["--satellite", "SAT001", "r4"], 1)],
    )  # fmt: skip
    def test_json_holds_the_values_of_the_chosen_runs(
        self, store: Path, chosen: list[str], runs: int
    ) -> None:
        shape = run_json("percentiles", "fault_detection", *chosen, "--results", store)

        assert set(shape) == {
            "results_dir",
            "answers_from",
            "metric_type",
            "satellite_id",
            "count",
            "missed",
            "runs",
            "values",
            "runs_without_buckets",
            "unfinished",
        }
        assert shape["runs"] == runs
        assert [value["quantile"] for value in shape["values"]] == [0.5, 0.95, 0.99]
        assert set(shape["values"][0]) == {"quantile", "value_ms", "above_ms"}

    def test_markdown_is_a_table(self, store: Path) -> None:
        result = run(
            "percentiles", "fault_detection", "r3", "--markdown", "-q", "0.5", "--results", store
        )

        assert "| quantile | ms |" in result.stdout
        assert re.search(r"^\| 0\.5 \| 100 \|$", result.stdout, re.MULTILINE)

    def test_what_nobody_measured_is_a_no(self, store: Path) -> None:
        result = run("percentiles", "fault_detektion", "--results", store)

        assert result.exit_code == 1
        assert_one_line(result, "fault_detektion", "there are: fault_detection")

    def test_runs_without_buckets_are_a_warning(self, old_tree: Path) -> None:
        with RunRepository.open(old_tree) as repository:
            repository.save("new", collector(1.0))

        result = run("percentiles", "fault_detection", "--results", old_tree)

        assert result.exit_code == 0
        assert re.search(r"^runs +1$", result.stdout, re.MULTILINE)
        assert "warning: 2 runs without buckets" in result.stderr
        assert "wc-s2-60s" in result.stderr

    @pytest.mark.parametrize(
        ("wrong", "named"),
        [(["-q", "1.5"], "1.5"), (["-q", "nan"], "nan"), (["-q", "p95"], "p95"),
         (["r1", "--scenario", "swarm"], "not both"),
         (["--satellite", "SAT002", "r5"], "buckets")],
    )  # fmt: skip
    def test_a_wrong_question_is_an_error(self, store: Path, wrong: list[str], named: str) -> None:
        result = run("percentiles", "fault_detection", *wrong, "--results", store)

        assert result.exit_code == 2
        assert_one_line(result, named)

    def test_a_run_that_is_not_there_is_a_no(self, store: Path) -> None:
        result = run("percentiles", "fault_detection", "r1", "missing", "--results", store)

        assert result.exit_code == 1
        assert_one_line(result, "missing")


class TestTerminals:
    """Narrow ones, and pipes."""

    @pytest.mark.parametrize("command", [["show", "r5"], ["compare", "r4", "r5"]], ids=" ".join)
    def test_a_narrow_terminal_gets_one_field_a_line(
        self, store: Path, command: list[str]
    ) -> None:
        written = on_terminal(44, *command, "--results", store, NO_COLOR="1")

        plain = re.sub(r"\x1b\[[0-9;]*m", "", written)
        assert re.search(r"^metric type +fault_detection( ms)?$", plain, re.MULTILINE)
        assert re.search("above 200|>200", plain)

    def test_on_a_terminal_a_bound_is_coloured_as_the_worst(self, store: Path) -> None:
        written = on_terminal(120, "compare", "r4", "r5", "--results", store)

        (row,) = [line for line in written.splitlines() if "fault_detection" in line]
        assert "3.00→>200" in row
        assert re.search(r"\x1b\[1;31m▲≥ \+66×", row)

    def test_a_pipe_of_ascii_gets_no_arrow_and_no_colour(self, store: Path) -> None:
        piped = subprocess.run(
            command_line("compare", "r4", "r5", "--results", store),
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"COLUMNS": "30", "PYTHONIOENCODING": "ascii"},
        )

        assert piped.stdout.isascii()
        assert "\x1b" not in piped.stdout
