"""Reports that can be mailed: one file, no script, every name escaped."""

from __future__ import annotations

import html
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import pytest
from command_line import assert_one_line, run, run_json
from recordings import recorded

from astraguard_store import LatencyCollector, Provenance, RunRepository

HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"


@pytest.fixture
def store(results: Path) -> Path:
    """Give three runs, of which one measured and was something hostile."""
    with RunRepository.open(results) as repository:
        repository.save("quick", recorded(300))
        repository.save("slow", recorded(300, scale=2.0))
        collector = LatencyCollector()
        for tick in range(50):
            collector.record_fault_detection(HOSTILE, tick / 10, 10.0 + tick)
        collector.record_missed("fault_detection", HOSTILE, 9.0, 5_000.0)
        repository.save(
            "hostile & 'co'",
            collector,
            provenance=Provenance(scenario=HOSTILE, firmware="](javascript:alert(3))"),
            tags={HOSTILE: HOSTILE},
        )
    return results


class Tags(HTMLParser):
    """What tags a page has, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def written(store: Path, folder: Path, *words: str, suffix: str = "html") -> str:
    target = folder / f"report.{suffix}"
    result = run("report", *words, "--to", target, "--results", store)
    assert result.exit_code == 0, result.stderr
    return target.read_text(encoding="utf-8")


class TestPage:
    """The HTML file."""

    def test_it_has_no_script_and_asks_nobody(self, store: Path, tmp_path: Path) -> None:
        page = written(store, tmp_path, "slow", "hostile & 'co'", "--baseline", "quick")

        tags = Tags(page)
        assert tags.open == []
        names = {name for name, _ in tags.found}
        assert names & {"script", "img", "iframe", "object", "link", "form", "a"} == set()
        attributes = {key for _, attrs in tags.found for key in attrs}
        assert {a for a in attributes if a.startswith("on")} | attributes & {
            "src",
            "href",
        } == set()
        assert "default-src &#x27;none&#x27;" in page

    def test_hostile_names_are_text(self, store: Path, tmp_path: Path) -> None:
        page = written(store, tmp_path, "hostile & 'co'", "--baseline", "quick")

        assert "<script" not in page
        assert "<img" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page

    @pytest.mark.parametrize("more", [[], ["--baseline", "quick"]], ids=["alone", "compared"])
    def test_its_commands_show_the_same_runs(
        self, store: Path, tmp_path: Path, more: list[str]
    ) -> None:
        page = written(store, tmp_path, "hostile & 'co'", *more)

        shown = html.unescape(page.split('aria-label="commands">')[1].split("</code>")[0])
        lines = shown.removeprefix("<code>").splitlines()
        assert lines
        for line in lines:
            program, *words = shlex.split(line)
            assert program == "astraguard-store"
            assert run(*words).exit_code == 0, line

    def test_it_has_a_chart_a_metric_type(self, store: Path, tmp_path: Path) -> None:
        page = written(store, tmp_path, "slow", "--baseline", "quick")

        shown = re.sub("<details>.*?</details>", "", page, flags=re.DOTALL)
        assert shown.count("<svg") == 3
        assert shown.count("share of events within a time") == 3

    def test_what_else_can_be_drawn_is_folded(self, store: Path, tmp_path: Path) -> None:
        page = written(store, tmp_path, "slow", "--baseline", "quick")

        folded = "".join(re.findall("<details>.*?</details>", page, re.DOTALL))
        assert folded.count(", by quantile, with 95 % intervals</text>") == 3
        assert folded.count("over the scenario&#x27;s time, ms</text>") == 3
        assert "details:not([open]){display:none}" in page

    def test_it_says_what_never_came(self, store: Path, tmp_path: Path) -> None:
        page = written(store, tmp_path, "hostile & 'co'")

        assert "1 never came" in page

    def test_it_says_what_changed_and_how_to_see_it_again(
        self, store: Path, tmp_path: Path
    ) -> None:
        page = written(store, tmp_path, "latest~1", "--baseline", "quick")

        assert "What changed in slow" in page
        assert "+100 %" in page
        assert "astraguard-store compare quick slow" in page

    def test_twenty_satellites_and_ten_runs_stay_below_a_megabyte(
        self, results: Path, tmp_path: Path
    ) -> None:
        with RunRepository.open(results) as repository:
            for number in range(10):
                collector = LatencyCollector()
                for tick in range(2_000):
                    name = f"SAT{tick % 20:03}"
                    collector.record_fault_detection(name, tick / 10, 1.0 + tick * 7919 % 5000)
                    collector.record_agent_decision(name, tick / 10, 0.1 + tick * 31 % 700)
                    collector.record_recovery_action(name, tick / 10, 5.0 + tick * 53 % 900)
                repository.save(f"run_{number}", collector)

        page = written(results, tmp_path, *(f"run_{n}" for n in range(10)), "--baseline", "run_0")

        assert len(page.encode()) < 1_000_000


class TestMarkdown:
    """The Markdown file."""

    def test_it_holds_the_tables_and_sketches(self, store: Path, tmp_path: Path) -> None:
        page = written(store, tmp_path, "slow", "--baseline", "quick", suffix="md")

        assert "## What changed in slow" in page
        assert re.search(r"^\| slow \| `[▁▂▃▄▅▆▇█ ]+` \|$", page, re.MULTILINE)

    def test_hostile_names_are_escaped(self, store: Path, tmp_path: Path) -> None:
        page = written(store, tmp_path, "hostile & 'co'", "--baseline", "quick", suffix="md")

        assert r"\<script>" in page
        assert "javascript" in page
        assert "](javascript" not in page
        assert not re.search(r"(?<!\\)<script", page)


class TestCommand:
    """How it is called."""

    def test_json_says_where_it_is(self, store: Path, tmp_path: Path) -> None:
        target = tmp_path / "report.html"

        shape = run_json("report", "slow", "--to", target, "--results", store)

        assert shape["report"] == str(target)
        assert shape["bytes"] == target.stat().st_size

    @pytest.mark.parametrize(
        ("words", "code", "said"),
        [
            (["slow", "--to", "x.pdf"], 2, ".html or .md"),
            (["missing", "--to", "x.html"], 1, "missing"),
            (["slow", "--baseline", "slow", "--to", "x.html"], 2, "the only run"),
        ],
    )
    def test_a_wrong_call_is_one_line(
        self,
        store: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        words: list[str],
        code: int,
        said: str,
    ) -> None:
        monkeypatch.chdir(tmp_path)

        result = run("report", *words, "--results", store)

        assert result.exit_code == code
        assert_one_line(result, said)
        assert list(tmp_path.glob("x.*")) == []
