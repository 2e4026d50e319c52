"""The recipes of `docs/lake.md`, each run in its engine over 200 runs of five rigs."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_readme import PROJECT, commands, python_blocks

PAGE = (PROJECT / "docs" / "lake.md").read_text(encoding="utf-8")
STORE, *SECTIONS = re.split(r"^## ", PAGE, flags=re.MULTILINE)
RECIPES = {section.partition("\n")[0]: section for section in SECTIONS}
NEEDED = {"DuckDB": "duckdb", "polars": "polars", "Dask": "dask", "Spark": "pyspark"}


def run_block(block: str, folder: Path) -> str:
    """Run a block of Python in a folder; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", block],
        cwd=folder,
        env={**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the store and the dataset that the page begins with; give the folder."""
    folder = tmp_path_factory.mktemp("lake")
    (block,) = python_blocks(STORE)
    run_block(block, folder)
    (command,) = commands(PAGE)
    subprocess.run(
        [sys.executable, "-m", *shlex.split(command.replace("-", "_", 1))],
        cwd=folder,
        env={**os.environ, "ASTRAGUARD_STORE_RESULTS": "results"},
        check=True,
        capture_output=True,
    )
    return folder


def test_the_answer_that_it_shows_is_right(lake: Path) -> None:
    (shown,) = re.findall(r"^```text\n(.*?)^```$", STORE, re.MULTILINE | re.DOTALL)

    of_rig = [[40.0 + 3 * rig + step % 37 for step in range(100)] * 40 for rig in range(5)]
    assert shown.splitlines() == [
        f"rig-{rig} {len(durations)} {np.quantile(durations, 0.99):.2f}"
        for rig, durations in enumerate(of_rig)
    ]
    assert len(list(lake.glob("lake/rig=*/date=*/*.parquet"))) == 200


@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", NEEDED)
def test_each_engine_gives_it(engine: str, lake: Path) -> None:
    if importlib.util.find_spec(NEEDED[engine]) is None:
        pytest.skip(f"{engine} isn't installed: pip install {NEEDED[engine]}")
    if engine == "Spark" and shutil.which("java") is None:
        pytest.skip("Spark needs Java, which isn't installed")
    (block,) = python_blocks(RECIPES[engine])
    (shown,) = re.findall(r"^```text\n(.*?)^```$", STORE, re.MULTILINE | re.DOTALL)

    printed = run_block(block, lake)

    assert printed == shown


def test_each_recipe_is_run() -> None:
    assert list(RECIPES) == list(NEEDED)
