"""A comparison in lines: a metric type each, with sketches and verdict, in 80 columns."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from command_line import on_terminal, run
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from astraguard_store import LatencyCollector, RunRepository
from astraguard_store.cli.compare import _brief_table, _fitting, _shortened, _width
from astraguard_store.comparison import MetricChange
from astraguard_store.model import MetricSummary
from astraguard_store.presentation.brief import BriefLine, brief_lines
from astraguard_store.presentation.sketch import BLOCKS

_VERDICTS = ("regressed", "improved", "equivalent", "inconclusive")
_NARROWEST = 2 * 4 + 1


def flown(seed: int, *, slow: float, metric_types: tuple[str, ...]) -> LatencyCollector:
    """Record a run with a tail of one event in fifty, *slow* times as long."""
    draw = random.Random(seed)
    collector = LatencyCollector()
    for tick in range(600):
        for number, metric_type in enumerate(metric_types):
            factor = slow * 130 if tick % 50 == 0 else slow
            duration_ms = 5.2 * 10.0**-number * factor * draw.lognormvariate(0, 0.1)
            collector.record(metric_type, "SAT001", tick / 10, duration_ms)
    collector.record_missed(metric_types[0], "SAT001", 60.0, 5000.0)
    return collector


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with a baseline, whose numbers are as wide as those of `make demo`."""
    results = tmp_path_factory.mktemp("wide") / "results"
    names = ("fault_detection", "agent_decision", "recovery_action")
    with RunRepository.open(results) as repository:
        for number in range(6):
            repository.save(f"quick_{number}", flown(number, slow=1.0, metric_types=names))
        repository.save("slow", flown(9, slow=21.0, metric_types=names))
        repository.set_baseline("nightly", [f"quick_{number}" for number in range(6)])
    return results


def lines_of(written: str) -> list[str]:
    """Return the lines of the table: the last paragraph, without its title and colours."""
    plain = re.sub(r"\x1b\[[\d;]*m", "", written).rstrip().split("\n\n")[-1]
    return [line for line in plain.splitlines()[1:] if not line.startswith("─")]


@pytest.mark.parametrize("baseline", ["quick_1", "nightly"])
def test_wide_numbers_leave_room_for_sketches_and_verdict(wide: Path, baseline: str) -> None:
    piped = run("compare", baseline, "slow", "--results", wide).stdout
    shown = on_terminal(80, "compare", baseline, "slow", "--results", wide, NO_COLOR="1")

    for written in (piped, shown):
        lines = lines_of(written)
        assert len(lines) == 3
        assert max(map(len, lines)) <= 80
        assert all(set(line) & set(BLOCKS) for line in lines)


def test_a_sign_stands_for_a_verdict_and_is_explained(wide: Path) -> None:
    written = run("compare", "nightly", "slow", "--results", wide).stdout

    assert all(" ✗ " in line for line in lines_of(written))
    assert "\n✗ worse\n" in written


def test_a_wide_terminal_has_the_word(wide: Path) -> None:
    written = on_terminal(120, "compare", "nightly", "slow", "--results", wide, NO_COLOR="1")

    assert all(" worse " in line for line in lines_of(written))


def test_a_baseline_that_is_the_candidate_has_sketches_too(wide: Path) -> None:
    written = run("compare", "slow", "slow", "--results", wide).stdout

    assert all(len(set(line) & set(BLOCKS)) > 1 for line in lines_of(written))


def test_an_output_without_blocks_has_words_and_arrows_of_ascii(wide: Path) -> None:
    written = on_terminal(
        *(80, "compare", "nightly", "slow", "--results", wide),
        NO_COLOR="1",
        PYTHONIOENCODING="ascii",
    )

    assert "->" in written
    assert "worse" in written
    assert not {*written} & {*BLOCKS, "✗", "…"}


times_ms = st.floats(0.01, 500.0)
factors = st.floats(1.0, 20.0)


@st.composite
def metric_changes(draw: st.DrawFn) -> list[MetricChange]:
    names = draw(st.lists(st.text("abcdefg_", min_size=1, max_size=18), min_size=1, unique=True))

    def summary(p50: float) -> MetricSummary:
        p95 = p50 * draw(factors)
        p99 = p95 * draw(factors)
        return MetricSummary(600, p95, p50, p95, p99, p50 / 2, p99 * 2, draw(st.integers(0, 99)))

    found = []
    for name in names:
        p50 = draw(times_ms)
        found.append(MetricChange(name, None, summary(p50), summary(p50 * draw(factors))))
    return found


@given(metric_changes(), st.data())
def test_any_numbers_of_a_run_fit_with_their_sketches(
    changes: list[MetricChange], data: st.DataObject
) -> None:
    lines: list[BriefLine] = brief_lines(changes)
    verdicts = {(line.metric_type, None): data.draw(st.sampled_from(_VERDICTS)) for line in lines}

    layout = _fitting(lines, verdicts, is_sketched=True)  # type: ignore[arg-type]

    width = _width(*_brief_table(lines, verdicts, layout), layout.gap)  # type: ignore[arg-type]
    assert width + layout.gap + _NARROWEST <= 80
    assert len({_shortened(line.metric_type, layout.longest_name) for line in lines}) == len(lines)


@given(st.text(min_size=1, max_size=60), st.integers(8, 40))
def test_a_shortened_name_has_its_ends_and_fits(name: str, longest: int) -> None:
    short = _shortened(name, longest)

    assert cell_len(short) <= longest
    assert short.isprintable()
