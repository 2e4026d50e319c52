"""Imports the modules that are its arguments, and nothing else."""

import importlib
import sys

if __name__ == "__main__":
    for module in sys.argv[1:]:
        importlib.import_module(module)
