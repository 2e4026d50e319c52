"""Names of the runs of tests, whichever framework runs them."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astraguard_store import RunRepository
from astraguard_store.checks import check_run_id
from astraguard_store.tested_runs import _name_of, run_of_test


@pytest.mark.parametrize(
    ("test", "name"),
    [
        ("test_rig.py::test_fault[SAT 1]", "test_rig.py-test_fault-SAT-1"),
        ("Тест.Проверка связи", "Тест.Проверка-связи"),
        (unicodedata.normalize("NFD", "Prüfung.Über"), "Prüfung.Über"),
        (f"x.{'-' * 50}{'a' * 60}", f"{'a' * 60}"),
        ("::", "test"),
    ],
)
def test_a_run_is_named_as_its_test(results: Path, test: str, name: str) -> None:
    with RunRepository.open(results) as repository, run_of_test(repository, test, {}) as run:
        run.record("fault_detection", "SAT001", 0.0, 1.0)

    assert run.run_id == name


@given(st.text(min_size=1, max_size=300))
def test_any_test_has_a_name_that_a_run_may_have(test: str) -> None:
    name = _name_of(test)

    assert check_run_id(f"{name}-1000") == f"{name}-1000"


def test_a_long_name_keeps_its_end() -> None:
    name = _name_of("測" * 300 + "終")

    assert name.endswith("終")
    assert len(name.encode()) <= 180
