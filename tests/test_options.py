"""Options of a store: refused when they are made, not when they are first used."""

from pathlib import Path
from typing import Any

import pytest

from astraguard_store import AsyncRunRepository, RunRepository
from astraguard_store.options import StoreOptions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"durability": "none"}, "durability is 'full' or 'normal', not 'none'"),
        ({"compression": "lzma"}, "compression is None, 'gzip' or 'zstd', not 'lzma'"),
        (
            {"keep_measurements": "both"},
            "keep_measurements is 'csv', 'database' or 'parquet', not 'both'",
        ),
    ],
)
def test_an_option_that_is_not_named_is_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        StoreOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["5", None, -1, float("nan"), float("inf")])
def test_a_busy_timeout_that_is_no_time_is_refused_at_once(tmp_path: Path, wrong: Any) -> None:
    with pytest.raises(ValueError, match="busy_timeout_s is a number of seconds"):
        RunRepository.open(tmp_path, busy_timeout_s=wrong)


def test_an_async_repository_says_how_it_is_opened() -> None:
    wrong: Any = "results"

    with pytest.raises(TypeError, match=r"AsyncRunRepository.open"):
        AsyncRunRepository(wrong)
