"""The site that `make docs` builds: every public name is in it, and it asks no other host."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import astraguard_store

PROJECT = Path(__file__).parent.parent
API_PAGE = PROJECT / "docs" / "api.md"
# What a page or a style sheet loads, unlike a link that somebody may follow.
LOADED = re.compile(
    r"""<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)="?((?:https?:)?//[^"\s>]+)"""
    r"""|url\(["']?((?:https?:)?//[^)"']+)"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does, where a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=PROJECT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def public_members(name: str) -> set[str]:
    """Return the methods and properties of a public class that this package defines."""
    value = getattr(astraguard_store, name)
    ours = [owner for owner in value.__mro__ if owner.__module__.startswith("astraguard_store")]
    return {
        member
        for owner in ours
        for member, found in vars(owner).items()
        if not member.startswith("_") and (inspect.isroutine(found) or isinstance(found, property))
    }


def test_the_page_lists_every_public_name_once() -> None:
    directive = re.compile(r"^::: astraguard_store\.(\w+)$", re.MULTILINE)

    listed = directive.findall(API_PAGE.read_text("utf-8"))

    assert sorted(listed) == sorted(astraguard_store.__all__)


@pytest.mark.parametrize("name", sorted(astraguard_store.__all__))
def test_every_public_class_and_method_is_described(site: Path, name: str) -> None:
    page = (site / "api.html").read_text("utf-8")
    described = set(re.findall(rf'id="astraguard_store\.{name}(?:\.(\w+))?"', page))

    assert {"", *public_members(name)} - described == set()


def test_it_asks_no_other_host(site: Path) -> None:
    texts = [path for path in site.rglob("*") if path.suffix in {".html", ".css"}]
    asked = {
        (path.name, first or second)
        for path in texts
        for first, second in LOADED.findall(path.read_text("utf-8"))
    }

    assert len(texts) > 10
    assert asked == set()
