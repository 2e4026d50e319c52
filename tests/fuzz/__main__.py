"""Fuzz one target after the other: `python -m tests.fuzz [--keep] [TARGET…] [-flag=value…]`."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from .last_input import noted_input
from .targets import TARGET_NAMES

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent
CORPUS = HERE / "corpus"
WORDS = HERE / "words"
FOUND = PROJECT / ".fuzz"

# Later flags win, so those of the command line come after these.
_DEFAULTS = ["-max_total_time=60", "-max_len=8192", "-timeout=10", "-rss_limit_mb=1024"]
_NEEDS_ATHERIS = (
    "Fuzzing needs atheris, which is in the extra `fuzz`: `make fuzz` installs it, or\n"
    "    pip install --constraint constraints.txt --editable '.[fuzz]'\n"
    "Trying the corpus needs no atheris: pytest tests/test_fuzz_corpus.py"
)


def main(arguments: list[str]) -> int:
    """Run what the command line asks for; return 0 if no promise was broken."""
    flags = [argument for argument in arguments if argument.startswith("-")]
    names = [argument for argument in arguments if not argument.startswith("-")]
    unknown = set(names) - set(TARGET_NAMES)
    if unknown:
        print(f"no target {sorted(unknown)}; there are {', '.join(TARGET_NAMES)}", file=sys.stderr)
        return 2
    if importlib.util.find_spec("atheris") is None:
        print(_NEEDS_ATHERIS, file=sys.stderr)
        return 2
    keep = "--keep" in flags
    if keep:
        flags.remove("--keep")
    broken = [name for name in names or TARGET_NAMES if not _run(name, flags, keep=keep)]
    if broken:
        print(f"broken: {', '.join(broken)}; the inputs are in {FOUND}", file=sys.stderr)
    return 1 if broken else 0


def _run(name: str, flags: list[str], *, keep: bool) -> bool:
    found = FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    corpus = CORPUS / name
    words = WORDS / f"{name}.txt"
    fixed = list(_DEFAULTS)
    if words.exists():
        fixed.append(f"-dict={words}")
    # New inputs go into the first folder; merged, those of the second that
    # reach something new go there.
    folders = [corpus, found] if keep else [found, corpus]
    if keep:
        fixed += ["-merge=1"]
    print(f"--- {name}", flush=True)
    with tempfile.TemporaryDirectory(prefix="astraguard-fuzz-", dir=_memory()) as scratch:
        # libFuzzer itself keeps a broken input sometimes; ours is kept always.
        fixed.append(f"-artifact_prefix={scratch}/")
        command = [sys.executable, "-m", f"{__package__}.session", name, scratch]
        ended = subprocess.run([*command, *fixed, *flags, *map(str, folders)], cwd=PROJECT)
        if ended.returncode:
            _keep_broken(name, noted_input(Path(scratch)))
    return ended.returncode == 0


def _keep_broken(name: str, content: bytes) -> None:
    path = FOUND / f"broken-{name}-{hashlib.sha256(content).hexdigest()[:12]}"
    path.write_bytes(content)
    print(f"the input that broke it: {path}", file=sys.stderr)


def _memory() -> str | None:
    """Return a folder in memory where there is one: ten times as many inputs a second."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
