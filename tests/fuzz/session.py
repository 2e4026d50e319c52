"""The fuzzer in a process of its own: `python -m tests.fuzz.session TARGET FOLDER FLAG…`.

FOLDER is an empty one for the target. libFuzzer, inside atheris, ends the
process itself, so nothing that follows can tidy up: the caller does. Neither
does atheris' wheel keep the input that broke something, so the input that is
being tried always lies in FOLDER.
"""

from __future__ import annotations

import mmap
import shlex
import sys
from pathlib import Path

import atheris

from .json_mutation import changed_document
from .last_input import LAST_INPUT_BYTES, LAST_INPUT_NAME, note_input


def main(name: str, folder: str, flags: list[str]) -> None:
    """Fuzz the target *name* until a flag or a broken promise ends it."""
    # Only what is imported here is instrumented: what is in the package is what
    # is to be explored.
    with atheris.instrument_imports(include=["astraguard_store"]):
        from .targets import Targets
    target = Targets(Path(folder)).named(name)
    with open(Path(folder, LAST_INPUT_NAME), "w+b") as file:
        file.truncate(LAST_INPUT_BYTES)
        last_input = mmap.mmap(file.fileno(), LAST_INPUT_BYTES)

    def try_input(content: bytes) -> None:
        note_input(last_input, content)
        target(content)

    def mutate(content: bytes, most_bytes: int, seed: int) -> bytes:
        # One in four as bytes: what is no JSON has to be tried too.
        changed = changed_document(content, most_bytes, seed) if seed % 4 else None
        return atheris.Mutate(content, most_bytes) if changed is None else changed

    options = {"custom_mutator": mutate} if name == "summary" else {}
    # Merging, libFuzzer starts itself again by this, through a shell.
    itself = shlex.join([sys.executable, "-m", f"{__package__}.session", name, folder])
    atheris.Setup([itself, *flags], try_input, **options)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
