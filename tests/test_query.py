"""Somebody's own SQL: `RunRepository.query`, and the command `query`."""

import csv
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from recordings import recorded

from astraguard_store import (
    ClosedStoreError,
    LatencyCollector,
    QueryError,
    QueryResult,
    RunRepository,
    StoreError,
    StoreNotFoundError,
)
from astraguard_store.cli import main

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
# 0.2 to 0.5 s: long enough to do something meanwhile.
LONG = ENDLESS.replace("FROM n)", "FROM n LIMIT 2000000)")
NOT_ALLOWED = [
    "INSERT INTO runs (run_id) VALUES ('x')",
    "UPDATE runs SET revision = 9 RETURNING revision",
    "DELETE FROM runs",
    "WITH a AS (SELECT 1) DELETE FROM runs",
    "REPLACE INTO runs (run_id) VALUES ('x')",
    "CREATE TABLE t (x)",
    "CREATE TEMP TABLE t (x)",
    "CREATE VIEW v AS SELECT 1",
    "DROP TABLE runs",
    "ALTER TABLE runs RENAME TO walks",
    "ATTACH 'other.db' AS other",
    "DETACH main",
    "PRAGMA query_only = OFF",
    "PRAGMA journal_mode = DELETE",
    "SELECT * FROM pragma_query_only",
    "VACUUM",
    "VACUUM INTO 'other.db'",
    "REINDEX",
    "ANALYZE",
    "BEGIN IMMEDIATE",
    "COMMIT",
    "SAVEPOINT here",
    "SELECT load_extension('other.so')",
    "SELECT 1; DELETE FROM runs",
    "SELECT 1; SELECT 2",
]
WRONG = {
    "": "no statement",
    "-- nothing": "no statement",
    "SELEC 1": "syntax error",
    "SELECT * FROM nowhere": "no such table: nowhere; the table schema_doc names",
    "SELECT latency FROM v_runs": "no such column: latency; the table schema_doc names",
    "SELECT 'a' REGEXP 'a'": "function: REGEXP",
    "SELECT writefile('other', 'x')": "no such function",
    "SELECT hex(zeroblob(900000000))": "too big",
    "SELECT \ud800": "can't be sent",
    "SELECT 1\0": "NUL",
    "SELECT ?": "bindings",
    "SELECT :name": "bind",
}


def files_of(results: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(results)): path.read_bytes()
        for path in sorted(results.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(params=["file at rest", "file in use", "memory"])
def repository(request: pytest.FixtureRequest, results: Path) -> Iterator[RunRepository]:
    """Give a repository with one run, of each kind that there is."""
    if request.param == "memory":
        opened = RunRepository.in_memory()
        opened.save("run", recorded(4))
    else:
        opened = RunRepository.open(results)
        opened.save("run", recorded(4))
        if request.param == "file at rest":
            opened.close()
            opened = RunRepository.open(results, read_only=True)
    with opened:
        yield opened


@pytest.fixture
def store(results: Path) -> Path:
    """Give a store with two runs, closed."""
    with RunRepository.open(results) as repository:
        for run_id in ("a", "b"):
            repository.save(run_id, recorded(4))
    return results


class TestAnswer:
    """What comes back."""

    def test_a_query_returns_columns_and_rows(self, repository: RunRepository) -> None:
        answer = repository.query("SELECT run_id, revision FROM runs")

        assert answer == QueryResult(("run_id", "revision"), [("run", 1)], truncated=False)

    def test_values_come_as_they_are_stored(self, repository: RunRepository) -> None:
        answer = repository.query("SELECT NULL, 1, 0.5, 'é', x'00ff', 9e999")

        assert answer.rows == [(None, 1, 0.5, "é", b"\x00\xff", float("inf"))]

    def test_two_columns_may_have_one_name(self, repository: RunRepository) -> None:
        answer = repository.query("SELECT 1 AS n, 2 AS n")

        assert answer.columns == ("n", "n")
        assert answer.rows == [(1, 2)]

    def test_no_row_is_an_answer(self, repository: RunRepository) -> None:
        answer = repository.query("SELECT run_id FROM runs WHERE run_id = 'none'")

        assert answer == QueryResult(("run_id",), [], truncated=False)

    @pytest.mark.parametrize(
        "sql", ["VALUES (1)", "EXPLAIN SELECT 1", "SELECT 1;", "SELECT 1 -- x"]
    )
    def test_what_reads_is_allowed(self, repository: RunRepository, sql: str) -> None:
        assert repository.query(sql).rows

    def test_the_tables_of_json_are_there(self, repository: RunRepository) -> None:
        answer = repository.query("SELECT value FROM json_each('[1, 2]')")

        assert answer.rows == [(1,), (2,)]

    def test_positions_are_bound_in_order(self, repository: RunRepository) -> None:
        assert repository.query("SELECT ?, ?", (1, "x")).rows == [(1, "x")]

    def test_names_are_bound_by_name(self, repository: RunRepository) -> None:
        bound = {"b": b"\x00", "a": None}

        assert repository.query("SELECT :a, :b", bound).rows == [(None, b"\x00")]

    @pytest.mark.parametrize(
        ("limit", "truncated"), [(0, True), (2, True), (3, False), (4, False)]
    )
    def test_rows_end_at_the_limit(
        self, repository: RunRepository, limit: int, truncated: bool
    ) -> None:
        answer = repository.query("VALUES (1), (2), (3)", row_limit=limit)

        assert answer.rows == [(1,), (2,), (3,)][:limit]
        assert answer.truncated is truncated

    @given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1) | st.binary(), max_size=20))
    def test_what_is_bound_comes_back(self, values: list[Any]) -> None:
        columns = ", ".join("?" * len(values)) or "1"

        with RunRepository.in_memory() as repository:
            answer = repository.query(f"SELECT {columns}", values)

        assert answer.rows == [tuple(values) or (1,)]

    def test_a_later_save_is_seen_by_the_next_query(self, repository: RunRepository) -> None:
        if repository.results_dir is None:
            repository.save("second", recorded(1))
        else:
            with RunRepository.open(repository.results_dir) as writer:
                writer.save("second", recorded(1))

        assert repository.query("SELECT count(*) FROM runs").rows == [(2,)]


class TestRefusals:
    """Whatever is asked, nothing changes."""

    @pytest.mark.parametrize("sql", NOT_ALLOWED)
    def test_what_does_not_read_is_refused(self, repository: RunRepository, sql: str) -> None:
        with pytest.raises(QueryError, match="one statement that only reads is allowed"):
            repository.query(sql)

        assert repository.query("SELECT run_id, revision FROM runs").rows == [("run", 1)]

    def test_refusals_leave_every_file_as_it_was(
        self, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        before = files_of(tmp_path)

        with RunRepository.open(store, read_only=True) as repository:
            for sql in NOT_ALLOWED:
                with pytest.raises(QueryError):
                    repository.query(sql)

        assert files_of(tmp_path) == before

    @pytest.mark.parametrize("sql", WRONG)
    def test_what_is_wrong_is_said(self, repository: RunRepository, sql: str) -> None:
        with pytest.raises(QueryError, match=WRONG[sql]):
            repository.query(sql)

    @pytest.mark.parametrize(
        "parameters", ["abc", b"abc", 5, [object()], {"a": [1]}, [2**63], ["\ud800"]]
    )
    def test_parameters_that_cannot_be_bound_are_refused(
        self, repository: RunRepository, parameters: Any
    ) -> None:
        with pytest.raises(QueryError, match="parameter"):
            repository.query("SELECT ?", parameters)

    @pytest.mark.parametrize("limit", [-1, 1.5, True, "3"])
    def test_a_row_limit_that_is_none_is_refused(
        self, repository: RunRepository, limit: Any
    ) -> None:
        with pytest.raises(QueryError, match="row_limit"):
            repository.query("SELECT 1", row_limit=limit)

    @pytest.mark.parametrize("limit", [-1.0, float("nan"), None, "3"])
    def test_a_time_limit_that_is_none_is_refused(
        self, repository: RunRepository, limit: Any
    ) -> None:
        with pytest.raises(QueryError, match="time_limit_s"):
            repository.query("SELECT 1", time_limit_s=limit)

    @pytest.mark.parametrize("sql", [ENDLESS, ENDLESS.replace("max(x)", "x")])
    def test_a_query_ends_with_its_time(self, repository: RunRepository, sql: str) -> None:
        begun = time.monotonic()

        with pytest.raises(QueryError, match=r"time limit of 0\.2 s"):
            repository.query(sql, time_limit_s=0.2)

        assert 0.2 <= time.monotonic() - begun < 2.0

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT hex(zeroblob(500000)) LIKE '%' || hex(zeroblob(10000)) || 'b'",
            "SELECT hex(zeroblob(500000)) GLOB '*' || hex(zeroblob(10000)) || 'b'",
            "SELECT instr(zeroblob(8000000), zeroblob(4000000) || x'01')",
        ],
    )
    def test_a_function_that_could_not_be_stopped_is_refused(
        self, repository: RunRepository, sql: str
    ) -> None:
        with pytest.raises(QueryError, match=r"too complex|too big"):
            repository.query(sql, time_limit_s=0.2)

    @pytest.mark.parametrize(
        "call",
        [
            "instr(hex(zeroblob(32000)), hex(zeroblob(16000)) || n)",
            "length(replace(hex(zeroblob(30000)), hex(zeroblob(15000)) || n, ''))",
            "hex(zeroblob(30000)) || n LIKE '%' || hex(zeroblob(450)) || 'b%'",
            "length(printf('%.*c', 60000, 'x'))",
        ],
    )
    def test_many_calls_of_a_slow_function_end_soon_after_the_limit(
        self, repository: RunRepository, call: str
    ) -> None:
        numbers = "WITH RECURSIVE c(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM c)"
        sql = f"{numbers} SELECT sum({call}) FROM c"

        with pytest.raises(QueryError, match="time limit"):
            repository.query(sql, time_limit_s=0.1)

    @pytest.mark.parametrize("width", ["1000000000", "'1000000000'", "1e9"])
    def test_a_width_that_printf_would_count_to_is_refused(
        self, repository: RunRepository, width: str
    ) -> None:
        with pytest.raises(QueryError):
            repository.query(f"SELECT length(printf('%.*c', {width}, 'x'))")
        with pytest.raises(QueryError):
            repository.query("SELECT length(format('%1000000000d', 1))")

    def test_printf_answers_as_sqlite_does(self, repository: RunRepository) -> None:
        answer = repository.query(
            "SELECT printf('%5.2f %s %*d', 3.14159, NULL, 4, 7), format(NULL)"
        )

        assert answer.rows == [(" 3.14     7", None)]

    @pytest.mark.parametrize(
        "sql",
        [
            f"SELECT {','.join(['zeroblob(60000)'] * 501)}",
            (
                f"WITH RECURSIVE c(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM c) "
                f"SELECT {','.join(['zeroblob(60000)'] * 400)} FROM c"
            ),
        ],
    )
    def test_an_answer_that_would_fill_the_memory_is_refused(
        self, repository: RunRepository, sql: str
    ) -> None:
        with pytest.raises(QueryError, match=r"too many columns|MB of memory"):
            repository.query(sql)

    def test_a_pattern_may_hold_the_longest_name(self, repository: RunRepository) -> None:
        answer = repository.query("SELECT ? LIKE ?", ["x" * 255, "%" + "x" * 255])

        assert answer.rows == [(1,)]

    def test_a_save_is_possible_after_a_refusal(self, results: Path) -> None:
        with RunRepository.open(results) as repository:
            repository.save("first", recorded(1))
            with pytest.raises(QueryError):
                repository.query("DELETE FROM runs")

            assert repository.save("first", recorded(2)).revision == 2

    def test_folders_alone_have_no_sql(self, old_tree: Path) -> None:
        with (
            RunRepository.open(old_tree, read_only=True) as repository,
            pytest.raises(StoreNotFoundError, match="astraguard-store import"),
        ):
            repository.query("SELECT 1")

    def test_a_closed_repository_says_so(self, repository: RunRepository) -> None:
        repository.close()

        with pytest.raises(ClosedStoreError):
            repository.query("SELECT 1")

    def test_a_query_error_is_a_store_error_and_a_value_error(self) -> None:
        assert issubclass(QueryError, StoreError)
        assert issubclass(QueryError, ValueError)


@pytest.fixture
def written(results: Path) -> Iterator[RunRepository]:
    """Give a repository that is open until the threads of the test have ended."""
    with RunRepository.open(results) as opened:
        yield opened


@pytest.fixture
def beside() -> Iterator[Callable[[Callable[[], Any]], list[Any]]]:
    """Run a call in a thread; what it returned is in the list once the test has joined it."""
    threads: list[threading.Thread] = []

    def start(call: Callable[[], Any]) -> list[Any]:
        returned: list[Any] = []
        threads.append(threading.Thread(target=lambda: returned.append(call())))
        threads[-1].start()
        return returned

    yield start
    for thread in threads:
        thread.join(30)


class TestOthers:
    """A long query, and what goes on beside it."""

    def test_another_query_does_not_wait(
        self, repository: RunRepository, beside: Callable[[Callable[[], Any]], list[Any]]
    ) -> None:
        answered = beside(lambda: repository.query(LONG, time_limit_s=120))
        time.sleep(0.02)

        repository.recent()
        repository.query("SELECT 1")

        assert answered == []

    def test_a_save_does_not_wait(
        self, repository: RunRepository, beside: Callable[[Callable[[], Any]], list[Any]]
    ) -> None:
        writer = repository
        if repository.results_dir:
            writer = RunRepository.open(repository.results_dir)
        answered = beside(lambda: repository.query(LONG, time_limit_s=120))
        time.sleep(0.02)

        with writer:
            writer.save("second", recorded(1))

            assert answered == []

    def test_a_query_of_a_file_at_rest_outlives_the_first_save(
        self, store: Path, beside: Callable[[Callable[[], Any]], list[Any]]
    ) -> None:
        counts = f"SELECT count(*), ({LONG}) FROM runs"
        with RunRepository.open(store) as repository:
            answered = beside(lambda: repository.query(counts, time_limit_s=120).rows[0][0])
            time.sleep(0.02)

            repository.save("third", recorded(1))
            while not answered:
                time.sleep(0.01)

        # One moment or the other, and whole.
        assert answered in ([2], [3])

    def test_a_query_outlives_the_last_close(
        self, store: Path, beside: Callable[[Callable[[], Any]], list[Any]]
    ) -> None:
        repository = RunRepository.open(store)
        repository.save("third", recorded(1))
        answered = beside(lambda: repository.query(LONG, time_limit_s=120).rows)
        time.sleep(0.02)

        repository.close()
        while not answered:
            time.sleep(0.01)

        assert answered == [[(2_000_000,)]]

    def test_rows_come_from_one_moment_while_others_save(
        self, written: RunRepository, in_background: Callable[[Callable[[], object]], None]
    ) -> None:
        sql = (
            "SELECT (SELECT count(*) FROM runs), "
            "(SELECT count(*) FROM statistics WHERE satellite_id = '')"
        )
        numbers = iter(range(1_000_000))
        in_background(lambda: written.save(f"run_{next(numbers)}", recorded(1)))

        answers = [written.query(sql).rows[0] for _ in range(50)]

        assert [statistics for _, statistics in answers] == [3 * runs for runs, _ in answers]

    def test_a_fork_waits_for_no_query(self, store: Path) -> None:
        program = (
            "import os, sys, threading, time\n"
            "from astraguard_store import RunRepository\n"
            f"repository = RunRepository.open({str(store)!r})\n"
            "answers = []\n"
            f"long = lambda: repository.query({LONG!r}, time_limit_s=120).rows[0][0]\n"
            "ask = lambda: answers.append(long())\n"
            "thread = threading.Thread(target=ask)\n"
            "thread.start()\n"
            "time.sleep(0.03)\n"
            "child = os.fork()\n"
            "if not child:\n"
            "    assert repository.query('SELECT count(*) FROM runs').rows == [(2,)]\n"
            "    os._exit(7)\n"
            "status = os.waitpid(child, 0)[1]\n"
            "thread.join()\n"
            "print(os.waitstatus_to_exitcode(status), answers)\n"
        )

        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
        )

        assert done.stdout == "7 [2000000]\n"


class TestSurroundings:
    """A query writes nothing, wherever it reads."""

    def test_a_query_of_a_store_at_rest_creates_nothing(self, store: Path) -> None:
        before = files_of(store)

        with RunRepository.open(store, read_only=True) as repository:
            repository.query("SELECT * FROM runs")

            assert files_of(store) == before

    def test_what_lies_in_a_left_over_log_is_seen(self, store: Path) -> None:
        program = (
            "import os\n"
            "from astraguard_store import LatencyCollector, RunRepository\n"
            f"repository = RunRepository.open({str(store)!r})\n"
            "collector = LatencyCollector()\n"
            "collector.record_fault_detection('SAT001', 0.0, 1.0)\n"
            "repository.save('in the log', collector)\n"
            "os._exit(0)\n"
        )
        subprocess.run([sys.executable, "-c", program], timeout=60, check=True)
        assert (store / "astraguard.db-wal").stat().st_size

        with RunRepository.open(store, read_only=True) as repository:
            answer = repository.query("SELECT count(*) FROM runs")

        assert answer.rows == [(3,)]

    def test_another_programs_write_in_the_middle_is_no_error(self, store: Path) -> None:
        with RunRepository.open(store, read_only=True) as repository:
            repository.query("SELECT 1")
            with closing(sqlite3.connect(store / "astraguard.db")) as other:
                other.execute("UPDATE runs SET revision = 5")
                other.commit()

            answer = repository.query("SELECT max(revision) FROM runs")

        assert answer.rows == [(5,)]


def run(*args: str | Path, stdin: str | bytes | None = None) -> Result:
    """Run a command line in this process."""
    return CliRunner().invoke(
        main, ["query", *map(str, args)], input=stdin, prog_name="astraguard-store"
    )


VALUES = """SELECT 'a,"b' AS text, '' AS "no text", NULL AS missing, x'00ff' AS bytes,
            0.1 + 0.2 AS number, 'two' || char(10) || 'lines|<b>' AS text"""


class TestCommand:
    """The command `query`."""

    def test_a_table_is_the_first_form(self, store: Path) -> None:
        result = run("SELECT run_id, revision FROM runs ORDER BY 1", "--results", store)

        assert result.exit_code == 0
        assert [line.split() for line in result.stdout.splitlines()] == [
            ["run_id", "revision"],
            ["a", "1"],
            ["b", "1"],
        ]

    def test_a_table_shows_what_has_no_text(self, store: Path) -> None:
        result = run(VALUES, "--results", store)

        assert result.stdout.splitlines()[1].split() == [
            'a,"b',
            "NULL",
            "00ff",
            "0.3",
            r"two\nlines|<b>",
        ]

    def test_a_table_shortens_a_long_blob(self, store: Path) -> None:
        result = run("SELECT zeroblob(100) AS b", "--results", store)

        assert result.stdout.splitlines()[1] == "0" * 32 + "… (100 bytes)"

    def test_csv_is_that_of_the_rfc(self, store: Path) -> None:
        result = run(VALUES, "--results", store, "--format", "csv")

        assert result.stdout_bytes == (
            b"text,no text,missing,bytes,number,text\r\n"
            b'"a,""b","",,00ff,0.30000000000000004,"two\nlines|<b>"\r\n'
        )

    def test_csv_is_read_back_by_the_csv_module(self, store: Path) -> None:
        result = run("SELECT * FROM schema_doc", "--results", store, "--format", "csv")
        with RunRepository.open(store, read_only=True) as repository:
            answer = repository.query("SELECT * FROM schema_doc")

        header, *rows = csv.reader(io.StringIO(result.stdout, newline=""))
        assert tuple(header) == answer.columns
        assert rows == [["" if value is None else value for value in row] for row in answer.rows]

    def test_markdown_is_one_line_a_row(self, store: Path) -> None:
        result = run(VALUES, "--results", store, "--format", "markdown")

        assert result.stdout.splitlines() == [
            "| text | no text | missing | bytes | number | text |",
            "| --- | --- | --- | --- | ---: | --- |",
            r'| a,"b |  |  | 00ff | 0.3 | two\\nlines\|\<b> |',
        ]

    def test_two_forms_at_once_are_a_usage_error(self, store: Path) -> None:
        result = run("SELECT 1", "--results", store, "--json", "--format", "csv")

        assert result.exit_code == 2
        assert "can't be had together" in result.stderr

    @pytest.mark.parametrize("option", [["--json"], ["--format", "json"]])
    def test_json_has_the_documented_shape(self, store: Path, option: list[str]) -> None:
        result = run(f"{VALUES}, 9e999", "--results", store, *option)

        assert json.loads(result.stdout) == {
            "results_dir": str(store),
            "database": str(store / "astraguard.db"),
            "columns": ["text", "no text", "missing", "bytes", "number", "text", "9e999"],
            "rows": [['a,"b', "", None, "00ff", 0.1 + 0.2, "two\nlines|<b>", None]],
            "truncated": False,
        }

    def test_a_limit_says_that_there_is_more(self, store: Path) -> None:
        result = run("SELECT run_id FROM runs ORDER BY 1", "--results", store, "--limit", "1")

        assert result.exit_code == 0
        assert result.stdout.split() == ["run_id", "a"]
        assert "more rows than the 1" in result.stderr

    def test_standard_input_is_read(self, store: Path) -> None:
        result = run("-", "--results", store, "--format", "csv", stdin="SELECT 1 AS n;\n")

        assert result.stdout == "n\n1\n"

    def test_standard_input_that_is_no_text_is_an_error(self, store: Path) -> None:
        result = run("-", "--results", store, stdin=b"\xff\xfe")

        assert result.exit_code == 2
        assert "no text" in result.stderr

    @pytest.mark.parametrize(
        ("text", "bound"),
        [
            ("5", 5),
            ("-0.5", -0.5),
            ("1.50", 1.5),
            ("1e3", 1000.0),
            ("99999999999999999999", 1e20),
            ("007", "007"),
            ("'5'", "5"),
            ("", ""),
            ("a=b", "a=b"),
            ("nan", "nan"),
        ],
    )
    def test_a_parameter_is_bound_as_what_it_reads(
        self, store: Path, text: str, bound: object
    ) -> None:
        result = run("SELECT :p", "--param", f"p={text}", "--results", store, "--json")

        assert json.loads(result.stdout)["rows"] == [[bound]]

    @pytest.mark.parametrize("parameters", [["p"], ["=5"], ["a b=5"], ["p=1", ":p=2"]])
    def test_a_parameter_that_is_none_is_a_usage_error(
        self, store: Path, parameters: list[str]
    ) -> None:
        options = [word for parameter in parameters for word in ("--param", parameter)]

        result = run("SELECT 1", *options, "--results", store)

        assert result.exit_code == 2
        assert "--param" in result.stderr

    @pytest.mark.parametrize("sql", ["DELETE FROM runs", "SELECT * FROM nowhere", ""])
    def test_an_error_is_one_line_and_exit_code_2(self, store: Path, sql: str) -> None:
        result = run(sql, "--results", store)

        assert result.exit_code == 2
        assert result.stdout == ""
        assert result.stderr.startswith("astraguard-store: ")
        assert result.stderr.count("\n") == 1

    def test_the_time_limit_is_an_error(self, store: Path) -> None:
        result = run(ENDLESS, "--time-limit", "0.1", "--results", store)

        assert result.exit_code == 2
        assert "time limit of 0.1 s" in result.stderr

    def test_folders_alone_are_an_error_with_the_mend(self, old_tree: Path) -> None:
        result = run("SELECT 1", "--results", old_tree)

        assert result.exit_code == 2
        assert "astraguard-store import" in result.stderr

    def test_names_from_files_do_not_reach_the_terminal(self, results: Path) -> None:
        named = LatencyCollector()
        named.record_fault_detection("\x1b[31mred", 0.0, 1.0)
        with RunRepository.open(results) as repository:
            repository.save("run", named)
        sql = "SELECT satellite_id FROM statistics WHERE satellite_id > ''"

        outputs = [
            run(sql, "--results", results, "--format", form).stdout
            for form in ("table", "markdown", "json")
        ]

        assert not any("\x1b" in output for output in outputs)

    def test_ctrl_c_ends_a_long_query(self, store: Path) -> None:
        program = [sys.executable, "-m", "astraguard_store", "query", ENDLESS]
        with subprocess.Popen(
            [*program, "--time-limit", "60", "--results", store], stderr=subprocess.PIPE, text=True
        ) as command:
            # Until it computes: its own time grows beyond the start's.
            while _seconds_of(command.pid) < 1.5 and command.poll() is None:
                time.sleep(0.05)
            command.send_signal(signal.SIGINT)
            _, complaint = command.communicate(timeout=20)

        assert command.returncode == 130
        assert "interrupted" in complaint


def _seconds_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
