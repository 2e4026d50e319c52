"""What else a machine did, as texts."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["NOISE", "NoiseKind", "noise_text"]


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
