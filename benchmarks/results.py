"""Result of a run of the benchmarks: sections of sides, each with its spread."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

OURS = "ours"
OURS_NORMAL = "ours, NORMAL"
SEQUENTIAL = "sequential"
THREADED = "threaded"

FORMAT = 1
"""Version of the JSON document; a reader refuses any other."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Minimum, median, mean, maximum and standard deviation of some samples.

    The unit is the section's. `stdev` of a single sample is 0.
    """

    samples: int
    minimum: float
    median: float
    mean: float
    maximum: float
    stdev: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Self:
        """Return the spread of *samples*.

        Raises:
            ValueError: There are none.
        """
        if not samples:
            raise ValueError("no samples: nothing was measured")
        return cls(
            samples=len(samples),
            minimum=min(samples),
            median=statistics.median(samples),
            mean=statistics.fmean(samples),
            maximum=max(samples),
            stdev=statistics.stdev(samples) if len(samples) > 1 else 0.0,
        )


@dataclass(frozen=True, slots=True)
class Section:
    """One thing that was measured, with all its sides.

    Attributes:
        key: Name that targets and curves know it by, such as `save.10000`.
        title: What was done, sizes included.
        unit: `s`, `bytes` or `times` (a plain ratio).
        sides: Spread by side, in the order in which they were timed.
        reduced: It was measured at a smaller size than the targets speak of, or too few
            times, as --quick does: its figures are shown, and no target is judged by them.
    """

    key: str
    title: str
    unit: str
    sides: Mapping[str, Spread]
    reduced: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that one run measured, where and how.

    Attributes:
        machine: Description of the machine, by label.
        settings: How it was asked: `quick`, `durability`, `questions`, `seconds`,
            and `complete`, false where it was interrupted.
        sections: What was measured.
    """

    machine: Mapping[str, str]
    settings: Mapping[str, Any]
    sections: tuple[Section, ...]

    def section(self, key: str) -> Section | None:
        """Return the section of that key, or None where it wasn't measured."""
        return next((section for section in self.sections if section.key == key), None)

    def to_json(self) -> str:
        """Return the result as an indented JSON document."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the result that `to_json` wrote.

        Raises:
            ValueError: The document is of another format, or something else.
        """
        document = json.loads(text)
        try:
            if document["format"] != FORMAT:
                raise ValueError(
                    f"benchmark result of format {document['format']!r}, not {FORMAT}"
                )
            return cls(
                machine=document["machine"],
                settings=document["settings"],
                sections=tuple(_section(section) for section in document["sections"]),
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"that is no result of the benchmarks: {error!r}") from error

    def write(self, path: Path) -> None:
        """Store the result in *path*, whole or not at all.

        Raises:
            OSError: It can't be written; the file that was there stays.
        """
        staged = path.with_name(f"{path.name}.part")
        staged.write_text(self.to_json(), encoding="utf-8")
        staged.replace(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the result stored in *path*.

        Raises:
            OSError: It can't be read.
            ValueError: It holds something else.
        """
        return cls.from_json(path.read_text(encoding="utf-8"))


def _section(document: Mapping[str, Any]) -> Section:
    sides = {name: Spread(**spread) for name, spread in document["sides"].items()}
    return Section(**{**document, "sides": sides})
