"""What a process learns by itself: from real repositories, and from gits that misbehave."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astraguard_store.provenance import Provenance
from astraguard_store.system import machine as asked
from astraguard_store.system.machine import begin_asking, git_fields, surroundings

NOTHING = (None, None, None)
COMMIT = "0123456789abcdef0123456789abcdef01234567"

FakeGit = Callable[[str], Path]


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def fields(provenance: Provenance) -> tuple[str | None, str | None, bool | None]:
    return provenance.git_commit, provenance.git_branch, provenance.git_dirty


def wait_until(happened: Callable[[], bool]) -> bool:
    """Give the background 20 s to do what it does in milliseconds when nobody else works."""
    until = time.monotonic() + 20
    while not happened():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def ended(process: int) -> bool:
    """Whether it is gone, or dead and only waits for init, which need not reap here."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture(autouse=True)
def _patient_and_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let git be as slow as a busy machine makes it, and keep this machine's settings out."""
    monkeypatch.setattr(asked, "PATIENCE_S", 20.0)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Somebody")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "somebody@example.org")
    for name in asked.REPOSITORY_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty folder the working directory."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def repository(folder: Path) -> Path:
    """Make the working directory a repository with one commit on the branch `trunk`."""
    git(folder, "init", "--quiet", "--initial-branch=trunk")
    (folder / "runner.py").write_text("print('swarm')\n")
    git(folder, "add", "runner.py")
    git(folder, "commit", "--quiet", "--message=Begin")
    return folder


@pytest.fixture
def fake_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGit:
    """Put a shell script before the real git; give the folder that it runs in last."""

    def make(script: str) -> Path:
        commands = tmp_path / "commands"
        commands.mkdir()
        # That no filter is configured: asked before the question.
        first = 'if [ "$1" = config ]; then exit 1; fi'
        (commands / "git").write_text(f"#!/bin/sh\n{first}\n{script}\n")
        (commands / "git").chmod(0o755)
        monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
        return commands

    return make


class TestMachine:
    """Host, platform and Python."""

    def test_host_platform_and_python_are_known(self) -> None:
        provenance = surroundings()

        assert provenance.host == os.uname().nodename
        assert provenance.platform is not None
        assert provenance.platform.startswith(f"{os.uname().sysname}-{os.uname().release}-")
        assert provenance.python == sys.version.split()[0].rstrip("+")

    def test_nothing_else_is_claimed(self) -> None:
        provenance = surroundings()

        assert {name for name, _ in provenance.known()} == {"host", "platform", "python"}

    @given(st.text())
    def test_a_name_of_any_characters_is_made_storable(self, name: str) -> None:
        kept = asked._storable(name)

        assert Provenance(host=kept).host == kept


class TestRepository:
    """What a real git says."""

    def test_a_clean_repository_gives_commit_and_branch(self, repository: Path) -> None:
        provenance = surroundings()

        assert fields(provenance) == (git(repository, "rev-parse", "HEAD"), "trunk", False)

    def test_a_changed_file_makes_it_dirty(self, repository: Path) -> None:
        (repository / "runner.py").write_text("print('storm')\n")

        provenance = surroundings()

        assert provenance.git_dirty is True

    def test_a_staged_file_makes_it_dirty(self, repository: Path) -> None:
        (repository / "more.py").write_text("")
        git(repository, "add", "more.py")

        provenance = surroundings()

        assert provenance.git_dirty is True

    def test_a_file_that_git_does_not_track_does_not(self, repository: Path) -> None:
        (repository / "notes.txt").write_text("")

        provenance = surroundings()

        assert provenance.git_dirty is False

    def test_a_folder_of_a_repository_is_in_it(
        self, repository: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (repository / "rig").mkdir()
        monkeypatch.chdir(repository / "rig")

        provenance = surroundings()

        assert provenance.git_branch == "trunk"

    def test_a_detached_head_is_on_no_branch(self, repository: Path) -> None:
        git(repository, "checkout", "--quiet", "--detach")

        provenance = surroundings()

        assert fields(provenance) == (git(repository, "rev-parse", "HEAD"), None, False)

    def test_a_repository_without_a_commit_has_only_a_branch(self, folder: Path) -> None:
        git(folder, "init", "--quiet", "--initial-branch=trunk")

        provenance = surroundings()

        assert fields(provenance) == (None, "trunk", None)

    def written(self, folder: Path) -> dict[Path, tuple[int, int]]:
        """Return which files there are, and when they were made and written."""
        files = ((path, path.stat()) for path in folder.rglob("*"))
        return {path: (status.st_ino, status.st_mtime_ns) for path, status in files}

    def test_asking_writes_nothing(self, repository: Path) -> None:
        # git would refresh its index: the file's time differs, its content doesn't.
        os.utime(repository / "runner.py", (1, 1))
        before = self.written(repository)

        provenance = surroundings()

        assert provenance.git_dirty is False
        assert self.written(repository) == before

    @pytest.mark.usefixtures("repository")
    def test_a_repository_of_somebody_else_says_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")

        provenance = surroundings()

        assert fields(provenance) == NOTHING

    def test_a_folder_outside_a_repository_says_nothing(self) -> None:
        provenance = surroundings()

        assert fields(provenance) == NOTHING

    @pytest.mark.usefixtures("repository")
    def test_each_working_directory_is_asked_about(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inside = surroundings()
        monkeypatch.chdir(tmp_path)

        outside = surroundings()

        assert inside.git_commit is not None
        assert fields(outside) == NOTHING

    def test_a_working_directory_that_was_deleted_says_nothing(self, folder: Path) -> None:
        folder.rmdir()

        begin_asking()
        provenance = surroundings()

        assert fields(provenance) == NOTHING
        assert provenance.host == os.uname().nodename


class TestForeignSettings:
    """What the environment names or the checkout configures has no say."""

    def test_the_variables_are_those_that_git_lists(self, folder: Path) -> None:
        listed = git(folder, "rev-parse", "--local-env-vars").split()

        assert set(listed) <= asked.REPOSITORY_VARIABLES

    def test_inside_a_hook_of_another_repository_the_directory_counts(
        self, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = tmp_path / "other"
        other.mkdir()
        git(other, "init", "--quiet", "--initial-branch=elsewhere")
        commit = git(repository, "rev-parse", "HEAD")
        monkeypatch.setenv("GIT_DIR", str(other / ".git"))
        monkeypatch.setenv("GIT_WORK_TREE", str(other))
        monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))

        provenance = surroundings()

        assert fields(provenance) == (commit, "trunk", False)

    def marking(self, folder: Path) -> tuple[str, Path]:
        """Return a command that leaves a marker, and the marker."""
        marker = folder.parent / "marker"
        program = folder.parent / "program"
        program.write_text(f"#!/bin/sh\necho ran >> {marker}\ncat\n")
        program.chmod(0o755)
        return str(program), marker

    @pytest.mark.parametrize(
        "key",
        [
            "filter.rig.clean",
            "filter.rig.process",
            "filter.rig.smudge",
            "filter.R i.g=.clean",
            "diff.rig.textconv",
            "diff.external",
            "core.fsmonitor",
            "core.pager",
            "pager.status",
            "core.sshCommand",
        ],
    )
    @pytest.mark.parametrize("attributes", [".gitattributes", ".git/info/attributes"])
    def test_no_program_that_the_checkout_names_is_run(
        self, repository: Path, key: str, attributes: str
    ) -> None:
        program, marker = self.marking(repository)
        driver = "R i.g=" if "R i.g=" in key else "rig"
        (repository / attributes).write_text(
            f"*.py filter={driver} diff=rig\n".replace(" i.", "?i.")
        )
        git(repository, "config", key, program)
        git(repository, "config", f"filter.{driver}.required", "true")
        os.utime(repository / "runner.py", (1, 1))

        provenance = surroundings()

        assert provenance.git_branch == "trunk"
        assert not marker.exists()

    def test_no_hook_is_run(self, repository: Path) -> None:
        program, marker = self.marking(repository)
        for hook in ("post-index-change", "fsmonitor-watchman", "post-checkout"):
            (repository / ".git" / "hooks" / hook).symlink_to(program)
        os.utime(repository / "runner.py", (1, 1))

        surroundings()

        assert not marker.exists()

    def test_no_filter_of_a_submodule_is_run(self, repository: Path, tmp_path: Path) -> None:
        program, marker = self.marking(repository)
        git(tmp_path, "clone", "--quiet", str(repository), "library")
        allowed = "protocol.file.allow=always"
        git(repository, "-c", allowed, "submodule", "--quiet", "add", f"{tmp_path}/library")
        git(repository, "commit", "--quiet", "--message=Add")
        inner = repository / "library"
        (inner / ".gitattributes").write_text("* filter=rig\n")
        git(inner, "config", "filter.rig.clean", program)
        os.utime(inner / "runner.py", (1, 1))

        provenance = surroundings()

        assert provenance.git_dirty is False
        assert not marker.exists()

    def test_a_git_in_the_directory_is_not_run(
        self, repository: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program, marker = self.marking(repository)
        (repository / "git").symlink_to(program)
        monkeypatch.setenv("PATH", f".::{os.environ['PATH']}")

        provenance = surroundings()

        assert provenance.git_branch == "trunk"
        assert not marker.exists()

    @pytest.fixture
    def filtered(self, repository: Path) -> Path:
        """Give a committed file that a filter wrote in another way."""
        (repository / ".gitattributes").write_text("*.bin filter=rig\n")
        git(repository, "config", "filter.rig.clean", "tr a-z A-Z")
        (repository / "trace.bin").write_text("trace")
        git(repository, "add", ".")
        git(repository, "commit", "--quiet", "--message=Trace")
        return repository / "trace.bin"

    def test_whether_a_filtered_file_was_changed_is_unknown(self, filtered: Path) -> None:
        os.utime(filtered, (1, 1))

        provenance = surroundings()

        assert provenance.git_branch == "trunk"
        assert provenance.git_dirty is None

    def test_beside_a_filtered_file_a_plain_one_makes_it_dirty(
        self, filtered: Path, repository: Path
    ) -> None:
        os.utime(filtered, (1, 1))
        (repository / "runner.py").write_text("print('storm')\n")

        provenance = surroundings()

        assert provenance.git_dirty is True

    def test_a_staged_change_of_a_filtered_file_makes_it_dirty(
        self, filtered: Path, repository: Path
    ) -> None:
        filtered.write_text("another")
        git(repository, "add", filtered.name)
        filtered.write_text("and another")

        provenance = surroundings()

        assert provenance.git_dirty is True


class TestAsking:
    """When git is asked, and how often."""

    ANSWER = f'echo x >> "$(dirname "$0")/calls"; printf \'# branch.oid {COMMIT}\\n\''

    def calls(self, commands: Path) -> int:
        return (commands / "calls").read_text().count("x")

    def test_it_is_asked_once(self, fake_git: FakeGit) -> None:
        commands = fake_git(self.ANSWER)

        begin_asking()
        begin_asking()
        answers = {surroundings().git_commit for _ in range(3)}

        assert answers == {COMMIT}
        assert self.calls(commands) == 1

    def test_threads_that_ask_at_once_ask_once(self, fake_git: FakeGit) -> None:
        commands = fake_git(self.ANSWER)
        together = threading.Barrier(8)
        answers: list[str | None] = []

        def ask() -> None:
            together.wait()
            answers.append(surroundings().git_commit)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert answers == [COMMIT] * 8
        assert self.calls(commands) == 1

    def test_an_answer_that_comes_late_is_for_later_saves(
        self, tmp_path: Path, fake_git: FakeGit, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(asked, "PATIENCE_S", 0.0)
        gate = tmp_path / "gate"
        os.mkfifo(gate)
        fake_git(f"read word < {gate}; {self.ANSWER}")

        early = surroundings()
        gate.write_text("go\n")
        came = wait_until(lambda: surroundings().git_commit == COMMIT)

        assert early.git_commit is None
        assert came

    def test_git_gets_no_input_and_may_not_ask(self, fake_git: FakeGit) -> None:
        commands = fake_git(
            'env > "$(dirname "$0")/env"; readlink /proc/$$/fd/0 > "$(dirname "$0")/input"'
        )

        surroundings()

        settings = (commands / "env").read_text().splitlines()
        assert {"GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0"} <= set(settings)
        assert (commands / "input").read_text() == "/dev/null\n"


class TestMisbehavingGit:
    """Gits that are missing, hang, fail, or write something else."""

    @pytest.mark.usefixtures("repository")
    def test_a_git_that_is_not_there_says_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))

        provenance = surroundings()

        assert fields(provenance) == NOTHING

    @pytest.mark.parametrize(
        "script",
        [
            "exit 0",
            "exit 128",
            "echo rubbish",
            r"printf '\377\000\n'",
            "echo '# branch.oid'",
            "echo '# branch.oid 12'; echo '# branch.head trunk'",
            f"echo '# branch.oid {COMMIT}'; exit 1",
            f"echo '# branch.oid {COMMIT}'; kill -9 $$",
            "exec yes",
        ],
    )
    def test_a_git_that_fails_or_writes_rubbish_says_nothing(
        self, fake_git: FakeGit, script: str
    ) -> None:
        fake_git(script)

        provenance = surroundings()

        assert fields(provenance) == NOTHING

    def test_no_more_is_read_than_shows_a_change(self, fake_git: FakeGit) -> None:
        fake_git(f"printf '# branch.oid {COMMIT}\\n'; exec yes '1 .M N... runner.py'")

        provenance = surroundings()

        assert fields(provenance) == (COMMIT, None, True)

    def test_a_branch_of_ten_thousand_characters_is_cut(self, fake_git: FakeGit) -> None:
        fake_git(f"echo '# branch.oid {COMMIT}'; echo '# branch.head {'b' * 10_000}'")

        provenance = surroundings()

        assert fields(provenance) == (COMMIT, "b" * 1_000, False)

    def test_a_git_that_hangs_is_ended_with_what_it_started(
        self, fake_git: FakeGit, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(asked, "GIVE_UP_S", 2.0)
        commands = fake_git('sleep 600 & echo "$$ $!" > "$(dirname "$0")/ids"; wait')

        provenance = surroundings()

        shell, sleeper = map(int, (commands / "ids").read_text().split())
        assert fields(provenance) == NOTHING
        assert wait_until(lambda: ended(shell) and ended(sleeper))

    def test_a_git_that_closes_its_output_and_hangs_is_ended(self, fake_git: FakeGit) -> None:
        commands = fake_git('echo $$ > "$(dirname "$0")/id"; exec sleep 600 > /dev/null')

        provenance = surroundings()

        assert fields(provenance) == NOTHING
        assert wait_until(lambda: ended(int((commands / "id").read_text())))

    def test_the_log_has_one_line_about_it(
        self, folder: Path, fake_git: FakeGit, caplog: pytest.LogCaptureFixture
    ) -> None:
        fake_git("exit 128")
        caplog.set_level(logging.DEBUG, "astraguard_store")

        surroundings()
        surroundings()

        (record,) = caplog.records
        assert record.levelno == logging.DEBUG
        assert record.getMessage() == (
            f"Nothing is known of git in {str(folder)!r}: git ended with status 128"
        )


class TestProcess:
    """A process that ends, forks, or can start no thread; warnings are errors in it."""

    def run(self, folder: Path, script: str) -> str:
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "error", "-c", script],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def test_a_process_that_ends_at_once_ends_git(self, folder: Path, fake_git: FakeGit) -> None:
        commands = fake_git('echo $$ > "$(dirname "$0")/id"; exec sleep 600')

        self.run(
            folder,
            "import os, time\n"
            "from astraguard_store.system.machine import begin_asking\n"
            "begin_asking()\n"
            f"while not os.path.exists({str(commands / 'id')!r}): time.sleep(0.01)\n",
        )

        assert wait_until(lambda: ended(int((commands / "id").read_text())))

    def test_no_process_is_left_to_be_reaped(self, repository: Path) -> None:
        said = self.run(
            repository,
            "import os\n"
            "from astraguard_store.system import machine as asked\n"
            "asked.PATIENCE_S = 20\n"
            "print(asked.surroundings().git_branch)\n"
            "try: os.waitpid(-1, os.WNOHANG)\n"
            "except ChildProcessError: print('no child')\n",
        )

        assert said == "trunk\nno child\n"

    def test_a_save_while_the_interpreter_ends_gets_the_rest(self, repository: Path) -> None:
        said = self.run(
            repository,
            "import atexit\n"
            "from astraguard_store.system.machine import begin_asking, surroundings\n"
            "class Late:\n"
            "    def __del__(self, surroundings=surroundings, print=print):\n"
            "        print(surroundings().host)\n"
            "late = Late()\n"
            "atexit.register(lambda: print(surroundings().host))\n",
        )

        assert said == f"{os.uname().nodename}\n" * 2

    FORK = (
        "import os, time\n"
        "from astraguard_store.system import machine as asked\n"
        "def say_in_child():\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        print(asked.surroundings().git_commit, flush=True)\n"
        "        os._exit(0)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
    )

    def test_a_forked_child_has_its_parents_answer(self, folder: Path, fake_git: FakeGit) -> None:
        commands = fake_git(TestAsking.ANSWER)

        said = self.run(
            folder,
            self.FORK + "asked.PATIENCE_S = 20\nasked.surroundings()\nsay_in_child()\n",
        )

        assert said == f"{COMMIT}\n"
        assert (commands / "calls").read_text() == "x\n"

    def test_a_forked_child_asks_anew_what_its_parent_was_not_told(
        self, folder: Path, fake_git: FakeGit
    ) -> None:
        fake_git(f'if mkdir "$(dirname "$0")/first"; then sleep 600; fi\n{TestAsking.ANSWER}')

        said = self.run(
            folder,
            self.FORK
            + "asked.PATIENCE_S = 0\n"
            + "asked.begin_asking()\n"
            + f"while not os.path.exists({str(folder.parent / 'commands/first')!r}):\n"
            + "    time.sleep(0.01)\n"
            + "asked.PATIENCE_S = 20\n"
            + "say_in_child()\n",
        )

        assert said == f"{COMMIT}\n"


class TestGitFields:
    """What the text says; it may be any."""

    @given(st.text(max_size=200))
    def test_any_text_gives_values_or_a_value_error(self, text: str) -> None:
        try:
            provenance = git_fields(text)
        except ValueError as error:
            assert str(error).startswith("git wrote ")  # noqa: PT017 - one of the two
        else:
            assert provenance.git_commit is None or len(provenance.git_commit) >= 40

    @given(st.text())
    def test_any_branch_can_be_stored(self, branch: str) -> None:
        provenance = git_fields(f"# branch.oid {COMMIT}\n# branch.head {branch}\n")

        assert provenance.git_commit == COMMIT

    @pytest.mark.parametrize("line", ["1 .M N... a", "2 R. N... a", "u UU N... a"])
    def test_a_changed_moved_or_conflicting_file_is_a_change(self, line: str) -> None:
        provenance = git_fields(f"# branch.oid {COMMIT}\n# branch.head trunk\n{line}\n")

        assert provenance.git_dirty is True

    def test_what_git_will_say_one_day_is_no_change(self) -> None:
        provenance = git_fields(f"# branch.oid {COMMIT}\n# stash 3\n# branch.ab +? -?\n? a\n")

        assert provenance.git_dirty is False
