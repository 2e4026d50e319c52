"""Names that would be more than text, in every view: markup, escapes, other directions, length.

Run ids can't hold most of it (tests/test_known_failures_values.py); everything else may, since
it comes from files of others.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from command_line import on_terminal, run
from test_seeing import completions

from astraguard_store import LatencyCollector, Provenance, RunRepository
from astraguard_store.presentation.sketch import BLOCKS

# ESC in a terminal, an override of the direction, a separator of lines, markup of each kind,
# a workflow command, an entity, a formula of GitHub, and a pipe of a table.
_BAD = (
    "\x1b[31m\x1b]0;owned\x07\u202edesrever\u2028\r\n::error::x\n\t<script>alert(1)</script>"
    "<img src=x onerror=alert(2)>](javascript:alert(3))\"'&lt;|$a$ `*_~ @all #1 \x9b2J"
)
_LONG = "n" * 200
_IDS = (
    "a & 'b'; $(id) `id` #1 ~",
    "run [x](y) & <z>".replace("<", "(").replace(">", ")"),
    "r" * 128,
)
_HTML_TAGS = frozenset(
    re.findall(
        r"\w+",
        "html head meta title style body main h1 h2 h3 p ul li div section table caption thead "
        "tbody tr th td figure svg text line path circle rect details summary pre code a nav form "
        "label input select option textarea button iframe link",
    )
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store in which each name that may be anything is the worst."""
    results = tmp_path_factory.mktemp("hostile") / "results"
    attached = results.parent / "attached"
    attached.mkdir()
    name = "\x1b[31m\u202e<script>\n\"'&.log"
    (attached / name).write_text("text")
    with RunRepository.open(results) as repository:
        for number, run_id in enumerate(_IDS):
            collector = LatencyCollector()
            for tick in range(200):
                for metric_type in (_BAD, _LONG, "fault_detection"):
                    duration_ms = (3.0 + tick % 7) * (1 + number)
                    collector.record(metric_type, _BAD[:200], tick / 10, duration_ms)
            collector.record_missed(_BAD, _LONG, 20.0, 900.0)
            was = Provenance(
                scenario=_BAD, firmware=f"{_BAD}{number}", rig=_BAD, host=_LONG, git_commit=_BAD
            )
            repository.save(run_id, collector, provenance=was, tags={_BAD: _BAD, "long": _LONG})
        repository.set_baseline(_BAD, _IDS[:2])
        repository.set_baseline(f"three {_BAD}", _IDS)
        with repository.run("live", provenance=Provenance(scenario=_BAD)) as live:
            live.record(_BAD, _BAD[:200], 0.0, 1.0)
            live.attach(attached / name)
    return results


_VIEWS: tuple[tuple[str, ...], ...] = (
    ("recent",),
    ("recent", "--metric", _BAD, "--fields", "run,scenario,tags,rig,firmware,p95"),
    ("watch", "--times", "1"),
    ("show", _IDS[0], "--satellites"),
    ("show", "live"),
    ("compare", _IDS[0], _IDS[2]),
    ("compare", _IDS[0], _IDS[2], "--statistics", "all"),
    ("compare", _IDS[0], _IDS[2], "--by-satellite"),
    ("compare", _BAD, _IDS[2]),
    ("history", _BAD, "--by", "scenario", "--baseline", _BAD),
    ("history", "fault_detection"),
    ("changes", _BAD),
    ("gate", _IDS[2], "--baseline", _BAD),
    ("gate", _IDS[2], "--baseline", _BAD, "--all"),
    ("gate", "calibrate", "--baseline", f"three {_BAD}"),
    ("percentiles", _BAD, "--by", "scenario,rig"),
    ("baseline", "list"),
    ("baseline", "show", _BAD),
    ("tag", _IDS[0]),
    ("query", "SELECT * FROM v_runs"),
    ("query", "SELECT * FROM v_latency"),
)
_HAVE_MARKDOWN = (
    "recent",
    "show",
    "compare",
    "history",
    "changes",
    "percentiles",
    "gate",
)


def is_plain(text: str) -> bool:
    """Return whether nothing in *text* does more than stand there; lines may end."""
    return all(line.isprintable() for line in text.split("\n"))


class TestTerminal:
    """Commands, in a pipe and on a terminal."""

    @pytest.mark.parametrize("words", _VIEWS, ids=lambda words: " ".join(words)[:30])
    def test_no_character_does_anything(self, store: Path, words: tuple[str, ...]) -> None:
        result = run(*words, "--results", store)

        assert result.exit_code in (0, 1, 3), result.stderr
        assert is_plain(result.stdout)
        assert is_plain(result.stderr)
        # A name never begins a line of its own.
        assert "\n::error" not in result.stdout
        assert not re.search(r"^(::|<script)", result.stdout, re.MULTILINE)

    @pytest.mark.parametrize("words", [_VIEWS[0], _VIEWS[5], _VIEWS[8], _VIEWS[9]])
    def test_on_a_terminal_there_are_colours_of_ours_alone(
        self, store: Path, words: tuple[str, ...]
    ) -> None:
        shown = on_terminal(80, *words, "--results", store)

        assert is_plain(re.sub(r"\x1b\[[\d;]*m", "", shown))

    def test_a_shell_is_offered_no_name_that_nobody_can_type(self, store: Path) -> None:
        offered = completions(["history", ""], store)

        assert offered == sorted(["fault_detection", _LONG])


class TestMarkdown:
    """What is pasted into a merge request."""

    @pytest.mark.parametrize(
        "words",
        [words for words in _VIEWS if words[0] in _HAVE_MARKDOWN],
        ids=lambda words: " ".join(words)[:30],
    )
    def test_no_name_is_markup(self, store: Path, words: tuple[str, ...]) -> None:
        written = run(*words, "--markdown", "--results", store).stdout

        assert_no_markup(written)

    def test_nor_in_a_report(self, store: Path, tmp_path: Path) -> None:
        target = tmp_path / "report.md"
        done = run("report", *_IDS[1:], "--baseline", _IDS[0], "--to", target, "--results", store)

        assert done.exit_code == 0, done.stderr
        assert_no_markup(target.read_text())


def assert_no_markup(written: str) -> None:
    assert is_plain(written)
    text = "\n".join(line for line in written.split("\n") if not line.startswith("    "))
    # A folded part of GitHub's is HTML, in which names are escaped as there.
    text = re.sub(r"^</?details>(<summary>[^<\n]*</summary>)?$", "", text, flags=re.MULTILINE)
    # A sketch is code, in which blanks count.
    text = re.sub(rf"`[{BLOCKS} ]+`", "", text)
    unescaped = re.sub(r"\\[^\w\s]", "", text)
    assert "<" not in unescaped
    assert "](" not in unescaped
    assert "$" not in unescaped
    assert "`" not in unescaped
    tables = re.findall(r"(?:^\|.*\n)+", unescaped, re.MULTILINE)
    for table in tables:
        assert len({row.count("|") for row in table.splitlines()}) == 1


class TestCi:
    """What CI services read."""

    def test_an_annotation_is_one_line(self, store: Path) -> None:
        written = run(
            *("compare", _IDS[0], _IDS[2], "--format", "github", "--results", store)
        ).stdout

        lines = written.splitlines()
        assert len(lines) == written.count("\n")
        assert all(re.match(r"::(error|warning|notice) title=[^:,]*::", line) for line in lines)
        assert is_plain(written)

    def test_junit_can_be_read(self, store: Path) -> None:
        written = run("compare", _BAD, _IDS[2], "--format", "junit", "--results", store).stdout

        suite = ET.fromstring(written.encode())
        cases = list(suite.iter("testcase"))
        assert len(cases) == 3
        assert all(is_plain(value) for case in cases for value in case.attrib.values())
        assert any("<script>" in case.attrib["name"] for case in cases)


class _Page(HTMLParser):
    """Collects what a browser would make of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.said: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def assert_only_text(html: str, *, kept: str | None = None) -> None:
    """Assert that no name became an element, an attribute or a place to go.

    Args:
        html: The page.
        kept: A value that a form shows as it was typed.
    """
    page = _Page()
    page.feed(html)
    assert page.tags <= _HTML_TAGS
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    for name, value in page.attributes:
        if name in {"href", "src", "action"}:
            assert value.startswith(("/", "data:,")), value
            assert not value.startswith("//"), value
        assert is_plain(value), value
    assert is_plain("".join(page.said).replace(kept or "\0", ""))


class TestHtml:
    """Reports, pages and tables."""

    def test_a_report_is_only_text(self, store: Path, tmp_path: Path) -> None:
        target = tmp_path / "report.html"
        done = run(
            "report", *_IDS[2:], "live", "--baseline", _BAD, "--to", target, "--results", store
        )

        assert done.exit_code == 0, done.stderr
        assert_only_text(target.read_text())

    @pytest.mark.parametrize(
        "url",
        [
            "/",
            f"/?scenario={quote(_BAD)}&tag={quote(_BAD)}&metric={quote(_BAD)}",
            f"/?state={quote(_BAD)}",
            f"/?before={quote(_BAD)}",
            f"/run/{quote(_IDS[0], safe='')}",
            "/run/live",
            f"/run/{quote(_BAD.replace('/', ''), safe='')}",
            f"/compare?run={quote(_IDS[0])}&run={quote(_IDS[2])}",
            f"/compare?baseline={quote(_BAD)}&run={quote(_IDS[2])}",
            f"/compare?baseline={quote(_LONG)}&run={quote(_IDS[2])}",
            f"/history?metric={quote(_BAD)}&by=scenario&baseline={quote(_BAD)}",
            f"/history?metric={quote(_BAD[::-1])}",
            f"/history?by={quote(_BAD)}",
            f"/sql?sql={quote('SELECT * FROM v_runs')}",
            f"/sql?sql={quote('SELECT * FROM ' + chr(34) + '<script>' + chr(34))}",
            "/running",
        ],
    )
    def test_a_page_is_only_text(self, store: Path, url: str) -> None:
        client = pytest.importorskip("starlette.testclient", reason="the extra `web` isn't there")
        from astraguard_store.web.app import make_app

        with RunRepository.open(store, read_only=True) as repository:
            pages = client.TestClient(make_app(repository))
            page, data = pages.get(url), pages.get(f"/json{url}")

        assert page.status_code in (200, 400, 404)
        assert_only_text(page.text)
        assert isinstance(data.json(), dict)

    def test_values_in_a_notebook_are_only_text(self, store: Path) -> None:
        with RunRepository.open(store, read_only=True) as repository:
            for value in values(repository):
                assert_only_text(value._repr_html_())
                assert repr(value).isprintable()


def values(repository: RunRepository) -> Iterator[Any]:
    yield repository.recent()
    yield repository.get(_IDS[0])
    yield repository.compare(_IDS[0], _IDS[2])
    yield repository.history(_BAD, by="scenario", baseline=_BAD)
    yield repository.distribution(_BAD)
    yield repository.query("SELECT * FROM v_runs")
    yield repository.percentiles([0.5, 0.95], metric_type=_BAD)
    yield repository.gate(_IDS[2], _BAD)


class TestCharts:
    """Charts of notebooks."""

    def test_every_text_of_them_is_only_text(self, store: Path) -> None:
        pytest.importorskip("altair", reason="the extra `plots` isn't installed")
        convert = pytest.importorskip("vl_convert", reason="the extra `plots` isn't installed")
        with RunRepository.open(store, read_only=True) as repository:
            charts = [
                value.plot().to_dict() for value in values(repository) if hasattr(value, "plot")
            ]

        assert len(charts) == 4
        for chart in charts:
            assert all(is_plain(text) for text in texts(chart))
            svg = convert.vegalite_to_svg(json.dumps(chart))
            elements = list(ET.fromstring(svg).iter())
            names = {element.tag.rpartition("}")[2] for element in elements}
            assert not names & {"script", "img", "image", "foreignObject", "a"}
            assert not [name for one in elements for name in one.attrib if name.startswith("on")]


def texts(value: Any) -> Iterator[str]:
    """Yield every string of a specification."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
