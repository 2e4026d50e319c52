"""URLs of servers: a URL is no folder, and its password is shown to nobody."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from command_line import assert_one_line, run
from recordings import recorded

from astraguard_store import MetricsStorage, RunRepository, StoreError, StoreNotFoundError
from astraguard_store.cli import main
from astraguard_store.database.server_url import ServerUrl

SECRET = "tr0ub4dor"
MALFORMED = [
    f"postgresql://rig:{SECRET}@@server/runs",
    f"postgresql://rig:a@{SECRET}@server/runs",
    f"postgresql://rig:{SECRET}",
    f"postgresql://rig:{SECRET}@server:port/runs",
    f"postgresql:/rig:{SECRET}@server/runs",
    f"postgresql:rig:{SECRET}@server/runs",
    f"postgresql://rig:{SECRET}@[::1/runs",
    f"postgresql://rig:{SECRET}@a:5432,{SECRET}:b/runs",
]
OTHERS = [f"mysql://rig:{SECRET}@server/runs", f"sqlite:///{SECRET}", f"http://x:{SECRET}@y/z"]
UNREACHABLE = [
    f"postgresql://rig:{SECRET}@/runs?host=/nowhere",
    f"postgresql://rig@/runs?host=/nowhere&password={SECRET}",
    f"postgresql+psycopg://rig:{SECRET}@127.0.0.1:1/runs",
    f"postgres://rig:{SECRET}@127.0.0.1:1/runs?connect_timeout=2",
    f"postgresql://rig:{SECRET}@127.0.0.1:1,127.0.0.1:2/runs",
    f"postgresql://rig:{SECRET}@127.0.0.1:1/runs?nonsense={SECRET}",
]


class TestParse:
    """`ServerUrl.parse`."""

    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("postgresql://rig:a%40b@server:5433/runs", "postgresql://rig@server:5433/runs"),
            ("postgres://server/runs", "postgresql://server/runs"),
            (
                "postgresql+psycopg://rig@/runs?host=/run/pg&password=x",
                "postgresql://rig@/runs?host=%2Frun%2Fpg",
            ),
        ],
    )
    def test_it_is_shown_without_its_password(self, url: str, shown: str) -> None:
        assert ServerUrl.parse(url).shown == shown

    def test_an_escaped_password_is_given_to_the_driver_as_it_is(self) -> None:
        parameters = ServerUrl.parse("postgresql://rig:a%40b%2F%25@server/runs").parameters

        assert parameters == {
            "host": "server",
            "user": "rig",
            "password": "a@b/%",
            "dbname": "runs",
        }

    @pytest.mark.parametrize(
        ("hosts", "ports"),
        [("a:5433,b,10.0.0.7:1", "5433,5432,1"), ("a,b,10.0.0.7", "5432,5432,5432")],
    )
    def test_several_hosts_are_listed_as_libpq_lists_them(self, hosts: str, ports: str) -> None:
        url = f"postgresql://rig:{SECRET}@{hosts}/runs?target_session_attrs=read-write"

        parsed = ServerUrl.parse(url)

        assert parsed.parameters == {
            "host": "a,b,10.0.0.7",
            "port": ports,
            "user": "rig",
            "password": SECRET,
            "dbname": "runs",
            "target_session_attrs": "read-write",
        }
        assert SECRET not in parsed.shown

    def test_its_repr_has_no_password(self) -> None:
        assert SECRET not in repr(ServerUrl.parse(f"postgresql://rig:{SECRET}@server/runs"))


class TestOpen:
    """`RunRepository.open(url)`."""

    @pytest.mark.parametrize("url", MALFORMED)
    def test_a_malformed_url_is_refused_without_its_password(
        self, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)

        with pytest.raises(StoreNotFoundError, match="postgresql://user@host") as caught:
            RunRepository.open(url)

        assert SECRET not in str(caught.value)
        assert caught.value.__cause__ is None
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("url", OTHERS)
    def test_the_url_of_another_kind_of_database_is_refused(
        self, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)

        with pytest.raises(StoreNotFoundError, match="is no store; name a results folder") as it:
            RunRepository.open(url)

        assert SECRET not in str(it.value)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("url", UNREACHABLE)
    def test_a_server_that_cannot_be_reached_is_named_without_the_password(self, url: str) -> None:
        pytest.importorskip("psycopg", reason="no psycopg: install the extra `postgres`")

        result = run("recent", "--results", url)

        assert result.exit_code == 2
        assert_one_line(result)
        assert SECRET not in result.stderr

    @pytest.mark.parametrize("url", [*MALFORMED, *OTHERS])
    @pytest.mark.parametrize("command", [["recent"], ["db", "current"], ["check"], ["import"]])
    def test_a_command_tells_it_in_one_line(self, command: list[str], url: str) -> None:
        result = run(*command, env={"ASTRAGUARD_STORE_RESULTS": url})

        assert result.exit_code == 2
        assert_one_line(result)
        assert SECRET not in result.stderr

    def test_a_url_given_as_a_path_makes_no_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)

        with pytest.raises(StoreNotFoundError):
            RunRepository.open(Path(f"postgresql://rig:{SECRET}@server/runs"))

        assert list(tmp_path.iterdir()) == []

    def test_without_psycopg_the_error_names_the_extra(self) -> None:
        code = (
            "import sys; sys.modules['psycopg'] = None\n"
            "from astraguard_store import RunRepository\n"
            "RunRepository.open('postgresql://server/runs')"
        )

        done = subprocess.run(
            [sys.executable, "-c", code], check=False, capture_output=True, text=True
        )

        assert "pip install 'astraguard-store[postgres]'" in done.stderr.splitlines()[-1]

    @pytest.mark.parametrize(
        "options",
        [{"compression": "gzip"}, {"safe_csv": True}, {"keep_measurements": "parquet"}],
    )
    def test_an_option_about_files_is_refused(self, options: dict[str, object]) -> None:
        with pytest.raises(ValueError, match=next(iter(options))):
            RunRepository.open("postgresql://server/runs", **options)  # type: ignore[arg-type]

    def test_a_store_in_a_folder_imports_no_driver(self, tmp_path: Path) -> None:
        RunRepository.open(tmp_path).close()
        code = (
            "import sys; from astraguard_store import RunRepository\n"
            f"RunRepository.open({str(tmp_path)!r}).recent()\n"
            "print([m for m in sys.modules if 'psycopg' in m or 'postgres' in m])"
        )

        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        )

        assert done.stdout == "[]\n"


class TestWhereAPathIsNeeded:
    """A URL in the place of a path makes nothing, and is told without its password."""

    URL = f"postgresql://rig:{SECRET}@server/runs"

    @pytest.mark.parametrize("name", ["merge", "import_runs", "export", "back_up"])
    def test_a_method_refuses_it(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with RunRepository.open("results") as repository:
            repository.save("run", recorded(1))
            calls: dict[str, Callable[[], object]] = {
                "merge": lambda: repository.merge(self.URL),
                "import_runs": lambda: repository.import_runs([self.URL]),
                "export": lambda: repository.export(["run"], self.URL),
                "back_up": lambda: repository.back_up(self.URL),
            }

            with pytest.raises(StoreNotFoundError, match="where a path is needed") as caught:
                calls[name]()

        assert SECRET not in str(caught.value)
        assert [path.name for path in tmp_path.iterdir()] == ["results"]

    def test_the_drop_in_refuses_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

        with pytest.raises(StoreNotFoundError, match="where a path is needed") as caught:
            MetricsStorage("run", self.URL)

        assert SECRET not in str(caught.value)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "command",
        [
            ["merge", URL],
            ["import", URL],
            ["export", "--all", "--to", URL],
            ["report", "run", "--to", URL],
            ["db", "backup", URL],
            ["db", "restore", URL],
            ["demo", "--results", URL],
            ["gate", "run", "--baseline", "run", "--limits", URL],
            ["push", "mysql" + URL.removeprefix("postgresql")],
            ["save", "run", URL],
        ],
    )
    def test_a_command_refuses_it(
        self, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with RunRepository.open("results") as repository:
            repository.save("run", recorded(1))

        result = run(*command, env={"ASTRAGUARD_STORE_RESULTS": "results"})

        assert result.exit_code == 2
        assert_one_line(result)
        assert SECRET not in result.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["results"]


def _commands(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield (words, command) of all commands."""
    context = click.Context(command)
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below
        yield from _commands(below, *path, name)


def _in_place_of(command: Any, misplaced: click.Parameter, url: str) -> Iterator[str]:
    """Yield the words of a command with a URL in place of one of them."""
    for parameter in command.params:
        if isinstance(parameter, click.Option) and (parameter is misplaced or parameter.required):
            yield parameter.opts[0]
        if parameter is misplaced:
            yield from [url] * max(parameter.nargs, 1)
        elif parameter.required:
            yield "run_0"


def _may_be_tried(path: tuple[str, ...], parameter: click.Parameter) -> bool:
    """Return whether a command ends with a URL there; others would serve, or watch."""
    endless = {"serve": {"port", "results"}, "watch": {"results", "limit", "since", "fields"}}
    takes_value = not getattr(parameter, "is_flag", False)
    return takes_value and parameter.name in endless.get(path[0], {parameter.name})


class TestInTheWrongPlace:
    """A URL that was put where something else is meant is told without its password."""

    @pytest.mark.parametrize(
        ("path", "command"), [pytest.param(*one, id=" ".join(one[0])) for one in _commands(main)]
    )
    def test_an_error_of_a_command_does_not_tell_it(
        self,
        path: tuple[str, ...],
        command: click.Command,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with RunRepository.open("results", durability="normal") as repository:
            repository.save("run_0", recorded(1))
        url = f"postgresql://rig:{SECRET}@127.0.0.1:1/runs"

        for parameter in command.params:
            if _may_be_tried(path, parameter):
                result = run(
                    *path,
                    *_in_place_of(command, parameter, url),
                    env={"ASTRAGUARD_STORE_RESULTS": "results"},
                )

                assert result.exit_code in {0, 1, 2}, parameter.name
                assert not result.exit_code or SECRET not in result.stderr, parameter.name

    @pytest.mark.parametrize(
        "url",
        [
            f"postgresql//rig:{SECRET}@server/runs",
            f"postgresql:rig:{SECRET}@server/runs",
            f"postgresql:/rig:a@{SECRET}@server:1/runs",
            f"postgresql://rig:{SECRET}",
            f"/home/rig/postgresql:/rig:{SECRET}@server/runs",
            f"rig:{SECRET}@127.0.0.1/runs",
            f"https://:{SECRET}@server",
            f"host=server password={SECRET} user=rig",
        ],
    )
    def test_an_error_does_not_tell_it_of_a_mistyped_one(self, url: str) -> None:
        assert SECRET not in str(StoreError(f"no run {url!r} in {url}"))

    @pytest.mark.parametrize("mistyped", ["postgresql//rig:x@server/runs", "postgres/rig:x@s/r"])
    def test_no_folder_is_made_of_a_mistyped_one(
        self, mistyped: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)

        with pytest.raises(StoreNotFoundError):
            RunRepository.open(mistyped)

        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "ask",
        [
            lambda repository, url: repository.get(url),
            lambda repository, url: repository.compare("run_0", url),
            lambda repository, url: repository.set_tags(url, {}),
            lambda repository, url: repository.query(f"SELECT {url}"),
            lambda repository, url: repository.push(url.replace("postgresql://", "")),
        ],
    )
    def test_an_error_of_a_call_does_not_tell_it(
        self, ask: Callable[[RunRepository, str], object]
    ) -> None:
        with RunRepository.in_memory() as repository:
            repository.save("run_0", recorded(1))

            with pytest.raises(StoreError) as caught:
                ask(repository, f"postgresql://rig:{SECRET}@server:1/runs")

        assert SECRET not in str(caught.value)

    @pytest.mark.parametrize(
        "message",
        [
            "postgresql://rig@a:5432,b:5432/runs can't be asked",
            "it looks like postgresql://user@host:5432/database",
            "postgresql://host:5432",
            "no run 'fw:4.1@rig'",
            "git@host:path",
        ],
    )
    def test_what_is_no_password_is_told(self, message: str) -> None:
        assert str(StoreError(message)) == message
