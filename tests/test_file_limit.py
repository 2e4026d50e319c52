"""A process that may open no more files is told so, and works again when it may."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
from recordings import recorded

from astraguard_store import RunRepository

# In a process of its own: what is imported on first use is imported once.
USE_WITHOUT_DESCRIPTORS = """
import errno, os, resource, sys
from astraguard_store import DatabaseError, RunRepository
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
with RunRepository.open(sys.argv[1]) as repository:
    use = eval("lambda: repository." + sys.argv[2])
    held = []
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    try:
        use()
    except DatabaseError as error:
        print(error.errno == errno.EMFILE, error)
    for descriptor in held:
        os.close(descriptor)
    use()
"""


@pytest.mark.parametrize(
    "use",
    [
        "measurements('run')",
        "check()",
        "prune(keep=1, dry_run=True)",
        "import_legacy()",
        "percentiles([0.5], metric_type='fault_detection')",
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

    assert told.stdout.startswith("True this process may open no more files")
    assert "ulimit -n" in told.stdout


def test_methods_keep_their_signatures() -> None:
    assert list(inspect.signature(RunRepository.get).parameters) == ["self", "run_id"]
    assert next(iter(inspect.signature(RunRepository.open).parameters)) == "results_dir"
