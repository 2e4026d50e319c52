"""What all front ends show alike: text for people, Markdown and JSON."""

from __future__ import annotations

import re
from itertools import takewhile

import pytest

from astraguard_store import (
    Artifact,
    AtLeast,
    LatencyCollector,
    MetricSummary,
    Provenance,
    RunHeader,
    RunRepository,
    reports,
)
from astraguard_store.presentation import markdown, shapes, text


class TestText:
    """Durations, lower bounds, changes and counts."""

    @pytest.mark.parametrize(
        ("value_ms", "shown"),
        [
            (12.5, "12.5000"),
            (AtLeast(12.5), "above 12.5000"),
            (None, "-"),
            (-0.00001, "0.0000"),
        ],
    )
    def test_a_duration_is_a_number_or_a_lower_bound(
        self, value_ms: float | AtLeast | None, shown: str
    ) -> None:
        assert text.duration_text(value_ms) == shown

    @pytest.mark.parametrize(
        ("statistic", "shown"),
        [
            ("count", ("1", "2", "1", "+100.0 %", None)),
            ("mean_ms", ("4.0000", "51.0000", "47.0000", "+1175.0 %", True)),
            ("min_ms", ("4.0000", "2.0000", "-2.0000", "-50.0 %", False)),
            ("p95_ms", ("4.0000", "above 100.0000", "≥ +96 ms", "≥ +2400 %", True, True)),
            ("missed", ("0", "1", "1", "-", True)),
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
