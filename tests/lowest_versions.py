"""Print constraints for `make test-lowest`: the lowest version of each dependency.

What users install (the dependencies, and the extra `zstd`) comes in the lowest version
that `pyproject.toml` allows; what only the tests need, as `constraints.txt` pins it.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_AT_LEAST = re.compile(r"([\w.-]+)>=([\w.]+)")


def lowest_versions() -> dict[str, str]:
    """Return {package: lowest version allowed} of all that the package itself imports."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["zstd"]]
    found = {requirement: _AT_LEAST.fullmatch(requirement) for requirement in wanted}
    if unbounded := [requirement for requirement, match in found.items() if match is None]:
        sys.exit(f"pyproject.toml: NAME>=VERSION is needed, not {', '.join(unbounded)}")
    return {match[1].lower(): match[2] for match in found.values() if match}


def constraints() -> Iterator[str]:
    """Yield the lines of a constraints file."""
    lowest = lowest_versions()
    yield from (f"{name}=={version}" for name, version in lowest.items())
    for line in (_ROOT / "constraints.txt").read_text().splitlines():
        name = line.partition("==")[0].lower()
        if name not in lowest:
            yield line


if __name__ == "__main__":
    print("\n".join(constraints()))
