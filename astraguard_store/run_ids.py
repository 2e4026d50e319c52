"""Which names a run may have: they become folder names, keys and command-line words."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from string import ascii_letters, digits

from astraguard_store.exceptions import InvalidRunError

__all__ = ["MAX_BYTES", "MAX_CHARACTERS", "check_run_id"]

MAX_CHARACTERS = 128
# A staged file is named <run_id>~<16 hex>.kept.json.zst at most; file systems end at 255.
MAX_BYTES = 200

# Letters and digits of any script, and what survives in a folder name everywhere.
_PUNCTUATION = frozenset(" -_.:+=@,#%()[]{}~!&;^$'`")
_ASCII_ALLOWED = _PUNCTUATION.union(ascii_letters, digits)
_DATABASE_PREFIX = "astraguard.db"
_STAGING_NAME = ".staging"
_PLAIN = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_CHARACTERS}}}")
_DEVICE_NAMES = frozenset(
    ("con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10)))
)
_DEVICE_NAME = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?")


def check_run_id(run_id: object) -> str:
    """Return *run_id* if a run may have that name.

    Allowed are 1 to 128 characters (at most 200 bytes in UTF-8), in Unicode's
    composed form (NFC): letters, digits and marks of any script, the space, and
    ``- _ . : + = @ , # % ( ) [ ] { } ~ ! & ; ^ $ '`` and the backtick. Not at the
    start: a space. Not at the end: a dot or a space. Not at all: the store's own
    names (``astraguard.db…``, ``.staging``) and the device names of Windows
    (``con``, ``nul``, …).

    Raises:
        InvalidRunError: The id breaks one of these rules; the message says which.
    """
    if not isinstance(run_id, str):
        raise InvalidRunError(f"Invalid run_id {run_id!r}: a string is needed")
    if type(run_id) is not str:
        # Of an enum's member its value; str() may give its name.
        run_id = str.__str__(run_id)
    reason = _why_not(run_id)
    if reason:
        raise InvalidRunError(f"Invalid run_id {run_id!r}: {reason}")
    return run_id


# A rig asks about the same few runs: 0.1 µs instead of 2.
@lru_cache(maxsize=1024)
def _why_not(run_id: str) -> str | None:
    # Most are of letters, digits, _ and -: 0.5 µs instead of 2, and of a cold read a tenth.
    if _PLAIN.fullmatch(run_id) and run_id.lower() not in _DEVICE_NAMES:
        return None
    if not run_id:
        return "it is empty"
    if len(run_id) > MAX_CHARACTERS:
        return f"it has {len(run_id)} characters, {MAX_CHARACTERS} are allowed"
    if run_id.isascii() and run_id.isalnum():
        return _why_taken(run_id)
    if not _ASCII_ALLOWED.issuperset(run_id):
        for character in run_id:
            if not _is_allowed(character):
                return f"the character {character!r} is not allowed"
    return _why_no_file_name(run_id) or _why_taken(run_id)


def _why_no_file_name(run_id: str) -> str | None:
    if len(run_id.encode()) > MAX_BYTES:
        return f"it takes {len(run_id.encode())} bytes in UTF-8, {MAX_BYTES} are allowed"
    if not unicodedata.is_normalized("NFC", run_id):
        return "it is not in Unicode's composed form (NFC)"
    if run_id[0] == " " or run_id[-1] in ". ":
        return "it begins with a space, or ends with a dot or a space"
    return None


def _why_taken(run_id: str) -> str | None:
    if run_id.lower().startswith(_DATABASE_PREFIX) or run_id.lower() == _STAGING_NAME:
        return "the store's own files are named so"
    if _DEVICE_NAME.fullmatch(run_id):
        return "it is a device name on Windows"
    return None


def _is_allowed(character: str) -> bool:
    return character in _PUNCTUATION or unicodedata.category(character)[0] in "LMN"
