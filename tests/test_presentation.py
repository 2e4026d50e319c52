"""What all front ends show alike: text for people, Markdown and JSON."""

from __future__ import annotations

import re
from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astraguard_store import (
    Artifact,
    AtLeast,
    LatencyCollector,
    MetricSummary,
    PercentileInterval,
    Provenance,
    RunHeader,
    RunRepository,
    reports,
)
from astraguard_store.presentation import markdown, numbers, shapes, text
from astraguard_store.presentation.sketch import Sketch


class TestNumbers:
    """Three digits, a unit that fits, and no false precision."""

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (78.3417, "78.3"),
            (1234.5, "1,230"),
            (999.9, "1,000"),
            (0.05, "0.0500"),
            (-0.00000001, "0"),
            (-0.0, "0"),
            (0.0, "0"),
            (-12.34, "-12.3"),
        ],
    )
    def test_a_number_has_three_digits(self, value: float, shown: str) -> None:
        assert numbers.number_text(value) == shown

    @pytest.mark.parametrize(
        ("values_ms", "unit"),
        [
            ([0.0000021, 0.0000093], "ns"),
            ([0.021, 0.5, 4.0], "µs"),
            ([12.0, 900.0], "ms"),
            ([999.9], "s"),
            ([1_000.0, None], "s"),
            ([AtLeast(5_000.0)], "s"),
            ([0.0, None], "ms"),
            ([], "ms"),
        ],
    )
    def test_a_column_has_the_unit_of_its_middle(
        self, values_ms: list[float | None], unit: str
    ) -> None:
        assert numbers.unit_of(values_ms).name == unit

    @pytest.mark.parametrize(
        ("value_ms", "shown"),
        [(128.4, "128 ms"), (AtLeast(5_000.0), "above 5.00 s"), (None, "-"), (0.0125, "12.5 µs")],
    )
    def test_a_duration_is_a_number_or_a_lower_bound(
        self, value_ms: float | AtLeast | None, shown: str
    ) -> None:
        assert numbers.duration_text(value_ms) == shown

    def test_what_is_known_to_one_percent_says_so(self) -> None:
        assert numbers.duration_text(128.4, about="≈ ") == "≈ 128 ms"

    @pytest.mark.parametrize(
        ("change", "shown"),
        [
            (0.25, "+25.0 %"),
            (2103.358, "+2100×"),
            (9.99, "+999 %"),
            (-0.5, "-50.0 %"),
            (0.0004, "0.0 %"),
            (-0.0004, "0.0 %"),
            (AtLeast(65.7), "≥ +66×"),
            (None, "-"),
        ],
    )
    def test_a_change_is_read_at_once(self, change: float | None, shown: str) -> None:
        assert numbers.change_text(change) == shown

    @pytest.mark.parametrize(
        ("sides", "differs"),
        [
            ((78.34, 78.33), False),
            ((78.3, 78.4), True),
            ((98.7, AtLeast(5_000.0)), True),
        ],
    )
    def test_a_difference_that_no_reader_sees_is_none(
        self, sides: tuple[float, float], differs: bool
    ) -> None:
        assert numbers.is_difference(*sides) is differs

    @pytest.mark.parametrize(
        ("size", "shown"),
        [(1, "1 byte"), (999, "999 bytes"), (12_345, "12.3 kB"), (999_999, "1.00 MB")],
    )
    def test_a_size_has_the_unit_that_fits(self, size: int, shown: str) -> None:
        assert numbers.size_text(size) == shown

    @given(st.floats(1e-9, 1e9))
    def test_what_is_shown_is_within_half_of_the_last_digit(self, value: float) -> None:
        shown = float(numbers.number_text(value).replace(",", ""))

        assert abs(shown - value) <= max(value * 0.005, 5.1e-7)


class TestText:
    """Statistics and changes of two runs."""

    @pytest.mark.parametrize(
        ("statistic", "shown"),
        [
            ("count", ("1", "2", "1", "+100 %", None)),
            ("mean_ms", ("4.00", "51.0", "+47.0", "+12×", True)),
            ("min_ms", ("4.00", "2.00", "-2.00", "-50.0 %", False)),
            ("p95_ms", ("4.00", "above 100", "≥ +96.0", "≥ +24×", True, True)),
            ("missed", ("0", "1", "1", "new", True)),
        ],
    )
    def test_a_change_says_which_side_is_slower(
        self, statistic: str, shown: tuple[object, ...]
    ) -> None:
        before, after = LatencyCollector(), LatencyCollector()
        before.record_fault_detection("SAT001", 0.0, 4.0)
        after.record_fault_detection("SAT001", 0.0, 2.0)
        after.record_missed("fault_detection", "SAT001", 0.0, 100.0)
        with RunRepository.in_memory() as repository:
            repository.save_many([("before", before), ("after", after)])
            comparison = repository.compare("before", "after")

        texts = text.change_texts(comparison.changes[0], statistic, comparison)

        assert texts[: len(shown)] == shown

    def test_a_change_that_nobody_sees_is_neither_slower_nor_faster(self) -> None:
        before, after = LatencyCollector(), LatencyCollector()
        before.record_fault_detection("SAT001", 0.0, 78.34)
        after.record_fault_detection("SAT001", 0.0, 78.3400001)
        with RunRepository.in_memory() as repository:
            repository.save_many([("before", before), ("after", after)])
            comparison = repository.compare("before", "after")

        texts = text.change_texts(comparison.changes[0], "p95_ms", comparison)

        assert texts == ("78.3", "78.3", "0", "0.0 %", None, False)

    @pytest.mark.parametrize(
        ("names", "shown"),
        [([], ""), (["a", "b"], "a, b"), ([*"abcdefg"], "a, b, c, d, e and 2 more")],
    )
    def test_a_few_names_stand_for_many(self, names: list[str], shown: str) -> None:
        assert text.few_names(names) == shown


class TestMarkdown:
    """Names come from files, so that they may hold any mark."""

    @pytest.mark.parametrize(
        ("name", "cell"),
        [
            ("_x_", r"\_x\_"),
            ("~~x~~", r"\~\~x\~\~"),
            ("&lt;b&#62;", r"\&lt;b\&#62;"),
            ("a|b`*[<\\", "a\\|b\\`\\*\\[\\<\\\\"),
            ("fault_detection", "fault_detection"),
            ("R&D", "R&D"),
            ("a\nb", r"a\\nb"),
        ],
    )
    def test_a_cell_shows_marks_as_they_are(self, name: str, cell: str) -> None:
        *_, row = markdown.table_lines(text.words("name"), [[name]])

        assert row == f"| {cell} |"

    @given(st.text("▁▃█ ", max_size=9))
    def test_a_sketch_keeps_its_columns(self, drawn: str) -> None:
        *_, row = markdown.table_lines(text.words("sketch"), [[Sketch(drawn)]])

        code = row.removeprefix("| ").removesuffix(" |").strip("`")
        if drawn.strip(" "):
            # CommonMark takes a space from both ends, where there is one at both.
            is_cut = code.startswith(" ") and code.endswith(" ")
            assert (code[1:-1] if is_cut else code) == drawn
            assert row.count("`") == 2


class TestShapes:
    """The JSON comes from the fields of reports, so its documentation is held against them."""

    @pytest.mark.parametrize(
        ("name", "report"),
        [
            ("HEADER", RunHeader),
            ("STATISTICS", MetricSummary),
            ("PROVENANCE", Provenance),
            ("ARTIFACT", Artifact),
            ("PERCENTILES", reports.Percentiles),
            ("prune", reports.PruneReport),
            ("import", reports.ImportReport),
            ("export", reports.ExportReport),
            ("merge", reports.MergeReport),
            ("OBJECT", reports.DescribedObject),
            ("check", reports.CheckReport),
            ("FINDING", reports.Finding),
            ("query", reports.QueryResult),
        ],
    )
    def test_each_key_is_documented(self, name: str, report: type) -> None:
        lines = (shapes.__doc__ or "").splitlines()
        start = next(number for number, line in enumerate(lines) if line.startswith(f"{name} "))
        rest = takewhile(lambda line: line.startswith(" "), lines[start + 1 :])

        documented = set(re.findall(r"\w+", " ".join([lines[start], *rest])))

        assert set(report.__annotations__) - documented == set()


def test_an_interval_of_seconds_has_no_exponent() -> None:
    interval = PercentileInterval(900, True, 4_230.0, 8_350.0)

    assert text.interval_text(interval, numbers.MILLISECONDS) == "4,230-8,350"
    assert text.interval_text(interval, numbers.SECONDS) == "4.23-8.35"
