"""Prints how long adopting a legacy tree took and this process's peak.

Arguments: the tree, and how many processes read it: a number, or ``auto``.
"""

import json
import sys
import time
from pathlib import Path

from astraguard_store import RunRepository
from benchmarks.children.memory import peak_bytes


def main() -> None:
    """Open the tree, which creates the database, and adopt all runs."""
    tree, jobs = sys.argv[1:]
    start = time.perf_counter()
    with RunRepository.open(Path(tree), adopt=False) as repository:
        repository.import_legacy(jobs=None if jobs == "auto" else int(jobs))
        seconds = time.perf_counter() - start
        peak = peak_bytes()
        adopted = len(repository.recent(10**9))
    print(json.dumps({"seconds": seconds, "peak": peak, "adopted": adopted}))


if __name__ == "__main__":
    main()
