"""A fork while another thread loads a module for the first time: the child can load it too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# In a process of its own, which hasn't loaded numpy. The finder makes the search for a module last
# until the fork is under way, as a slow disk does.
FORKS_BESIDE_AN_IMPORT = """
import os, signal, sys, threading, time
from astraguard_store import LatencyCollector

begun = threading.Event()

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(sys.argv[1]) and not begun.is_set():
            begun.set()
            time.sleep(0.5)
        return None

collector = LatencyCollector()
collector.record_fault_detection("SAT001", 0.0, 4.2)
assert "numpy" not in sys.modules
sys.meta_path.insert(0, Slow())
thread = threading.Thread(target=collector.get_stats)
thread.start()
begun.wait()
child = os.fork()
if child == 0:
    signal.alarm(60)  # else it would wait for ever
    print(collector.get_stats()["fault_detection"]["mean_ms"], flush=True)
    os._exit(0)
os.waitpid(child, 0)
thread.join()
"""


@pytest.mark.parametrize("begins_with", ["numpy", "numpy."])
def test_a_child_does_not_wait_for_a_module_that_a_thread_was_loading(begins_with: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}

    forked = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS_BESIDE_AN_IMPORT, begins_with],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )

    assert forked.stdout == "4.2\n"
