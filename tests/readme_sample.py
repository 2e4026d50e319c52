"""The sample at the top of the README: what `compare` prints of two runs, and their chart.

`python tests/readme_sample.py` writes both anew; tests hold README and docs/sample.svg against
them.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner

from astraguard_store import LatencyCollector, Provenance, RunRepository
from astraguard_store.cli import main
from astraguard_store.presentation.svg import distribution_svg

README = Path(__file__).parent.parent / "README.md"
PICTURE = README.parent / "docs" / "sample.svg"
COMMAND = ("compare", "run_041", "run_042")

_BETWEEN = re.compile(r"(?<=<!-- sample:begin -->\n).*?(?=<!-- sample:end -->)", re.DOTALL)


def save_sample_runs(results: Path) -> None:
    """Save two runs, of which the second has a newer firmware and is slower."""
    with RunRepository.open(results) as repository:
        for run_id, firmware, slowness in (("run_041", "4.1", 1.0), ("run_042", "4.2", 1.25)):
            collector = LatencyCollector()
            for tick in range(600):
                satellite = f"SAT{tick % 3:03}"
                # Uniform from 0 to 1, then a bell with a tail to the right.
                share = (tick * 383 % 600 + 0.5) / 600
                duration_ms = slowness * 58.3 * (share / (1 - share)) ** 0.15
                collector.record_fault_detection(satellite, tick / 10, duration_ms)
                collector.record_agent_decision(satellite, tick / 10, 0.31 + share / 9)
            if slowness > 1:
                collector.record_missed("fault_detection", "SAT002", 41.5, 5_000.0)
            # What git would say depends on where this runs, and on how fast git answers.
            code = Provenance(git_commit="c0ffee0", git_branch="main", git_dirty=False)
            provenance = replace(code, scenario="eclipse", firmware=firmware)
            repository.save(run_id, collector, provenance=provenance)


def printed_sample(results: Path) -> str:
    """Return the block: the command, and what it prints of the runs in *results*."""
    arguments = [*COMMAND, "--results", str(results)]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return f"```text\n$ astraguard-store {' '.join(COMMAND)}\n{done.stdout}```\n"


def drawn_sample(results: Path) -> str:
    """Return the chart of the runs in *results*, as a file of its own that is read on any page."""
    with RunRepository.open(results, read_only=True) as repository:
        chart = distribution_svg(repository.distribution("fault_detection", COMMAND[1:]))
    return chart.replace("<svg ", '<svg style="background:#fff;color:#1b1b1b" ', 1) + "\n"


def sample_in_readme() -> str:
    """Return what stands between the README's marks."""
    (part,) = _BETWEEN.findall(README.read_text(encoding="utf-8"))
    return str(part)


def write() -> None:
    """Write the sample anew."""
    with tempfile.TemporaryDirectory() as folder:
        save_sample_runs(Path(folder))
        sample = printed_sample(Path(folder))
        PICTURE.write_text(drawn_sample(Path(folder)), encoding="utf-8")
    readme = README.read_text(encoding="utf-8")
    README.write_text(_BETWEEN.sub(lambda _: sample, readme), encoding="utf-8")


if __name__ == "__main__":
    write()
