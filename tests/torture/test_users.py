"""Several users on one folder: a failure of one harms no other, and who may save, can."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .cases import Case, new_case
from .children import Children
from .report import Finding, Harm, Table
from .test_read_only import as_root
from .users import OWNER, TEAM, live_together

full = pytest.mark.torture
LONG = [full, pytest.mark.timeout(3600)]


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a folder that anybody may reach, which pytest's are not."""
    with tempfile.TemporaryDirectory(prefix="astraguard-users-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def shared_folder(place: Path) -> Case:
    """Make the folder of a group, as somebody sets it up who mounts a disk there."""
    case = new_case(place)
    case.results.mkdir()
    os.chown(case.results, OWNER.uid, TEAM)
    case.results.chmod(0o2775)
    (case.results / "lost+found").mkdir(0o700)  # of root's
    return case


@as_root
@pytest.mark.parametrize(
    ("tries", "steps"),
    [
        pytest.param(1, 8, id="bounded", marks=pytest.mark.timeout(300)),
        pytest.param(40, 14, id="full", marks=LONG),
    ],
)
def test_users_of_one_group_and_strangers_do_each_other_no_harm(
    tries: int, steps: int, place: Path, children: Children, table: Table
) -> None:
    tally = table.row("users of one group, one with secrets, and a stranger")
    for seed in range(tries):
        case = shared_folder(place / f"try{seed}")
        code = children.run(live_together, case, seed, steps, timeout_s=300)
        assert code == 0
        harms = [Finding(Harm.LOST, seen) for seen in json.loads(case.answer.read_text())]
        # As root, who sees all.
        audited = [found for found in case.audit() if "lost+found" not in found.seen]
        tally.add([*harms, *audited], f"seed {seed}")
        case.remove()
    tally.check()
