"""`kill -9` at every step of an export: the whole of it under its name, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from astraguard_store import RunRepository, StoreError

from .cases import Case, new_case
from .children import Children
from .keepers import export, export_once
from .report import Finding, Harm, Table
from .savers import prepare
from .shim import Action, Fault
from .test_kill import kill_at_steps, some_tries, stride_for

TARGETS = ("exported", "exported.zip", "exported.parquet")


def exported(target: Path) -> object:
    """Read all that an export made; None if it can't be."""
    if target.suffix == ".parquet":
        try:
            return pl.read_parquet(target).rows()
        except pl.exceptions.PolarsError:
            return None
    if target.is_dir():
        files = [path for path in sorted(target.rglob("*")) if path.is_file()]
        return [(path.name, path.stat().st_mtime_ns, path.read_bytes()) for path in files]
    return target.read_bytes()


def unlike_whole(case: Case, name: str, whole: object) -> Iterator[Finding]:
    """Find half an export under the name of a whole one, and what keeps the next from it."""
    yield from case.audit()
    target = case.disk / name
    if target.exists():
        if exported(target) != whole:
            yield Finding(Harm.TORN, f"{name} isn't what a whole export makes")
        target.rename(case.root / name)
    # What is half made has a name that no other export takes, and that says what it is.
    known = {case.results, *case.disk.glob(f".{name}~*")}
    left = sorted(path.name for path in case.disk.iterdir() if path not in known)
    if left:
        yield Finding(Harm.LEFT_OVER, f"{left} beside the store")
    try:
        with RunRepository.open(case.results) as repository:
            export(repository, target)
    except StoreError as error:
        yield Finding(Harm.LOST, f"can't be exported any more: {error!r}")
        return
    if exported(target) != whole:
        yield Finding(Harm.TORN, f"{name} of the next export isn't what a whole one makes")


@pytest.mark.timeout(1200)
@some_tries
@pytest.mark.parametrize("name", TARGETS)
def test_a_killed_export_leaves_a_whole_one_or_none(
    name: str, action: Action, tries: int, tmp_path: Path, children: Children, table: Table
) -> None:
    prepared = new_case(tmp_path / "prepared")
    assert children.run(prepare, prepared) == 0
    with RunRepository.open(prepared.results) as repository:
        export(repository, tmp_path / name)
    tally = table.row(f"{action.name.lower()} in an export, {name}")

    run = partial(run_export, children, name)
    kill_at_steps(
        prepared,
        run,
        action,
        stride_for(tries, prepared, run, action),
        tally,
        lambda case: list(unlike_whole(case, name, exported(tmp_path / name))),
    )

    tally.check()


def run_export(children: Children, name: str, case: Case, fault: Fault) -> int:
    return children.run(export_once, case, name, fault)
