"""Names, run ids and numbers that the store can keep, and errors for those that it can't; pure."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from functools import lru_cache
from math import inf, isfinite
from numbers import Real
from operator import index

from astraguard_store.exceptions import InvalidRunError

# 2000-01-01 UTC. Smaller numbers are seconds since a boot or since the start of a test.
FIRST_DATE_S = 946_684_800.0
# A run that is saved each second reaches it in 68 years; a counter of four bytes ends here.
MOST_REVISIONS = 2**31 - 1
DAY_S = 86_400
_SHA256_DIGITS = 64
# Keys of the database stay below what any server allows in an index.
MAX_NAME_CHARACTERS = 255
# What the file system takes, less what a copy on its way has in addition.
_LONGEST_FILE_NAME_BYTES = 230
# The words of the old class, which its callers' tests match.
_NON_NEGATIVE = "non-negative number"


def check_name(value: object, parameter: str, longest: int = MAX_NAME_CHARACTERS) -> str:
    """Return *value* if it can name a satellite or a metric type.

    Raises:
        InvalidRunError: It is no string, is empty, has over *longest* characters, or holds
            a NUL or a lone surrogate, which the database can't keep.
    """
    if not isinstance(value, str) or not value:
        raise InvalidRunError(f"Invalid {parameter}: must be non-empty string, not {value!r:.80}")
    if len(value) > longest:
        raise InvalidRunError(
            f"Invalid {parameter} {value[:20]!r}…: {len(value)} characters, {longest} are allowed"
        )
    if "\0" in value or (
        not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value)
    ):
        raise InvalidRunError(
            f"Invalid {parameter} {value!r}: NUL and lone surrogates can't be stored"
        )
    # Of an enum's member its value, as csv and json write it; str() may give its name.
    return str.__str__(value)


def check_attachment_name(name: str) -> str:
    """Return *name* if a file below `attachments` may have it.

    Raises:
        InvalidRunError: It may not.
    """
    check_name(name, "name of an attachment")
    if "/" in name or name.startswith(".") or len(name.encode()) > _LONGEST_FILE_NAME_BYTES:
        raise InvalidRunError(
            f"Invalid name of an attachment {name!r:.80}: a file's name is needed, without "
            f"slashes, without a dot in front, of {_LONGEST_FILE_NAME_BYTES} bytes at most"
        )
    return name


def check_named_save(save_id: str, sha256: str, revision: int) -> None:
    """Check the name of a save, its content's hash and its revision, as a store notes them.

    Raises:
        InvalidRunError: No store can have written them.
    """
    check_name(save_id, "save_id")
    if len(sha256) != _SHA256_DIGITS or not 1 <= revision <= MOST_REVISIONS:
        raise InvalidRunError(
            f"Invalid save {save_id!r}: its hash is {sha256!r}, its revision {revision}"
        )


def check_recorded_name(value: object, parameter: str) -> str:
    """Return *value* if a collector may record under it: `check_name`, and not blank.

    Raises:
        InvalidRunError: It isn't.
    """
    name = check_name(value, parameter)
    if name.isspace():
        raise InvalidRunError(f"Invalid {parameter}: must be non-empty string, not blank {name!r}")
    return name


def check_number(value: object, parameter: str, wanted: str = "number") -> float:
    """Return the finite number *value* as a float; NumPy scalars and Decimal are numbers too.

    Raises:
        InvalidRunError: It is no number, a truth value, NaN, infinite or beyond a double.
    """
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        raise InvalidRunError(f"Invalid {parameter}: must be {wanted}, not {value!r:.80}")
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError) as error:
        # NumPy counts its time spans among the integers.
        raise InvalidRunError(f"Invalid {parameter}: must be {wanted}: {error}") from error
    if not isfinite(number):
        raise InvalidRunError(f"Invalid {parameter}: must be {wanted}, and finite, not {value!r}")
    return number


def check_whole_number(value: object, parameter: str) -> int:
    """Return *value* as an int if it is a whole number of Python's or numpy's.

    Raises:
        InvalidRunError: It isn't.
    """
    try:
        return index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InvalidRunError(
            f"Invalid {parameter}: must be whole number, not {value!r}"
        ) from None


def check_non_negative(value: object, parameter: str) -> float:
    """Return *value* as a float if it is a finite number of at least 0.

    Raises:
        InvalidRunError: It isn't.
    """
    if type(value) is float and 0.0 <= value < inf:
        return value
    number = check_number(value, parameter, _NON_NEGATIVE)
    if number < 0:
        raise InvalidRunError(f"Invalid {parameter}: must be {_NON_NEGATIVE}, not {value!r}")
    return number


MAX_CHARACTERS = 128
# A staged file is named <run_id>~<16 hex>.kept.json.zst at most; file systems end at 255.
MAX_BYTES = 200

# Letters and digits of any script, and what survives in a folder name everywhere.
_PUNCTUATION = frozenset(" -_.:+=@,#%()[]{}~!&;^$'`")
_DATABASE_PREFIX = "astraguard.db"
_STAGING_NAME = ".staging"
_PLAIN = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_CHARACTERS}}}")
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
    if _PLAIN.fullmatch(run_id) and not _DEVICE_NAME.fullmatch(run_id):
        return None
    if not run_id:
        return "it is empty"
    if len(run_id) > MAX_CHARACTERS:
        return f"it has {len(run_id)} characters, {MAX_CHARACTERS} are allowed"
    for character in run_id:
        if character not in _PUNCTUATION and unicodedata.category(character)[0] not in "LMN":
            return f"the character {character!r} is not allowed"
    return _why_no_file_name(run_id) or _why_taken(run_id)


def _why_no_file_name(run_id: str) -> str | None:
    if len(run_id.encode()) > MAX_BYTES:
        return f"it takes {len(run_id.encode())} bytes in UTF-8, {MAX_BYTES} are allowed"
    if not unicodedata.is_normalized("NFC", run_id):
        return "it is not in Unicode's composed form (NFC)"
    if run_id in {".", ".."}:
        return "it names a folder that is there always"
    if run_id[0] == " " or run_id[-1] in ". ":
        return "it begins with a space, or ends with a dot or a space"
    return None


def _why_taken(run_id: str) -> str | None:
    if run_id.lower().startswith(_DATABASE_PREFIX) or run_id.lower() == _STAGING_NAME:
        return "the store's own files are named so"
    if _DEVICE_NAME.fullmatch(run_id):
        return "it is a device name on Windows"
    return None
