"""Print constraints for `make test-lowest`: the lowest version of each dependency.

What users install comes in the lowest version that `pyproject.toml` allows: the dependencies,
the extras for them, and the tools that the package plugs into. What only the tests need, and
what others bring along, comes as `constraints.txt` pins it.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_ROOT = Path(__file__).resolve().parents[1]
# The extras but for those of which nothing is imported by the package or beside it: `dev`, of
# which its plugins' hosts count, `docs`, `fuzz` and `cluster`.
_EXTRAS: Final = ("bench", "objects", "plots", "postgres", "recipes", "web", "zstd")
_HOSTS: Final = ("pytest", "robotframework")
# Parts of packages, which ask for the part of their own version.
_PARTS: Final = ("polars-runtime-32", "psycopg-binary")
_LOWEST = re.compile(r"([\w.-]+)(?:\[\w+\])?[>=]=([\w.]+)")


def lowest_versions() -> dict[str, str]:
    """Return {package: lowest version allowed} of all that users import."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(line for extra in _EXTRAS for line in extras[extra])]
    wanted += [line for line in extras["dev"] if line.startswith(tuple(f"{h}>" for h in _HOSTS))]
    found = {requirement: _LOWEST.fullmatch(requirement) for requirement in wanted}
    if unbounded := [requirement for requirement, match in found.items() if match is None]:
        sys.exit(f"pyproject.toml: NAME>=VERSION is needed, not {', '.join(unbounded)}")
    return {_normal(match[1]): match[2] for match in found.values() if match}


def constraints() -> Iterator[str]:
    """Yield the lines of a constraints file."""
    lowest = lowest_versions()
    yield from (f"{name}=={version}" for name, version in lowest.items())
    for line in (_ROOT / "constraints.txt").read_text().splitlines():
        name = _normal(line.partition("==")[0])
        if name not in lowest and name not in _PARTS:
            yield line


def _normal(name: str) -> str:
    return name.lower().replace("_", "-")


if __name__ == "__main__":
    print("\n".join(constraints()))
