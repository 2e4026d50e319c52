"""Options of a store: refused when they are made, not when they are first used."""

import pytest

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
