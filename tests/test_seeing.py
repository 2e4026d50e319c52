"""Histories, distributions and names of runs: through Python and the command line."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from command_line import on_terminal, run, run_json
from hypothesis import given
from hypothesis import strategies as st

from astraguard_store import (
    History,
    HistoryPoint,
    InvalidRunError,
    LatencyCollector,
    MetricSummary,
    Provenance,
    RunHeader,
    RunNotFoundError,
    RunRepository,
)
from astraguard_store.cli.watch import _besides
from astraguard_store.presentation.sketch import BLOCKS, histograms, sparkline
from astraguard_store.presentation.svg import history_svg
from astraguard_store.run_names import resolve_run


def flown(slowness: float, missed: int = 0) -> LatencyCollector:
    collector = LatencyCollector()
    for tick in range(200):
        duration_ms = slowness * (50 + tick * 37 % 41)
        collector.record_fault_detection(f"SAT{tick % 2 + 1:03}", tick / 10, duration_ms)
        collector.record_agent_decision("SAT001", tick / 10, 0.05)
    for number in range(missed):
        collector.record_missed("fault_detection", "SAT001", 10.0 + number, 5_000.0)
    return collector


def completions(words: list[str], results: Path | str) -> list[str]:
    """Return what a shell would offer for the last word."""
    result = run(
        env={
            "_ASTRAGUARD_STORE_COMPLETE": "zsh_complete",
            "ASTRAGUARD_STORE_RESULTS": str(results),
            "COMP_WORDS": " ".join(["astraguard-store", *words]),
            "COMP_CWORD": str(len(words)),
        }
    )
    return result.stdout.split("\n")[1::3]


@pytest.fixture
def store(results: Path) -> Path:
    """Give twelve runs, of which the last five are slower and another commit."""
    with RunRepository.open(results) as repository:
        for number in range(12):
            slow = number >= 7
            provenance = Provenance(
                scenario="swarm" if number % 2 else "solo",
                rig="rig1",
                git_commit="bbbbbbb" if slow else "aaaaaaa",
                git_branch="main",
                git_dirty=False,
            )
            tags = {"baseline": ""} if number == 3 else {"nightly": str(number % 3)}
            repository.save(
                f"run_{number:02}",
                flown((1.3 if slow else 1.0) + number / 1000, missed=3 if number == 11 else 0),
                provenance=provenance,
                tags=tags,
            )
    return results


class TestNames:
    """Names that stand for runs."""

    @pytest.mark.parametrize(
        ("name", "run_id"),
        [
            ("latest", "run_11"),
            ("latest~0", "run_11"),
            ("latest~3", "run_08"),
            ("@baseline", "run_03"),
            ("@nightly=1", "run_10"),
            ("run_05", "run_05"),
        ],
    )
    def test_a_name_stands_for_a_run(self, store: Path, name: str, run_id: str) -> None:
        with RunRepository.open(store, read_only=True) as repository:
            assert resolve_run(repository, name) == run_id

    def test_a_run_that_is_called_so_comes_first(self, store: Path) -> None:
        with RunRepository.open(store) as repository:
            repository.save("latest~3", flown(1.0))

            assert resolve_run(repository, "latest~3") == "latest~3"

    @pytest.mark.parametrize("name", ["latest~99", "@none", "@nightly=9"])
    def test_a_name_without_a_run_is_not_found(self, store: Path, name: str) -> None:
        with (
            RunRepository.open(store, read_only=True) as repository,
            pytest.raises(RunNotFoundError, match=name),
        ):
            resolve_run(repository, name)

    @pytest.mark.parametrize(
        "words",
        [
            ["show", "latest"],
            ["compare", "@baseline", "latest"],
            ["percentiles", "fault_detection", "latest", "latest~1"],
            ["tag", "@baseline"],
            ["recent", "--before", "latest~4"],
        ],
        ids=" ".join,
    )
    def test_commands_know_them(self, store: Path, words: list[str]) -> None:
        assert run(*words, "--results", store).exit_code == 0


class TestHistory:
    """The trend of a metric type over runs."""

    def test_it_is_oldest_first_with_the_commit_of_each(self, store: Path) -> None:
        with RunRepository.open(store, read_only=True) as repository:
            history = repository.history("fault_detection")

        assert [point.run_id for point in history.points] == [f"run_{n:02}" for n in range(12)]
        assert [point.git_commit for point in history.points][6:8] == ["aaaaaaa", "bbbbbbb"]
        assert [point.run_id for point in history.changes()] == ["run_07"]

    @pytest.mark.parametrize(
        ("by", "groups"),
        [
            (None, [None]),
            ("scenario", ["solo", "swarm"]),
            ("rig", ["rig1"]),
            ("satellite", ["SAT001", "SAT002"]),
        ],
    )
    def test_it_is_taken_apart(self, store: Path, by: str | None, groups: list[str]) -> None:
        with RunRepository.open(store, read_only=True) as repository:
            history = repository.history("fault_detection", by=by)

        assert list(history.groups()) == groups

    def test_folders_answer_it_too(self, old_tree: Path) -> None:
        with RunRepository.open(old_tree, read_only=True) as repository:
            assert repository.history("fault_detection").points

    def test_a_wrong_group_is_refused(self, store: Path) -> None:
        with (
            RunRepository.open(store, read_only=True) as repository,
            pytest.raises(InvalidRunError, match="scenario, rig, satellite"),
        ):
            repository.history("fault_detection", by="moon")

    def test_the_command_shows_trend_change_and_commit(self, store: Path) -> None:
        result = run("history", "fault_detection", "--results", store)

        assert result.exit_code == 0
        assert re.search(rf"^trend +[{BLOCKS}]{{12}}$", result.stdout, re.MULTILINE)
        assert re.search(r"^run_07 .* \+\d\d\.\d % +0  bbbbbbb$", result.stdout, re.MULTILINE)
        assert result.stdout.count("aaaaaaa") == 1

    def test_json_has_every_digit(self, store: Path) -> None:
        shape = run_json("history", "fault_detection", "--results", store)

        assert shape["points"][0]["summary"]["p95_ms"] == 89.0
        [change] = shape["changes"]
        assert (change["run_id"], change["group"]) == ("run_07", None)
        assert change["after_ms"] / change["before_ms"] - 1 == pytest.approx(change["change"])

    def test_the_change_shown_is_that_of_the_step(self, results: Path) -> None:
        with RunRepository.open(results) as repository:
            for number, level_ms in enumerate([10.2] * 7 + [30.2] + [13.2] * 8):
                collector = LatencyCollector()
                collector.record_fault_detection("SAT001", 0.0, level_ms)
                repository.save(f"run_{number:02}", collector)

        shown = run("history", "fault_detection", "--results", results).stdout
        words = ("changes", "fault_detection", "--statistic", "p95", "--results", results)
        [step] = run_json(*words)["changes"]

        assert step["change"] == pytest.approx(0.3, abs=0.01)
        assert re.findall(r"\S+ %", shown) == [f"{step['change'] * 100:+.1f} %"]

    @pytest.mark.parametrize(("command", "name"), [("history", "mean_ms"), ("changes", "mean")])
    def test_a_statistic_has_one_name_in_all_commands(
        self, store: Path, command: str, name: str
    ) -> None:
        words = (command, "fault_detection", "--results", store, "--statistic")

        found = [run_json(*words, spelling)["statistic"] for spelling in ("mean", "mean_ms")]

        assert found == [name, name]
        assert run_json(*words, "p95_ms")["statistic"] == "p95"
        assert run(*words, "p96").exit_code == 2

    def test_the_trend_is_logarithmic(self, results: Path) -> None:
        with RunRepository.open(results) as repository:
            for number, level_ms in enumerate([1.0, 10.0, 100.0]):
                collector = LatencyCollector()
                collector.record_fault_detection("SAT001", 0.0, level_ms)
                repository.save(f"run_{number}", collector)

        result = run("history", "fault_detection", "--results", results)

        assert re.search(r"^trend +▁[▄▅]█$", result.stdout, re.MULTILINE)

    def test_a_metric_that_no_run_has_is_a_no(self, store: Path) -> None:
        result = run("history", "typo", "--results", store)

        assert result.exit_code == 1
        assert "there are: agent_decision, fault_detection" in result.stderr


class TestBand:
    """From the lowest to the highest run of a baseline."""

    @pytest.fixture
    def held(self, store: Path) -> Path:
        """Give a baseline of solo runs alone, one of them older than the newest five."""
        with RunRepository.open(store) as repository:
            repository.set_baseline("nightly", ["run_02", "run_04", "run_08"])
        return store

    def test_it_is_of_the_groups_that_the_baseline_has_runs_of(self, held: Path) -> None:
        with RunRepository.open(held, read_only=True) as repository:
            history = repository.history(
                "fault_detection", by="scenario", limit=5, baseline="nightly"
            )
            ends = [repository.get(run).metrics["fault_detection"] for run in ("run_02", "run_08")]

        assert history.baseline_name == "nightly"
        assert history.bands("p50") == {"solo": tuple(end.p50_ms for end in ends)}
        assert history.bands() == {"solo": tuple(end.p95_ms for end in ends)}

    def test_without_groups_it_is_of_all_its_runs_of_the_scenario(self, held: Path) -> None:
        with RunRepository.open(held, read_only=True) as repository:
            of_all = repository.history("fault_detection", baseline="nightly")
            solo = repository.history("fault_detection", scenario="solo", baseline="nightly")
            swarm = repository.history("fault_detection", scenario="swarm", baseline="nightly")

        assert of_all.bands() == solo.bands() != {}
        assert swarm.bands() == {}

    def test_it_is_of_one_satellite(self, held: Path) -> None:
        with RunRepository.open(held, read_only=True) as repository:
            history = repository.history(
                "fault_detection", satellite_id="SAT001", baseline="nightly"
            )
            low = repository.get("run_02").satellites["SAT001"]["fault_detection"].mean_ms

        assert history.bands("mean_ms")[None][0] == low

    def test_runs_that_did_not_end_well_are_not_in_it(self, held: Path) -> None:
        with RunRepository.open(held) as repository:
            with suppress(ZeroDivisionError), repository.run("broken") as run_:
                run_.record_fault_detection("SAT001", 0.0, 900.0)
                raise ZeroDivisionError
            repository.set_baseline("broken", ["broken", "run_02"])

            history = repository.history("fault_detection", baseline="broken")

        assert [point.run_id for point in history.baseline_points] == ["run_02"]

    def test_the_command_says_it_for_each_group(self, held: Path) -> None:
        words = ("history", "fault_detection", "--by", "scenario", "--baseline", "nightly")

        result = run(*words, "--results", held)
        shape = run_json(*words, "--results", held)["baseline"]

        found = re.findall(r"^(?:scenario|baseline) .*$", result.stdout, re.MULTILINE)
        assert [re.split("  +", line)[1] for line in found] == [
            *("solo", "nightly, 89.2 to 116 ms"),
            *("swarm", "nightly, no such run"),
        ]
        assert (shape["name"], shape["run_ids"]) == ("nightly", ["run_02", "run_04", "run_08"])
        (band,) = shape["bands"]
        assert band["group"] == "solo"
        assert 89 < band["low_ms"] < 90 < 116 < band["high_ms"] < 117

    def test_without_a_baseline_there_is_none(self, held: Path) -> None:
        result = run("history", "fault_detection", "--results", held)
        shape = run_json("history", "fault_detection", "--results", held)

        assert "baseline" not in result.stdout
        assert shape["baseline"] is None

    def test_an_unknown_name_is_the_error_of_a_gate(self, held: Path) -> None:
        words = ("--baseline", "weekly", "--results", held)

        history, gate = run("history", "fault_detection", *words), run("gate", "run_11", *words)

        assert history.exit_code == gate.exit_code == 2
        assert history.stderr == gate.stderr
        assert "'weekly'" in history.stderr
        assert "'nightly'" in history.stderr

    @pytest.mark.parametrize(
        ("runs", "height"), [(["run_02", "run_08"], True), (["run_02"], False)]
    )
    def test_the_svg_has_it_and_names_it(self, held: Path, runs: list[str], height: bool) -> None:
        with RunRepository.open(held) as repository:
            repository.set_baseline("nightly", runs)
            svg = history_svg(repository.history("fault_detection", baseline="nightly"))
            without = history_svg(repository.history("fault_detection"))

        (drawn,) = re.findall(r'<rect [^>]*height="([\d.]+)"', svg)
        assert (float(drawn) > 0) is height
        assert re.search(r">baseline nightly, 89.2 to [\d.]+ ms<", svg)
        assert "<rect" not in without
        assert "baseline" not in without


class TestSteps:
    """Where a history changes: the rule of verdicts, in each group by itself."""

    @staticmethod
    def changed(levels: list[float]) -> list[int]:
        points = [
            HistoryPoint(
                f"run_{number:02}",
                datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number),
                None,
                None,
                MetricSummary(9, level, level, level, level, level, level),
            )
            for number, level in enumerate(levels)
        ]
        steps = History("fault_detection", None, tuple(points)).changes()
        return [int(point.run_id[-2:]) for point in steps]

    def test_one_slow_run_is_none(self) -> None:
        assert self.changed([10, 11, 10, 12, 90, 11, 10, 11, 12, 10]) == []

    def test_two_levels_have_one(self) -> None:
        levels = [1.0, 1.1, 1.2, 1.1, 1.0, 1.1, 5.0, 5.1, 5.2, 5.0, 5.1, 5.2]

        assert self.changed(levels) == [6]

    @given(st.floats(0.1, 1e6), st.integers(0, 60))
    def test_what_stands_still_has_none(self, value: float, number: int) -> None:
        assert self.changed([value] * number) == []


class TestDistribution:
    """Buckets of several runs, cumulated."""

    def test_missed_events_are_what_the_curve_lacks(self, store: Path) -> None:
        with RunRepository.open(store, read_only=True) as repository:
            (last,) = repository.distribution("fault_detection", ["run_11"]).runs

        assert (last.events, last.missed) == (203, 3)
        assert last.cumulative()[-1][1] == 200 / 203

    def test_a_quantile_is_within_one_percent(self, store: Path) -> None:
        with RunRepository.open(store, read_only=True) as repository:
            (first,) = repository.distribution("fault_detection", ["run_00"]).runs
            exact = repository.get("run_00").metrics["fault_detection"].p95

        assert float(first.quantile(0.95) or 0) == pytest.approx(float(exact or 0), rel=0.01)

    def test_folders_count_the_measurements(self, old_tree: Path) -> None:
        with RunRepository.open(old_tree, read_only=True) as repository:
            run_id = repository.recent(1)[0].run_id
            total = repository.get(run_id).metrics["fault_detection"].count
            (only,) = repository.distribution("fault_detection", [run_id]).runs

        assert only.events == total

    def test_sketches_share_one_axis(self, store: Path) -> None:
        with RunRepository.open(store, read_only=True) as repository:
            runs = repository.distribution("fault_detection", ["run_00", "run_10"]).runs

        quick, slow = histograms(runs, 10)
        assert quick.strip() != quick.rstrip() or quick.rstrip() != quick
        assert slow.startswith(" ")
        assert quick.endswith(" ")

    def test_a_sparkline_goes_from_low_to_high(self) -> None:
        assert sparkline([1.0, None, 2.0, 3.0]) == "▁ ▅█"
        assert sparkline([2.0, 2.0]) == "▄▄"


class TestTerminal:
    """What fits, and what is left out."""

    def test_compare_is_a_line_a_metric_type_in_eighty_columns(self, store: Path) -> None:
        result = run("compare", "run_03", "run_11", "--results", store)

        table = result.stdout.split("\n\n")[-1].splitlines()
        assert max(map(len, result.stdout.splitlines())) <= 80
        assert [line.split()[0] for line in table] == [
            "metric",
            "fault_detection",
            "agent_decision",
        ]
        assert "0→3" in table[1]
        assert set(table[1]) & set(BLOCKS)

    def test_only_changed_leaves_out_the_rest(self, store: Path) -> None:
        result = run("compare", "run_03", "run_11", "--only-changed", "--results", store)

        assert "agent_decision" not in result.stdout
        assert "fault_detection" in result.stdout

    def test_what_did_not_change_is_said(self, store: Path) -> None:
        result = run("compare", "run_03", "run_03", "--only-changed", "--results", store)

        assert "Nothing changed visibly." in result.stdout

    def test_recent_shows_the_value_beside_its_limit(self, store: Path) -> None:
        result = run("recent", "--above", "fault_detection.p95_ms=100", "--results", store)

        title, first, *_ = result.stdout.splitlines()
        assert title.endswith("fault_detection p95 ms (limit 100)")
        assert first.endswith(" 117")

    def test_recent_shows_the_fields_that_are_asked_for(self, store: Path) -> None:
        result = run("recent", "-n", "1", "--fields", "run,rig,p95", "--results", store)

        assert result.stdout.splitlines()[0].split()[:2] == ["run", "rig"]
        assert result.stdout.splitlines()[1].split()[:2] == ["run_11", "rig1"]

    def test_recent_fits_eighty_columns(self, store: Path) -> None:
        written = on_terminal(80, "recent", "--results", store, NO_COLOR="1")

        assert len([line for line in written.splitlines() if "run_" in line]) == 10

    def test_recent_of_tests_fits_too(self, results: Path) -> None:
        scenario = "tests/hil/test_detection.py::test_faults_are_found_in_eclipse"
        with RunRepository.open(results) as repository:
            for number in range(3):
                was = Provenance(scenario=f"{scenario}[{number}]")
                tags = {"pytest": scenario, "outcome": "passed"}
                name = f"test_faults_are_found-{number}"
                repository.save(name, flown(1.0), provenance=was, tags=tags)

        written = on_terminal(80, "recent", "--results", results, NO_COLOR="1")

        listed = [line for line in written.splitlines() if "test_faults_are_found-" in line]
        assert len(listed) == 3
        assert all(f"[{number}]" in "".join(listed) for number in range(3))
        assert all(len(line) <= 80 and "finished" in line for line in listed)

    def test_an_unknown_field_is_refused(self, store: Path) -> None:
        result = run("recent", "--fields", "run,colour", "--results", store)

        assert result.exit_code == 2
        assert "'colour'" in result.stderr

    def test_show_draws_a_histogram_and_the_time(self, store: Path) -> None:
        result = run("show", "latest", "--results", store)

        assert re.search(rf"^fault_detection +[{BLOCKS} ]+$", result.stdout, re.MULTILINE)

    def test_watch_shows_what_is_being_recorded_however_old(self, store: Path) -> None:
        with RunRepository.open(store) as repository, repository.run("live"):
            for name in ("newer", "newest"):
                repository.save(name, flown(1.0))

            shown = run(
                *("watch", "--times", "1", "-n", "2", "--fields", "run,state"), "--results", store
            ).stdout

        listed, besides = shown.split("Also being recorded:")
        assert [line.split() for line in listed.splitlines()[2:] if line] == [
            ["run", "state"],
            ["newest", "finished"],
            ["newer", "finished"],
        ]
        assert "live  running" in besides

    def test_watch_lists_a_run_once_that_wrote_between_two_looks(self) -> None:
        before = RunHeader("live", 1, datetime(2026, 1, 1, tzinfo=UTC), 10, "running")
        older = before._replace(run_id="older")

        others = _besides([before], [before._replace(total_measurements=20), older])

        assert others == [older]

    def test_watch_draws_the_list_anew(self, store: Path) -> None:
        result = run("watch", "--every", "0.1", "--times", "2", "-n", "1", "--results", store)

        assert result.exit_code == 0
        assert result.stdout.count("run_11") == 2

    @pytest.mark.parametrize(
        ("words", "offered"),
        [
            (["history", "fault"], ["fault_detection"]),
            (["recent", "--scenario", "s"], ["solo", "swarm"]),
            (["recent", "--tag", "n"], ["nightly"]),
            (["percentiles", "fault_detection", "--by", "run,sc"], ["run,scenario"]),
            (["db", "describe", "v_b"], ["v_buckets"]),
            (["show", "@b"], ["@baseline"]),
        ],
        ids=str,
    )
    def test_the_shell_completes_names(
        self, store: Path, words: list[str], offered: list[str]
    ) -> None:
        assert completions(words, store) == offered

    def test_the_shell_completes_names_of_a_server(self, store: Path, server_url: str) -> None:
        with RunRepository.open(store) as repository:
            repository.push(server_url)

        assert completions(["history", "fault"], server_url) == ["fault_detection"]
        assert completions(["show", "run_1"], server_url) == ["run_11", "run_10"]
        assert "v_buckets" in completions(["db", "describe", "v_b"], server_url)
        there = ["show", "--results", server_url, "run_1"]
        assert completions(there, "nowhere") == ["run_11", "run_10"]
