"""Panics of polars, which are BaseExceptions, become errors of the store."""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
from recordings import recorded

from astraguard_store import RunRepository

# polars panics where it is to make its threads: polars 2 if it is none, 1 if it
# is no number.
IS_OLD = pl.__version__.startswith("1.")
WITHOUT_THREADS = {"POLARS_MAX_THREADS": "none" if IS_OLD else "0"}
WHY = "integer: ParseIntError" if IS_OLD else "Worker threads cannot be set to 0"
SAVE = """
import os, sys
from recordings import recorded
from astraguard_store import ArtifactWriteError, RunRepository
with RunRepository.open(sys.argv[1], keep_measurements="parquet") as repository:
    try:
        repository.save("run", recorded(2))
    except ArtifactWriteError as error:
        print(error)
print(os.listdir(sys.argv[1] + "/.staging"))
"""
READ = """
import sys
from astraguard_store import ArtifactReadError, RunRepository
with RunRepository.open(sys.argv[1]) as repository:
    try:
        repository.measurements("run")
    except ArtifactReadError as error:
        print(error)
"""


def _told(code: str, results: Path) -> str:
    environment = {**os.environ, **WITHOUT_THREADS, "PYTHONPATH": str(Path(__file__).parent)}
    words = [sys.executable, "-c", code, str(results)]
    return subprocess.run(
        words, env=environment, check=True, capture_output=True, text=True
    ).stdout


def test_a_save_in_which_polars_panics_is_refused_and_leaves_nothing(results: Path) -> None:
    told = _told(SAVE, results)

    assert f"polars failed ({WHY}" in told
    assert told.splitlines()[-1] == "[]"


def test_a_read_in_which_polars_panics_is_an_error_of_the_run(results: Path) -> None:
    with RunRepository.open(results, keep_measurements="parquet") as repository:
        repository.save("run", recorded(2))

    told = _told(READ, results)

    assert f"polars failed ({WHY}" in told
