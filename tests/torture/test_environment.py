"""Variables, limits and streams of all kinds: saves work, or fail with an error that says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from .cases import Case, new_case
from .children import Children
from .report import Finding, Harm, Table
from .savers import prepare
from .surroundings import SURROUNDINGS, live_in

LONG = [pytest.mark.torture, pytest.mark.timeout(3600)]
FAILED_AS_IT_SHOULD = 3


def harms(name: str, case: Case) -> list[Finding]:
    """Save in the surroundings *name*, then look from outside of them."""
    surroundings = SURROUNDINGS[name]
    code, said = live_in(surroundings, case)
    is_well = code == 0 or (surroundings.may_fail and code == FAILED_AS_IT_SHOULD)
    raw = [] if is_well else [Finding(Harm.LOST, f"it ended with {code}: {said}")]
    return [*raw, *case.audit()]


@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param(("closed streams", "24 open files"), id="bounded"),
        pytest.param(tuple(SURROUNDINGS), id="full", marks=LONG),
    ],
)
def test_a_store_is_used_whatever_its_process_was_given(
    chosen: tuple[str, ...], tmp_path: Path, children: Children, table: Table
) -> None:
    template = new_case(tmp_path / "template")
    assert children.run(prepare, template) == 0
    tally = table.row("environment: variables, limits, streams, umasks")
    for number, name in enumerate(chosen):
        case = template.copy(tmp_path / f"case{number}")
        tally.add(harms(name, case), name)
    tally.check()
