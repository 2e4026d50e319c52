"""What a result of the benchmarks is judged by, and how it is shown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from bench_results import ROOT, a_result, timed

from benchmarks import page_tables, peers, plot, tables
from benchmarks.harness import section
from benchmarks.results import OURS, OURS_NORMAL, SEQUENTIAL, THREADED, Result
from benchmarks.targets import (
    NORMAL,
    ONE_BY_ONE,
    RAW_WRITE,
    SMALLER_TREE,
    TARGETS,
    Bound,
    Target,
    judge,
    judge_section,
)

if TYPE_CHECKING:
    from pathlib import Path

PLACES = "\n".join(
    f"<!-- {name}:begin -->\nold\n<!-- {name}:end -->" for name in page_tables.TABLES
)
"""A page in which each table has its place."""

# Targets are judged as announced.


def test_better_of_the_opponents_is_the_one_to_beat() -> None:
    verdict = judge_section(
        Target("x", Bound.FASTER, 4, (SEQUENTIAL, THREADED)),
        timed("x", ours=1.0, sequential=9.0, threaded=3.0),
    )

    assert (verdict.opponent, verdict.ratio, verdict.met) == (THREADED, 3.0, False)


def test_time_over_the_floor_is_bounded_from_above() -> None:
    target = Target("x", Bound.TIMES, 5, (RAW_WRITE,))

    assert judge_section(target, timed("x", ours=5.0, raw_write=1.0)).met
    assert not judge_section(target, timed("x", ours=5.1, raw_write=1.0)).met


def test_limit_is_in_the_section_s_unit() -> None:
    target = Target("x", Bound.LIMIT, 10e-6)

    assert judge_section(target, timed("x", ours=9e-6)).met
    assert not judge_section(target, timed("x", ours=11e-6)).met


def test_normal_is_judged_only_where_full_was_not_measured() -> None:
    target = Target("x", Bound.LIMIT, 1.0)

    assert judge_section(target, timed("x", ours=0.5, normal=2.0)).met
    assert not judge_section(target, timed("x", normal=2.0)).met


def test_target_without_an_opponent_is_refused() -> None:
    with pytest.raises(KeyError, match="raw write"):
        judge_section(Target("x", Bound.TIMES, 5, (RAW_WRITE,)), timed("x", ours=1.0))


def test_reduced_section_shows_its_ratio_and_is_not_judged() -> None:
    target = Target("x", Bound.TIMES, 5, (RAW_WRITE,))
    fast, slow = (timed("x", ours=ours, raw_write=1.0) for ours in (4.0, 6.0))

    verdicts = [judge_section(target, replace(one, reduced=True)) for one in (fast, slow)]

    assert [verdict.ratio for verdict in verdicts] == [4.0, 6.0]
    assert [verdict.met for verdict in verdicts] == [None, None]


def test_only_what_was_measured_is_judged() -> None:
    result = a_result(timed("record", ours=1.0, sequential=2.0))

    assert [verdict.target.section for verdict in judge(result)] == ["record"]


# What is shown.


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.234, "s", "1.23 s"),
        (0.0123, "s", "12.3 ms"),
        (456.7e-6, "s", "457 µs"),
        (9e-9, "s", "9.00 ns"),
        (2_270, "bytes", "2.27 kB"),
        (96e6, "bytes", "96.0 MB"),
    ],
)
def test_quantities_have_three_digits(value: float, unit: str, text: str) -> None:
    assert tables.render_quantity(value, unit) == text


def test_page_tables_says_met_or_missed() -> None:
    fast = timed("record", ours=1e-6, normal=1e-6, sequential=2e-6)
    slow = timed("save.1000", ours=5e-3, sequential=9e-3, threaded=10e-3)

    text = tables.render_targets(a_result(fast, slow, quick=True))

    assert "1 targets met, 1 missed" in text
    assert "2.00× faster" in text
    assert "MISSED" in text
    assert "--quick" in text


def test_page_tables_says_what_was_not_judged() -> None:
    fast = timed("record", ours=1e-6, sequential=2e-6)
    small = replace(timed("size", ours=1.0), reduced=True)

    text = tables.render_targets(a_result(fast, small))

    assert "1 targets met, 0 missed, 1 not judged" in text
    assert text.count("not judged") == 2


def test_ratio_of_minima_stands_beside_that_of_medians() -> None:
    sides = {OURS: [1.0, 2.0, 3.0], SEQUENTIAL: [4.0, 5.0, 6.0]}

    (row,) = tables.target_rows(a_result(section("record", "record", sides)))

    cells = dict(zip(tables.TARGET_COLUMNS, row, strict=True))
    assert (cells["ratio"], cells["of minima"]) == ("2.50× faster", "4.00×")


def test_side_that_is_no_floor_is_shown_only_where_it_is_the_opponent() -> None:
    sides = {OURS: [1.0], SMALLER_TREE: [1.0]}
    limit, times = section("import", "import", sides), section("import.memory", "peak", sides)

    rows = tables.target_rows(a_result(limit, times))

    assert [dict(zip(tables.TARGET_COLUMNS, row, strict=True))["beside"] for row in rows] == [
        "",
        "1.00 s (import of 500)",
    ]


def test_opponent_of_our_durability_is_shown() -> None:
    sides = {OURS_NORMAL: [1.0], ONE_BY_ONE + NORMAL: [3.0]}

    (row,) = tables.target_rows(a_result(section("batch", "batch", sides)))

    assert "3.00 s (one by one, NORMAL)" in row


def test_missed_limit_is_put_in_proportion_and_a_met_one_is_not() -> None:
    missed = timed("get.dict", ours=40e-6, sequential=90e-6)
    met = timed("get.cached", ours=5e-6, sequential=90e-6)
    said = (
        "get.dict: 40.0 µs; the sequential variant takes 90.0 µs here, "
        "54.0 µs on the machine of the targets"
    )

    result = a_result(missed, met)

    assert tables.proportions(result) == [said]
    assert said in tables.render_targets(result)
    assert said in page_tables.render_targets(result)


def test_result_survives_its_file() -> None:
    small = replace(timed("size", ours=1.0), reduced=True)
    result = a_result(timed("record", ours=1e-6, sequential=2e-6), small, quick=False)

    assert Result.from_json(result.to_json()) == result


def test_result_of_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format 99"):
        Result.from_json('{"format": 99}')


def test_growth_curve_goes_as_far_as_its_side() -> None:
    small = timed("growth.get.100", ours=1.0, sequential=2.0)
    large = timed("growth.get.1000", ours=1.5)

    result = a_result(small, large)

    assert plot.growth_curve(result, "get", OURS) == ([100, 1000], [1.0, 1.5])
    assert plot.growth_curve(result, "get", SEQUENTIAL) == ([100], [2.0])


# The table in docs/performance.md is that of the stored result.


def test_tables_in_the_page_are_those_of_the_stored_result() -> None:
    assert page_tables.main(["--check", str(ROOT / "docs" / "performance.md")]) == 0


def test_stored_result_judges_every_target() -> None:
    stored = Result.read(page_tables.STORED)

    assert {verdict.target for verdict in judge(stored)} == set(TARGETS)


def test_what_no_target_is_about_has_a_table_of_its_own() -> None:
    limited = timed("analyst.join", ours=1e-3)
    other = timed("analyst.recent_tag", ours=2e-3)

    text = page_tables.render_costs(a_result(limited, other, timed("growth.get.100", ours=1.0)))

    assert text.splitlines()[2:] == ["| analyst.recent_tag | 2.00 ms |"]


def test_ours_is_held_against_the_fastest_peer() -> None:
    sides = {OURS: [3.0], peers.PLAIN_SQLITE: [2.0], peers.PARQUET: [9.0]}

    text = page_tables.render_peers(a_result(section("peers.get", "get, beside peers", sides)))

    assert text.splitlines()[2:] == [
        "| get | 3.00 s | 2.00 s | 9.00 s | 1.5× slower than sqlite3 + JSON |"
    ]


def test_written_table_passes_its_check_and_an_edited_one_does_not(tmp_path: Path) -> None:
    page, stored = tmp_path / "page.md", tmp_path / "result.json"
    page.write_text(f"above\n{PLACES}\nbelow\n")
    a_result(timed("record", ours=1e-6, sequential=2e-6)).write(stored)

    written = page_tables.main([str(stored), "--write", str(page)])
    checked = page_tables.main([str(stored), "--check", str(page)])
    page.write_text(page.read_text().replace("2.00×", "3.00×"))
    edited = page_tables.main([str(stored), "--check", str(page)])

    assert (written, checked, edited) == (0, 0, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"quick": True}, "--quick"),
        ({"complete": False}, "interrupted"),
        ({"durability": "full"}, "of durability full only"),
        ({"questions": ["record", "save"]}, "without the questions live, batch, get"),
    ],
)
@pytest.mark.parametrize("option", [None, "--write", "--check"])
def test_result_that_is_no_full_run_s_is_refused(
    settings: dict[str, object],
    message: str,
    option: str | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page, stored = tmp_path / "page.md", tmp_path / "result.json"
    page.write_text(PLACES)
    a_result(timed("record", ours=1e-6, sequential=2e-6), **settings).write(stored)

    status = page_tables.main([str(stored), *([option, str(page)] if option else [])])

    shown = capsys.readouterr()
    assert (status, shown.out) == (1, "")
    assert message in shown.err
    assert "old" in page.read_text()


@pytest.mark.parametrize(
    "content", [None, b"", b"\xff", b"[]", b'{"format": 1}', b'{"format": 9}']
)
def test_unreadable_result_is_one_line(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = tmp_path / "result.json"
    if content is not None:
        stored.write_bytes(content)

    status = page_tables.main([str(stored)])

    (line,) = capsys.readouterr().err.splitlines()
    assert status == 1
    assert line.startswith(f"{stored}: ")


def test_missing_page_fails_the_check(tmp_path: Path) -> None:
    stored = tmp_path / "result.json"
    a_result().write(stored)

    assert page_tables.main([str(stored), "--check", str(tmp_path / "page.md")]) == 1


def test_page_without_markers_fails_the_check(tmp_path: Path) -> None:
    page, stored = tmp_path / "page.md", tmp_path / "result.json"
    page.write_text("no table here\n")
    a_result(timed("record", ours=1e-6, sequential=2e-6)).write(stored)

    assert page_tables.main([str(stored), "--check", str(page)]) == 1


def test_the_table_of_pages_is_put_into_a_page(tmp_path: Path) -> None:
    pytest.importorskip("starlette", reason="the extra `web` isn't installed")
    from benchmarks import pages

    page = tmp_path / "page.md"
    page.write_text(f"above\n{pages.BEGIN}\nold\n{pages.END}\nbelow\n")

    assert pages.main(["--runs", "1500", "--write", str(page)]) == 0

    written = page.read_text()
    assert written.startswith("above\n")
    assert "| page | of 1,500 runs |" in written
    assert written.count(" ms |") == len(pages.pages_of(1500))
