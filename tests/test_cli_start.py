"""How the command line starts: what it imports, what help lists, and Ctrl-C meanwhile."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click import Context, Group
from command_line import run
from observing import in_child
from recordings import recorded

from astraguard_store import RunRepository
from astraguard_store.cli import main
from astraguard_store.cli.groups import LateCommands


@pytest.fixture
def store(results: Path) -> Path:
    """Give a store with one run."""
    with RunRepository.open(results) as repository:
        repository.save("run", recorded(3))
    return results


class TestHelp:
    """The list of commands, which imports none of them."""

    def test_commands_come_in_the_order_of_their_use(self) -> None:
        listed = run("--help").stdout.split("Look:\n")[1].split("Examples:")[0]

        names = [line.split()[0] for line in listed.splitlines() if re.match(r"  \S", line)]
        assert names == list(main.commands)
        assert (names[0], names[-1]) == ("recent", "demo")

    @pytest.mark.parametrize("name", main.commands)
    def test_a_summary_is_the_first_sentence_of_the_command(self, name: str) -> None:
        commands = main.commands
        assert isinstance(commands, LateCommands)

        assert commands.summaries[name] == commands[name].get_short_help_str(limit=1_000)

    @pytest.mark.parametrize("group", [[], ["db"]], ids=["main", "db"])
    def test_no_summary_is_cut(self, group: list[str]) -> None:
        command = main.get_command(Context(main), *group) if group else main
        assert isinstance(command, Group)

        listed = " ".join(run(*group, "--help").stdout.split())

        for name in command.list_commands(Context(command)):
            summary = command.commands[name].get_short_help_str(limit=1_000)
            assert f" {name} {summary}" in listed


class TestImports:
    """A command imports what it needs, as a fresh process shows."""

    @staticmethod
    def imported_by(results: Path, *words: str) -> set[str]:
        program = f"""
import sys
import astraguard_store
before = set(sys.modules)
from astraguard_store.cli import main
try:
    main({[*words]!r})
except SystemExit:
    print("imported", *sorted(set(sys.modules) - before))
"""
        return set(in_child(program, results).rsplit("imported", 1)[1].split())

    def test_help_imports_no_command_and_no_rich(self, results: Path) -> None:
        imported = self.imported_by(results, "--help")

        ours = {name for name in imported if name.startswith("astraguard_store.cli.")}
        assert ours == {"astraguard_store.cli.app", "astraguard_store.cli.groups"}
        assert "rich" not in imported

    @pytest.mark.parametrize("command", ["recent", "show", "compare", "prune", "export", "check"])
    def test_the_help_of_a_command_imports_no_store(self, results: Path, command: str) -> None:
        imported = self.imported_by(results, command, "--help")

        assert imported & {"astraguard_store.repository", "sqlalchemy", "sqlite3"} == set()

    def test_a_list_in_a_pipe_imports_one_command_and_draws_nothing(self, store: Path) -> None:
        words = ["recent"]

        imported = self.imported_by(store, *words, "--results", str(store))

        shared = {"app", "groups", "options", "output"}
        ours = {name for name in imported if name.startswith("astraguard_store.cli.")}
        assert ours == {f"astraguard_store.cli.{name}" for name in {words[0], *shared}}
        assert imported & {"rich.console", "numpy", "polars", "alembic"} == set()

    @pytest.mark.parametrize(
        "words",
        [
            ["recent"],
            ["recent", "--scenario", "swarm"],
            ["recent", "--tag", "nightly"],
            ["show", "run", "--json"],
            ["compare", "run", "run"],
            ["history", "fault_detection"],
            ["changes", "fault_detection"],
            ["tag", "run", "nightly"],
            ["prune", "--keep", "5", "--dry-run"],
            ["percentiles", "fault_detection"],
            ["percentiles", "fault_detection", "--by", "scenario,week"],
            ["recent", "--above", "fault_detection.p95_ms=5"],
            ["check"],
        ],
        ids=" ".join,
    )
    def test_statements_that_are_kept_need_no_sqlalchemy(
        self, store: Path, words: list[str]
    ) -> None:
        imported = self.imported_by(store, *words, "--results", str(store))

        assert "sqlite3" in imported
        assert imported & {"sqlalchemy", "alembic"} == set()

    def test_a_small_run_is_shown_over_its_time_without_polars(self, results: Path) -> None:
        with RunRepository.open(results) as repository:
            repository.save("run", recorded(50))

        program = f"""
import sys
from astraguard_store.cli import main
try:
    main(["show", "run", "--markdown", "--results", {str(results)!r}])
except SystemExit:
    print("imported", *{{"numpy", "polars"}} & set(sys.modules))
"""
        shown, _, imported = in_child(program, results).rpartition("imported")

        assert "p95 over the run's time" in shown
        assert "█" in shown.split("p95 over the run's time")[1]
        assert imported.split() == []

    def test_a_verdict_imports_no_network(self, store: Path) -> None:
        imported = self.imported_by(
            store, "gate", "run", "--baseline", "x", "--results", str(store)
        )

        assert "astraguard_store.verdict.gate" in imported
        assert imported & {"http.client", "urllib.request", "numpy", "polars"} == set()


class TestCtrlC:
    """Interrupted while it imports, the program ends as it does later."""

    @pytest.mark.parametrize(
        "module", ["click", "astraguard_store.cli.groups", "astraguard_store.cli.recent"]
    )
    def test_at_the_start_it_is_one_line(self, module: str) -> None:
        program = f"""
import signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from astraguard_store.cli import main
main(["recent"])
"""
        ended = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )

        assert ended.returncode == 130
        (line,) = ended.stderr.split("\n")[1:-1]  # after that of the terminal's ^C
        assert line.startswith("astraguard-store: interrupted")
