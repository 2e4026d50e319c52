"""Prints how long adopting a legacy tree took and the process's peak: argument is the tree."""

import json
import sys
import time
from pathlib import Path

from astraguard_store import RunRepository
from benchmarks.children.memory import peak_bytes


def main() -> None:
    """Open the tree: that creates the database and adopts all runs."""
    start = time.perf_counter()
    with RunRepository.open(Path(sys.argv[1])) as repository:
        seconds = time.perf_counter() - start
        peak = peak_bytes()
        adopted = len(repository.recent(10**9))
    print(json.dumps({"seconds": seconds, "peak": peak, "adopted": adopted}))


if __name__ == "__main__":
    main()
