"""The sample of output at the top of the README: what `compare` prints of two runs.

`python tests/readme_sample.py` writes it anew; a test holds the README against it.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner

from astraguard_store import LatencyCollector, Provenance, RunRepository
from astraguard_store.cli import main

README = Path(__file__).parent.parent / "README.md"
COMMAND = ("compare", "run_041", "run_042")

_BETWEEN = re.compile(r"(?<=<!-- sample:begin -->\n).*?(?=<!-- sample:end -->)", re.DOTALL)


def save_sample_runs(results: Path) -> None:
    """Save two runs, of which the second has a newer firmware and is slower."""
    with RunRepository.open(results) as repository:
        for run_id, firmware, slowness in (("run_041", "4.1", 1.0), ("run_042", "4.2", 1.25)):
            collector = LatencyCollector()
            for tick in range(600):
                duration_ms = slowness * (58.3 + tick * 37 % 41)
                collector.record_fault_detection(f"SAT{tick % 3:03}", tick / 10, duration_ms)
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


def sample_in_readme() -> str:
    """Return what stands between the README's marks."""
    (part,) = _BETWEEN.findall(README.read_text(encoding="utf-8"))
    return str(part)


def write() -> None:
    """Write the sample anew."""
    with tempfile.TemporaryDirectory() as folder:
        save_sample_runs(Path(folder))
        sample = printed_sample(Path(folder))
    readme = README.read_text(encoding="utf-8")
    README.write_text(_BETWEEN.sub(lambda _: sample, readme), encoding="utf-8")


if __name__ == "__main__":
    write()
