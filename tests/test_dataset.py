"""`export --dataset`: raw measurements of many runs, as one table for any engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from command_line import run
from recordings import recorded

from astraguard_store import InvalidRunError, Provenance, RunNotFoundError, RunRepository

RIGS = ("rig 1", "r/2=ü", None)


@pytest.fixture
def rigs(results: Path) -> Iterator[RunRepository]:
    """Give a store with six runs of three rigs, one of which isn't known."""
    with RunRepository.open(results) as repository:
        for number in range(6):
            repository.save(
                f"run_{number}",
                recorded(10 + number),
                provenance=Provenance(rig=RIGS[number % 3]),
            )
        yield repository


def of_lake(lake: Path) -> pl.DataFrame:
    found = pl.scan_parquet(lake / "**/*.parquet", hive_partitioning=True)
    return found.collect()


def files_of(lake: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in lake.rglob("*") if path.is_file()}


ALL = [f"run_{number}" for number in range(6)]


def test_every_measurement_is_in_it_with_its_rig(rigs: RunRepository, tmp_path: Path) -> None:
    report = rigs.export(ALL, tmp_path / "lake", dataset=True)

    frame = of_lake(tmp_path / "lake")
    assert (report.runs, report.files) == (6, 6)
    for number, run_id in enumerate(ALL):
        of_run = frame.filter(pl.col("run_id") == run_id)
        expected = rigs.measurements(run_id)
        assert of_run.select(expected.columns).equals(expected)
        assert of_run["rig"].unique().to_list() == [RIGS[number % 3]]


def test_duckdb_reads_the_same(rigs: RunRepository, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    rigs.export(ALL, tmp_path / "lake", dataset=True)

    rows = duckdb.sql(
        "SELECT rig, count(*) FROM read_parquet("
        f"'{tmp_path}/lake/*/*/*.parquet', hive_partitioning = true) GROUP BY rig ORDER BY rig"
    ).fetchall()

    assert dict(rows) == {"rig 1": 69, "r/2=ü": 75, None: 81}


def test_the_same_again_writes_nothing(rigs: RunRepository, tmp_path: Path) -> None:
    rigs.export(ALL, tmp_path / "lake", dataset=True)
    before = files_of(tmp_path / "lake")

    report = rigs.export(ALL, tmp_path / "lake", dataset=True)

    assert report.files == 6
    assert files_of(tmp_path / "lake") == before


def test_a_run_that_was_saved_again_replaces_its_file(rigs: RunRepository, tmp_path: Path) -> None:
    rigs.export(ALL, tmp_path / "lake", dataset=True)
    rigs.save("run_1", recorded(40), provenance=Provenance(rig="moved"))

    rigs.export(["run_1"], tmp_path / "lake", dataset=True)

    of_run = of_lake(tmp_path / "lake").filter(pl.col("run_id") == "run_1")
    assert (of_run.height, of_run["rig"].unique().to_list()) == (120, ["moved"])
    assert len(files_of(tmp_path / "lake")) == 6


def test_a_run_that_is_not_there_leaves_no_file(rigs: RunRepository, tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError):
        rigs.export(["run_1", "nobody"], tmp_path / "lake", dataset=True)

    assert not (tmp_path / "lake").exists()


def test_a_file_is_no_dataset(rigs: RunRepository, tmp_path: Path) -> None:
    with pytest.raises(InvalidRunError, match="a dataset is a folder"):
        rigs.export(ALL, tmp_path / "lake.zip", dataset=True)


@pytest.mark.usefixtures("rigs")
def test_the_command_makes_it(results: Path, tmp_path: Path) -> None:
    arguments = ("export", "--all", "--to", tmp_path / "lake", "--dataset", "--results", results)

    assert run(*arguments).exit_code == 0
    assert run(*arguments).exit_code == 0

    assert of_lake(tmp_path / "lake").height == 225
