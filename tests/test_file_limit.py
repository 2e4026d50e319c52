"""A process that may open no more files is told so, and works again when it may."""

from __future__ import annotations

import errno
import inspect
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from recordings import recorded

from astraguard_store import DatabaseError, MetricsStorage, RunRepository

# In a process of its own: what is imported on first use is imported once.
USE_WITHOUT_DESCRIPTORS = """
import errno, os, resource, sys
from astraguard_store import MetricsStorage, RunRepository, StoreError
from recordings import recorded
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
with RunRepository.open(sys.argv[1]) as repository:
    use = eval("lambda: " + sys.argv[2])
    held = []
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    try:
        use()
    except StoreError as error:
        print(error.errno == errno.EMFILE, error)
    for descriptor in held:
        os.close(descriptor)
    use()
"""


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    """Let this process open no more files inside."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    "use",
    [
        "repository.measurements('run')",
        "repository.check()",
        "repository.prune(keep=1, dry_run=True)",
        "repository.import_legacy()",
        "repository.percentiles([0.5], metric_type='fault_detection')",
        "MetricsStorage('new', sys.argv[1]).save_latency_stats(recorded(5))",
        "MetricsStorage.get_recent_runs(sys.argv[1])",
        "recorded(3).get_stats()",
        "recorded(3).get_stats_by_satellite()",
        "recorded(3).get_summary()",
        "repository.run('live').__enter__()",
    ],
)
def test_what_is_imported_on_its_first_use_says_so(results: Path, use: str) -> None:
    with RunRepository.open(results) as repository:
        repository.save("run", recorded(3))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}

    told = subprocess.run(
        [sys.executable, "-c", USE_WITHOUT_DESCRIPTORS, results, use],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert told.stdout.startswith("True ")
    assert "ulimit -n" in told.stdout


def test_a_database_that_cannot_be_opened_for_want_of_descriptors_says_so(results: Path) -> None:
    with RunRepository.open(results) as repository:
        repository.save("run", recorded(3))
        repository.query("SELECT 1")

        with (
            no_descriptors_left(),
            pytest.raises(DatabaseError, match="may open no more files") as raised,
        ):
            repository.query("SELECT 1")

        assert raised.value.errno == errno.EMFILE
        assert repository.query("SELECT 1").rows == [(1,)]


def test_methods_keep_their_signatures() -> None:
    assert (
        next(iter(inspect.signature(MetricsStorage.get_recent_runs).parameters)) == "results_dir"
    )
    assert list(inspect.signature(RunRepository.get).parameters) == ["self", "run_id"]
    assert next(iter(inspect.signature(RunRepository.open).parameters)) == "results_dir"


def test_what_is_first_used_while_python_ends_is_told_so(results: Path) -> None:
    script = """
import sys
from astraguard_store import DatabaseError, RunRepository
from recordings import recorded

class Saver:
    def __del__(self):
        try:
            with RunRepository.open(sys_argv[1]) as repository:
                repository.save("run", recorded(3))
        except DatabaseError as error:
            print(error)
        else:
            print("saved")

sys_argv = sys.argv
RunRepository
sys.modules["kept until the end"] = Saver()
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}

    ended = subprocess.run(
        [sys.executable, "-c", script, results],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    # Whether modules can still be loaded by then is Python's choice.
    assert ended.stdout == "saved\n" or "Python is ending" in ended.stdout
    assert ended.stderr == ""
