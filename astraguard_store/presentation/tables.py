"""Tables that several front ends show, as columns and texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from astraguard_store.presentation import text
from astraguard_store.presentation import verdict_texts as words

if TYPE_CHECKING:
    from astraguard_store.comparison import Comparison
    from astraguard_store.provenance import Unit
    from astraguard_store.verdict.values import CellVerdict


class Table(NamedTuple):
    """A table of texts."""

    columns: list[text.Column]
    rows: list[list[str]]


class NoiseKind(NamedTuple):
    """One kind of machine noise.

    Attributes:
        name: Before ``_start``, ``_end`` and ``_worst`` in `MachineNoise`.
        title: For people.
        form: How a value is written.
    """

    name: str
    title: str
    form: str


NOISE: Final = (
    NoiseKind("load", "load average", "{:.2f}"),
    NoiseKind("steal", "steal", "{:.1%}"),
    NoiseKind("pressure", "waited for a processor", "{:.1%}"),
    NoiseKind("frequency_mhz", "frequency", "{:.0f} MHz"),
)


def noise_text(value: float | None, kind: NoiseKind) -> str:
    """Return a value for people; ``-`` where the machine didn't say."""
    return "-" if value is None else kind.form.format(value).replace("%", " %")


def provenance_table(
    comparison: Comparison, baseline: str = "baseline", candidate: str = "candidate"
) -> Table:
    """Return what differs between what two runs were; their columns have these titles."""
    rows = [
        [name.replace("_", " "), text.provenance_text(before), text.provenance_text(after)]
        for name, before, after in comparison.provenance_changes
    ]
    return Table(text.words("what differs", baseline, candidate), rows)


def verdict_table(cells: Iterable[CellVerdict]) -> Table:
    """Return these cells of a verdict, a row a statistic."""
    rows = [
        [
            words.name_of(cell),
            words.value_text(cell, "baseline"),
            words.value_text(cell, "candidate"),
            words.change_text(cell),
            words.interval_text(cell),
            cell.verdict,
        ]
        for cell in cells
    ]
    columns = text.words("what") + text.numbers("baseline", "candidate", "change", "between")
    return Table([*columns, *text.words("verdict")], rows)


def units_table(units: Mapping[str, Unit]) -> Table:
    """Return which hardware each satellite was."""
    rows = [
        [satellite_id, *("-" if value is None else value for value in unit.values())]
        for satellite_id, unit in sorted(units.items())
    ]
    return Table(text.words("unit", "serial", "hardware", "firmware"), rows)
