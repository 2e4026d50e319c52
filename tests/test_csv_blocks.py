"""CSVs of many rows, which are read block by block: what is odd in one is found all the same."""

from __future__ import annotations

import io
from itertools import islice

import pytest

from astraguard_store.columns import Columns
from astraguard_store.exceptions import ArtifactReadError
from astraguard_store.formats.csv import FIELDS, FIELDS_WITH_MISSED, parse_csv

ROWS = 400
"""More than two blocks."""


def lines(width: int = 5) -> list[str]:
    """Give a CSV, header first, of rows that all differ."""
    header = FIELDS if width == 5 else FIELDS_WITH_MISSED
    rows = [
        f"{1e9 + i},{'ab'[i % 2]},SAT{i % 7},{i / 3!r},{i / 10!r},{int(i % 5 == 0)}"
        for i in range(ROWS)
    ]
    return [",".join(header), *(",".join(row.split(",")[:width]) for row in rows)]


def parsed(text: list[str]) -> Columns:
    """Give what the lines say."""
    return parse_csv(io.StringIO("\r\n".join([*text, ""]), newline=""))


@pytest.mark.parametrize("width", [5, 6])
def test_every_row_is_read_as_it_stands(width: int) -> None:
    text = lines(width)

    found = parsed(text).measurements()

    for line, one in zip(text[1:], found, strict=True):
        timestamp, metric_type, satellite_id, duration, time, *missed = line.split(",")
        assert (one.timestamp, one.metric_type) == (float(timestamp), metric_type)
        assert (one.satellite_id, one.duration_ms) == (satellite_id, float(duration))
        assert (one.scenario_time_s, one.missed) == (float(time), missed == ["1"])


@pytest.mark.parametrize("place", [1, 128, 129, 200, ROWS])
@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1,a,b,2,3,0", "it has 6 fields, not 5"),
        ("1,a,b,2", "it has 4 fields, not 5"),
        ("1,a,b,x,3", "duration_ms is 'x', no number"),
    ],
)
def test_a_row_that_is_none_is_named_by_its_line(place: int, row: str, said: str) -> None:
    text = lines()
    text[place] = row

    with pytest.raises(ArtifactReadError, match=f"line {place + 1} is no measurement: {said}"):
        parsed(text)


@pytest.mark.parametrize("row", ["1,a,b,-2,3", "1,a,b,nan,3", "1,a,b,inf,3", "1,,b,2,3"])
def test_a_value_that_cannot_be_is_named_by_its_row(row: str) -> None:
    text = lines()
    text[301] = row

    with pytest.raises(ArtifactReadError, match="Measurement 300: "):
        parsed(text)


def test_all_rows_with_a_field_too_many_or_too_few_are_refused() -> None:
    wide, narrow = lines(6), lines()

    for text in ([narrow[0], *wide[1:]], [wide[0], *narrow[1:]]):
        with pytest.raises(ArtifactReadError, match="line 2 is no measurement"):
            parsed(text)


def test_the_first_of_two_faults_is_told() -> None:
    text = lines()
    text[150], text[290] = "1,a,b,x,3", '1,"a,b,2,3'

    with pytest.raises(ArtifactReadError, match="line 151 "):
        parsed(text)


@pytest.mark.parametrize("odd", ["", "  ", ",,,,"])
def test_rows_of_nothing_are_passed_over(odd: str) -> None:
    text = lines()
    expected = list(parsed(text).measurements())
    text[200:200] = [odd]

    assert list(parsed(text).measurements()) == expected


def test_nothing_may_follow_the_end_of_an_old_file() -> None:
    text = lines()

    assert parsed([*text, "\x1a"]).rows == ROWS
    with pytest.raises(ArtifactReadError, match="control-Z"):
        parsed([*islice(text, 128), "\x1a", *text[128:]])
