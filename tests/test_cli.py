"""The command line: what it prints, what it exits with, and that nobody sees a traceback."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from command_line import assert_one_line, command_line, on_terminal, run, run_json

from astraguard_store import LatencyCollector, RunRepository
from astraguard_store.noise import WORST_FIELDS

STATISTICS = {"count", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "min_ms", "max_ms", "missed"}
BOUNDS = {"p50_above_ms", "p95_above_ms", "p99_above_ms"}
SIDES = ("baseline", "candidate")
HEADER = {"run_id", "revision", "recorded_at", "total_measurements", "state", "last_written_at"}


def collector(*durations_ms: float, metric: str = "fault_detection") -> LatencyCollector:
    measured = LatencyCollector()
    record = getattr(measured, f"record_{metric}")
    for number, duration_ms in enumerate(durations_ms):
        record(f"SAT{number % 2 + 1:03d}", number / 10, duration_ms)
    return measured


@pytest.fixture
def store(results: Path) -> Path:
    """Return a store with two runs that share one metric type and have one each."""
    with RunRepository.open(results) as repository:
        baseline = collector(1.0, 2.0, 3.0, 4.0)
        baseline.record_agent_decision("SAT001", 0.5, 7.0)
        candidate = collector(2.0, 4.0, 6.0, 8.0)
        candidate.record_recovery_action("SAT002", 0.5, 9.0)
        repository.save("baseline", baseline)
        repository.save("candidate", candidate)
    return results


def test_recent_lists_the_newest_run_first(store: Path) -> None:
    result = run("recent", "--results", store)

    assert result.exit_code == 0
    assert re.findall(r"^(\w+) +\d{4}-\d\d-\d\d", result.stdout, re.MULTILINE) == [
        "candidate",
        "baseline",
    ]
    assert result.stderr == ""


def test_recent_stops_at_the_limit(store: Path) -> None:
    shape = run_json("recent", "--results", store, "--limit", "1")

    assert [header["run_id"] for header in shape["runs"]] == ["candidate"]


def test_recent_json_holds_headers(store: Path) -> None:
    shape = run_json("recent", "--results", store)

    assert set(shape) == {"results_dir", "answers_from", "runs", "next"}
    assert shape["next"] is None
    assert shape["answers_from"] == "database"
    assert set(shape["runs"][0]) == HEADER
    assert shape["runs"][0]["total_measurements"] == 5
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", shape["runs"][0]["recorded_at"]
    )


def test_recent_takes_the_folder_from_the_environment(store: Path) -> None:
    result = run("recent", env={"ASTRAGUARD_STORE_RESULTS": str(store)})

    assert result.exit_code == 0
    assert "candidate" in result.stdout


def test_recent_says_on_stderr_that_folders_answer(old_tree: Path) -> None:
    result = run("recent", "--results", old_tree)

    assert result.exit_code == 0
    assert "wc-s2-60s-10hz-1" in result.stdout
    assert result.stderr.count("\n") == 1
    assert "warning" in result.stderr
    assert "run folders" in result.stderr
    assert not (old_tree / "astraguard.db").exists()


@pytest.mark.parametrize("limit", ["0", "-1", "many", "1e3", "9" * 40])
def test_recent_refuses_a_bad_limit(store: Path, limit: str) -> None:
    result = run("recent", "--results", store, "--limit", limit)

    assert result.exit_code == 2
    assert_one_line(result, "--limit", "recent --help")


def test_show_prints_header_statistics_and_files(store: Path) -> None:
    result = run("show", "baseline", "--results", store)

    assert result.exit_code == 0
    assert "measurements 5" in result.stdout
    row = next(line for line in result.stdout.splitlines() if "fault_detection" in line)
    assert row.split()[1:] == ["ms", "4", "2.50", "3.00", *["4.00"] * 2, "1.00", "4.00"]
    assert str(store / "baseline" / "latency_raw.csv") in result.stdout
    assert "SAT001" not in result.stdout


def test_show_prints_satellites_when_asked(store: Path) -> None:
    result = run("show", "baseline", "--satellites", "--results", store)

    assert "SAT001" in result.stdout


def test_show_json_holds_everything(store: Path) -> None:
    shape = run_json("show", "candidate", "--results", store)

    keys = {"results_dir", "answers_from", "metrics", "satellites", "artifacts"}
    assert set(shape) == HEADER | keys | {
        *("provenance", "tags", "intervals", "error", "save_id", "attachments", "noise"),
    }
    assert set(shape["metrics"]["fault_detection"]) == STATISTICS | BOUNDS
    assert shape["metrics"]["fault_detection"]["mean_ms"] == 5.0
    assert shape["satellites"]["SAT002"]["recovery_action"]["p99_ms"] == 9.0
    assert {artifact["kind"] for artifact in shape["artifacts"]} == {
        "summary_json",
        "raw_csv",
    }
    assert set(shape["artifacts"][0]) == {"kind", "path", "bytes", "sha256", "rows"}


def test_show_json_has_null_for_what_old_summaries_leave_out(old_tree: Path) -> None:
    run("import", "--results", old_tree)

    shape = run_json("show", "wc-s2-60s", "--results", old_tree)

    assert shape["satellites"]["SAT001"]["fault_detection"]["p99_ms"] is None


def test_show_of_an_unknown_run_is_a_no(store: Path) -> None:
    result = run("show", "missing", "--results", store)

    assert result.exit_code == 1
    assert_one_line(result, "missing", "astraguard-store recent")


@pytest.mark.parametrize("run_id", ["..", "a/b", "", "\x1b[31m"])
def test_show_of_a_run_id_that_cannot_be_is_an_error(store: Path, run_id: str) -> None:
    result = run("show", "--results", store, "--", run_id)

    assert result.exit_code == 2
    assert_one_line(result, "run_id")
    assert "\x1b" not in result.stderr


def test_show_escapes_control_characters_of_satellites(
    store: Path,
) -> None:
    named = LatencyCollector()
    named.record_fault_detection("SAT\x1b[31m\n[bold]", 0.0, 1.0)
    with RunRepository.open(store) as repository:
        repository.save("strange", named)

    result = run("show", "strange", "--satellites", "--results", store)

    assert "\x1b" not in result.stdout
    assert r"SAT\x1b[31m\n[bold]" in result.stdout


def test_compare_prints_difference_and_change(store: Path) -> None:
    result = run("compare", "baseline", "candidate", "--statistics", "all", "--results", store)

    assert result.exit_code == 0
    row = next(
        line for line in result.stdout.splitlines() if "fault_detection" in line and "mean" in line
    )
    assert row.split() == ["fault_detection", "mean", "ms", "2.50", "5.00", "+2.50", "+100", "%"]


def test_compare_names_the_run_that_alone_has_a_metric(store: Path) -> None:
    result = run("compare", "baseline", "candidate", "--statistics", "all", "--results", store)

    assert re.search(r"agent_decision .*only in baseline", result.stdout)
    assert re.search(r"recovery_action .*only in candidate", result.stdout)


def test_compare_by_satellite_names_satellites(store: Path) -> None:
    shape = run_json("compare", "baseline", "candidate", "--by-satellite", "--results", store)
    result = run("compare", "baseline", "candidate", "--by-satellite", "--results", store)

    named = {(change["satellite_id"], change["metric_type"]) for change in shape["changes"]}
    assert ("SAT001", "fault_detection") in named
    assert ("SAT002", "recovery_action") in named
    assert re.search(r"^SAT002 +fault_detection +ms ", result.stdout, re.MULTILINE)


def test_compare_json_holds_each_statistic_of_both_sides(store: Path) -> None:
    shape = run_json("compare", "baseline", "candidate", "--results", store)

    origin = {"results_dir", "answers_from"}
    what_they_were = {"provenance_changes", "warnings"}
    what_they_were |= {f"{side}_{what}" for side in SIDES for what in ("state", *WORST_FIELDS)}
    assert set(shape) == origin | what_they_were | {
        "baseline",
        "candidate",
        "by_satellite",
        "changes",
    }
    changes = {change["metric_type"]: change for change in shape["changes"]}
    shared = changes["fault_detection"]
    assert set(shared) == {"metric_type", "satellite_id", "present_in"} | STATISTICS
    assert shared["present_in"] == "both"
    assert shared["satellite_id"] is None
    assert shared["mean_ms"] == {
        "baseline": 2.5,
        "candidate": 5.0,
        "difference": 2.5,
        "relative_change": 1.0,
        "baseline_above": None,
        "candidate_above": None,
        "difference_at_least": 2.5,
        "relative_change_at_least": 1.0,
    }


def test_compare_json_has_null_for_a_missing_side(store: Path) -> None:
    shape = run_json("compare", "baseline", "candidate", "--results", store)

    alone = next(c for c in shape["changes"] if c["metric_type"] == "agent_decision")
    assert alone["present_in"] == "baseline"
    assert alone["mean_ms"] == {
        "baseline": 7.0,
        "candidate": None,
        "difference": None,
        "relative_change": None,
        "baseline_above": None,
        "candidate_above": None,
        "difference_at_least": None,
        "relative_change_at_least": None,
    }


@pytest.mark.parametrize("pair", [("baseline", "missing"), ("missing", "candidate")])
def test_compare_with_an_unknown_run_is_a_no(store: Path, pair: tuple[str, str]) -> None:
    result = run("compare", *pair, "--results", store)

    assert result.exit_code == 1
    assert_one_line(result, "missing")


def test_compare_asks_the_folders_where_there_is_no_database(old_tree: Path) -> None:
    result = run("compare", "wc-s2-60s", "wc-s2-60s-10hz-1", "--results", old_tree, "--json")

    shape = json.loads(result.stdout)
    assert shape["answers_from"] == "folders"
    means = {change["metric_type"]: change["mean_ms"] for change in shape["changes"]}
    assert means["fault_detection"]["baseline"] == 0.4905029749863843
    assert means["fault_detection"]["candidate"] == 2.1107325625325757


def test_import_counts_what_it_adopts(old_tree: Path) -> None:
    shape = run_json("import", "--results", old_tree)

    assert set(shape) == {
        "results_dir",
        "database",
        "adopted",
        "skipped",
        "ignored",
        "refused",
        "rebuilt",
    }
    assert (shape["adopted"], shape["skipped"], shape["refused"]) == (2, 0, [])
    assert Path(shape["database"]).is_file()


def test_import_skips_what_the_database_has(old_tree: Path) -> None:
    run("import", "--results", old_tree)

    shape = run_json("import", "--results", old_tree)

    assert (shape["adopted"], shape["skipped"]) == (0, 2)


def test_import_says_why_it_refused_a_folder_and_exits_with_1(old_tree: Path) -> None:
    (old_tree / "broken").mkdir()
    (old_tree / "broken" / "latency_summary.json").write_text("{ half of")

    result = run("import", "--results", old_tree)

    assert result.exit_code == 1
    assert re.search(r"^adopted +2$", result.stdout, re.MULTILINE)
    assert re.search(r"^broken: .+ is not JSON", result.stdout, re.MULTILINE)
    assert result.stderr == ""


def test_import_json_names_the_refused_folder(old_tree: Path) -> None:
    (old_tree / "broken" / "latency_summary.json").mkdir(parents=True)

    shape = run_json("import", "--results", old_tree)

    assert [set(refused) for refused in shape["refused"]] == [{"run_id", "reason"}]
    assert shape["refused"][0]["run_id"] == "broken"


def test_import_does_not_make_a_folder(tmp_path: Path) -> None:
    result = run("import", "--results", tmp_path / "typo")

    assert result.exit_code == 2
    assert_one_line(result, "typo")
    assert not (tmp_path / "typo").exists()


def test_db_current_at_head_is_a_yes(store: Path) -> None:
    result = run("db", "current", "--results", store, "--json")

    shape = json.loads(result.stdout)
    assert result.exit_code == 0
    assert set(shape) == {"results_dir", "database", "found", "head", "at_head"}
    assert shape["found"] == shape["head"]
    assert shape["at_head"] is True


def test_db_current_without_a_database_is_a_no(old_tree: Path) -> None:
    result = run("db", "current", "--results", old_tree)

    assert result.exit_code == 1
    assert "astraguard-store import" in result.stdout
    assert not (old_tree / "astraguard.db").exists()


def test_db_upgrade_leaves_a_database_at_head_as_it_is(store: Path) -> None:
    shape = run_json("db", "upgrade", "--results", store)

    assert set(shape) == {"results_dir", "database", "before", "after", "head", "backup"}
    assert shape["before"] == shape["after"] == shape["head"]


def test_db_upgrade_makes_no_database(tmp_path: Path) -> None:
    result = run("db", "upgrade", "--results", tmp_path)

    assert result.exit_code == 2
    assert_one_line(result, "no database")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def newer(store: Path) -> Path:
    """Return a store with the schema of a version to come."""
    with closing(sqlite3.connect(store / "astraguard.db")) as database, database:
        database.execute("UPDATE astraguard_schema_version SET version_num = '9999'")
    return store


def test_db_current_of_a_newer_database_is_a_no(newer: Path) -> None:
    result = run("db", "current", "--results", newer)

    assert result.exit_code == 1
    assert "found    9999" in result.stdout
    assert "pip install --upgrade" in result.stdout


@pytest.mark.parametrize("command", [["recent"], ["import"], ["db", "upgrade"]], ids=" ".join)
def test_a_newer_database_is_an_error_that_names_the_mend(newer: Path, command: list[str]) -> None:
    result = run(*command, "--results", newer)

    assert result.exit_code == 2
    assert_one_line(result, "9999", "pip install --upgrade")


def test_db_current_of_another_programs_database_is_a_no(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "astraguard.db")) as database, database:
        database.execute("CREATE TABLE theirs (name TEXT)")

    shape = run_json("db", "current", "--results", tmp_path)
    result = run("db", "current", "--results", tmp_path)

    assert result.exit_code == 1
    assert (shape["found"], shape["at_head"]) == (None, False)
    assert "db upgrade" not in result.stdout


def test_a_folder_in_place_of_the_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "astraguard.db").mkdir()

    result = run("recent", "--results", tmp_path)

    assert result.exit_code == 2


EVERY_COMMAND = [
    ["recent"],
    ["show", "a"],
    ["compare", "a", "b"],
    ["percentiles", "fault_detection"],
    ["tag", "a"],
    ["delete", "a", "--yes"],
    ["prune", "--keep", "1", "--yes"],
    ["import"],
    ["db", "current"],
    ["db", "upgrade"],
    ["db", "backup", "runs.backup.db"],
]


@pytest.mark.parametrize("command", [*EVERY_COMMAND, ["check"]], ids=" ".join)
def test_a_missing_folder_is_an_error_and_stays_missing(
    tmp_path: Path, command: list[str]
) -> None:
    result = run(*command, "--results", tmp_path / "nowhere")

    assert result.exit_code == 2
    assert_one_line(result, "nowhere")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [*EVERY_COMMAND, ["demo"], ["check"]], ids=" ".join)
def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "file").write_text("not a folder")

    result = run(*command, "--results", tmp_path / "file")

    assert result.exit_code == 2
    assert_one_line(result, "file")


@pytest.mark.parametrize("command", [*EVERY_COMMAND, ["demo"]], ids=" ".join)
def test_a_damaged_database_without_folders_is_an_error(
    tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "astraguard.db").write_bytes(b"no database at all" * 500)

    result = run(*command, "--results", tmp_path)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert "astraguard.db is damaged" in result.stderr
    assert all(line.startswith("astraguard-store: ") for line in result.stderr.splitlines())


def test_folders_answer_for_a_damaged_database(old_tree: Path) -> None:
    (old_tree / "astraguard.db").write_bytes(b"no database at all" * 500)

    result = run("recent", "--results", old_tree)

    assert result.exit_code == 0
    assert "wc-s2-60s-10hz-1" in result.stdout
    assert "astraguard.db" in result.stderr


@pytest.mark.parametrize(
    "command", [["nonsense"], ["show"], ["recent", "--nonsense"], ["db", "nonsense"]]
)
def test_a_usage_error_is_one_line(command: list[str]) -> None:
    result = run(*command)

    assert result.exit_code == 2
    assert_one_line(result, "--help")


@pytest.mark.parametrize(
    "command", [[], *EVERY_COMMAND, ["demo"], ["check"], ["db"]], ids=" ".join
)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    names = [word for word in command if len(word) > 1 and not word.startswith("-")]

    result = run(*names, "--help")

    assert result.exit_code == 0
    assert f"  astraguard-store {' '.join(names)}" in result.stdout


def test_version_names_package_sqlite_and_schema() -> None:
    result = run("--version")

    assert re.fullmatch(
        r"astraguard-store \S+ \(SQLite 3\.\S+, schema head \d{4}\)",
        result.stdout.splitlines()[0],
    )


def test_version_says_nothing_of_the_faults_of_sqlite() -> None:
    result = run("--version")

    # `check` says it, where something can be done about it.
    assert len(result.stdout.splitlines()) == 1


def test_check_of_a_sound_store_is_a_yes(store: Path) -> None:
    result = run("check", "--results", store)

    assert result.exit_code == 0
    assert re.search(r"^2 runs, 4 files, [\d.]+ kB: sound$", result.stdout, re.MULTILINE)
    assert result.stderr == ""


def test_check_says_what_where_and_what_to_do(store: Path) -> None:
    (store / "baseline" / "latency_raw.csv").unlink()

    result = run("check", "--results", store)

    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].startswith("fault  baseline/latency_raw.csv: ")
    assert "backup" in lines[1]
    assert lines[-1].endswith("1 fault left")


def test_check_fix_says_what_it_mended(store: Path) -> None:
    (store / "baseline" / "latency_summary.json").write_text("{}")

    result = run("check", "--fix", "--results", store)

    assert result.exit_code == 0
    assert result.stdout.startswith("mended baseline/latency_summary.json: it has 2 bytes")
    assert "kept beside it as latency_summary.json.changed" in result.stdout


def test_check_json_holds_counts_and_findings(store: Path) -> None:
    (store / "baseline" / "latency_raw.csv").unlink()

    shape = run_json("check", "--results", store)

    counts = {"results_dir", "database", "sound", "runs", "files", "bytes"}
    assert set(shape) == counts | {"findings", "mended"}
    assert (shape["sound"], shape["runs"], shape["files"]) == (False, 2, 3)
    assert set(shape["findings"][0]) == {"kind", "severity", "where", "what", "advice"}
    assert shape["findings"][0]["kind"] == "missing_file"


def test_check_reports_a_damaged_database_even_without_folders(tmp_path: Path) -> None:
    (tmp_path / "astraguard.db").write_bytes(b"no database at all" * 500)

    result = run("check", "--results", tmp_path)

    assert result.exit_code == 1
    assert "astraguard-store import" in result.stdout


def test_check_makes_no_database(old_tree: Path) -> None:
    result = run("check", "--results", old_tree)

    assert result.exit_code == 1
    assert not (old_tree / "astraguard.db").exists()


def test_db_backup_copies_the_database(store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"

    shape = run_json("db", "backup", copy, "--results", store)

    assert set(shape) == {"results_dir", "database", "backup", "bytes"}
    assert (shape["backup"], shape["bytes"]) == (str(copy), copy.stat().st_size)
    with closing(sqlite3.connect(copy)) as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (2,)


def test_db_backup_never_writes_over_a_file(store: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("something dear")

    result = run("db", "backup", tmp_path / "copy.db", "--results", store)

    assert result.exit_code == 2
    assert_one_line(result, "copy.db", "File exists")
    assert (tmp_path / "copy.db").read_text() == "something dear"


def test_db_backup_without_a_database_is_an_error(old_tree: Path, tmp_path: Path) -> None:
    result = run("db", "backup", tmp_path / "copy.db", "--results", old_tree)

    assert result.exit_code == 2
    assert "no usable database" in result.stderr
    assert not (tmp_path / "copy.db").exists()


@pytest.mark.parametrize(
    "words",
    [
        "show",
        "compare candidate",
        "tag",
        "delete candidate",
        "percentiles metric",
        "recent --before",
    ],
)
def test_the_shell_completes_run_ids(store: Path, words: str) -> None:
    typed = f"astraguard-store {words} base"
    variables = {
        "_ASTRAGUARD_STORE_COMPLETE": "bash_complete",
        "ASTRAGUARD_STORE_RESULTS": str(store),
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
    }

    result = run(env=variables)

    assert result.stdout == "plain,baseline\n"


@pytest.mark.parametrize(
    ("shell", "offered"),
    [("bash", r"plain,with\\ space\\;\\ it\\'s"), ("zsh", "plain\nwith space; it's\n_")],
)
def test_a_completed_run_id_is_quoted_for_bash_which_does_not(
    tmp_path: Path, shell: str, offered: str
) -> None:
    collector = LatencyCollector()
    collector.record_fault_detection("SAT001", 0.0, 1.0)
    with RunRepository.open(tmp_path) as repository:
        repository.save("with space; it's", collector)
    variables = {
        "_ASTRAGUARD_STORE_COMPLETE": f"{shell}_complete",
        "ASTRAGUARD_STORE_RESULTS": str(tmp_path),
        "COMP_WORDS": "astraguard-store show with",
        "COMP_CWORD": "2",
    }

    result = run(env=variables)
    inside_quotes = run(env=variables | {"COMP_WORDS": "astraguard-store show 'with"})

    assert result.stdout.strip() == offered
    assert "with space; it's" in inside_quotes.stdout


def test_a_completion_without_a_store_is_silent_and_makes_none(tmp_path: Path) -> None:
    variables = {
        "_ASTRAGUARD_STORE_COMPLETE": "bash_complete",
        "ASTRAGUARD_STORE_RESULTS": str(tmp_path / "nowhere"),
        "COMP_WORDS": "astraguard-store delete x",
        "COMP_CWORD": "2",
    }

    result = run(env=variables)

    assert (result.stdout.strip(), result.stderr) == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_gets_colour(store: Path) -> None:
    written = on_terminal(120, "compare", "baseline", "candidate", "--results", store)

    assert "\x1b[31m" in written


def test_a_terminal_with_colour_gets_arrows(store: Path) -> None:
    slower = on_terminal(120, "compare", "baseline", "candidate", "--results", store)
    faster = on_terminal(120, "compare", "candidate", "baseline", "--results", store)

    assert "▲+100 %" in slower
    assert "▼-50.0 %" in faster


def test_a_terminal_whose_encoding_lacks_the_arrows_gets_signs(store: Path) -> None:
    written = on_terminal(
        120, "compare", "baseline", "candidate", "--results", store, PYTHONIOENCODING="ascii"
    )

    assert "+100 %" in written
    assert "▲" not in written
    assert "u25b2" not in written


def test_no_color_is_respected(store: Path) -> None:
    written = on_terminal(
        120, "compare", "baseline", "candidate", "--results", store, NO_COLOR="1"
    )

    assert "+100 %" in written
    assert "▲" not in written
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", written)


def test_a_narrow_terminal_gets_one_field_a_line(store: Path) -> None:
    written = on_terminal(
        30, "recent", "--fields", "run,recorded,measurements", "--results", store, NO_COLOR="1"
    )

    lines = re.sub(r"\x1b\[[0-9;]*m", "", written).splitlines()
    assert max(map(len, lines)) <= 40
    assert lines[0].split() == ["run", "candidate"]
    assert ["measurements", "5"] in [line.split() for line in lines]


def test_a_pipe_gets_plain_whole_lines(tmp_path: Path) -> None:
    long_id = "x" * 128
    with RunRepository.open(tmp_path) as repository:
        repository.save(long_id, collector(1.0))

    piped = subprocess.run(
        command_line("recent", "--results", tmp_path),
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"COLUMNS": "30"},
    )

    assert any(line.startswith(f"{long_id} ") for line in piped.stdout.splitlines())
    assert all(line == line.rstrip() for line in piped.stdout.splitlines())
    assert piped.stdout.isascii()
    assert "\x1b" not in piped.stdout
    assert piped.stderr == ""


def test_a_reader_that_went_away_is_no_traceback(store: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    ended = subprocess.run(
        command_line("compare", "baseline", "candidate", "--results", store),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)

    assert ended.stderr == ""
    assert ended.returncode == 141


def test_a_full_disk_behind_the_output_is_an_error(store: Path) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            command_line("recent", "--results", store),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "No space left" in ended.stderr


def test_an_encoding_without_the_letters_gets_them_escaped(results: Path) -> None:
    with RunRepository.open(results) as repository:
        repository.save("größe", collector(1.0))

    ended = subprocess.run(
        command_line("recent", "--results", results),
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )

    assert "gr\\xf6\\xdfe" in ended.stdout


def test_interrupting_exits_with_130(tmp_path: Path) -> None:
    with subprocess.Popen(
        command_line("demo", "--results", tmp_path / "demo"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as flying:
        assert flying.stdout is not None
        flying.stdout.readline()
        flying.send_signal(signal.SIGINT)
        _, complaint = flying.communicate(timeout=60)

    assert flying.returncode == 130
    assert "interrupted" in complaint
    assert "Traceback" not in complaint


def test_importing_the_package_does_not_import_the_command_line() -> None:
    code = (
        "import sys, astraguard_store;"
        "print([m for m in ('click', 'rich', 'astraguard_store.cli') if m in sys.modules])"
    )

    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert printed.stdout == "[]\n"


def test_demo_saves_lists_and_compares_two_flights(tmp_path: Path) -> None:
    result = run("demo", "--results", tmp_path / "demo")

    assert result.exit_code == 0
    assert (tmp_path / "demo" / "demo-slow" / "latency_raw.csv").is_file()
    assert str(tmp_path / "demo" / "astraguard.db") in result.stdout
    assert re.search(r"^demo-slow +2\d\d\d-", result.stdout, re.MULTILINE)
    flights = result.stdout.split("\n\n")[0]
    assert "demo-slow: " in flights
    assert [line for line in flights.splitlines() if len(line) > 80] == []
    # Which percentile it is of stands beside it, or above the table if there is no room.
    # The latencies are measured, so on a busy machine the slow flight may be the faster one.
    row = r"^fault_detection ms .*(×| %)( p\d\d)? +0→1"
    assert re.search(row, result.stdout, re.MULTILINE)


def test_demo_ends_with_a_report_whose_path_it_prints(tmp_path: Path) -> None:
    result = run("demo", "--results", tmp_path / "demo")

    *_, last = result.stdout.splitlines()
    name, path = last.split()
    assert name == "report"
    assert "demo-slow against demo-quick" in Path(path).read_text(encoding="utf-8")


def test_demo_json_holds_flights_list_and_comparison(tmp_path: Path) -> None:
    shape = run_json("demo", "--results", tmp_path / "demo")

    assert set(shape) == {
        *("results_dir", "database", "flights", "recent", "comparison", "report")
    }
    assert [flight["run"]["run_id"] for flight in shape["flights"]] == [
        "demo-quick",
        "demo-slow",
    ]
    quick, slow = (
        flight["run"]["metrics"]["fault_detection"]["p50_ms"] for flight in shape["flights"]
    )
    assert quick < slow
    assert all(flight["recovered"] == flight["faults"] for flight in shape["flights"])


def test_demo_ignores_the_variable_that_names_the_real_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    result = run("demo", env={"ASTRAGUARD_STORE_RESULTS": str(tmp_path / "real")})

    assert result.exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo_results"]
