"""What SQLite is not given to read, since nothing could stop it."""

from __future__ import annotations

import pytest
from recordings import recorded

from astraguard_store import QueryError, RunRepository


def doubled(times: int, both: str = "{name} x JOIN {name} y") -> str:
    """Return a statement whose names stand for twice the name before, so many times."""
    parts = ["a0 AS (SELECT 1 AS z)"]
    parts += [
        f"a{i} AS (SELECT x.z FROM {both.format(name=f'a{i - 1}')})" for i in range(1, times)
    ]
    return f"WITH {', '.join(parts)} SELECT count(*) FROM a{times - 1}"


def ask(sql: str, parameters: tuple[str, ...] = ()) -> list[tuple[object, ...]]:
    with RunRepository.in_memory() as repository:
        repository.save("run", recorded(2))
        return list(repository.query(sql, parameters).rows)


@pytest.mark.parametrize(
    "both",
    [
        "{name} x JOIN {name} y",
        '"{name}" x, [{name}] y',
        "'{name}' x JOIN `{name}` y",
        "/* . */ {name} x -- a comment\n, {name} y",
        "({name} x), ({name} y)",
        "(SELECT 1 AS z) x WHERE 1 IN {name} OR 2 IN {name}",
    ],
)
def test_names_that_stand_for_thousands_of_selects_are_refused(both: str) -> None:
    with pytest.raises(QueryError, match="names of WITH stand for"):
        ask(doubled(22, both))


@pytest.mark.parametrize("how", [" AS NOT MATERIALIZED (", "(z) AS (", "(z) AS MATERIALIZED ("])
def test_however_they_are_written(how: str) -> None:
    with pytest.raises(QueryError, match="names of WITH stand for"):
        ask(doubled(22).replace(" AS (", how))


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ('"a""{}"', '[a"{}]'),
        ("`a``{}`", '"a`{}"'),
        ("'a''{}'", '"a\'{}"'),
        ("a·{}", "[a·{}]"),
        ("·a{}", '"·a{}"'),
        ("a€{}", "a€{}"),
        ("a{}", "\ufeffa{}"),
    ],
)
def test_however_the_names_are_quoted(given: str, named: str) -> None:
    def sql(times: int) -> str:
        parts = [f"{given.format(0)} AS (SELECT 1 AS z)"]
        for i in range(1, times):
            name = named.format(i - 1)
            parts.append(f"{given.format(i)} AS (SELECT x.z FROM {name} x JOIN {name} y)")
        return f"WITH {', '.join(parts)} SELECT count(*) FROM {named.format(times - 1)}"

    assert ask(sql(6)) == [(1,)]
    with pytest.raises(QueryError, match="names of WITH stand for"):
        ask(sql(20))


def test_views_stand_for_the_selects_of_their_text() -> None:
    both = "{name} x JOIN {name} y"
    of_table, of_view = (
        doubled(times, both).replace("SELECT 1 AS z", f"SELECT 1 AS z FROM {name} LIMIT 1")
        for times, name in ((8, "runs"), (13, "V_Changes"))
    )

    assert ask(of_table) == [(1,)]
    with pytest.raises(QueryError, match="names of WITH stand for"):
        ask(of_view)


def test_a_quoted_bracket_is_a_name_and_ends_nothing() -> None:
    sql = doubled(20).replace("SELECT x.z FROM", 'SELECT x.z, 1 AS ")" FROM')

    with pytest.raises(QueryError, match="names of WITH stand for"):
        ask(sql)


def test_a_name_that_is_given_twice_is_refused() -> None:
    sql = "WITH a AS (SELECT 1) SELECT * FROM (WITH a AS (SELECT 2) SELECT * FROM a), a"

    with pytest.raises(QueryError, match="'a' is given twice"):
        ask(sql)


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        (doubled(8), 1),
        (("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 9) "
         "SELECT sum(n) FROM t"), 45),
        (("WITH r AS (SELECT run_id FROM v_runs) SELECT count(*) FROM r a JOIN r b, r c "
         "WHERE a.run_id IN r"), 1),
        ("SELECT sum(n) OVER w FROM (SELECT 1 AS n) WINDOW w AS (ORDER BY n)", 1),
    ],
    ids=["some names", "recursive", "named often", "window"],
)  # fmt: skip
def test_what_people_write_is_asked(sql: str, answer: int) -> None:
    assert ask(sql) == [(answer,)]


@pytest.mark.parametrize(
    "sql",
    ["SELECT '" + "x" * 70_000 + "'", "SELECT 1 /*" + "ü" * 40_000 + "*/"],
    ids=["text", "comment"],
)
def test_a_statement_of_more_than_64_kb_is_refused(sql: str) -> None:
    with pytest.raises(QueryError, match=r"more than 64 kB; bind long values"):
        ask(sql)


def test_a_long_value_may_be_bound() -> None:
    assert ask("SELECT length(?)", ("x" * 60_000,)) == [(60_000,)]
