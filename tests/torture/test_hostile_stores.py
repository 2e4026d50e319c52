"""Stores of others that were spoiled: merged, imported and read, they harm no run that is here."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from .cases import Case, new_case
from .children import Children
from .hostile import meet, other_store, spoil
from .report import Finding, Harm, Table
from .savers import prepare

LONG = [pytest.mark.torture, pytest.mark.timeout(7200)]


def harms(children: Children, case: Case, other: Path) -> list[Finding]:
    """Meet a spoiled store, and say what was raw, hung, or did harm to this one."""
    try:
        code = children.run(meet, case, other, timeout_s=60)
    except AssertionError:
        code = 0  # what hangs is the last of the answers
    told = json.loads(case.answer.read_text()) if case.answer.exists() else []
    if code:
        told.append(f"the process ended with {code}")
    own = [found for found in case.audit() if "other" not in found.seen.lower()]
    return [Finding(Harm.LOST, seen) for seen in told] + own


@pytest.mark.parametrize(
    ("tries", "most"),
    [pytest.param(3, 1, id="bounded"), pytest.param(120, 3, id="full", marks=LONG)],
)
def test_a_spoiled_store_of_another_does_no_harm(
    tries: int, most: int, memory: Path, children: Children, table: Table
) -> None:
    template, others = new_case(memory / "template"), memory / "others"
    assert children.run(prepare, template) == 0
    assert children.run(other_store, others) == 0
    tally = table.row("hostile stores: merged, imported, opened")
    for seed in range(tries):
        chance = random.Random(seed)
        case, other = template.copy(memory / "case"), memory / "other"
        shutil.copytree(others, other)
        spoiled = spoil(other, chance, chance.randint(1, most))

        tally.add(harms(children, case, other), f"seed {seed}, {spoiled}")

        case.remove()
        shutil.rmtree(other)
    tally.check()
