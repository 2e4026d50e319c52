"""Links and special files in the places of a store: nothing hangs, nothing else is touched."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
import reference

from .cases import Case, new_case
from .children import Children
from .operations import LIVE, everything, one_more_save
from .report import Finding, Harm, Table
from .savers import prepare
from .strange_files import LINKS, PLACES, SPECIAL, Layer, laid, somebodys_folder

full = pytest.mark.torture
LONG = [full, pytest.mark.timeout(3600)]
# One of each kind, where it hurt before.
BOUNDED = {
    "links": [("link to a folder", ".staging"), ("dangling link", "astraguard.db.lock")],
    "special files": [("pipe", "astraguard.db-wal"), ("folder", "kept/latency_raw.csv")],
}
KINDS = {"links": LINKS, "special files": SPECIAL}


def states(row: str, *, every: bool) -> list[tuple[str, Layer, str]]:
    """List (what, how it is laid, where) of a row."""
    layers = KINDS[row]
    chosen = list(product(layers, PLACES)) if every else BOUNDED[row]
    return [(what, layers[what], place) for what, place in chosen]


@pytest.mark.parametrize("row", KINDS)
@pytest.mark.parametrize(
    "every",
    [
        pytest.param(False, id="bounded", marks=pytest.mark.timeout(300)),
        pytest.param(True, id="full", marks=LONG),
    ],
)
def test_what_lies_in_the_place_of_a_file_harms_nothing(
    row: str, every: bool, tmp_path: Path, children: Children, table: Table
) -> None:
    template = new_case(tmp_path / "template")
    assert children.run(prepare, template) == 0
    tally = table.row(f"{row} in the places of the store's own files")

    for number, (what, lay, place) in enumerate(states(row, every=every)):
        case = template.copy(tmp_path / f"case{number}")
        try:
            findings = list(meddled(case, lay, place, children))
        except PermissionError:
            assert what == "device"  # not everybody may make one
            continue
        tally.add(findings, f"{what} at {place}")
        case.remove()

    tally.check()


def meddled(case: Case, lay: Layer, place: str, children: Children) -> Iterator[Finding]:
    """Do everything beside what was laid, take it away, and find what was lost or touched."""
    outside = somebodys_folder(case.root / "outside")
    before = reference.listing(outside)
    with laid(lay, case.results / place, outside):
        yield from everything(children, case)
    if reference.listing(outside) != before:
        yield Finding(Harm.TORN, "what is outside was touched")
    if children.run(one_more_save, case):
        yield Finding(Harm.LOST, "no save after it was taken away")
    for found in case.audit():
        # `check --fix` keeps what it found in place of a summary as `….changed`.
        if LIVE not in found.seen and not found.seen.endswith(".changed']"):
            yield found


def test_the_places_are_chosen_of_all() -> None:
    for row, chosen in BOUNDED.items():
        assert set(chosen) <= set(product(KINDS[row], PLACES))
